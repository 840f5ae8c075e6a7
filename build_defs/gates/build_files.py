"""Gate 3, its text side: every package of a layer asks for the header checks.

The checks themselves are the compiler's (layering_check, parse_headers); this
sees to it that no package goes without them or around them. BUILD files are
read as Python, whose syntax they share.
"""

import ast
import re

from build_defs.gates import policy
from build_defs.gates.violation import Violation

RULE = (
    "every package of a layer is private by default, has layering_check and parse_headers, and ends with "
    "layer_package(); no target leaves the checks or includes headers by another path."
)

FEATURES = ("layering_check", "parse_headers")
_PATH_ATTRIBUTES = ("includes", "include_prefix", "strip_include_prefix")
_PATH_OPTIONS = ("-I", "-isystem", "-iquote", "-idirafter", "-include", "-imacros")
_OPTION_ATTRIBUTES = ("copts", "cxxopts", "conlyopts", "local_defines", "defines")


def parse(tree, path):
    return ast.parse(tree.read(path), filename=path)


def calls(module, name):
    """The calls of function `name`, wherever they stand."""
    return [
        node
        for node in ast.walk(module)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == name
    ]


def keyword(call, name):
    for given in call.keywords:
        if given.arg == name:
            return given.value
    return None


def strings(node):
    """Every string literal in an expression."""
    return [n.value for n in ast.walk(node) if isinstance(n, ast.Constant) and isinstance(n.value, str)]


def _check_package(path, module):
    found = []
    declared = calls(module, "package")
    if len(declared) != 1:
        return [
            Violation(
                f"{path}:1",
                f"package() is called {len(declared)} times",
                "once, with default_visibility and features as in the other packages of the layer",
            )
        ]
    call = declared[0]
    visibility = keyword(call, "default_visibility")
    if visibility is None or strings(visibility) != ["//visibility:private"]:
        found.append(
            Violation(f"{path}:{call.lineno}", "the package is not private by default", 'default_visibility = ["//visibility:private"]')
        )
    features = keyword(call, "features")
    given = strings(features) if features is not None else []
    for feature in FEATURES:
        if feature not in given:
            found.append(Violation(f"{path}:{call.lineno}", f"the package is without {feature}", f'features = ["layering_check", "parse_headers"]'))
    return found


def _check_targets(path, module):
    found = []
    for call in [node for node in ast.walk(module) if isinstance(node, ast.Call)]:
        for given in call.keywords:
            where = f"{path}:{given.value.lineno}"
            texts = strings(given.value)
            if given.arg == "features":
                for text in texts:
                    if text.lstrip("-") in FEATURES and text.startswith("-"):
                        found.append(Violation(where, f"{text[1:]} is turned off", "nowhere; fix the include, or split the library"))
            elif given.arg in _PATH_ATTRIBUTES:
                found.append(
                    Violation(where, f"{given.arg} lets a header be included by another path", "the header's path from the repository's root")
                )
            elif given.arg in _OPTION_ATTRIBUTES:
                for text in texts:
                    if text.startswith(_PATH_OPTIONS):
                        found.append(Violation(where, f"{text} includes by another path", "deps, and an #include in the file itself"))
                    elif text == "-w" or text.startswith("-Wno-"):
                        found.append(Violation(where, f"{text} silences a warning", "nowhere; mend the code"))
            elif given.arg == "textual_hdrs":
                for text in texts:
                    if text.endswith(policy.HEADER_SUFFIXES) and not text.endswith("-inl.h"):
                        found.append(
                            Violation(where, f"{text} is textual, so it is never parsed alone", "hdrs; or named *-inl.h when it is a kernel's body")
                        )
    return found


def check(tree):
    """Violations in the BUILD files of the layers."""
    found = []
    for layer in policy.LAYERS:
        for path in tree.files(layer):
            if path.rsplit("/", 1)[-1] not in ("BUILD", "BUILD.bazel"):
                continue
            module = parse(tree, path)
            found += _check_package(path, module)
            found += _check_targets(path, module)
            last = module.body[-1] if module.body else None
            if not (
                isinstance(last, ast.Expr)
                and isinstance(last.value, ast.Call)
                and isinstance(last.value.func, ast.Name)
                and last.value.func.id == "layer_package"
            ):
                line = last.lineno if last else 1
                found.append(
                    Violation(
                        f"{path}:{line}",
                        "the BUILD file does not end with layer_package(), so the gates do not see what it declares",
                        'its last line, with load("//build_defs:layer.bzl", "layer_package")',
                    )
                )
    return found


def check_parsed(tree, parsed):
    """Headers of the layers that the compiler has not parsed alone.

    `parsed` are what the compiler left of those that it has:
    PACKAGE/_objs/TARGET/.../NAME.h.processed.
    """
    seen = set()
    for path in parsed:
        package, _, rest = path.partition("/_objs/")
        seen.add((package, rest.rsplit("/", 1)[-1]))
    found = []
    for layer in policy.LAYERS:
        for path in tree.files(layer):
            if not path.endswith(policy.HEADER_SUFFIXES) or path.endswith("-inl.h"):
                continue
            folders, name = path.rsplit("/", 1)
            ways = [folders[: at.start()] for at in re.finditer("/|$", folders)]
            if not any((package, f"{name}.processed") in seen for package in ways):
                found.append(Violation(f"{path}:1", "this header was not parsed on its own", "in hdrs of a library with parse_headers"))
    return found
