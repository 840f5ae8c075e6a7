"""Pinned dependencies of mmsb, for this WORKSPACE and for those that use it.

In another repository:

    load("@mmsb//:mmsb_deps.bzl", "mmsb_deps")
    mmsb_deps()

An archive already declared under the same name is left as it is, so a
repository with its own Abseil keeps it. Everything is fetched by sha256; the
offline toolbox (docs/toolbox.md) serves the same files through --distdir.
"""

load("@bazel_tools//tools/build_defs/repo:http.bzl", "http_archive")
load("@bazel_tools//tools/build_defs/repo:utils.bzl", "maybe")

def mmsb_deps():
    """Declares every repository that mmsb loads or links."""

    maybe(
        http_archive,
        name = "abseil-cpp",
        # The toolbox's rules_cc is older than the label these lines ask for,
        # and mmsb is not built for WebAssembly.
        patch_cmds = ["find absl -name BUILD.bazel -exec sed -i '/rules_cc..cc.compiler:emscripten/d' {} +"],
        sha256 = "6e1aee535473414164bf83e4ebc40240dec71a4701f8a642d906e95bea1aea0c",
        strip_prefix = "abseil-cpp-20260526.0",
        urls = ["https://github.com/abseil/abseil-cpp/releases/download/20260526.0/abseil-cpp-20260526.0.tar.gz"],
    )
    maybe(
        http_archive,
        name = "googletest",
        repo_mapping = {"@com_google_absl": "@abseil-cpp"},
        sha256 = "b9cf3c3d06dbae3eeca671e2a3ea33f3749e23eaa1389cd92c9d0a575e146128",
        strip_prefix = "googletest-1.18.0",
        urls = ["https://github.com/google/googletest/releases/download/v1.18.0/googletest-1.18.0.tar.gz"],
    )
    maybe(
        http_archive,
        name = "highway",
        repo_mapping = {"@com_google_googletest": "@googletest"},
        sha256 = "07b3c1ba2c1096878a85a31a5b9b3757427af963b1141ca904db2f9f4afe0bc2",
        strip_prefix = "highway-1.3.0",
        urls = ["https://github.com/google/highway/releases/download/1.3.0/highway-1.3.0.tar.gz"],
    )
    maybe(
        http_archive,
        name = "google_benchmark",
        repo_mapping = {"@com_google_googletest": "@googletest"},
        sha256 = "32131c08ee31eeff2c8968d7e874f3cb648034377dfc32a4c377fa8796d84981",
        strip_prefix = "benchmark-1.9.1",
        urls = ["https://github.com/google/benchmark/archive/refs/tags/v1.9.1.tar.gz"],
    )
    maybe(
        http_archive,
        name = "rules_cc",
        sha256 = "abc605dd850f813bb37004b77db20106a19311a96b2da1c92b789da529d28fe1",
        strip_prefix = "rules_cc-0.0.17",
        urls = ["https://github.com/bazelbuild/rules_cc/releases/download/0.0.17/rules_cc-0.0.17.tar.gz"],
    )
    maybe(
        http_archive,
        name = "rules_license",
        sha256 = "26d4021f6898e23b82ef953078389dd49ac2b5618ac564ade4ef87cced147b38",
        urls = ["https://github.com/bazelbuild/rules_license/releases/download/1.0.0/rules_license-1.0.0.tar.gz"],
    )
    maybe(
        http_archive,
        name = "bazel_skylib",
        sha256 = "bc283cdfcd526a52c3201279cda4bc298652efa898b10b4db0837dc51652756f",
        urls = ["https://github.com/bazelbuild/bazel-skylib/releases/download/1.7.1/bazel-skylib-1.7.1.tar.gz"],
    )
    maybe(
        http_archive,
        name = "platforms",
        sha256 = "218efe8ee736d26a3572663b374a253c012b716d8af0c07e842e82f238a0a7ee",
        urls = ["https://github.com/bazelbuild/platforms/releases/download/0.0.10/platforms-0.0.10.tar.gz"],
    )
