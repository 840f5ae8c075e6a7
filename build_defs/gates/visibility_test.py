"""Visibility as the gates judge it, with planted openings."""

import unittest

from build_defs.gates import policy, visibility
from build_defs.gates.planting import PlantingTest

GROUPS = """
package_group(name = "above_device", packages = ["//mmsb/...", "//cli/...", "//fuzz/...", "//bench/...", "//examples/..."])
package_group(name = "above_memory", includes = [":above_device"], packages = ["//device/..."])
package_group(name = "above_allocator", includes = [":above_memory"], packages = ["//memory/..."])
package_group(name = "above_primitives", includes = [":above_allocator"], packages = ["//allocator/..."])
"""


def manifest(package, *labels):
    return {
        "package": package,
        "targets": [{"name": "x", "location": f"{package}/BUILD.bazel:7:11", "visibility": list(labels)}],
    }


class VisibilityTest(PlantingTest):
    def check(self, package, *labels):
        return visibility.check_manifests([manifest(package, *labels)])

    def test_allowed_openings_pass(self):
        self.assert_refused(self.check("allocator"))
        for label in ("//visibility:private", "//build_defs/layers:above_allocator", "//build_defs/layers:above_device", "//allocator:__subpackages__",
                      "//allocator/testing:__pkg__", "//memory/page:__pkg__", "//fuzz:__pkg__", ":__subpackages__", "@@//allocator:__subpackages__"):
            with self.subTest(label):
                self.assert_refused(self.check("allocator", label))

    def test_every_other_opening_is_refused(self):
        for label in ("//visibility:public", "//:__subpackages__", "//:__pkg__", "//build_defs/layers:above_primitives", "//primitives:__subpackages__",
                      "//tools:__subpackages__", "//build_defs:__pkg__", "//allocatorx:__pkg__", ":friends", "//allocator:friends", "@other//:__pkg__"):
            with self.subTest(label):
                self.assert_refused(self.check("allocator/testing", "//allocator:__subpackages__", label), ("allocator/testing/BUILD.bazel:7", label))

    def test_exported_files_are_held_to_the_same(self):
        self.plant("memory/log/BUILD.bazel", 'exports_files(["a.h"])\n')
        self.plant("memory/page/BUILD.bazel", '\nexports_files(["a.h"], visibility = ["//allocator:__pkg__"])\n')
        self.plant("memory/store/BUILD.bazel", 'exports_files(["a.h"], visibility = ["//device:__subpackages__"])\n')
        self.assert_refused(
            visibility.check_exports(self.tree()),
            ("memory/log/BUILD.bazel:1", "//visibility:public"),
            ("memory/page/BUILD.bazel:2", "//allocator:__pkg__"),
        )

    def groups(self, text):
        self.plant(visibility.GROUPS_FILE, text)
        return visibility.check_groups(self.tree())

    def test_the_groups_hold_just_what_lies_above(self):
        self.assert_refused(self.groups(GROUPS))

    def test_a_group_that_lets_in_a_lower_layer_is_refused(self):
        text = GROUPS.replace('packages = ["//device/..."]', 'packages = ["//device/...", "//allocator/..."]')
        found = self.groups(text)
        self.assertIn("above_memory lets in //allocator/...", [v.what.split(",")[0] for v in found])

    def test_a_group_that_lets_in_everything_is_refused(self):
        found = self.groups(GROUPS.replace('["//memory/..."]', '["//..."]'))
        self.assertEqual({v.what.split(" ")[0] for v in found if "lets in //...," in v.what}, {"above_allocator", "above_primitives"})

    def test_a_missing_group_or_member_is_refused(self):
        self.assertTrue(any("no package_group above_memory" in v.what for v in self.groups(GROUPS.replace("above_memory", "above_memry"))))
        self.assertTrue(any("lacks //cli/..." in v.what for v in self.groups(GROUPS.replace('"//cli/...", ', ""))))

    def test_every_layer_of_the_policy_has_its_group(self):
        self.assertEqual(len(self.groups("")), len(policy.LAYERS))


if __name__ == "__main__":
    unittest.main()
