"""Gate 2: what each layer reaches in the dependency graph, however far."""

import collections
import json
import re

from build_defs.gates import policy
from build_defs.gates.violation import Violation

RULE = (
    "primitives reaches only itself; allocator primitives; memory these and Abseil, never Highway; device "
    "these and Highway; no layer reaches mmsb, cli, fuzz, bench or examples; tests add GoogleTest. Every "
    "package and every file of a layer is known to the gates."
)

_LABEL = re.compile(r'"?((?:@@?[\w.~+-]*)?//[\w./~+-]*(?::[^"\s,\]\)]+)?)"?')


def canonical(label):
    """A label with one "@" at most, without the main repository's name, and with its ":name"."""
    label = re.sub(r"^@@?(mmsb)?(?=//)", "", label)
    label = re.sub(r"^@@", "@", label)
    if ":" not in label:
        label += ":" + label.rsplit("/", 1)[-1]
    return label


def parse_graph(text):
    """{label: [labels it depends on]} from `bazel query --output=graph`."""
    edges = collections.defaultdict(list)
    for line in text.splitlines():
        match = re.fullmatch(r'\s*"([^"]+)"(?: -> "([^"]+)")?\s*', line)
        if not match:
            continue
        source = canonical(match.group(1))
        edges[source]
        if match.group(2):
            edges[source].append(canonical(match.group(2)))
    return edges


def _repository(label):
    return label[1:].split("//", 1)[0] if label.startswith("@") else None


def _refusal(layer, label, test=False):
    """(what is wrong, where it belongs) with `layer` using `label`, or None."""
    if label.startswith(policy.TOOLCHAIN + policy.NO_DEPENDENCY):
        return None
    repository = _repository(label)
    if repository is not None:
        if repository in policy.EXTERNAL[layer] or (test and repository in policy.TEST_EXTERNAL):
            return None
        homes = [other for other in policy.LAYERS if repository in policy.EXTERNAL[other]]
        if repository in policy.TEST_EXTERNAL:
            home = "a test, or a testonly library in the layer's testing/ folder"
        else:
            home = " or ".join(f"{other}/" for other in homes) or "outside the layers (bench/, fuzz/ or tools/)"
        return f"{layer} may not use @{repository}", home
    package = label[2:].split(":", 1)[0]
    used = policy.layer_of(package)
    first = package.split("/", 1)[0]
    if first in policy.ABOVE:
        return (
            f"{layer} may not use {first}, which lies above every layer",
            f"depend on the layer's own target instead of the public face's, or move the code to {first}/",
        )
    if used is None:
        return (
            f"{layer} may not use //{package}, which is no layer",
            "what a layer needs lies in the layer itself or below it",
        )
    if policy.may_use(layer, used):
        return None
    return (
        f"{layer} may not use {used}, which lies above it",
        f"code that needs {used} belongs in {used}/ or above it",
    )


def check_closure(layer, text):
    """Violations in the closure of a layer's libraries, each with the way there."""
    edges = parse_graph(text)
    start = f"//{layer}:layer_libraries"
    if start not in edges:
        return [Violation(start, "the closure of the layer's libraries is not in the graph", f"{layer}/BUILD.bazel ends with layer_package()")]
    came_from = {start: None}
    queue = collections.deque([start])
    found = []

    def way(label):
        steps = []
        while label is not None:
            if not label.endswith(":layer_libraries"):
                steps.append(label)
            label = came_from[label]
        return " -> ".join(reversed(steps))

    while queue:
        source = queue.popleft()
        for target in edges.get(source, ()):
            if target in came_from:
                continue
            came_from[target] = source
            if _repository(source) is None:
                refusal = _refusal(layer, target)
                if refusal:
                    found.append(Violation(way(target), *refusal))
                    continue
            else:
                repository = _repository(target)
                if repository is None or repository in policy.NEVER_REACHED[layer]:
                    found.append(
                        Violation(way(target), f"{layer} reaches {target} through another repository", "a use of that repository without it")
                    )
                    continue
            queue.append(target)
    return found


def _file_labels(package, strings):
    """Paths from the root of the source files among an attribute's labels."""
    for text in strings:
        if text.startswith(":"):
            yield f"{package}/{text[1:]}"
            continue
        for quoted in re.findall(r'"([^"]*)"', text) or ([text] if "//" not in text else []):
            yield f"{package}/{quoted.lstrip(':')}"


def _known(package):
    return package.split("/", 1)[0] in policy.LAYERS + policy.ABOVE + policy.SUPPORT + ("",)


def _unknown(package):
    return Violation(
        f"{package}/BUILD.bazel:1",
        f"no gate knows the folder {package.split('/', 1)[0]}/",
        "in one of the layers; or, if it is a new part of the house, in build_defs/gates/policy.py and docs/layering.md",
    )


def check_manifests(manifests, workspace_packages, tree):
    """Violations in the targets as their BUILD files declare them, tests too.

    `manifests` are the parsed layer_manifests.json; `workspace_packages` the
    packages in the folders right below the root.
    """
    found = [_unknown(package) for package in workspace_packages if not _known(package)]
    owned = collections.defaultdict(set)
    for manifest in manifests:
        package = manifest["package"]
        layer = policy.layer_of(package)
        for target in manifest["targets"]:
            for strings in target["files"].values():
                owned[layer].update(_file_labels(package, strings))
            where = ":".join(target["location"].split(":")[:2]) or f"{package}/BUILD.bazel"
            for strings in target["labels"].values():
                for text in strings:
                    for label in _LABEL.findall(text):
                        refusal = _refusal(layer, canonical(label), target["test"])
                        if refusal:
                            what = f"//{package}:{target['name']} depends on {canonical(label)}; {refusal[0]}"
                            found.append(Violation(where, what, refusal[1]))
    seen = {manifest["package"] for manifest in manifests}
    for layer in policy.LAYERS:
        if layer not in seen:
            found.append(Violation(f"{layer}/BUILD.bazel:1", "the gates have no manifest of this layer", "the BUILD file, ending with layer_package()"))
        for path in tree.files(layer):
            if path.endswith(policy.CPP_SUFFIXES) and path not in owned[layer]:
                found.append(
                    Violation(f"{path}:1", "no target lists this file, so no gate of the build sees it", "in srcs or hdrs of a target of its package")
                )
    return found


def load(path):
    with open(path, encoding="utf-8") as file:
        return json.load(file)


def check_query(labels, manifests):
    """What `bazel query 'kind(rule, //...)'` lists and the gates do not know."""
    known = {f"//{m['package']}:{t['name']}" for m in manifests for t in m["targets"]}
    own = ("layer_files", "layer_headers", "layer_libraries", "layer_manifests")
    known |= {f"//{m['package']}:{name}" for m in manifests for name in own}
    found = []
    for label in map(canonical, labels):
        package = label[2:].split(":", 1)[0]
        if not _known(package):
            found.append(_unknown(package))
        elif policy.layer_of(package) and label not in known:
            found.append(Violation(label, "the gates do not know this target", "before layer_package(), the last statement of its BUILD file"))
    return found
