"""The dependency graph gate against planted edges."""

import unittest

from build_defs.gates import graph
from build_defs.gates.planting import PlantingTest


def dot(*edges):
    lines = ["digraph mygraph {", "  node [shape=box];"]
    for edge in edges:
        lines.append("  " + " -> ".join(f'"{label}"' for label in edge))
    return "\n".join(lines + ["}"])


def manifest(package, *targets):
    return {"package": package, "targets": list(targets)}


def target(name, deps=(), test=False, hdrs=()):
    return {
        "name": name,
        "test": test,
        "location": "%s/BUILD.bazel:3:1",
        "labels": {"deps": list(deps)},
        "files": {"hdrs": list(hdrs)},
        "visibility": [],
    }


ROOT = "//allocator:layer_libraries"
LAYERS = ["primitives", "allocator", "memory", "device"]


class ClosureTest(PlantingTest):
    def check(self, layer, *edges):
        return graph.check_closure(layer, dot((f"//{layer}:layer_libraries",), (f"//{layer}:layer_libraries", f"//{layer}:x"), *edges))

    def test_clean_closures_pass(self):
        self.assert_refused(
            self.check(
                "allocator",
                ("//allocator:x", "//allocator:x.h"),
                ("//allocator:x", "//primitives:id"),
                ("//allocator:x", "@@platforms//cpu:x86_64"),
                ("//allocator:layer_libraries", "//allocator/sub:layer_libraries"),
                ("//primitives:id", "//primitives:id.h"),
            )
        )
        self.assert_refused(
            self.check(
                "memory",
                ("//memory:x", "@@abseil-cpp//absl/base"),
                ("@@abseil-cpp//absl/base", "@@bazel_tools//tools/cpp:compiler"),
                ("@@abseil-cpp//absl/base", "@@some_dependency//:of_abseil"),
            )
        )
        self.assert_refused(self.check("device", ("//device:x", "@@highway//:hwy"), ("//device:x", "//memory/page:page")))

    def test_a_direct_edge_up_is_refused(self):
        for layer, label in (
            ("primitives", "//allocator:arena"),
            ("allocator", "//memory/page:page"),
            ("allocator", "@@abseil-cpp//absl/base"),
            ("allocator", "@@bazel_tools//tools/cpp/runfiles:runfiles"),
            ("memory", "//device/simd:mask"),
            ("memory", "@@highway//:hwy"),
            ("device", "@@googletest//:gtest"),
            ("device", "//mmsb:arena"),
            ("device", "//cli:mmsb"),
            ("memory", "//fuzz:x"),
            ("memory", "//bench:x"),
            ("memory", "//examples:x"),
            ("memory", "//tools:x"),
            ("memory", "//:root"),
        ):
            with self.subTest(layer=layer, label=label):
                shown = label.replace("@@", "@")
                shown += "" if ":" in shown else ":" + shown.rsplit("/", 1)[-1]
                self.assert_refused(self.check(layer, (f"//{layer}:x", label)), (f"//{layer}:x -> {shown}", "may not use"))

    def test_a_far_edge_is_refused_with_the_way_there(self):
        found = self.check(
            "allocator",
            ("//allocator:x", "//primitives:id"),
            ("//primitives:id", "//primitives:hidden"),
            ("//primitives:hidden", "//memory/page:page"),
            ("//memory/page:page", "@@highway//:hwy"),
        )
        self.assert_refused(found, ("//allocator:x -> //primitives:id -> //primitives:hidden -> //memory/page:page", "lies above"))

    def test_highway_through_another_repository_is_refused(self):
        found = self.check("memory", ("//memory:x", "@@abseil-cpp//absl/base"), ("@@abseil-cpp//absl/base", "@@highway//:hwy"))
        self.assert_refused(found, ("//memory:x -> @abseil-cpp//absl/base:base -> @highway//:hwy", "through another repository"))

    def test_a_way_back_through_another_repository_is_refused(self):
        found = self.check("memory", ("//memory:x", "@@abseil-cpp//:a"), ("@@abseil-cpp//:a", "//device/simd:mask"))
        self.assert_refused(found, ("//memory:x -> @abseil-cpp//:a -> //device/simd:mask", "through another repository"))

    def test_an_empty_graph_is_refused(self):
        self.assert_refused(graph.check_closure("allocator", dot()), (ROOT, "not in the graph"))


class ManifestTest(PlantingTest):
    def check(self, *manifests, packages=LAYERS):
        given = list(manifests)
        given += [manifest(layer) for layer in LAYERS if layer not in [m["package"] for m in given]]
        return graph.check_manifests(given, packages, self.tree())

    def test_clean_manifests_pass(self):
        self.plant("allocator/a.h")
        self.plant("allocator/testing/t.cc")
        self.assert_refused(
            self.check(
                manifest(
                    "allocator",
                    target("a", ["//primitives:id", ":b"], hdrs=[":a.h"]),
                    target("a_test", [":a", "@@googletest//:gtest_main", "@@rules_cc//:link_extra_lib"], test=True),
                ),
                manifest("allocator/testing", target("t", ["//allocator:a", "@@googletest//:gtest"], test=True, hdrs=["t.cc"])),
            )
        )

    def test_a_test_may_reach_no_further_than_googletest(self):
        for label in ("@@abseil-cpp//absl/strings", "//memory/page:page", "@@google_benchmark//:benchmark", "//mmsb:arena", "@@//memory/page"):
            with self.subTest(label):
                self.assert_refused(self.check(manifest("allocator", target("a_test", [label], test=True))), ("%s/BUILD.bazel:3", "may not use"))

    def test_a_library_may_not_use_googletest(self):
        found = self.check(manifest("allocator", target("testing", ["@@googletest//:gtest"])))
        self.assert_refused(found, ("%s/BUILD.bazel:3", "@googletest"))
        self.assertIn("testonly", found[0].belongs)

    def test_labels_inside_a_select_are_seen(self):
        chosen = 'select({"@@platforms//cpu:x86_64": ("//memory/page:page",), "//conditions:default": ()})'
        found = self.check(manifest("allocator", target("a", [chosen])))
        self.assert_refused(found, ("%s/BUILD.bazel:3", "//memory/page:page"))

    def test_a_file_without_a_target_is_refused(self):
        self.plant("memory/page/lost.h")
        self.assert_refused(self.check(manifest("memory/page", target("page", hdrs=[":page.h"]))), ("memory/page/lost.h:1", "no target lists"))

    def test_a_file_of_the_same_name_elsewhere_does_not_count(self):
        self.plant("memory/page/a.h")
        self.assert_refused(self.check(manifest("memory/log", target("a", hdrs=[":a.h"]))), ("memory/page/a.h:1", "no target lists"))

    def test_files_inside_a_select_count(self):
        self.plant("memory/log/a.h")
        self.assert_refused(self.check(manifest("memory/log", target("a", hdrs=['select({"//conditions:default": (":a.h",)})']))))

    def test_an_unknown_folder_is_refused(self):
        self.assert_refused(self.check(packages=LAYERS + ["cli", "tools", "helpers"]), ("helpers/BUILD.bazel:1", "no gate knows"))

    def test_a_layer_without_a_manifest_is_refused(self):
        found = graph.check_manifests([manifest("primitives"), manifest("memory"), manifest("device")], LAYERS, self.tree())
        self.assert_refused(found, ("allocator/BUILD.bazel:1", "no manifest"))


class QueryTest(PlantingTest):
    def test_a_target_that_no_manifest_holds_is_refused(self):
        manifests = [manifest("allocator", target("a"))]
        self.assert_refused(graph.check_query(["//allocator:a", "//allocator:layer_files", "//cli:mmsb"], manifests))
        self.assert_refused(graph.check_query(["//allocator:a", "//allocator:late"], manifests), ("//allocator:late", "do not know"))
        self.assert_refused(graph.check_query(["//allocator/hidden:a"], manifests), ("//allocator/hidden:a", "do not know"))

    def test_a_package_of_an_unknown_folder_is_refused(self):
        labels = ["//:root", "//tools/toolbox:x", "//cli:mmsb", "//helpers/deep:x"]
        self.assert_refused(graph.check_query(labels, []), ("helpers/deep/BUILD.bazel:1", "no gate knows the folder helpers/"))


if __name__ == "__main__":
    unittest.main()
