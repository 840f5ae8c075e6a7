"""BUILD files of the layers, clean and with planted ways around the checks."""

import unittest

from build_defs.gates import build_files
from build_defs.gates.planting import PlantingTest

CLEAN = """load("@rules_cc//cc:defs.bzl", "cc_library")
load("//build_defs:layer.bzl", "layer_package")

package(
    default_visibility = ["//visibility:private"],
    features = [
        "layering_check",
        "parse_headers",
    ],
)

cc_library(
    name = "x",
    hdrs = ["x.h"],
    textual_hdrs = ["x-inl.h"],
)

layer_package()
"""

PATH = "memory/page/BUILD.bazel"


class BuildFilesTest(PlantingTest):
    def check(self, old, new, path=PATH):
        self.assertIn(old, CLEAN)
        self.plant(path, CLEAN.replace(old, new))
        return build_files.check(self.tree())

    def test_a_clean_package_passes(self):
        self.assert_refused(self.check("x", "x"))

    def test_a_package_outside_the_layers_is_not_asked(self):
        self.plant("cli/BUILD.bazel", "")
        self.assert_refused(build_files.check(self.tree()))

    def test_a_missing_feature_is_refused(self):
        self.assert_refused(self.check('        "layering_check",\n', ""), (f"{PATH}:4", "without layering_check"))
        self.assert_refused(self.check('        "parse_headers",\n', ""), (f"{PATH}:4", "without parse_headers"))
        self.assert_refused(self.check('"parse_headers"', '"-parse_headers"'), (f"{PATH}:4", "without"), (f"{PATH}:6", "turned off"))

    def test_a_target_that_leaves_the_checks_is_refused(self):
        self.assert_refused(self.check('    name = "x",', '    name = "x", features = ["-layering_check"],'), (f"{PATH}:13", "layering_check is turned off"))
        self.assert_refused(self.check("layer_package()\n", '[cc_library(name = n, features = ["-parse_headers"]) for n in ["a"]]\nlayer_package()\n'),
                            (f"{PATH}:18", "turned off"))

    def test_a_package_that_is_not_private_is_refused(self):
        self.assert_refused(self.check("visibility:private", "visibility:public"), (f"{PATH}:4", "not private"))
        self.assert_refused(self.check('    default_visibility = ["//visibility:private"],\n', ""), (f"{PATH}:4", "not private"))

    def test_package_is_called_once(self):
        self.assert_refused(self.check("package(\n", "pack(\n"), (f"{PATH}:1", "0 times"))

    def test_the_last_statement_is_layer_package(self):
        self.assert_refused(self.check("layer_package()\n", ""), (f"{PATH}:12", "does not end with layer_package()"))
        self.assert_refused(self.check("layer_package()\n", 'layer_package()\nfilegroup(name = "late")\n'), (f"{PATH}:19", "does not end"))
        self.plant(PATH, "")
        self.assertTrue(any("does not end" in v.what for v in build_files.check(self.tree())))

    def test_other_paths_to_a_header_are_refused(self):
        for given, part in (
            ('includes = ["."]', "includes lets"),
            ('strip_include_prefix = "/x"', "strip_include_prefix"),
            ('copts = ["-Imemory"]', "-Imemory"),
            ('copts = ["-include", "a.h"]', "-include"),
            ('cxxopts = ["-isystem/usr"]', "-isystem"),
        ):
            with self.subTest(given):
                self.assert_refused(self.check('    name = "x",', f'    name = "x", {given},'), (f"{PATH}:13", part))

    def test_silenced_warnings_are_refused(self):
        for option in ("-w", "-Wno-error", "-Wno-unused-parameter"):
            with self.subTest(option):
                self.assert_refused(self.check('    name = "x",', f'    name = "x", copts = ["{option}"],'), (f"{PATH}:13", option))

    def test_a_textual_header_that_is_no_kernel_body_is_refused(self):
        self.assert_refused(self.check("x-inl.h", "x_impl.h"), (f"{PATH}:15", "x_impl.h"))

    def test_a_header_that_was_not_parsed_is_refused(self):
        for path in ("memory/page/page.h", "memory/page/detail/deep.h", "memory/page/kernel-inl.h", "memory/page/page.cc", "device/a.h"):
            self.plant(path)
        parsed = [
            "memory/page/_objs/page/page.h.processed",
            "memory/page/_objs/deep/0/deep.h.processed",
            "memory/_objs/a/a.h.processed",
        ]
        self.assert_refused(build_files.check_parsed(self.tree(), parsed), ("device/a.h:1", "not parsed"))
        self.assertEqual(len(build_files.check_parsed(self.tree(), [])), 3)

    def test_both_names_of_a_build_file_are_read(self):
        self.assert_refused(self.check("layer_package()\n", "", "device/BUILD"), ("device/BUILD:12", "does not end"))


if __name__ == "__main__":
    unittest.main()
