"""What the gates need to know of each package, gathered by one line at its end.

A package of a layer ends with

    load("//build_defs:layer.bzl", "layer_package")
    ...
    layer_package()

and the tests in //build_defs/gates see its files, its targets and those of the
packages inside it. Nothing is listed by hand: a package inside a layer without
that line fails the build, for its parent asks it for the same. docs/layering.md
has the rules.
"""

# Lowest first, as in //build_defs/gates/policy.py.
LAYERS = ["primitives", "allocator", "memory", "device"]

# Every attribute by which a rule of this repository names another target.
_LABEL_ATTRIBUTES = (
    "actual",
    "additional_linker_inputs",
    "data",
    "deps",
    "dynamic_deps",
    "exports",
    "hdrs",
    "implementation_deps",
    "malloc",
    "srcs",
    "textual_hdrs",
    "tools",
)

def _strings(value):
    """An attribute's value as a list; a select() as the text it prints as."""
    if value == None:
        return []
    kind = type(value)
    if kind == "string":
        return [value]
    if kind in ("list", "tuple"):
        return [str(v) for v in value]
    return [str(value)]

def _target(name, rule):
    return {
        "features": _strings(rule.get("features")),
        "files": {
            attribute: _strings(rule.get(attribute))
            for attribute in ("hdrs", "srcs", "textual_hdrs")
        },
        "kind": rule["kind"],
        "labels": {
            attribute: _strings(rule.get(attribute))
            for attribute in _LABEL_ATTRIBUTES
            if rule.get(attribute)
        },
        "location": rule.get("generator_location") or "",
        "name": name,
        "test": bool(rule.get("testonly")) or rule["kind"].endswith("_test"),
        "visibility": _strings(rule.get("visibility")),
    }

def _tell(layer, target):
    """Says where code belongs beside what Bazel says of a dependency upwards.

    Bazel refuses it by visibility, and then the tests that would tell are not
    built.
    """
    for above in LAYERS[LAYERS.index(layer) + 1:]:
        for labels in target["labels"].values():
            for label in labels:
                for part in label.split('"'):
                    if part.lstrip("@").startswith(("//%s/" % above, "//%s:" % above)):
                        # buildifier: disable=print
                        print(("//%s:%s depends on %s, but %s lies above %s. Code that needs %s " +
                               "belongs in %s/ or above it: docs/layering.md.") % (
                            native.package_name(),
                            target["name"],
                            part,
                            above,
                            layer,
                            above,
                            above,
                        ))

def _manifest_impl(ctx):
    own = ctx.actions.declare_file(ctx.label.name + ".json")
    ctx.actions.write(own, ctx.attr.content)
    return [DefaultInfo(files = depset(
        [own],
        transitive = [inner[DefaultInfo].files for inner in ctx.attr.inner],
    ))]

_manifest = rule(
    implementation = _manifest_impl,
    attrs = {
        "content": attr.string(mandatory = True),
        "inner": attr.label_list(),
    },
)

def _parse_headers_transition_impl(_settings, _attr):
    return {"//command_line_option:process_headers_in_dependencies": True}

# Bazel parses a header on its own only under this flag, and then those of every
# dependency too. Behind a transition it is the headers of the layers alone.
_parse_headers_transition = transition(
    implementation = _parse_headers_transition_impl,
    inputs = [],
    outputs = ["//command_line_option:process_headers_in_dependencies"],
)

def _headers_impl(ctx):
    parsed = []
    for library in ctx.attr.libraries:
        if CcInfo not in library:
            continue
        parsed += [
            file
            for file in library[OutputGroupInfo].compilation_outputs.to_list()
            if file.basename.endswith(".processed")
        ]
    return [DefaultInfo(files = depset(
        parsed,
        transitive = [inner[DefaultInfo].files for inner in ctx.attr.inner],
    ))]

_headers = rule(
    implementation = _headers_impl,
    attrs = {
        "inner": attr.label_list(),
        "libraries": attr.label_list(cfg = _parse_headers_transition),
        "_allowlist_function_transition": attr.label(
            default = "@bazel_tools//tools/allowlists/function_transition_allowlist",
        ),
    },
)

def layer_package():
    """Declares :layer_files, :layer_libraries, :layer_headers and :layer_manifests.

    They hold the package's own and those of every package inside it; to build
    :layer_headers is to parse each header on its own. Must be the
    last statement of the BUILD file, for it sees only what stands before it.
    """
    package = native.package_name()
    layer = package.split("/")[0]
    inner = ["//%s/%s" % (package, name) for name in native.subpackages(
        include = ["**"],
        allow_empty = True,
    )]
    targets = [_target(name, rule) for name, rule in native.existing_rules().items()]
    for target in targets:
        _tell(layer, target)
    visibility = ["//%s:__subpackages__" % layer, "//build_defs/gates:__pkg__"]

    native.filegroup(
        name = "layer_files",
        testonly = True,
        srcs = native.glob(["**"]) + [p + ":layer_files" for p in inner],
        # Its test of planted bugs reads what they are planted in.
        visibility = visibility + ["//fuzz:__pkg__"],
    )
    native.filegroup(
        name = "layer_libraries",
        srcs = [":" + t["name"] for t in targets if not t["test"]] +
               [p + ":layer_libraries" for p in inner],
        visibility = visibility,
    )
    _headers(
        name = "layer_headers",
        testonly = True,
        inner = [p + ":layer_headers" for p in inner],
        libraries = [":" + t["name"] for t in targets if t["kind"] == "cc_library"],
        visibility = visibility,
    )
    _manifest(
        name = "layer_manifests",
        testonly = True,
        content = json.encode_indent({
            "package": package,
            "packages_inside": inner,
            "targets": targets,
        }),
        inner = [p + ":layer_manifests" for p in inner],
        visibility = visibility,
    )

def workspace_packages():
    """Declares :workspace_packages, the packages in the folders right below the root.

    For the root BUILD file: a folder that no rule of the gates knows is seen. It
    looks no deeper, for the links to Bazel's output lie there too and hold copies
    of everything; .ci/run asks `bazel query` for the rest.
    """
    _manifest(
        name = "workspace_packages",
        testonly = True,
        content = json.encode_indent(native.subpackages(
            include = ["*"],
            allow_empty = True,
            exclude = ["bazel-*"],
        )),
        visibility = ["//build_defs/gates:__pkg__"],
    )
