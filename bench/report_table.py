"""What the report computes: medians, ratios round by round, and their text."""

import re
import statistics

# The row that the others are compared with, by the beginning of its name.
OURS = "mmsb"

# What the workloads aim for: (workload, our row, peer or None for the best one, largest ratio).
AIMS = (
    ("pool_churn_1000", "mmsb", "boost::pool", 0.6),
    ("pool_pairs", "mmsb", "boost::pool", 0.6),
    ("pool_replace_1Mi", "mmsb", "boost::pool", 0.6),
    ("pool_growth_100000", "mmsb", "boost::pool", 0.6),
    ("pool_churn_1000", "mmsb checked", "boost::pool", 1.5),
    ("pool_churn_1000", "mmsb checked", "mmsb", 4.0),
    ("pool_churn_1000", "mmsb", "mmsb uncounted", 1.02),
    ("pool_churn_1000", "mmsb slab", "mmsb slab uncounted", 1.02),
    ("pool_pairs", "mmsb", "mmsb uncounted", 1.02),
    ("pool_pairs", "mmsb slab", "mmsb slab uncounted", 1.02),
    ("arena_8192", "mmsb", "a bare bump pointer", 1.15),
    ("arena_8192_written", "mmsb", "a bare bump pointer", 1.15),
    ("general_replace_1_thread", "mmsb", None, 0.9),
    ("general_replace_2_threads", "mmsb", None, 0.9),
    ("general_producer_consumer", "mmsb", None, 1.0),
    ("shared_own_pairs", "mmsb", "tcmalloc", 0.8),
    ("shared_own_pairs", "mmsb", "boost::lockfree", 0.1),
    ("shared_own_bursts", "mmsb", "tcmalloc", 0.8),
    ("shared_own_bursts", "mmsb", "boost::lockfree", 0.1),
    ("shared_handed_over", "mmsb", None, 1.0),
    ("shared_handed_over", "mmsb", "boost::lockfree", 0.1),
    ("shared_emptied", "mmsb", "boost::lockfree", 0.1),
    ("held_after_churn", "mmsb", None, 1.0),
    ("held_after_freeing_nine_tenths", "mmsb", None, 1.0),
    ("held_two_seconds_later", "mmsb", None, 1.0),
    ("held_after_purge", "mmsb", None, 1.0),
    ("frame_pairs", "mmsb", None, 1.0),
    ("frame_batches", "mmsb", None, 1.0),
    ("frame_shuffled", "mmsb", None, 1.0),
    ("frames_own_pairs", "mmsb", None, 1.0),
    ("frames_own_bursts", "mmsb", None, 1.0),
    ("frames_handed_over", "mmsb", None, 1.0),
    ("frames_exchanged", "mmsb", None, 1.0),
    ("frames_emptied", "mmsb", None, 1.0),
    ("page_lookup_1000", "mmsb", "flat_hash_map", 0.5),
    ("page_lookup_10000", "mmsb", "flat_hash_map", 0.5),
    ("page_lookup_100000", "mmsb", "flat_hash_map", 0.5),
    ("page_lookup_1000000", "mmsb", "flat_hash_map", 0.5),
    ("page_lookup_1000000_read", "mmsb", "flat_hash_map", 0.5),
    ("commit_100_deltas", "mmsb", "sqlite", 1.0),
    ("commit_100_deltas", "mmsb", "lmdb", 1.0),
    # 80 % of the speed.
    ("replay_large", "mmsb", "read and checksum", 1.25),
    ("replay_small", "mmsb", "read and checksum", 1.25),
    ("read_beside_commits", "mmsb", "alone", 1.1),
)

# A row that is no allocator: what a hand-over costs by itself, which is subtracted.
OVERHEAD = "hand-over alone"

# Rows that are a limit, not a peer that could be taken instead.
LIMITS = (
    "a bare bump pointer",
    "a bare stack",
    "two bare stacks",
    "a bare stack a class",
    "memcpy",
    "read and checksum",
    "alone",
)

# What a row is called that counts no calls, by the row that does.
UNCOUNTED = "{} uncounted"

# The most that counting may multiply instructions by.
COUNTING = 1.02


def exactly(names):
    """A pattern of Google Benchmark's that matches these rows alone."""
    return "^(" + "|".join(re.sub(r"([.()+*?|\[\]^$])", r"\\\1", name) for name in names) + ")$"


def parse_run(run):
    """{(workload, row): value}: ns an item, or what a workload's own counters say."""
    values = {}
    for benchmark in run["benchmarks"]:
        if benchmark.get("error_occurred"):
            raise ValueError(f"{benchmark['name']}: {benchmark.get('error_message')}")
        workload, row = benchmark["name"].split("/")[:2]
        if "items_per_second" in benchmark:
            values[workload, row] = 1e9 / benchmark["items_per_second"]
        for name, value in benchmark.items():
            if name.startswith("held_"):
                values[name, row] = value
    return values


def without_overhead(values):
    """The values of one round, with what the workload itself costs subtracted."""
    overhead = {workload: value for (workload, row), value in values.items() if row == OVERHEAD}
    return {
        (workload, row): value - overhead.get(workload, 0)
        for (workload, row), value in values.items()
        if row != OVERHEAD
    }


class Spread:
    """Median, least and largest of some numbers."""

    def __init__(self, numbers):
        numbers = list(numbers)
        self.median = statistics.median(numbers)
        self.least = min(numbers)
        self.largest = max(numbers)

    def __str__(self):
        return f"{self.median:.2f} ({self.least:.2f} to {self.largest:.2f})"


class Table:
    """All rounds: [{(workload, row): value}]."""

    def __init__(self, rounds):
        self.rounds = [without_overhead(values) for values in rounds]
        self.subtracted = {workload for values in rounds for workload, row in values if row == OVERHEAD}
        names = dict.fromkeys(key for values in self.rounds for key in values)
        # Two faces of one heap are one peer: the better one.
        self.rows = {}
        for workload, row in names:
            self.rows.setdefault(workload, []).append(row)
        for workload, rows in self.rows.items():
            faces = {}
            for row in rows:
                faces.setdefault(peer_of(row), []).append(row)
            self.rows[workload] = [
                min(found, key=lambda row: self.values(workload, row).median) for found in faces.values()
            ]

    def values(self, workload, row):
        return Spread(values[workload, row] for values in self.rounds if (workload, row) in values)

    def ratio(self, workload, ours, theirs):
        """Of `ours` to `theirs`, round by round; None when there is none to be had."""
        ratios = [
            values[workload, ours] / values[workload, theirs]
            for values in self.rounds
            # What is left of noise, less the hand-over, may be none: of either, it tells nothing.
            if values.get((workload, ours), 0) > 0 and values.get((workload, theirs), 0) > 0
        ]
        return Spread(ratios) if ratios else None

    def peers(self, workload):
        """Rows that are not ours, the best one first."""
        rows = [row for row in self.rows[workload] if not is_ours(row)]
        return sorted(rows, key=lambda row: self.values(workload, row).median)

    def row_of(self, workload, peer):
        """The row of a peer named without its face; None for the best of all peers."""
        if peer is None:
            rows = [row for row in self.peers(workload) if row not in LIMITS]
        else:
            rows = [row for row in self.rows.get(workload, ()) if peer_of(row) == peer]
        return rows[0] if rows else None

    def aims(self, workload):
        """[(our row, their row, ratio, aim)] of this workload."""
        found = []
        for name, ours, peer, aim in AIMS:
            if name != workload or ours not in self.rows[workload]:
                continue
            theirs = self.row_of(workload, peer)
            ratio = theirs and self.ratio(workload, ours, theirs)
            if ratio:
                found.append((ours, theirs, ratio, aim))
        return found

    def text(self):
        lines = []
        for workload in self.rows:
            unit = "resident / live bytes" if workload.startswith("held_") else "ns"
            subtracted = ", less the hand-over itself" if workload in self.subtracted else ""
            lines += ["", f"{workload} [{unit}{subtracted}]"]
            ours = [row for row in self.rows[workload] if is_ours(row)]
            for row in ours + self.peers(workload):
                line = f"  {row:24} {str(self.values(workload, row)):>28}"
                ratio = None if row == OURS else self.ratio(workload, OURS, row)
                if ratio:
                    line += f"   {OURS} / this: {ratio}"
                lines.append(line)
            for row, theirs, ratio, aim in self.aims(workload):
                verdict = "met" if ratio.median <= aim else "MISSED"
                lines.append(f"  aim: {row} / {theirs} <= {aim}: {ratio}, {verdict}")
        return "\n".join(lines[1:])


def instructions_text(counts):
    """The table of {(workload, row): instructions an item}, and what counting calls adds to them."""
    lines = ["instructions an item, by callgrind"]
    lines += [f"  {workload:20} {name:24} {counts[workload, name]:8.1f}" for workload, name in sorted(counts)]
    for workload, name in sorted(counts):
        without = counts.get((workload, UNCOUNTED.format(name)))
        if without:
            ratio = counts[workload, name] / without
            verdict = "met" if ratio <= COUNTING else "MISSED"
            lines.append(f"  aim: {workload}, {name} / the same uncounted <= {COUNTING}: {ratio:.3f}, {verdict}")
    return "\n".join(lines)


def is_ours(row):
    return row.split(" ")[0] == OURS


def peer_of(row):
    """"tcmalloc (sized new)" is tcmalloc."""
    return row.split(" (")[0]
