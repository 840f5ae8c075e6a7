#!/usr/bin/env python3
"""Measures how costs grow with pages and with epochs, and draws each as a curve.

    ./bazelw run -c opt //bench:growth
    ./bazelw run -c opt //bench:growth -- --plots FOLDER [--rounds 3] [--only COST...]

A value is the median over the rounds, with the least and the largest; "x" says by how much it
grew from the smallest size to the largest. --plots needs matplotlib:
`./bazelw toolbox add bench`.
"""

import argparse
import datetime
import json
import os
import subprocess
import sys

from bench import report, report_table

# The beginnings of costs' names, and what their axis counts.
AXES = (("pages_", "pages"), ("store_", "pages of the state"), ("epochs_", "epochs"))


def axis_of(cost):
    return next(label for beginning, label in AXES if cost.startswith(beginning))


def measure(program, pattern, min_time):
    """{(cost, size): ns} of one run."""
    command = [program, "--benchmark_format=json", f"--benchmark_filter={pattern}", f"--benchmark_min_time={min_time}s"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"growth: {' '.join(command)} failed with {done.returncode}: {done.stderr.strip()[-500:]}")
    return parse(json.loads(done.stdout))


def parse(run):
    values = {}
    for benchmark in run["benchmarks"]:
        cost, size = benchmark["name"].split("/")[:2]
        assert benchmark["time_unit"] == "ns"
        values[cost, int(size)] = benchmark["real_time"]
    return values


def curves(rounds):
    """{cost: [(size, Spread of ns)]}, by ascending size."""
    found = {}
    for cost, size in sorted({key for values in rounds for key in values}):
        spread = report_table.Spread(values[cost, size] for values in rounds if (cost, size) in values)
        found.setdefault(cost, []).append((size, spread))
    return found


def time_text(ns):
    for unit, factor in (("s", 1e9), ("ms", 1e6), ("us", 1e3)):
        if ns >= factor:
            return f"{ns / factor:.3g} {unit}"
    return f"{ns:.3g} ns"


def text(found):
    lines = []
    for cost, points in found.items():
        lines.append(f"{cost}, by {axis_of(cost)}: x{points[-1][1].median / points[0][1].median:.2f}")
        for size, spread in points:
            lines.append(
                f"  {size:>9} {time_text(spread.median):>10}"
                f"  ({time_text(spread.least)} to {time_text(spread.largest)})"
            )
    return "\n".join(lines)


def draw(found, heading, folder):
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, grid = pyplot.subplots(1, len(AXES), figsize=(15, 5), squeeze=False)
    for (beginning, label), axes in zip(AXES, grid[0]):
        for cost, points in found.items():
            if not cost.startswith(beginning):
                continue
            sizes = [size for size, _ in points]
            axes.plot(sizes, [spread.median for _, spread in points], marker="o", label=cost[len(beginning):])
            axes.fill_between(
                sizes,
                [spread.least for _, spread in points],
                [spread.largest for _, spread in points],
                alpha=0.15,
            )
        axes.set_xscale("log")
        axes.set_yscale("log")
        axes.set_xlabel(label)
        axes.set_ylabel("ns")
        axes.grid(True, which="major", alpha=0.3)
        # Below, where no curve is.
        axes.legend(fontsize=8, ncol=2, loc="upper center", bbox_to_anchor=(0.5, -0.13), frameon=False)
    figure.suptitle(f"Growth: medians, least and largest. {heading}", fontsize=10)
    figure.tight_layout(rect=(0, 0, 1, 0.96))
    paths = [os.path.join(folder, "growth" + suffix) for suffix in (".svg", ".png")]
    for path in paths:
        figure.savefig(path, dpi=120)
    return paths


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("program", help="the benchmark program")
    parser.add_argument("--rounds", type=int, default=3, help="how often everything is run (3)")
    parser.add_argument("--min-time", type=float, default=0.05, help="seconds a point and round (0.05)")
    parser.add_argument("--only", nargs="+", default=[""], metavar="COST", help="beginnings of costs' names")
    parser.add_argument("--plots", metavar="FOLDER", help="where the drawings go")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds is at least 1")
    pattern = "^(" + "|".join(arguments.only) + ")"
    rounds = []
    for number in range(arguments.rounds):
        print(f"growth: round {number + 1} of {arguments.rounds}", file=sys.stderr)
        rounds.append(measure(os.path.abspath(arguments.program), pattern, arguments.min_time))
    found = curves(rounds)
    if not found:
        sys.exit("growth: no cost's name begins like that")
    heading = f"{report.machine()}; {datetime.date.today().isoformat()}; {arguments.rounds} rounds"
    print(heading)
    print(text(found))
    if arguments.plots:
        folder = os.path.join(os.environ.get("BUILD_WORKING_DIRECTORY", "."), arguments.plots)
        os.makedirs(folder, exist_ok=True)
        try:
            paths = draw(found, heading, folder)
        except ImportError as error:
            sys.exit(f"growth: cannot draw ({error}): {report.ADD}, or leave --plots out")
        for path in paths:
            print(path)


if __name__ == "__main__":
    main()
