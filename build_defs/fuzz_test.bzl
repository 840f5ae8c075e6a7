"""cc_fuzz_test: a fuzz target as an ordinary test, and as a libFuzzer binary."""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_library", "cc_test")

# What the whole program is compiled with, dependencies included, so that
# libFuzzer sees the branches of the code under test and ASan its memory.
_FUZZER_COPTS = [
    "-fsanitize=address,fuzzer-no-link",
    "-fno-omit-frame-pointer",
    "-g",
    "-O1",
]

def _is_sanitizer(option):
    return option.startswith("-fsanitize") or option.startswith("-fno-sanitize")

def _fuzzer_transition_impl(settings, _attr):
    def without_sanitizers(options):
        return [o for o in options if not _is_sanitizer(o)]

    copts = without_sanitizers(settings["//command_line_option:copt"])
    linkopts = without_sanitizers(settings["//command_line_option:linkopt"])
    return {
        "//command_line_option:copt": copts + _FUZZER_COPTS,
        "//command_line_option:linkopt": linkopts + ["-fsanitize=address,fuzzer"],
    }

# Whichever sanitizer the command line asks for, libFuzzer runs with ASan.
_fuzzer_transition = transition(
    implementation = _fuzzer_transition_impl,
    inputs = [
        "//command_line_option:copt",
        "//command_line_option:linkopt",
    ],
    outputs = [
        "//command_line_option:copt",
        "//command_line_option:linkopt",
    ],
)

def _fuzzer_binary_impl(ctx):
    binary = ctx.attr.binary[0][DefaultInfo]
    executable = ctx.actions.declare_file(ctx.label.name)
    ctx.actions.symlink(
        output = executable,
        target_file = ctx.executable.binary,
        is_executable = True,
    )
    return [DefaultInfo(
        executable = executable,
        runfiles = binary.default_runfiles,
    )]

_fuzzer_binary = rule(
    implementation = _fuzzer_binary_impl,
    attrs = {
        "binary": attr.label(
            cfg = _fuzzer_transition,
            executable = True,
            mandatory = True,
        ),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
    executable = True,
)

def cc_fuzz_test(name, srcs, corpus, deps = [], tags = [], **kwargs):
    """A fuzz target: sources that define LLVMFuzzerTestOneInput.

    Declares
      NAME      a test that runs the target over every input of the corpus, with
                any compiler and any sanitizer; it fails when there is none.
      NAME_bin  a libFuzzer binary with ASan, only where the compiler is clang;
                built when it is named: bazel run //fuzz:NAME_bin -- FOLDER

    Args:
      name: of the test; by convention STRUCTURE_fuzz.
      srcs: the target's sources.
      corpus: a list of files, or of labels of files.
      deps: libraries of the target.
      tags: of the test.
      **kwargs: further attributes of the test.
    """
    native.filegroup(
        name = name + "_corpus",
        testonly = True,
        srcs = corpus,
    )
    cc_library(
        name = name + "_target",
        testonly = True,
        srcs = srcs,
        deps = deps,
        # Nothing but libFuzzer's main, or ours, refers to it.
        alwayslink = True,
    )
    cc_test(
        name = name,
        # Bazel refuses to expand a label to no files; the test says it better.
        args = ["$(rootpaths :%s_corpus)" % name] if corpus else [],
        data = [":%s_corpus" % name],
        tags = tags,
        deps = [
            ":%s_target" % name,
            Label("//fuzz:replay_main"),
        ],
        **kwargs
    )
    cc_binary(
        name = name + "_fuzzer",
        testonly = True,
        # Links only under the transition.
        tags = ["manual"],
        target_compatible_with = select({
            Label("//fuzz:compiler_is_clang"): [],
            "//conditions:default": ["@platforms//:incompatible"],
        }),
        deps = [":%s_target" % name],
    )
    _fuzzer_binary(
        name = name + "_bin",
        testonly = True,
        binary = ":%s_fuzzer" % name,
        tags = ["manual"],
        target_compatible_with = select({
            Label("//fuzz:compiler_is_clang"): [],
            "//conditions:default": ["@platforms//:incompatible"],
        }),
    )
