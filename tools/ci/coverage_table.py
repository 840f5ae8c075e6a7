"""Sums `llvm-cov export --summary-only` by layer and folder, as a table.

usage: coverage_table.py LAYER... < summary.json
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
    for row in order + ["all"]:
        cells = []
        for covered, count in (sums[row][kind] for kind in KINDS):
            share = 100 * covered / count if count else 100.0
            cells.append("%6d/%-6d %3.0f %%" % (covered, count, share))
        lines.append("%-20s %18s %18s" % (row, *cells))
    return "\n".join(lines)


def main(arguments):
    print(table(json.load(sys.stdin), arguments))


if __name__ == "__main__":
    main(sys.argv[1:])
