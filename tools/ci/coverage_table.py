"""Sums `llvm-cov export --summary-only` by layer and folder, as a table.

usage: coverage_table.py [--files] LAYER... < summary.json

--files adds a row for each file of which some line is not reached, the most first.
"""

import collections
import json
import pathlib
import sys

KINDS = ("lines", "branches")


def folder_of(name, layers):
    """The folder of a source in a layer, as text; None for any other file."""
    path = pathlib.PurePath(name)
    if path.is_absolute():
        parts = path.parts
        starts = [i for i, part in enumerate(parts) if part in layers]
        if not starts or "external" in parts:
            return None
        path = pathlib.PurePath(*parts[starts[-1]:])
    if path.parts[0] not in layers:
        return None
    return str(path.parent)


def row_of(name, summary):
    cells = []
    for covered, count in (summary[kind] for kind in KINDS):
        share = 100 * covered / count if count else 100.0
        cells.append("%6d/%-6d %3.0f %%" % (covered, count, share))
    return "%-20s %18s %18s" % (name, *cells)


def table(export, layers):
    sums = collections.defaultdict(lambda: {k: [0, 0] for k in KINDS})
    for data in export["data"]:
        for source in data["files"]:
            folder = folder_of(source["filename"], layers)
            if folder is None:
                continue
            rows = {folder, folder.split("/")[0], "all"}
            for row in rows:
                for kind in KINDS:
                    sums[row][kind][0] += source["summary"][kind]["covered"]
                    sums[row][kind][1] += source["summary"][kind]["count"]
    order = [row for layer in layers for row in sorted(sums) if row.split("/")[0] == layer]
    lines = ["%-20s %18s %18s" % ("", *KINDS)]
    lines += [row_of(row, sums[row]) for row in order + ["all"]]
    return "\n".join(lines)


def files(export, layers):
    rows = []
    for data in export["data"]:
        for source in data["files"]:
            folder = folder_of(source["filename"], layers)
            summary = {kind: (source["summary"][kind]["covered"], source["summary"][kind]["count"]) for kind in KINDS}
            missed = summary["lines"][1] - summary["lines"][0]
            if folder is not None and missed > 0:
                rows.append((-missed, f"{folder}/{pathlib.PurePath(source['filename']).name}", summary))
    return "\n".join(row_of(name, summary) for _, name, summary in sorted(rows))


def main(arguments):
    layers = [argument for argument in arguments if argument != "--files"]
    export = json.load(sys.stdin)
    if len(layers) < len(arguments):
        print(files(export, layers) + "\n")
    print(table(export, layers))


if __name__ == "__main__":
    main(sys.argv[1:])
