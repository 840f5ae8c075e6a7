#!/usr/bin/env python3
"""Measures the vector kernels beside what bounds them, and prints ratios of medians.

    ./bazelw run -c opt //bench:simd_report
    ./bazelw run -c opt //bench:simd_report -- --plot FOLDER [--rounds 9] [--only WORKLOAD...]

One process; its rows are repeated in random order, so that all share whatever else the machine
does. A ratio is median / median of the rates. --plot draws the curve over sizes into FOLDER
(matplotlib: ./bazelw toolbox add bench).
"""

import argparse
import collections
import json
import os
import statistics
import subprocess
import sys

from bench import report

# (workload's beginning, our row, their row, ratio of rates at least)
AIMS = [
    ("mask_", "mmsb", "hand-written", 0.98),
    ("memory_", "mmsb", "memcmp", 0.95),
    ("delta", "mmsb", "GenerateMask", 0.9),
    ("apply", "mmsb", "memcpy", None),
    ("algebra", "mmsb and", "memcpy", 0.95),
    ("algebra", "mmsb xor", "memcpy", 0.95),
    ("algebra", "mmsb or in place", "memcpy", 0.95),
    ("algebra", "mmsb and, from bit 3", "memcpy", None),
    ("algebra", "mmsb not", "memcpy", 0.95),
    ("algebra", "mmsb popcount", "memcpy", None),
]


def size_text(size):
    for unit, name in ((1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")):
        if size >= unit:
            return f"{size // unit} {name}"
    return f"{size} B"


def measure(program, pattern, rounds):
    """{(workload, threads, bytes): {row: [bytes a second]}}"""
    command = [program, f"--benchmark_filter={pattern}", f"--benchmark_repetitions={rounds}"]
    command += ["--benchmark_enable_random_interleaving=true", "--benchmark_min_time=0.02s", "--benchmark_format=json"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"simd_report: {' '.join(command)} failed with {done.returncode}: {done.stderr.strip()[-500:]}")
    rates = collections.defaultdict(lambda: collections.defaultdict(list))
    for run in json.loads(done.stdout)["benchmarks"]:
        if run["run_type"] != "iteration":
            continue
        workload, row, size, *_ = run["run_name"].split("/")
        rates[workload, run["threads"], int(size)][row].append(run["bytes_per_second"])
    return rates


def lines_of(rates):
    yield f"{'workload':16} {'bytes':>8} {'threads':>7}  {'row':24} {'GB/s':>8}   ratio"
    for (workload, threads, size), rows in sorted(rates.items()):
        if workload == "curve":
            continue
        medians = {row: statistics.median(values) for row, values in rows.items()}
        for row, median in medians.items():
            line = f"{workload:16} {size_text(size):>8} {threads:7}  {row:24} {median / 1e9:8.1f}"
            for begin, ours, theirs, aim in AIMS:
                if workload.startswith(begin) and row == ours and theirs in medians:
                    ratio = median / medians[theirs]
                    line += f"   {ratio:.2f} of {theirs}"
                    if aim is not None:
                        line += f", aim {aim}: {'met' if ratio >= aim else 'MISSED'}"
            yield line
    yield ""
    curve = {size: rows for (workload, _, size), rows in rates.items() if workload == "curve"}
    if curve:
        names = list(next(iter(curve.values())))
        yield f"{'curve, GB/s':>12}" + "".join(f"{name:>16}" for name in names)
        for size, rows in sorted(curve.items()):
            yield f"{size_text(size):>12}" + "".join(f"{statistics.median(rows[n]) / 1e9:16.1f}" for n in names)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("program", help="the benchmark program")
    parser.add_argument("--rounds", type=int, default=9, help="how often each row is run (9)")
    parser.add_argument("--only", nargs="+", default=[], metavar="WORKLOAD", help="beginnings of workloads' names")
    parser.add_argument("--plot", metavar="FOLDER", help="where the drawing goes")
    arguments = parser.parse_args()
    pattern = f"^({'|'.join(arguments.only)})" if arguments.only else "."
    rates = measure(os.path.abspath(arguments.program), pattern, arguments.rounds)
    heading = f"{report.machine()}; {arguments.rounds} rounds"
    print(heading)
    print("\n".join(lines_of(rates)))
    if arguments.plot:
        try:
            from bench import report_plot
        except ImportError as error:
            sys.exit(f"simd_report: cannot draw ({error}): {report.ADD}, or leave --plot out")
        folder = os.path.join(os.environ.get("BUILD_WORKING_DIRECTORY", "."), arguments.plot)
        os.makedirs(folder, exist_ok=True)
        series = collections.defaultdict(list)
        for (workload, _, size), rows in rates.items():
            for row, values in rows.items():
                if workload == "curve":
                    series[row].append((size, statistics.median(values) / 1e9))
        for path in report_plot.draw_curves(series, heading, os.path.join(folder, "simd_curve")):
            print(path)


if __name__ == "__main__":
    main()
