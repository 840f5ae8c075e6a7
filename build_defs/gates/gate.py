"""Runs one gate over the tree and tells what it refuses; exit code 1 if anything.

    git ls-files | ./bazelw run //build_defs/gates:gate -- vocabulary --files-from -
    gate.py graph --manifest FILE... --closure LAYER=FILE... --packages FILE
    gate.py query --manifest FILE...
    gate.py parsed --parsed FILE...

As a test it reads the files in its runfiles. With --files-from (a file of
paths, one a line, "-" for standard input) it reads just those, so that
`git ls-files` can be held against it. "query" reads labels, as `bazel query`
prints them, from standard input.
"""

import argparse
import os
import sys

from build_defs.gates import build_files, graph, includes, policy, visibility, vocabulary
from build_defs.gates.tree import Tree
from build_defs.gates.violation import Violation, report

GATES = ("visibility", "graph", "headers", "parsed", "vocabulary", "includes", "query")


def _tree(arguments):
    # `bazel run` starts programs in their runfiles and names the workspace.
    root = os.environ.get("BUILD_WORKSPACE_DIRECTORY") or os.getcwd()
    if arguments.files_from is None:
        return Tree(root)
    if arguments.files_from == "-":
        listed = sys.stdin.read().splitlines()
    else:
        with open(arguments.files_from, encoding="utf-8") as file:
            listed = file.read().splitlines()
    return Tree(root, [path for path in listed if path])


def _blind(tree):
    """A gate that sees no file of a layer refuses, rather than pass for nothing."""
    return [
        Violation(f"{layer}/BUILD.bazel:1", "the gate was given no file of this layer", f"//{layer}:layer_files, from layer_package()")
        for layer in policy.LAYERS
        if not tree.files(layer)
    ]


def _run(arguments):
    """(number and name of the gate, its rule, its violations)"""
    tree = _tree(arguments)
    manifests = [graph.load(path) for path in arguments.manifest]
    if arguments.gate == "visibility":
        found = _blind(tree) + visibility.check_groups(tree) + visibility.check_exports(tree) + visibility.check_manifests(manifests)
        return "1 (visibility)", visibility.RULE, found
    if arguments.gate == "graph":
        found = _blind(tree) + graph.check_manifests(manifests, graph.load(arguments.packages), tree)
        for given in arguments.closure:
            layer, _, path = given.partition("=")
            with open(path, encoding="utf-8") as file:
                found += graph.check_closure(layer, file.read())
        return "2 (dependency graph)", graph.RULE, found
    if arguments.gate == "query":
        labels = sys.stdin.read().split()
        found = graph.check_query(labels, manifests)
        if not labels:
            found = [Violation("bazel query", "it listed no target of a layer", "a query that works")]
        return "2 (dependency graph)", graph.RULE, found
    if arguments.gate == "headers":
        return "3 (header checks)", build_files.RULE, _blind(tree) + build_files.check(tree)
    if arguments.gate == "parsed":
        return "3 (header checks)", build_files.RULE, _blind(tree) + build_files.check_parsed(tree, arguments.parsed)
    if arguments.gate == "vocabulary":
        return "4 (vocabulary)", vocabulary.RULE, _blind(tree) + vocabulary.check(tree)
    return "5 (includes)", includes.RULE, _blind(tree) + includes.check(tree)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("gate", choices=GATES)
    parser.add_argument("--files-from")
    parser.add_argument("--manifest", nargs="*", default=[])
    parser.add_argument("--closure", nargs="*", default=[], metavar="LAYER=FILE")
    parser.add_argument("--packages")
    parser.add_argument("--parsed", nargs="*", default=[])
    return 1 if report(*_run(parser.parse_args()), out=sys.stdout) else 0


if __name__ == "__main__":
    sys.exit(main())
