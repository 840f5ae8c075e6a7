"""Draws the report's table. Needs matplotlib: ./bazelw toolbox add bench"""

import os

import matplotlib

matplotlib.use("Agg")
from matplotlib import pyplot

from bench import report_table

OUR_COLOUR = "#1b6ca8"
PEER_COLOUR = "#b9bec4"


def draw_workload(table, workload, axes):
    ours = [row for row in table.rows[workload] if report_table.is_ours(row)]
    rows = (ours + table.peers(workload))[::-1]
    spreads = [table.values(workload, row) for row in rows]
    medians = [spread.median for spread in spreads]
    errors = [
        [spread.median - spread.least for spread in spreads],
        [spread.largest - spread.median for spread in spreads],
    ]
    colours = [OUR_COLOUR if report_table.is_ours(row) else PEER_COLOUR for row in rows]
    axes.barh(rows, medians, xerr=errors, color=colours, error_kw={"elinewidth": 1, "ecolor": "#555555"})
    # One peer that is far behind must not hide the others.
    best = min(medians)
    limit = max(median for median in medians if median <= 20 * best) * 1.25
    axes.set_xlim(0, limit)
    for at, median in enumerate(medians):
        axes.annotate(f" {median:.2f}", (min(median, limit * 0.9), at), va="center", fontsize=8)
    axes.set_title(workload, fontsize=10, loc="left")
    axes.set_xlabel("resident / live bytes" if workload.startswith("held_") else "ns an item", fontsize=8)
    axes.tick_params(labelsize=8)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def draw(table, heading, folder):
    """Writes allocators.svg and .png into the folder; returns their paths."""
    columns = 2
    lines = -(-len(table.rows) // columns)
    figure, grid = pyplot.subplots(lines, columns, figsize=(13, 2.6 * lines), squeeze=False)
    for axes in grid.flat:
        axes.set_visible(False)
    for workload, axes in zip(table.rows, grid.flat):
        axes.set_visible(True)
        draw_workload(table, workload, axes)
    figure.suptitle(f"Allocators beside their peers: medians, least and largest. {heading}", fontsize=10)
    figure.tight_layout(rect=(0, 0, 1, 0.98))
    paths = [os.path.join(folder, "allocators" + suffix) for suffix in (".svg", ".png")]
    for path in paths:
        figure.savefig(path, dpi=120)
    pyplot.close(figure)
    return paths


def draw_curves(series, heading, path):
    """Draws {name: [(bytes, GB/s)]} into path.svg and path.png; returns their paths."""
    figure, axes = pyplot.subplots(figsize=(9, 5))
    for name, points in series.items():
        sizes, rates = zip(*sorted(points))
        axes.plot(sizes, rates, marker="o", markersize=3, linewidth=1.5, label=name)
    axes.set_xscale("log", base=2)
    axes.set_yscale("log")
    axes.set_xlabel("bytes in each buffer", fontsize=8)
    axes.set_ylabel("GB/s, both buffers counted", fontsize=8)
    axes.grid(True, which="major", linewidth=0.4)
    axes.tick_params(labelsize=8)
    axes.legend(fontsize=8)
    figure.suptitle(heading, fontsize=9)
    figure.tight_layout()
    paths = [path + suffix for suffix in (".svg", ".png")]
    for one in paths:
        figure.savefig(one, dpi=120)
    pyplot.close(figure)
    return paths
