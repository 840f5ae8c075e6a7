"""program_fuzz_test: a fuzz target whose inputs are programs."""

load("@rules_cc//cc:defs.bzl", "cc_library")
load("//build_defs:fuzz_test.bzl", "cc_fuzz_test")

def program_fuzz_test(name, deps, max_len = 512, trace_compares = False, **kwargs):
    """Declares NAME_run, of NAME_run.h and .cc, and NAME_fuzz over NAME_corpus.

    Args:
      name: of the structure, as "arena".
      deps: of NAME_run, beside program.
      max_len: of an input, some 200 steps: what more of them find, shorter programs find
        sooner.
      trace_compares: as of cc_fuzz_test. A byte of a program is an operation or a number
        that is likely as it is, so there is no constant to be guessed.
      **kwargs: of the test.
    """
    cc_library(
        name = name + "_run",
        testonly = True,
        srcs = [name + "_run.cc"],
        hdrs = [name + "_run.h"],
        deps = deps + [":program"],
    )
    cc_fuzz_test(
        name = name + "_fuzz",
        size = "small",
        srcs = [name + "_fuzz.cc"],
        corpus = native.glob([name + "_corpus/*"]),
        max_len = max_len,
        trace_compares = trace_compares,
        deps = [
            ":" + name + "_run",
            ":program",
        ],
        **kwargs
    )
