"""Gate 1: who may see a target of a layer."""

import re

from build_defs.gates import policy
from build_defs.gates.build_files import calls, keyword, parse, strings
from build_defs.gates.violation import Violation

RULE = (
    "a target of a layer is private, or open to its own layer, to the layers above it "
    '("//build_defs/layers:above_LAYER"), and to nobody else; other repositories use the public face, //mmsb.'
)

GROUPS_FILE = "build_defs/layers/BUILD.bazel"


def _allowed(layer, label):
    if label == "//visibility:private":
        return True
    group = re.fullmatch(r"//build_defs/layers:above_(\w+)", label)
    if group:
        return group.group(1) in policy.LAYERS and policy.may_use(group.group(1), layer)
    package = re.fullmatch(r"//([\w./-]+):__(?:pkg|subpackages)__", label)
    if not package:
        return False
    first = package.group(1).split("/", 1)[0]
    return first in policy.ABOVE or (first in policy.LAYERS and policy.may_use(first, layer))


def _violation(where, name, layer, label):
    return Violation(
        where,
        f'{name} is visible to "{label}"',
        f'"//build_defs/layers:above_{layer}" and "//{layer}:__subpackages__"; a public name gets a forwarding header in mmsb/',
    )


def check_manifests(manifests):
    """Violations in the visibility of every target of the layers."""
    found = []
    for manifest in manifests:
        package = manifest["package"]
        layer = policy.layer_of(package)
        for target in manifest["targets"]:
            for label in target["visibility"]:
                label = re.sub(r"^@@?(mmsb)?(?=//)", "", label)
                if label.startswith(":"):
                    label = f"//{package}{label}"
                if not _allowed(layer, label):
                    where = ":".join(target["location"].split(":")[:2]) or f"{package}/BUILD.bazel"
                    found.append(_violation(where, f"//{package}:{target['name']}", layer, label))
    return found


def check_exports(tree):
    """Violations of exports_files(), which opens source files instead of targets."""
    found = []
    for layer in policy.LAYERS:
        for path in tree.files(layer):
            if path.rsplit("/", 1)[-1] not in ("BUILD", "BUILD.bazel"):
                continue
            for call in calls(parse(tree, path), "exports_files"):
                given = keyword(call, "visibility")
                for label in strings(given) if given is not None else ["//visibility:public"]:
                    if not _allowed(layer, label):
                        found.append(_violation(f"{path}:{call.lineno}", "exports_files()", layer, label))
    return found


def check_groups(tree):
    """The package groups hold exactly the folders above each layer."""
    groups = {}
    for call in calls(parse(tree, GROUPS_FILE), "package_group"):
        includes = keyword(call, "includes")
        packages = keyword(call, "packages")
        groups[strings(keyword(call, "name"))[0]] = (
            call.lineno,
            set(strings(packages)) if packages is not None else set(),
            [label.lstrip(":") for label in strings(includes)] if includes is not None else [],
        )

    def members(name, seen=()):
        if name not in groups or name in seen:
            return {f"//?{name}"}
        _, packages, includes = groups[name]
        return packages.union(*(members(inner, seen + (name,)) for inner in includes))

    found = []
    for index, layer in enumerate(policy.LAYERS):
        name = f"above_{layer}"
        if name not in groups:
            found.append(Violation(f"{GROUPS_FILE}:1", f"there is no package_group {name}", "this file"))
            continue
        expected = {f"//{folder}/..." for folder in policy.LAYERS[index + 1 :] + policy.ABOVE}
        for extra in sorted(members(name) - expected):
            found.append(Violation(f"{GROUPS_FILE}:{groups[name][0]}", f"{name} lets in {extra}, which is not above {layer}", "nowhere in this group"))
        for missing in sorted(expected - members(name)):
            found.append(Violation(f"{GROUPS_FILE}:{groups[name][0]}", f"{name} lacks {missing}", "this group"))
    return found
