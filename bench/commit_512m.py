#!/usr/bin/env python3
"""Times the second commit of a large file beside cmp -l, xdelta3 and borg.

    ./bazelw run -c opt //bench:commit_512m
    bench/commit_512m.py --mmsb PATH [--mib 512] [--rounds 5] [--dir DIR]

Makes a file of seeded pseudo-random bytes and a second version of it with 16 changed bytes in
each of 1 % of its pages: once 16 that are scattered over the page, once 16 in a row. Each
tool works on the same cached files, in turn, several times; the table has the medians, of
the clock and of the processor (user and system), and the peak of the memory of one more run.

  mmsb commit    the second commit; each time onto a fresh copy of the store with the first
  cmp -l         prints every byte that differs, to a file (to /dev/null it would stop at once)
  xdelta3        -e -1 -S none: the fastest level, without secondary compression
  borg create    -C none, without encryption; the second archive of a repository with the first

Then that store's second epoch is checked out, beside cp of the same bytes, and cp and a sync, as
a checkout is synced before it has its name; all of the store is verified; and its first epoch is
pruned. What is aimed for of 512 MiB is printed with whether it was met.

A tool that is not there is named and left out, but for cmp and cp.
"""

import argparse
import datetime
import os
import platform
import random
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

PAGE_BYTES = 4096
CHANGED_BYTES = 16

# Of 512 MiB.
MOST_OF_CMP = 1.5
MOST_STORED_BYTES = 150_000
MOST_OF_CP = 2.0


def make_files(folder, mib, adjacent):
    """Writes the two versions; returns their paths and how many pages differ."""
    rng = random.Random(512)
    before = os.path.join(folder, "before")
    after = os.path.join(folder, "after-adjacent" if adjacent else "after-scattered")
    if not os.path.exists(before):
        with open(before, "wb") as file:
            for _ in range(mib):
                file.write(rng.randbytes(1 << 20))
    rng = random.Random(16 + adjacent)
    pages = (mib << 20) // PAGE_BYTES
    chosen = sorted(rng.sample(range(pages), pages // 100))
    shutil.copyfile(before, after)
    with open(after, "r+b") as file:
        for page in chosen:
            file.seek(page * PAGE_BYTES)
            contents = bytearray(file.read(PAGE_BYTES))
            if adjacent:
                first = rng.randrange(PAGE_BYTES - CHANGED_BYTES + 1)
                places = range(first, first + CHANGED_BYTES)
            else:
                places = rng.sample(range(PAGE_BYTES), CHANGED_BYTES)
            for at in places:
                contents[at] ^= rng.randrange(1, 256)
            file.seek(page * PAGE_BYTES)
            file.write(contents)
    return before, after, len(chosen)


def bytes_of(folder):
    return sum(
        os.path.getsize(os.path.join(directory, name))
        for directory, _, names in os.walk(folder)
        for name in names
    )


def processor_seconds():
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def timed(command, codes=(0,), **options):
    """Runs a command; returns its seconds by the clock and of the processor."""
    used = processor_seconds()
    started = time.perf_counter()
    done = subprocess.run(command, stderr=subprocess.PIPE, **options)
    took = time.perf_counter() - started
    if done.returncode not in codes:
        raise SystemExit(failure(command, done.returncode, done.stderr.decode().strip()))
    return took, processor_seconds() - used


def failure(command, code, said=""):
    return "'%s' ended with %d%s" % (" ".join(command), code, said and ": " + said)


def peak_mib(command, codes=(0,), **options):
    """Runs a command; returns the most memory that was resident, in MiB.

    Asks the running process again and again: what getrusage tells after its end counts
    this script's own memory, which the process had before it became the command.
    """
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, **options)
    peak = 0
    while process.poll() is None:
        try:
            with open("/proc/%d/status" % process.pid) as status:
                text = status.read()
        except OSError:
            continue
        found = re.search(r"^Name:\t(.*)$(?s:.*)^VmHWM:\s*(\d+) kB$", text, re.M)
        if found and found.group(1) == os.path.basename(command[0])[:15]:
            peak = max(peak, int(found.group(2)))
        time.sleep(0.001)
    if process.returncode not in codes:
        raise SystemExit(failure(command, process.returncode))
    return peak / 1024


class Mmsb:
    name = "mmsb commit"

    def __init__(self, program, folder):
        self.program = program
        self.first = os.path.join(folder, "store-1")
        self.store = os.path.join(folder, "store")

    def version(self):
        done = subprocess.run([self.program, "--version"], capture_output=True, check=True)
        return done.stdout.decode().strip()

    def prepare(self, before):
        if not os.path.exists(self.first):
            timed([self.program, "commit", self.first, before], stdout=subprocess.DEVNULL)

    def run(self, execute, before, after):
        shutil.rmtree(self.store, ignore_errors=True)
        subprocess.run(["cp", "-r", "--reflink=auto", self.first, self.store], check=True)
        os.sync()
        result = execute([self.program, "commit", self.store, after], stdout=subprocess.DEVNULL)
        return result, bytes_of(self.store) - bytes_of(self.first)

    def check(self, after, changed):
        """What was timed must be right."""
        out = self.store + ".out"
        self.checkout(timed, out)
        must_be_equal(out, after)
        os.remove(out)

    def checkout(self, execute, out):
        return execute([self.program, "checkout", self.store, "2", out], stdout=subprocess.DEVNULL)

    def verify(self, execute):
        return execute([self.program, "verify", self.store], stdout=subprocess.DEVNULL)

    def prune(self, execute):
        return execute([self.program, "prune", self.store, "2"], stdout=subprocess.DEVNULL)


def must_be_equal(one, other):
    with open(one, "rb") as file, open(other, "rb") as beside:
        while True:
            block = file.read(1 << 22)
            if block != beside.read(1 << 22):
                raise SystemExit("'%s' and '%s' differ" % (one, other))
            if not block:
                return


class Cmp:
    name = "cmp -l"

    def __init__(self, program, folder):
        self.program = program
        self.out = os.path.join(folder, "cmp.out")

    def version(self):
        done = subprocess.run([self.program, "--version"], capture_output=True, check=True)
        return done.stdout.decode().splitlines()[0]

    def prepare(self, before):
        pass

    def run(self, execute, before, after):
        # 1 says that they differ; cmp -l of diffutils 3.12 ends with 0 all the same, so what it
        # printed is what is checked.
        with open(self.out, "wb") as out:
            result = execute([self.program, "-l", before, after], codes=(0, 1), stdout=out)
        return result, os.path.getsize(self.out)

    def check(self, after, changed):
        with open(self.out, "rb") as out:
            lines = sum(1 for _ in out)
        if lines != changed:
            raise SystemExit("cmp -l printed %d bytes; %d were changed" % (lines, changed))


class Xdelta:
    name = "xdelta3 -e -1 -S none"

    def __init__(self, program, folder):
        self.program = program
        self.out = os.path.join(folder, "xdelta.out")

    def version(self):
        done = subprocess.run([self.program, "-V"], capture_output=True, check=True)
        return (done.stdout + done.stderr).decode().splitlines()[0]

    def prepare(self, before):
        pass

    def run(self, execute, before, after):
        command = [self.program, "-e", "-1", "-S", "none", "-f", "-s", before, after, self.out]
        return execute(command), os.path.getsize(self.out)

    def check(self, after, changed):
        pass


class Borg:
    name = "borg create -C none"

    def __init__(self, program, folder):
        self.program = program
        self.first = os.path.join(folder, "borg-1")
        self.repository = os.path.join(folder, "borg")
        self.environment = dict(
            os.environ,
            BORG_BASE_DIR=os.path.join(folder, "borg-home"),
            BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK="yes",
            BORG_RELOCATED_REPO_ACCESS_IS_OK="yes",
        )
        self.home_1 = os.path.join(folder, "borg-home-1")

    def version(self):
        done = subprocess.run([self.program, "--version"], capture_output=True, check=True)
        return done.stdout.decode().strip()

    def create(self, execute, name, path):
        return execute(
            [self.program, "create", "-C", "none", "%s::%s" % (self.repository, name), path],
            env=self.environment,
            stdout=subprocess.DEVNULL,
        )

    def prepare(self, before):
        if os.path.exists(self.first):
            return
        timed([self.program, "init", "-e", "none", self.repository], env=self.environment)
        self.create(timed, "before", before)
        os.rename(self.repository, self.first)
        os.rename(self.environment["BORG_BASE_DIR"], self.home_1)

    def run(self, execute, before, after):
        for copy, original in (
            (self.repository, self.first),
            (self.environment["BORG_BASE_DIR"], self.home_1),
        ):
            shutil.rmtree(copy, ignore_errors=True)
            subprocess.run(["cp", "-r", "--reflink=auto", original, copy], check=True)
        os.sync()
        result = self.create(execute, "after", after)
        return result, bytes_of(self.repository) - bytes_of(self.first)

    def check(self, after, changed):
        pass


def machine():
    model = "unknown processor"
    with open("/proc/cpuinfo") as info:
        for line in info:
            if line.startswith(("model name", "Model")):
                model = line.split(":", 1)[1].strip()
                break
    return "%s, %d cores, Linux %s" % (model, os.cpu_count(), platform.release())


def warm(*paths):
    for path in paths:
        with open(path, "rb") as file:
            while file.read(1 << 22):
                pass


def measure(tools, folder, mib, rounds, adjacent):
    before, after, pages = make_files(folder, mib, adjacent)
    for tool in tools:
        tool.prepare(before)
    times = {tool.name: [] for tool in tools}
    sizes = {}
    for _ in range(rounds):
        for tool in tools:
            warm(before, after)
            taken, sizes[tool.name] = tool.run(timed, before, after)
            times[tool.name].append(taken)
    peaks = {tool.name: tool.run(peak_mib, before, after)[0] for tool in tools}
    for tool in tools:
        tool.check(after, pages * CHANGED_BYTES)

    medians = {
        name: tuple(statistics.median(column) for column in zip(*values))
        for name, values in times.items()
    }
    print(
        "\n%d MiB, %d %s bytes changed in each of %d pages (1 %%), median of %d"
        % (mib, CHANGED_BYTES, "adjacent" if adjacent else "scattered", pages, rounds)
    )
    print(
        "%-22s%8s%16s%9s%11s%12s%9s"
        % ("", "seconds", "fastest-slowest", "x cmp -l", "processor", "delta bytes", "memory")
    )
    for tool in tools:
        clock = [values[0] for values in times[tool.name]]
        seconds, processor = medians[tool.name]
        print(
            "%-22s%8.3f%16s%9s%9.3f s%12d%5.0f MiB"
            % (
                tool.name,
                seconds,
                "%.3f-%.3f" % (min(clock), max(clock)),
                "%.2f" % (seconds / medians[Cmp.name][0]),
                processor,
                sizes[tool.name],
                peaks[tool.name],
            )
        )
    return medians[Mmsb.name][0] / medians[Cmp.name][0], sizes[Mmsb.name], after


def copy(source, out, execute):
    return execute(["cp", source, out])


def copy_and_sync(source, out, execute):
    # One process, as a shell's own time is not cp's.
    return execute(["sh", "-c", 'cp "$0" "$1" && exec sync "$1"', source, out])


def measure_store(mmsb, folder, after, rounds):
    """Checkout beside cp, verify and prune of the store that holds both versions."""
    out = os.path.join(folder, "out")
    ways = {
        "mmsb checkout": lambda execute: mmsb.checkout(execute, out),
        "cp": lambda execute: copy(after, out, execute),
        "cp and sync": lambda execute: copy_and_sync(after, out, execute),
        "mmsb verify": mmsb.verify,
    }
    times = {name: [] for name in ways}
    peaks = {}
    for number in range(rounds + 1):
        for name, way in ways.items():
            if os.path.exists(out):
                os.remove(out)
            os.sync()
            if number < rounds:
                times[name].append(way(timed))
            elif name != "cp and sync":
                peaks[name] = way(peak_mib)

    # A copy, as each prune needs a store that is not yet pruned.
    unpruned = mmsb.store + ".unpruned"
    os.rename(mmsb.store, unpruned)
    sizes = []
    for number in range(rounds + 1):
        subprocess.run(["cp", "-r", "--reflink=auto", unpruned, mmsb.store], check=True)
        os.sync()
        if number < rounds:
            times.setdefault("mmsb prune", []).append(mmsb.prune(timed))
            sizes = [bytes_of(unpruned), bytes_of(mmsb.store)]
        else:
            peaks["mmsb prune"] = mmsb.prune(peak_mib)
            mmsb.check(after, 0)
            mmsb.verify(timed)
        shutil.rmtree(mmsb.store)
    os.rename(unpruned, mmsb.store)

    medians = {name: statistics.median(pair[0] for pair in pairs) for name, pairs in times.items()}
    print("%-22s%8s%16s%9s%11s%12s%9s" % ("", "seconds", "fastest-slowest", "x cp", "processor", "", "memory"))
    for name, pairs in times.items():
        clock = [pair[0] for pair in pairs]
        print(
            "%-22s%8.3f%16s%9.2f%9.3f s%12s%9s"
            % (
                name,
                medians[name],
                "%.3f-%.3f" % (min(clock), max(clock)),
                medians[name] / medians["cp"],
                statistics.median(pair[1] for pair in pairs),
                "",
                "%.0f MiB" % peaks[name] if name in peaks else "",
            )
        )
    print("the store before and after the prune of epoch 1: %d and %d bytes" % tuple(sizes))
    return medians["mmsb checkout"] / medians["cp"]


def aim(what, seen, most, form):
    print("%-44s%14s  aim %-14s%s" % (what, form % seen, form % most, "met" if seen <= most else "MISSED"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--mmsb", required=True, help="the program, of an optimised build")
    parser.add_argument("--mib", type=int, default=512, help="size of the file (default 512)")
    parser.add_argument("--rounds", type=int, default=5, help="repetitions (default 5)")
    parser.add_argument("--dir", help="where to work, on the file system to be measured")
    parser.add_argument("--without", nargs="*", default=[], metavar="TOOL", help="xdelta3, borg: leave it out")
    options = parser.parse_args()
    if options.mib < 1 or options.rounds < 1:
        parser.error("--mib and --rounds must be at least 1")
    for program in ("cmp", "cp"):
        if shutil.which(program) is None:
            parser.error("%s is not installed: there is nothing to compare with" % program)
    where = os.path.join(
        os.environ.get("BUILD_WORKING_DIRECTORY", os.getcwd()), options.dir or ""
    )
    needed = 8 * options.mib << 20
    if shutil.disk_usage(where).free < needed:
        parser.error("'%s' has less room than the %d MiB needed" % (where, needed >> 20))

    with tempfile.TemporaryDirectory(prefix="mmsb-bench-", dir=where) as folder:
        mmsb = Mmsb(os.path.abspath(options.mmsb), folder)
        tools = [mmsb]
        print("%s, %s" % (datetime.date.today(), machine()))
        for program, tool in (("cmp", Cmp), ("xdelta3", Xdelta), ("borg", Borg)):
            found = shutil.which(program)
            if program in options.without:
                continue
            if found:
                tools.append(tool(found, folder))
            else:
                print("%s is not installed: left out" % program)
        for tool in tools:
            print("  %s" % tool.version())
        sys.stdout.flush()
        for adjacent in (False, True):
            of_cmp, stored, after = measure(tools, folder, options.mib, options.rounds, adjacent)
            of_cp = measure_store(mmsb, folder, after, options.rounds)
            if options.mib == 512:
                aim("second commit, x cmp -l", of_cmp, MOST_OF_CMP, "%.2f")
                aim("stored for it, bytes", stored, MOST_STORED_BYTES, "%d")
                aim("checkout, x cp", of_cp, MOST_OF_CP, "%.2f")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
