"""cc_fuzz_test: a fuzz target as an ordinary test, and what a person does with it.

For any repository that depends on this one; docs/fuzzing.md shows a target from
an empty file to a promoted crash.
"""

load("@rules_cc//cc:defs.bzl", "cc_binary", "cc_library", "cc_test")

# How a program is built for each engine, dependencies included, so that the
# engine sees the branches of the code under test.
_ENGINES = {
    "libfuzzer": struct(copts = ["-fsanitize=fuzzer-no-link"], linkopts = ["-fsanitize=fuzzer"]),
    # What afl-clang-fast adds, of Debian's package afl++.
    "afl": struct(
        copts = ["-fsanitize-coverage=trace-pc-guard"],
        linkopts = ["/usr/lib/afl/libAFLDriver.a", "/usr/lib/afl/afl-compiler-rt.o"],
    ),
}

_SANITIZERS = {
    "address": struct(copts = ["-fsanitize=address"], linkopts = ["-fsanitize=address"]),
    "memory": struct(
        copts = ["-fsanitize=memory", "-fsanitize-memory-track-origins"],
        linkopts = ["-fsanitize=memory"],
    ),
    "thread": struct(copts = ["-fsanitize=thread"], linkopts = ["-fsanitize=thread"]),
    "undefined": struct(
        copts = ["-fsanitize=undefined", "-fno-sanitize-recover=all"],
        linkopts = ["-fsanitize=undefined", "-fsanitize-link-c++-runtime"],
    ),
}

# Line numbers and whole stacks, at a speed that fuzzing needs.
_COPTS = ["-g", "-O2", "-fno-omit-frame-pointer"]

# Of libFuzzer's own instrumentation, what hands it the operands of each comparison.
_NO_COMPARES = {"libfuzzer": ["-fno-sanitize-coverage=trace-cmp"], "afl": []}

_COVERAGE = struct(
    copts = ["-g", "-O1", "-fprofile-instr-generate", "-fcoverage-mapping"],
    linkopts = ["-fprofile-instr-generate"],
)

_OPTIONS = "//command_line_option:"

# In place of the targets' own sanitizers, for OSS-Fuzz and ClusterFuzzLite, which build each
# target several times.
_SANITIZERS_FLAG = str(Label("//build_defs/fuzz:sanitizers"))
_OF_FLAG = dict(_SANITIZERS, coverage = struct(
    copts = ["-fprofile-instr-generate", "-fcoverage-mapping"],
    linkopts = ["-fprofile-instr-generate"],
))

def _sanitized(options, part, wanted):
    """`options`, with those of `wanted` where they have others of sanitizers."""
    of_sanitizers = [o for each in _SANITIZERS.values() for o in getattr(each, part)]
    rest = [o for o in options if o not in of_sanitizers]
    if not wanted or len(rest) == len(options):
        return options
    for name in wanted.split(","):
        if name not in _OF_FLAG:
            fail("--%s: there is no sanitizer %s; there are: %s" % (_SANITIZERS_FLAG.lstrip("@"), name, ", ".join(sorted(_OF_FLAG))))
        rest.extend(getattr(_OF_FLAG[name], part))
    return rest

def _instrumented(settings, attr):
    """The command line's options, with the binary's instrumentation in place of theirs."""
    wanted = settings[_SANITIZERS_FLAG]

    def kept(options):
        return [
            option
            for option in options
            if not option.startswith(("-fsanitize", "-fno-sanitize", "-fprofile-instr", "-fcoverage", "-stdlib="))
        ]

    return {
        _OPTIONS + "copt": kept(settings[_OPTIONS + "copt"]) + _sanitized(attr.copts, "copts", wanted),
        _OPTIONS + "cxxopt": kept(settings[_OPTIONS + "cxxopt"]),
        _OPTIONS + "linkopt": kept(settings[_OPTIONS + "linkopt"]) + _sanitized(attr.linkopts, "linkopts", wanted),
        # A fuzzer that needs no shared objects beside it can be carried anywhere.
        _OPTIONS + "dynamic_mode": "off",
    }

_instrumented_transition = transition(
    implementation = _instrumented,
    inputs = [_OPTIONS + option for option in ("copt", "cxxopt", "linkopt")] + [_SANITIZERS_FLAG],
    outputs = [_OPTIONS + option for option in ("copt", "cxxopt", "dynamic_mode", "linkopt")],
)

def _instrumented_binary_impl(ctx):
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

_instrumented_binary = rule(
    implementation = _instrumented_binary_impl,
    doc = "`binary`, built with `copts` and `linkopts` and no other sanitizer.",
    attrs = {
        "binary": attr.label(
            cfg = _instrumented_transition,
            executable = True,
            mandatory = True,
        ),
        "copts": attr.string_list(),
        "linkopts": attr.string_list(),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
    executable = True,
)

def _dictionary_impl(ctx):
    checked = ctx.actions.declare_file(ctx.label.name + ".dict")
    ctx.actions.run(
        executable = ctx.executable._checker,
        arguments = [ctx.file.src.path, checked.path],
        inputs = [ctx.file.src],
        outputs = [checked],
        mnemonic = "FuzzDictionary",
    )
    return [DefaultInfo(files = depset([checked]))]

_dictionary = rule(
    implementation = _dictionary_impl,
    doc = "A dictionary that is refused where libFuzzer would refuse it.",
    attrs = {
        "src": attr.label(allow_single_file = True, mandatory = True),
        "_checker": attr.label(
            default = Label("//build_defs/fuzz:check_dictionary"),
            executable = True,
            cfg = "exec",
        ),
    },
)

def _quoted(text):
    return "'" + text.replace("'", "'\\''") + "'"

def _launcher_impl(ctx):
    script = ctx.actions.declare_file(ctx.label.name)
    corpus = ctx.files.corpus
    values = {
        "fuzz_command": ctx.attr.command,
        "fuzz_target": ctx.attr.target,
        "fuzz_package": ctx.label.package,
        # Where promoted and merged inputs go: beside those that are there.
        "fuzz_corpus_folder": corpus[0].short_path.rpartition("/")[0] if corpus else "%s/%s_corpus" % (ctx.label.package or ".", ctx.attr.target),
        "fuzz_engine": ctx.attr.engine,
        "fuzz_binary": ctx.executable.binary.short_path,
        "fuzz_dictionary": ctx.file.dictionary.short_path if ctx.file.dictionary else "",
    }
    lines = ["%s=%s" % (name, _quoted(value)) for name, value in values.items()]
    lines.append("fuzz_options=(%s)" % " ".join([_quoted(o) for o in ctx.attr.options]))
    lines.append("fuzz_seeds=(%s)" % " ".join([_quoted(f.short_path) for f in corpus]))
    ctx.actions.write(script, """#!/usr/bin/env bash
# Made by cc_fuzz_test; what it does is in {launch}.
set -euo pipefail
called_from=${{BUILD_WORKING_DIRECTORY:-$PWD}}
case $0 in /*) me=$0 ;; *) me=$PWD/$0 ;; esac
for runfiles in "$me.runfiles" "${{RUNFILES_DIR:-}}" "${{TEST_SRCDIR:-}}"; do
  [[ ! -e $runfiles/{workspace}/{launch} ]] || break
done
cd -- "$runfiles/{workspace}"
{values}
. {launch}
launch "$@"
""".format(
        launch = ctx.file._launch.short_path,
        values = "\n".join(lines),
        workspace = ctx.workspace_name,
    ), is_executable = True)
    files = [ctx.file._launch] + corpus + ([ctx.file.dictionary] if ctx.file.dictionary else [])
    return [DefaultInfo(
        executable = script,
        runfiles = ctx.runfiles(files).merge(ctx.attr.binary[DefaultInfo].default_runfiles),
    )]

_launcher = rule(
    implementation = _launcher_impl,
    attrs = {
        "binary": attr.label(executable = True, cfg = "target", mandatory = True),
        "command": attr.string(mandatory = True),
        "corpus": attr.label_list(allow_files = True),
        "dictionary": attr.label(allow_single_file = True),
        "engine": attr.string(mandatory = True),
        "options": attr.string_list(),
        "target": attr.string(mandatory = True),
        "_launch": attr.label(
            default = Label("//build_defs/fuzz:launch.sh"),
            allow_single_file = True,
        ),
    },
    executable = True,
)

def _oss_fuzz_impl(ctx):
    archive = ctx.actions.declare_file(ctx.label.name + ".tar")
    seeds = ctx.actions.declare_file(ctx.label.name + "_seed_corpus.zip")
    options = ctx.actions.declare_file(ctx.label.name + ".options")
    names = ctx.actions.args()
    names.add("cC").add(seeds)
    names.add_all(ctx.files.corpus, format_each = "%s", map_each = _zip_entry)
    ctx.actions.run(
        executable = ctx.executable._zipper,
        arguments = [names],
        inputs = ctx.files.corpus,
        outputs = [seeds],
        mnemonic = "FuzzSeeds",
    )
    lines = ["[libfuzzer]"] + ["%s = %s" % tuple(o.removeprefix("-").split("=", 1)) for o in ctx.attr.options]
    files = [
        (ctx.executable.binary, ctx.attr.target),
        (seeds, ctx.attr.target + "_seed_corpus.zip"),
        (options, ctx.attr.target + ".options"),
    ]
    if ctx.file.dictionary:
        files.append((ctx.file.dictionary, ctx.attr.target + ".dict"))
        lines.append("dict = %s.dict" % ctx.attr.target)
    ctx.actions.write(options, "\n".join(lines) + "\n")
    ctx.actions.run_shell(
        command = """set -eu
out=$1; shift
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
while [ $# -gt 0 ]; do cp -L "$1" "$folder/$2"; shift 2; done
tar --create --file "$out" --sort=name --mtime=@0 --owner=0 --group=0 --numeric-owner --mode=u+rw,go+r --directory "$folder" .
""",
        arguments = [archive.path] + [part for file, name in files for part in (file.path, name)],
        inputs = [file for file, _ in files],
        outputs = [archive],
        mnemonic = "FuzzArchive",
    )
    return [DefaultInfo(files = depset([archive]))]

def _zip_entry(file):
    return "%s=%s" % (file.basename, file.path)

_oss_fuzz = rule(
    implementation = _oss_fuzz_impl,
    doc = "What OSS-Fuzz and ClusterFuzzLite take, in a tar: binary, seeds, dictionary, options.",
    attrs = {
        "binary": attr.label(executable = True, cfg = "target", mandatory = True),
        "corpus": attr.label_list(allow_files = True),
        "dictionary": attr.label(allow_single_file = True),
        "options": attr.string_list(),
        "target": attr.string(mandatory = True),
        "_zipper": attr.label(
            default = "@bazel_tools//tools/zip:zipper",
            executable = True,
            cfg = "exec",
        ),
    },
)

def _checked(name, what, values, known):
    for value in values:
        if value not in known:
            fail("cc_fuzz_test %s: there is no %s %s; there are: %s" % (name, what, value, ", ".join(sorted(known))))

def cc_fuzz_test(
        name,
        srcs,
        corpus,
        deps = [],
        dictionary = None,
        engine = "libfuzzer",
        sanitizers = ["address", "undefined"],
        max_len = 4096,
        timeout_seconds = 25,
        rss_limit_mb = 2560,
        trace_compares = True,
        tags = [],
        **kwargs):
    """A fuzz target: sources that define LLVMFuzzerTestOneInput.

    Declares

      NAME           a test that runs the target over every input of the corpus,
                     with any compiler and any sanitizer; fails when there is none
      NAME_bin       the target for the engine, with sanitizers of its own
                     whichever the command line asks for
      NAME_run       fuzzes: bazel run //fuzz:NAME_run -- --time=60s
      NAME_minimize  merges what was found with the corpus, to as few inputs
      NAME_reduce    makes an input that crashes small
      NAME_promote   puts an input into the corpus, and prints a test for it
      NAME_coverage  writes as HTML what the corpus reaches
      NAME_oss_fuzz  the archive for OSS-Fuzz and ClusterFuzzLite

    All but NAME are manual, and skipped where the compiler is not clang. What
    can be said to each: `-- --help`, and docs/fuzzing.md.

    Args:
      name: of the test; by convention STRUCTURE_fuzz.
      srcs: the target's sources.
      corpus: a list of files, or of labels of files.
      deps: libraries of the target.
      dictionary: a file of tokens, as libFuzzer and AFL++ read it.
      engine: "libfuzzer"; or "afl", of Debian's afl++ (./bazelw toolbox add afl), with
        NAME_run alone.
      sanitizers: of NAME_bin: "address", "undefined", "thread", "memory".
      max_len: of an input that the engine makes, in bytes. It cuts those that are longer,
        so NAME fails when the corpus has one.
      timeout_seconds: of one input.
      rss_limit_mb: of the engine's process; 0 is none.
      trace_compares: whether libFuzzer looks at what the code compares, which finds
        long constants in formats, and costs a third of the speed and more.
      tags: of the test.
      **kwargs: further attributes of the test.
    """
    _checked(name, "engine", [engine], _ENGINES)
    _checked(name, "sanitizer", sanitizers, _SANITIZERS)
    for limit, value in (("max_len", max_len), ("timeout_seconds", timeout_seconds)):
        if value <= 0:
            fail("cc_fuzz_test %s: %s is %d; it must be at least 1" % (name, limit, value))
    if rss_limit_mb < 0:
        fail("cc_fuzz_test %s: rss_limit_mb is %d; it must be at least 0" % (name, rss_limit_mb))

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
        # Nothing but the engine's main, or ours, refers to it.
        alwayslink = True,
    )
    cc_test(
        name = name,
        # Bazel refuses to expand a label to no files; the test says it better.
        args = ["--max_len=%d" % max_len, "$(rootpaths :%s_corpus)" % name] if corpus else [],
        data = [":%s_corpus" % name],
        tags = tags,
        deps = [
            ":%s_target" % name,
            Label("//fuzz:replay_main"),
        ],
        **kwargs
    )

    # The rest: by clang, and only when it is named.
    manual = {
        "tags": ["manual"],
        "target_compatible_with": select({
            Label("//fuzz:compiler_is_clang"): [],
            "//conditions:default": [Label("//build_defs/fuzz:clang")],
        }),
        "testonly": True,
    }
    cc_binary(
        name = name + "_fuzzer",
        deps = [":%s_target" % name],
        **manual
    )
    cc_binary(
        name = name + "_replayer",
        deps = [
            ":%s_target" % name,
            Label("//fuzz:replay_main"),
        ],
        **manual
    )
    parts = [_ENGINES[engine]] + [_SANITIZERS[sanitizer] for sanitizer in sanitizers]
    _instrumented_binary(
        name = name + "_bin",
        binary = ":%s_fuzzer" % name,
        copts = _COPTS + [option for part in parts for option in part.copts] +
                ([] if trace_compares else _NO_COMPARES[engine]),
        linkopts = [option for part in parts for option in part.linkopts],
        **manual
    )
    _instrumented_binary(
        name = name + "_coverage_bin",
        binary = ":%s_replayer" % name,
        copts = _COVERAGE.copts,
        linkopts = _COVERAGE.linkopts,
        **manual
    )
    if dictionary:
        _dictionary(
            name = name + "_dictionary",
            src = dictionary,
            testonly = True,
            tags = ["manual"],
        )
    common = dict(
        manual,
        corpus = [":%s_corpus" % name],
        dictionary = ":%s_dictionary" % name if dictionary else None,
        options = [
            "-max_len=%d" % max_len,
            "-timeout=%d" % timeout_seconds,
            "-rss_limit_mb=%d" % rss_limit_mb,
        ],
        target = name,
    )
    for command in ("run", "minimize", "reduce", "promote", "coverage"):
        _launcher(
            name = "%s_%s" % (name, command),
            binary = ":%s_%s" % (name, "coverage_bin" if command == "coverage" else "bin"),
            command = command,
            engine = engine,
            **common
        )
    _oss_fuzz(
        name = name + "_oss_fuzz",
        binary = ":%s_bin" % name,
        **common
    )
