#!/usr/bin/env python3
"""Measures the allocators beside their peers, and prints the table of ratios.

    ./bazelw run -c opt //bench:report
    ./bazelw run -c opt //bench:report -- --plots FOLDER [--rounds 10] [--only WORKLOAD...] [--instructions]
    ./bazelw run -c opt //bench:memory_report -- ...

Every program is run once a round, with each malloc preloaded in turn, so that all peers share
whatever else the machine does. A ratio is the median over the rounds of ours / theirs in the
same round, with the least and the largest. Peers come from `./bazelw toolbox add bench`; one
that is not there is named and left out. --plots draws the table into FOLDER, as SVG and PNG.
"""

import argparse
import datetime
import json
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile

from bench import report_table

ADD = "./bazelw toolbox add bench"

# Heaps that take malloc's place, and the libraries that do so.
HEAPS = {
    "glibc": None,
    "tcmalloc": "libtcmalloc_minimal.so.4",
    "jemalloc": "libjemalloc.so.2",
    "mimalloc": "libmimalloc.so.3",
}
LIBRARY_FOLDERS = ("/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib64", "/usr/lib", "/usr/local/lib")

# Rows that are the process's own heap, whichever it is.
HEAP_ROWS = ("malloc", "sized new")


def find_heaps(folders=LIBRARY_FOLDERS):
    """({heap: path of its library, None for the C library's own}, [names of those missing])."""
    found, missing = {}, []
    for heap, library in HEAPS.items():
        if library is None:
            found[heap] = None
            continue
        paths = [os.path.join(folder, library) for folder in folders]
        path = next((p for p in paths if os.path.exists(p)), None)
        if path is None:
            missing.append(f"{heap} ({library})")
        else:
            found[heap] = path
    return found, missing


def measure(program, preload, pattern, min_time):
    """{(workload, row): value} of one run of a program's rows that match `pattern`."""
    environment = dict(os.environ)
    if preload:
        environment["LD_PRELOAD"] = preload
    command = [program, "--benchmark_format=json", f"--benchmark_filter={pattern}", f"--benchmark_min_time={min_time}s"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        sys.exit(f"report: {' '.join(command)} failed with {done.returncode}: {done.stderr.strip()[-500:]}")
    return report_table.parse_run(json.loads(done.stdout))


def rows_of(program):
    command = [program, "--benchmark_list_tests=true"]
    listed = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n")
    return [line.strip() for line in listed if "/" in line]


def jobs(programs, heaps, only):
    """[(program, heap or None, pattern)]: one process each."""
    found = []
    for program in programs:
        rows = [row for row in rows_of(program) if not only or any(row.startswith(o) for o in only)]
        ours = [row for row in rows if row.split("/")[1] not in HEAP_ROWS]
        theirs = [row for row in rows if row.split("/")[1] in HEAP_ROWS]
        # What a process holds is measured one row a process.
        alone = [row for row in rows if row.startswith("held/")]
        groups = [[row] for row in ours if row in alone] + [[row for row in ours if row not in alone]]
        found += [(program, None, report_table.exactly(group)) for group in groups if group]
        for heap in heaps:
            groups = [[row] for row in theirs if row in alone] + [[row for row in theirs if row not in alone]]
            found += [(program, heap, report_table.exactly(group)) for group in groups if group]
    return found


def count_instructions(program, row):
    """Instructions an item of a row, by callgrind: of many iterations less those of few."""
    counts = []
    for iterations in (500, 1500):
        with tempfile.TemporaryDirectory() as folder:
            command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", program]
            command += [f"--benchmark_filter={report_table.exactly([row])}", f"--benchmark_min_time={iterations}x"]
            command += ["--benchmark_format=json"]
            done = subprocess.run(command, capture_output=True, text=True)
        collected = re.search(r"Collected : (\d+)", done.stderr)
        if done.returncode != 0 or not collected:
            sys.exit(f"report: {' '.join(command)} failed with {done.returncode}: {done.stderr.strip()[-500:]}")
        counts.append(int(collected.group(1)))
        benchmark = json.loads(done.stdout)["benchmarks"][0]
    items = round(benchmark["items_per_second"] * benchmark["cpu_time"] * 1e-9)
    return (counts[1] - counts[0]) / 1000 / items


def instructions(programs):
    """Lines of the table of instructions, for workloads of one thread without a heap's own."""
    workloads = ("pool_churn_1000", "pool_pairs", "arena_8192")
    counts = {}
    for program in programs:
        for row in rows_of(program):
            workload, name = row.split("/")[:2]
            if workload in workloads and name not in HEAP_ROWS:
                counts[workload, name] = count_instructions(program, row)
    return report_table.instructions_text(counts)


def machine():
    model = platform.machine()
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            model = next((line.split(":")[1].strip() for line in file if line.startswith("model name")), model)
    except OSError:
        pass
    return f"{model}, {os.cpu_count()} processors, Linux {platform.release()}"


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("programs", nargs="+", help="the benchmark programs")
    parser.add_argument("--rounds", type=int, default=10, help="how often everything is run (10)")
    parser.add_argument("--min-time", type=float, default=0.05, help="seconds a row and round (0.05)")
    parser.add_argument("--only", nargs="+", default=[], metavar="WORKLOAD", help="beginnings of workloads' names")
    parser.add_argument("--instructions", action="store_true", help="count instructions too, by Valgrind")
    parser.add_argument("--plots", metavar="FOLDER", help="where the drawings go")
    arguments = parser.parse_args()
    if arguments.rounds < 1:
        parser.error("--rounds is at least 1")
    plot = None
    if arguments.plots:
        try:
            from bench import report_plot as plot
        except ImportError as error:
            sys.exit(f"report: cannot draw ({error}): {ADD}, or leave --plots out")
    if arguments.instructions and shutil.which("valgrind") is None:
        sys.exit("report: no valgrind to count with: ./bazelw toolbox add valgrind, or leave --instructions out")
    heaps, missing = find_heaps()
    for name in missing:
        print(f"report: without {name}, which is not there: {ADD}", file=sys.stderr)

    todo = jobs([os.path.abspath(p) for p in arguments.programs], heaps, arguments.only)
    if not todo:
        sys.exit("report: no workload's name begins like that")
    results = []
    for number in range(arguments.rounds):
        print(f"report: round {number + 1} of {arguments.rounds}", file=sys.stderr)
        values = {}
        for program, heap, pattern in todo:
            measured = measure(program, heaps.get(heap), pattern, arguments.min_time)
            for (workload, row), value in measured.items():
                values[workload, f"{heap} ({row})" if heap else row] = value
        results.append(values)

    table = report_table.Table(results)
    today = datetime.date.today().isoformat()
    heading = f"{machine()}; {today}; {arguments.rounds} rounds"
    print(heading)
    print(table.text())
    if arguments.instructions:
        print()
        print(instructions([os.path.abspath(p) for p in arguments.programs]))
    if plot:
        folder = os.path.join(os.environ.get("BUILD_WORKING_DIRECTORY", "."), arguments.plots)
        os.makedirs(folder, exist_ok=True)
        for path in plot.draw(table, heading, folder):
            print(path)


if __name__ == "__main__":
    main()
