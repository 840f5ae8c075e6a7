"""continuous_fuzzing: all fuzz targets of a package, fuzzed in rotation."""

def _manifest_impl(ctx):
    entries = []
    runfiles = ctx.runfiles()
    corpora = {name: target.files.to_list() for target, name in ctx.attr.corpora.items()}
    dictionaries = {name: target.files.to_list()[0] for target, name in ctx.attr.dictionaries.items()}
    for target, name in ctx.attr.binaries.items():
        binary = target[DefaultInfo].files_to_run.executable
        dictionary = dictionaries.get(name)
        files = [binary] + corpora[name] + ([dictionary] if dictionary else [])
        runfiles = runfiles.merge(ctx.runfiles(files)).merge(target[DefaultInfo].default_runfiles)
        entries.append({
            "binary": binary.short_path,
            "dictionary": dictionary.short_path if dictionary else "",
            "label": "//%s:%s" % (ctx.label.package, name),
            "name": name,
            "options": ctx.attr.options[name],
            "seeds": [file.short_path for file in corpora[name]],
        })
    manifest = ctx.actions.declare_file(ctx.label.name + ".json")
    ctx.actions.write(manifest, json.encode_indent(entries))
    return [DefaultInfo(
        files = depset([manifest]),
        runfiles = runfiles.merge(ctx.runfiles([manifest])),
    )]

_manifest = rule(
    implementation = _manifest_impl,
    doc = "What tools/fuzz/continuous is to know of each target.",
    attrs = {
        "binaries": attr.label_keyed_string_dict(cfg = "target"),
        "corpora": attr.label_keyed_string_dict(allow_files = True),
        "dictionaries": attr.label_keyed_string_dict(allow_files = True),
        "options": attr.string_list_dict(),
    },
)

def continuous_fuzzing(name, visibility = None):
    """Declares a program that fuzzes each cc_fuzz_test that stands above it.

        bazel run //fuzz:continuous -- --time=2h --cores=2

    Args:
      name: of the program.
      visibility: of the program.
    """
    binaries, corpora, dictionaries, options = {}, {}, {}, {}
    for rule in native.existing_rules().values():
        if rule["kind"] != "_launcher" or rule["command"] != "run" or rule["engine"] != "libfuzzer":
            continue
        target = rule["target"]

        # A target without inputs fails its test, and is not fuzzed.
        if not native.existing_rule(target + "_corpus")["srcs"]:
            continue
        binaries[rule["binary"]] = target
        for corpus in rule["corpus"]:
            corpora[corpus] = target
        if "dictionary" in rule:
            dictionaries[rule["dictionary"]] = target
        options[target] = list(rule["options"])
    compatible = select({
        Label("//fuzz:compiler_is_clang"): [],
        "//conditions:default": [Label("//build_defs/fuzz:clang")],
    })
    _manifest(
        name = name + "_manifest",
        testonly = True,
        binaries = binaries,
        corpora = corpora,
        dictionaries = dictionaries,
        options = options,
        tags = ["manual"],
        target_compatible_with = compatible,
    )
    native.py_binary(
        name = name,
        testonly = True,
        srcs = [Label("//tools/fuzz/continuous:main.py")],
        args = ["$(rootpath :%s_manifest)" % name],
        data = [":%s_manifest" % name],
        main = Label("//tools/fuzz/continuous:main.py"),
        tags = ["manual"],
        target_compatible_with = compatible,
        visibility = visibility,
        deps = [Label("//tools/fuzz/continuous")],
    )
