"""Sums what `llvm-cov export --format=lcov` says, of one program or several, as a table.

usage: coverage_table.py [--files] [--missed=FILE]... LAYER... < lcov

A row for each layer and folder, one for all, and one for all above the lowest layer. A line
or branch is reached when it is in any program; a branch of a template counts once.
--files adds a row for each file of which some line is not reached, the most first.
--missed lists what is not reached of FILE.
"""

import argparse
import collections
import pathlib
import sys

KINDS = ("lines", "branches")


def path_of(name, layers):
    """The path of a source in a layer, from the repository's root; None for any other file."""
    path = pathlib.PurePath(name)
    if path.is_absolute():
        parts = path.parts
        starts = [i for i, part in enumerate(parts) if part in layers]
        if not starts or "external" in parts:
            return None
        path = pathlib.PurePath(*parts[starts[-1]:])
    return str(path) if path.parts[0] in layers else None


def read(lines, layers):
    """{path: {kind: {place: whether it is reached}}}, a place being a tuple that begins with the line."""
    sources = collections.defaultdict(lambda: {kind: {} for kind in KINDS})
    for line in lines:
        key, _, rest = line.strip().partition(":")
        if key == "SF":
            path = path_of(rest, layers)
        elif path is not None and key in ("DA", "BRDA"):
            *place, count = rest.split(",")
            reached = sources[path][KINDS[key == "BRDA"]]
            place = tuple(map(int, place))
            reached[place] = reached.get(place, False) or count not in ("0", "-")
    return sources


def row_of(name, counts):
    cells = []
    for covered, count in (counts[kind] for kind in KINDS):
        share = 100 * covered / count if count else 100.0
        cells.append("%6d/%-6d %3.0f %%" % (covered, count, share))
    return "%-20s %18s %18s" % (name, *cells)


def counts_of(source):
    return {kind: (sum(source[kind].values()), len(source[kind])) for kind in KINDS}


def table(sources, layers):
    sums = collections.defaultdict(lambda: {k: (0, 0) for k in KINDS})
    above = f"above {layers[0]}"
    for path, source in sources.items():
        folder = str(pathlib.PurePath(path).parent)
        layer = folder.split("/")[0]
        rows = {folder, layer, "all"} | ({above} if layer != layers[0] else set())
        for row in rows:
            for kind, counts in counts_of(source).items():
                sums[row][kind] = tuple(map(sum, zip(sums[row][kind], counts)))
    order = [row for layer in layers for row in sorted(sums) if row.split("/")[0] == layer]
    lines = ["%-20s %18s %18s" % ("", *KINDS)]
    return "\n".join(lines + [row_of(row, sums[row]) for row in order + [above, "all"]])


def files(sources):
    rows = []
    for path, source in sources.items():
        counts = counts_of(source)
        missed = counts["lines"][1] - counts["lines"][0]
        if missed > 0:
            rows.append((-missed, path, counts))
    return "\n".join(row_of(path, counts) for _, path, counts in sorted(rows))


def missed(path, source):
    texts = {"lines": "line not reached", "branches": "branch not taken"}
    places = [(place[0], texts[kind]) for kind in KINDS for place, reached in source[kind].items() if not reached]
    return "\n".join(f"{path}:{line}: {text}" for line, text in sorted(places))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", action="store_true")
    parser.add_argument("--missed", action="append", default=[])
    parser.add_argument("layers", nargs="+")
    options = parser.parse_args()
    sources = read(sys.stdin, options.layers)
    for path in options.missed:
        print(missed(path, sources[path]) + "\n")
    if options.files:
        print(files(sources) + "\n")
    print(table(sources, options.layers))


if __name__ == "__main__":
    main()
