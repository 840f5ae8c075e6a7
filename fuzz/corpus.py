"""Writes the seed corpora of the targets whose inputs are programs.

    python3 fuzz/corpus.py

writes fuzz/NAME_corpus for each NAME of CORPORA, and fuzz/NAME.dict for each of
DICTIONARIES. Which numbers a structure is made
of, and which operations it has with which arguments, is read from the tables in
fuzz/NAME_run.cc; the encoding is that of program_reader.h. What a fuzzer finds
beside these is kept in the same folders under names of its own (KEPT), which this
leaves alone.
"""

import pathlib
import random
import re

FOLDER = pathlib.Path("fuzz")
# Names of inputs that a fuzzer found: of its own making, or kept or promoted by a person.
KEPT = re.compile(r"found-.*|regression_.*|[0-9a-f]{40}")
FIRST_POWER = 192
BIG = 1 << 64


class Kind:
    """The tables of one structure, and programs in their encoding."""

    def __init__(self, name):
        source = (FOLDER / f"{name}_run.cc").read_text()
        table = re.search(r"ProgramKind::Value kSetup\[\] = \{(.*?)\n\};", source, re.S).group(1)
        self.setup = re.findall(r'\{\s*"(\w+)",\s*(k\w+)\}', table)
        table = re.search(r"ProgramKind::Op kOps\[\] = \{(.*?)\n\};", source, re.S).group(1)
        ops = re.findall(r'\{\s*"k(\w+)"(?:,\s*(k\w+))?(?:,\s*(k\w+))?\}', table)
        self.ops = {op: (i, [a for a in args if a]) for i, (op, *args) in enumerate(ops)}

    def make(self, **values):
        """The setup; what is not named is 0."""
        unknown = set(values) - {name for name, _ in self.setup}
        assert not unknown, unknown
        return b"".join(encode(arg, values.get(name, 0)) for name, arg in self.setup)

    def __getattr__(self, op):
        """kind.Allocate(100, 8) is that step."""
        if op not in self.ops:
            raise AttributeError(op)
        number, args = self.ops[op]

        def step(*values):
            assert len(values) == len(args), (op, values)
            return bytes([number]) + b"".join(map(encode, args, values))

        return step

    def churn(self, seed, steps, weights, sizes=None):
        """A random mixture of the operations named in `weights`."""
        rng = random.Random(seed)
        sizes = sizes or (lambda r: r.choice([r.randrange(192), r.randrange(64), edge(r, 14)]))
        draw = {
            "kByte": lambda: rng.randrange(256),
            "kSize": lambda: sizes(rng),
            "kAlignment": lambda: 1 << rng.choice([0, 0, 3, 3, 4, 6, 12]),
        }
        names = rng.choices(list(weights), list(weights.values()), k=steps)
        return b"".join(getattr(self, n)(*(draw[a]() for a in self.ops[n][1])) for n in names)


def edge(rng, powers):
    """A number near a power of two, one of the first `powers`."""
    return (1 << rng.randrange(8, max(9, powers))) + rng.randrange(-9, 10)


def encode(arg, value):
    if arg == "kByte":
        return bytes([value])
    if arg == "kAlignment":
        if value == 1 << 63:
            return b"\xff"
        if value and value & (value - 1) == 0 and value <= 1 << 15:
            return bytes([value.bit_length() - 1])
        assert value % 3 == 0 and value < 3 * 63, value
        return bytes([FIRST_POWER + value // 3])
    value %= BIG
    if value < FIRST_POWER:
        return bytes([value])
    for power in range(64):
        offset = (value - (1 << power) + BIG // 2) % BIG - BIG // 2
        if -128 <= offset < 128:
            return bytes([FIRST_POWER + power, offset % 256])
    raise ValueError(f"{value} is near no power of two")


def arena():
    k = Kind("arena")
    mixed = {"Allocate": 10, "DeallocateNewest": 3, "Reallocate": 1, "ReallocateNewest": 2, "Mark": 2, "Rewind": 1}
    a = k.Allocate
    every = a(100, 8) + k.Mark() + a(7, 1) + k.ReallocateNewest(20) + k.Rewind(0) + k.DeallocateNewest() + k.Reset()
    return {
        "empty": b"",
        "every": k.make(first_chunk_bytes=1024, max_chunk_bytes=8192) + every * 3 + k.DeallocateNull(9),
        "every-checked": k.make(first_chunk_bytes=1024, max_chunk_bytes=8192, checked=1) + every * 3,
        "bad-requests": k.make(max_chunk_bytes=4096)
        + b"".join(a(n, m) for n in (0, 1, 128, BIG - 1, BIG - 64, BIG - 127, 1 << 63) for m in (0, 3, 1, 1 << 15, 1 << 63)),
        "chunk-end": k.make(first_chunk_bytes=192, max_chunk_bytes=192) + (a(64, 1) + a(63, 1) + a(1, 1)) * 4 + a(0, 64),
        "growth": k.make(first_chunk_bytes=128, max_chunk_bytes=1 << 14) + a(120, 8) * 60,
        "large-between": k.make(max_chunk_bytes=512) + (a(20, 4) + a(600, 8) + k.Mark() + a(30, 1 << 12)) * 5 + k.Rewind(2) + a(9, 1) * 9,
        "large-shrinks": k.make(max_chunk_bytes=256) + a(1000, 8) + k.ReallocateNewest(10) + k.ReallocateNewest(1000) + k.DeallocateNewest(),
        "spare": k.make(first_chunk_bytes=256, max_chunk_bytes=4096) + (k.Mark() + a(130, 8) * 9 + k.Rewind(0)) * 4,
        "spare-given-up": k.make(max_chunk_bytes=4096, upstream_max_bytes=8192) + (k.Mark() + a(180, 8) * 30 + k.Rewind(0) + a(8190, 1)) * 2,
        "limit": k.make(first_chunk_bytes=128, max_chunk_bytes=1024, max_bytes=2048) + a(100, 1) * 40 + k.Reset() + a(100, 1) * 40,
        "poor-upstream": k.make(first_chunk_bytes=4096, max_chunk_bytes=1 << 14, upstream_max_bytes=1100) + a(90, 2) * 30,
        "fails-once": k.make(first_chunk_bytes=128, max_chunk_bytes=256, fail_at=3) + a(60, 16) * 30,
        "fails-for-good": k.make(first_chunk_bytes=128, max_chunk_bytes=256, fail_from=3) + (a(60, 16) + k.Mark()) * 20 + k.Rewind(3) + a(60, 1) * 9,
        "marks": k.make(first_chunk_bytes=256, max_chunk_bytes=512) + (k.Mark() + k.Mark() + a(50, 1)) * 12 + b"".join(k.Rewind(i) for i in (20, 13, 7, 7, 2, 0)),
        "stack": k.make(first_chunk_bytes=512, max_chunk_bytes=512, checked=1) + (a(33, 1) * 30 + k.DeallocateNewest() * 30) * 2,
        "growing-newest": k.make(first_chunk_bytes=1024, max_chunk_bytes=2048) + a(1, 64) + b"".join(k.ReallocateNewest(n) for n in (2, 64, 65, 130, 190, 500, 3, 0, 9)),
    } | {
        f"churn-{seed}": k.make(first_chunk_bytes=64 * seed, max_chunk_bytes=(512, 8192)[seed % 2], checked=seed % 2) + k.churn(seed, 150, mixed)
        for seed in range(1, 7)
    }


def slab():
    k = Kind("slab")
    a = k.Allocate
    mixed = {"Allocate": 10, "AllocateMany": 2, "AllocateAtLeast": 2, "AllocateZeroed": 2, "Deallocate": 6}
    mixed |= {"DeallocateUnsized": 3, "DeallocateNewest": 1, "Reallocate": 3, "Decay": 1, "Walk": 1, "Elsewhere": 1}
    every = a(100, 8) + k.AllocateMany(48, 9) + k.AllocateAtLeast(33, 16) + k.AllocateZeroed(300, 32) + k.Deallocate(2)
    every += k.DeallocateUnsized(1) + k.Reallocate(0, 101) + k.DeallocateNewest(3) + k.Walk() + k.Decay(2) + k.Purge()
    classes = b"".join(a(n + d, 1) for n in (8, 16, 128, 144, 256, 288, 512, 1 << 12, 1 << 14, 1 << 15) for d in (-1, 0, 1))
    large = b"".join(a(n, m) for n in ((1 << 15) + 1, 1 << 16, (1 << 17) - 1) for m in (1, 1 << 12, 1 << 15))
    faults = b"".join(k.FailMapper(n, 1) + a(64, 8) + a(1 << 16, 8) + k.Deallocate(0) + k.Purge() for n in range(8))
    other = k.Elsewhere()
    cross = k.AllocateMany(48, 63) * 3 + a(1 << 16, 8) + other + k.DeallocateNewest(63) * 2 + k.AllocateMany(1024, 50) + a(1 << 14, 8) * 9 + other
    cross += k.DeallocateNewest(63) + k.Reallocate(0, 1 << 17) + k.Walk()
    ends = other + k.AllocateMany(64, 63) * 2 + k.DeallocateNewest(63) + k.Replace() + k.AllocateMany(64, 50) + k.Purge() + k.Decay(3) + other
    ends += k.AllocateMany(64, 63) + k.Replace() + k.Purge() + k.DeallocateNewest(63) * 3 + k.Decay(1)
    return {
        "empty": b"",
        "elsewhere": k.make() + cross,
        "elsewhere-checked": k.make(checked=1) + cross,
        "ends": k.make() + ends * 2,
        "ends-checked": k.make(checked=1) + ends * 2,
        "every": k.make() + every * 2,
        "every-checked": k.make(checked=1) + every * 2,
        "bad-requests": k.make() + b"".join(a(n, m) for n in (0, 1, BIG - 1, BIG - 64, 1 << 63, 1 << 40) for m in (0, 3, 1, 1 << 15, 1 << 63)),
        "class-edges": k.make() + classes + k.Walk() + k.DeallocateNewest(63),
        "large": k.make() + large + k.Walk() + b"".join(k.Reallocate(i, 1 << 15) + k.Reallocate(i, (1 << 15) + 1) for i in range(9)) + k.Purge(),
        "many": k.make() + k.AllocateMany(8, 63) * 20 + k.DeallocateNewest(63) * 10 + k.Decay(9) + k.AllocateMany(8, 63) * 5,
        "many-classes": k.make(checked=1) + b"".join(k.AllocateMany(n, 40) for n in (1, 9, 17, 40, 100, 150, 190, 1024)) + k.DeallocateNewest(63) * 3 + k.Walk() + k.Purge() + k.Walk(),
        "faults": k.make() + faults + k.Walk(),
        "faults-for-long": k.make() + k.FailMapper(0, 3) + a(64, 8) * 4 + k.FailMapper(2, 3) + a(1 << 16, 8) * 4 + k.Purge() * 3,
        "zeroed-again": k.make() + (k.AllocateZeroed(190, 8) + k.Deallocate(0)) * 4 + (k.AllocateZeroed(1 << 16, 8) + k.Deallocate(0)) * 3,
        "decays": k.make() + (k.AllocateMany(180, 63) * 3 + k.DeallocateNewest(63) * 3 + k.Decay(1)) * 3,
    } | {f"churn-{seed}": k.make(checked=seed % 2) + k.churn(seed, 36, mixed) for seed in range(1, 19)}


def lockfree_pool():
    k = Kind("lockfree_pool")
    mixed = {"Allocate": 5, "Deallocate": 8, "DeallocateId": 2, "DeallocateMany": 4, "Detach": 1, "Replace": 1}
    checked, symmetric, at_once, threads = 1, 2, 4, 0xA0
    every = k.Allocate(0, 9) + k.Allocate(1, 5) + k.AllocateSized(10, 1) + k.AllocateSized(0, 4) + k.AllocateSized(65, 1)
    every += k.Deallocate(2, 3) + k.DeallocateId(0, 1) + k.DeallocateMany(1, 7) + k.Detach(0) + k.Replace(1)
    base = {"block_size": 63, "capacity": 40}
    cross = k.Allocate(0, 31) + k.DeallocateMany(1, 31) + k.Allocate(2, 31) + k.DeallocateMany(0, 31)
    return {
        "empty": b"",
        "no-blocks": k.make(block_size=7) + every,
        "one-block": k.make(capacity=1) + (k.Allocate(0, 1) + k.Deallocate(0, 0)) * 3,
        "every": k.make(**base) + every * 3,
        "every-checked": k.make(**base, flags=checked) + every * 3,
        "threads": k.make(**base, flags=threads) + (every + cross) * 3,
        "threads-checked": k.make(**base, flags=threads | checked) + (every + cross) * 3,
        "threads-symmetric": k.make(**base, flags=threads | symmetric) + (every + cross) * 3,
        "stolen": k.make(block_size=15, capacity=200, magazine_blocks_log2=5, max_threads=3, flags=threads) + cross * 4,
        "no-records": k.make(block_size=15, capacity=30, max_threads=1, magazine_blocks_log2=1, flags=threads) + cross * 4,
        "replaced": k.make(**base, flags=threads) + (k.Allocate(1, 20) + k.DeallocateMany(1, 20) + k.Replace(0) + k.Allocate(1, 30)) * 3,
        "at-once": k.make(**base, flags=threads | at_once) + k.churn(1, 80, mixed),
        "at-once-checked": k.make(block_size=99, capacity=9, magazine_blocks_log2=1, flags=threads | at_once | checked) + k.churn(2, 80, mixed),
        "at-once-symmetric": k.make(block_size=9, capacity=250, max_threads=2, flags=threads | at_once | symmetric) + k.churn(3, 80, mixed),
        "aligned": k.make(block_size=9, capacity=60, alignment_log2=9, magazine_blocks_log2=3) + (k.Allocate(0, 31) + k.DeallocateMany(0, 20)) * 8,
        "full": k.make(block_size=7, capacity=255, magazine_blocks_log2=6) + k.Allocate(0, 31) * 9 + k.DeallocateMany(0, 31) * 9 + k.Allocate(0, 31) * 9,
        "detached": k.make(**base) + (k.Allocate(0, 25) + k.DeallocateMany(0, 13) + k.Detach(0)) * 5,
    } | {
        f"churn-{seed}": k.make(block_size=31, capacity=20 * seed, magazine_blocks_log2=seed % 4, max_threads=seed, flags=seed % 4 + threads * (seed == 7)) + k.churn(seed, 80, mixed)
        for seed in range(1, 12)
    }


def allocator_adaptors():
    k = Kind("allocator_adaptors")
    names = ["none", "locked", "limit", "stats", "tracking", "fallback", "arena", "pool"]
    mixed = {"Allocate": 6, "AllocateZeroed": 2, "AllocateAtLeast": 2, "Deallocate": 5, "DeallocateAsked": 2, "Reallocate": 3, "Resize": 3}
    every = k.Allocate(40, 8) + k.AllocateZeroed(50, 1) + k.AllocateAtLeast(20, 4) + k.Reallocate(1, 60) + k.Resize(0, 90)
    every += k.DeallocateAsked(2) + k.Deallocate(0) + k.Allocate(0, 1) + k.Resize(0, 0) + k.Allocate(BIG - 1, 8) + k.Allocate(9, 3)

    def tower(*floors, **options):
        return k.make(**{f"floor_{i + 1}": names.index(f) for i, f in enumerate(floors)}, **options)

    return (
        {"empty": b"", "none": tower() + every}
        | {name: tower(name, limit=300) + every * 2 for name in names[1:]}
        | {
            "all-that-pass": tower("stats", "tracking", "limit", "locked", limit=500) + every * 2 + k.churn(1, 60, mixed),
            "limits": tower("limit", "stats", "limit", "tracking", limit=255) + k.churn(2, 60, mixed),
            "arena-over-tracking": tower("tracking", "arena", "stats", "locked") + every * 2 + k.churn(3, 60, mixed),
            "pool-over-limit": tower("limit", "pool", "stats", "tracking", limit=2000) + every + k.Allocate(90, 8) * 30 + k.churn(4, 60, mixed),
            "pool-over-arena": tower("arena", "pool", "fallback", "stats") + k.Allocate(30, 8) * 30 + k.churn(5, 60, mixed),
            "fallbacks": tower("fallback", "fallback", "limit", "fallback", limit=1000) + k.Allocate(40, 8) * 25 + k.churn(6, 60, mixed),
            "poor": tower("stats", "arena", "tracking", upstream_max_bytes=2048) + k.Allocate(180, 8) * 20 + k.churn(7, 40, mixed),
            "fails-once": tower("tracking", "limit", "stats", limit=8192, fail_at=5) + every * 3,
            "fails-for-good": tower("locked", "fallback", "tracking", fail_from=7) + every * 4,
        }
        | {f"churn-{s}": tower(*random.Random(s).choices(names, k=4), limit=4096) + k.churn(s, 100, mixed) for s in range(11, 19)}
    )


def page_allocator():
    k = Kind("page_allocator")
    a = k.Allocate
    mixed = {"Allocate": 6, "AllocateId": 2, "AllocateAt": 3, "Acquire": 2, "Release": 2, "Free": 5}
    mixed |= {"SetMetadata": 2, "Advance": 1, "Write": 2, "Snapshot": 1, "Restore": 1, "Unknown": 1}
    many, free = k.AllocateMany, k.FreeMany
    every = a(100) + k.AllocateId(64, 7) + k.AllocateAt(30, 1) + k.Acquire(0) + k.Free(0) + k.SetMetadata(1, 40) + k.Advance(1, 3)
    every += k.Advance(1, 2) + k.Snapshot() + k.Write(1, 9) + k.Release(0) + k.Release(0) + k.Free(0) + k.Restore() + k.Unknown(99)
    ids = b"".join(k.AllocateId(8, n) for n in (0, 1, 3, 63, 64, 65, 4096, 1 << 32, BIG - 2, BIG - 1, 3, 1 << 40))
    return {
        "empty": b"",
        "every": k.make(alignment_log2=6) + every * 2,
        "sizes": k.make(alignment_log2=12) + b"".join(a(n) for n in (0, 1, 4095, 4096, 4097, BIG - 1, BIG - 100, 1 << 63)),
        "ids": k.make(alignment_log2=3) + ids + a(8) * 22 + k.Free(3) * 12 + ids,
        "places": k.make(alignment_log2=4) + b"".join(k.AllocateAt(50, n) for n in range(8)) + k.Snapshot() + k.Free(2) * 4 + k.Snapshot(),
        "quota": k.make(quota_bytes=512, alignment_log2=6) + a(60) * 10 + k.Free(0) * 3 + a(65) * 3,
        "leaf": k.make() + many(0, 255) + k.Unknown(1 << 9) + k.Acquire(99) + free(0, 90) + free(9, 250) + k.Release(0) + many(0, 255) + free(0, 255),
        "leaves": k.make() + many(512, 255) + many(0, 255) + many(1 << 12, 192) + k.Snapshot() + free(255, 255) + k.Restore() + free(0, 120) + k.Unknown(7),
        "far-leaves": k.make() + many(1 << 20, 255) + many(1 << 40, 250) + free(0, 140) + many(BIG - 100, 31) + many(BIG - 69, 31) + many(BIG - 38, 28) + many(1 << 20, 255) + free(3, 255) * 3,
        "too-many": k.make(alignment_log2=8) + many(3, 255) + many(64, 255) + free(50, 9),
        "holds": k.make() + a(9) * 3 + k.Acquire(1) * 5 + k.Free(1) + k.Release(1) * 6 + k.Free(1) * 2,
        "fails": k.make(alignment_log2=5, fail_at=3) + a(32) * 5 + k.Snapshot() + k.Free(0) * 2 + k.Restore(),
        "fails-for-good": k.make(alignment_log2=5, fail_from=5) + a(32) * 4 + k.Snapshot() + k.Free(0) * 2 + k.Restore() * 2,
        "held-in-the-way": k.make(alignment_log2=5) + a(9) + k.Snapshot() + a(9) + k.Acquire(1) + k.Restore() + k.Release(1) + k.Restore(),
        "restored": k.make(alignment_log2=5) + a(9) * 20 + k.Snapshot() + (k.Free(3) * 9 + a(30) * 5 + k.Write(2, 77) + k.Restore()) * 2,
    } | {f"churn-{s}": k.make(quota_bytes=(0, 8192)[s % 2], alignment_log2=s, upstream_max_bytes=1 << 14) + k.churn(s, 60, mixed) for s in range(1, 13)}


def lockfree_page_allocator():
    k = Kind("lockfree_page_allocator")
    mixed = {"Allocate": 6, "AllocateSingles": 3, "Free": 6, "FreeHalf": 2, "FreeNewest": 2, "FreeWrong": 1}
    mixed |= {"Purge": 1, "Recover": 1, "Detach": 1, "Compare": 2}
    every = k.Allocate(1, 0) + k.Allocate(4, 1) + k.AllocateSingles(40, 0) + k.FreeHalf(1, 0) + k.Free(0, 1) + k.FreeNewest(9, 0)
    every += k.FreeWrong(3, 2) + k.Compare() + k.Purge() + k.Detach(0, 0) + k.Recover()
    orders = b"".join(k.Allocate(n, 0) for n in range(12))
    threads, at_once = 1, 2
    return {
        "empty": b"",
        "every": k.make(frames=600) + every * 2,
        "threads": k.make(frames=600, flags=threads) + every * 3,
        "orders": k.make(frames=1050) + orders * 2 + k.Free(3, 0) * 9 + orders,
        "one-frame": k.make() + k.Allocate(1, 0) * 2 + k.Free(0, 0) + k.Allocate(1, 0),
        "all-single": k.make(frames=320) + k.AllocateSingles(63, 0) * 6 + k.FreeNewest(63, 0) * 3 + k.AllocateSingles(63, 0) * 4,
        "all-huge": k.make(frames=1024) + k.Allocate(10, 0) * 3 + k.Free(0, 0) + k.Allocate(10, 0) + k.Purge(),
        "halves": k.make(frames=513) + k.Allocate(10, 0) + k.FreeHalf(0, 0) * 9 + k.Allocate(9, 0) + k.Allocate(8, 0),
        "wrong": k.make(frames=130) + orders + b"".join(k.FreeWrong(n, 2 * m) for n in (0, 64, 131) for m in range(12)),
        "wrong-inside": k.make(frames=130) + orders + b"".join(k.FreeWrong(n, 2 * m) for n in (1, 130, 255) for m in range(12)),
        "half-free": k.make(frames=130) + k.Allocate(3, 0) * 9 + k.FreeHalf(0, 0) + b"".join(k.FreeWrong(n, 6) for n in range(0, 130, 4)),
        "stolen": k.make(frames=128, flags=threads) + (k.AllocateSingles(63, 0) + k.FreeNewest(63, 1) + k.AllocateSingles(63, 0) * 2 + k.FreeNewest(63, 0) * 2) * 2,
        "at-once": k.make(frames=600, flags=threads | at_once) + k.churn(3, 55, mixed),
        "purged": k.make(frames=1100 - 1) + (k.Allocate(10, 0) * 2 + k.FreeNewest(2, 0) + k.Purge() + k.AllocateSingles(3, 0)) * 2,
    } | {f"churn-{s}": k.make(frames=(100, 500, 512, 1000)[s % 4], flags=s % 2) + k.churn(s, 55, mixed) for s in range(1, 17)}


def delta():
    k = Kind("delta")
    mixed = {"Set": 8, "Fill": 4, "Commit": 4, "Wide": 2, "Undo": 1, "Associate": 1, "WrongSize": 1, "Parts": 1}
    every = k.Set(3, 9) + k.Commit() + k.Fill(5, 20) + k.Wide(2, 30) + k.Set(7, 1) + k.Commit() + k.Associate()
    every += k.Undo() + k.WrongSize(10) + k.WrongSize(0) + b"".join(k.Parts(n, m) for n in range(4) for m in (0, 1, 9))
    return {"empty": b"", "no-bytes": k.make() + every, "no-change": k.make(page_bytes=9) + k.Commit() * 4 + k.Associate()} | {
        f"{n}-bytes": k.make(page_bytes=n, seed=n % 251) + every + k.churn(n, 60, mixed) for n in (1, 7, 8, 9, 63, 64, 65, 127, 255, 300, 1025)
    }


def simd_mask():
    k = Kind("simd_mask")
    mixed = {"Set": 8, "Flip": 4, "Copy": 1, "Mask": 3, "BlockMask": 3, "Difference": 2, "Algebra": 1, "Runs": 1}
    every = k.Set(3, 9) + k.Mask() + k.Flip(20, 99) + k.BlockMask(0, 0) + k.BlockMask(0, 1) + k.BlockMask(0, 7) + k.Difference(5)
    every += k.Algebra(3, 0) + k.Algebra(0, 9) + k.Algebra(8, 64) + k.Runs(0, 0) + k.Runs(13, 5) + k.Copy() + k.Difference(0)
    return {"empty": b"", "no-bytes": k.make() + every} | {
        f"{n}-bytes": k.make(bytes=n, before_offset=n % 64, after_offset=n % 7, mask_offset=n % 3, seed=n % 256) + every + k.churn(n, 20, mixed)
        for n in (1, 7, 8, 9, 31, 63, 64, 65, 127, 128, 250, 255, 256, 300, 513, 1030)
    }


def delta_kernels():
    k = Kind("delta_kernels")
    mixed = {"Set": 8, "Flip": 4, "Every": 2, "Delta": 3, "Wide": 2, "Next": 2}
    every = k.Set(3, 9) + k.Delta() + k.Flip(20, 99) + k.Next() + k.Every(2, 1) + k.Delta() + k.Wide(9, 70) + k.Next() + k.Set(3, 8)
    return {"empty": b"", "no-bytes": k.make() + every} | {
        f"{n}-bytes": k.make(page_bytes=n, seed=n % 256) + every + k.churn(n, 30, mixed)
        for n in (1, 7, 8, 9, 31, 63, 64, 65, 127, 128, 250, 255, 256, 300, 513, 1030)
    }


def delta_codec():
    def page(kind, size):
        return bytes([kind, size & 255, size >> 8])

    def runs(*pairs, payload):
        flat = [len(pairs)] + [n for pair in pairs for n in pair]
        return b"".join(varint(n) for n in flat) + payload

    def contents(size, seed, count):
        rng = random.Random(seed)
        return page(2, size) + bytes(b for _ in range(count) for b in (rng.randrange(256), rng.randrange(17), rng.randrange(256)))

    dense, sparse, whole = b"\x01", b"\x02", b"\x03"
    return {
        "empty": b"",
        "no-form": page(0, 9) + b"\x00abc",
        "dense": page(0, 9) + dense + b"\x81\x01xyz",
        "dense-spare-bits": page(0, 9) + dense + b"\x81\x03xyzz",
        "dense-short": page(0, 9) + dense + b"\x81",
        "dense-payload-short": page(0, 9) + dense + b"\xff\x01xyz",
        "sparse": page(0, 300) + sparse + runs((3, 2), (200, 4), payload=b"abcdef"),
        "sparse-to-the-end": page(0, 300) + sparse + runs((0, 1), (297, 2), payload=b"abc"),
        "sparse-past-the-end": page(0, 300) + sparse + runs((0, 1), (297, 3), payload=b"abcd"),
        "sparse-empty-run": page(0, 300) + sparse + runs((5, 0), payload=b""),
        "sparse-payload-long": page(0, 300) + sparse + runs((5, 2), payload=b"abc"),
        "sparse-no-gap": page(0, 300) + sparse + runs((5, 1), (0, 2), payload=b"abc"),
        "sparse-many-runs": page(0, 300) + sparse + varint(1 << 62) + b"aa",
        "sparse-long-varint": page(0, 300) + sparse + b"\x80" * 12 + b"\x00",
        "sparse-cut": page(0, 300) + sparse + runs((3, 200), payload=b"a" * 199),
        "whole": page(0, 20) + whole + bytes(range(20)),
        "whole-short": page(0, 20) + whole + bytes(range(19)),
        "message": page(1, 9) + message(1, 9, b"\x81\x01xyz"),
        "message-sparse": page(1, 300) + message(2, 300, runs((3, 2), (200, 4), payload=b"abcdef")),
        "message-whole": page(1, 20) + message(3, 20, bytes(range(20))),
        "message-of-more": page(1, 9) + message(1, 9, b"\x81\x01xyz") + message(1, 9, b"\x81\x01xyz"),
        "message-of-another-page": page(1, 10) + message(1, 9, b"\x81\x01xyz"),
        "message-of-another-version": page(1, 9) + message(1, 9, b"\x81\x01xyz", version=2),
        "message-of-no-form": page(1, 9) + message(0, 9, b"\x81\x01xyz"),
        "message-packed": page(1, 9) + message(1, 9, b"\x81\x01xyz", codec=130),
        "message-no-zeros": page(1, 9) + message(1, 9, b"\x81\x01xyz", zeros=1),
        "message-longer-than-its-page": page(1, 9) + message(1, 9, b"\x81\x01xyzabcdef"),
        "message-miscounts": page(1, 9) + message(1, 9, b"\x81\x01xyz", encoded=4),
        "message-body-is-none": page(1, 9) + message(1, 9, b"\x81\x03xyz"),
        "message-cut": page(1, 9) + message(1, 9, b"\x81\x01xyz")[:-1],
        "message-damaged": page(1, 9) + message(1, 9, b"\x81\x01xyz")[:-1] + b"Z",
        "message-short": page(1, 20) + bytes(range(30)),
        "message-zeros": page(1, 20) + bytes(100),
    } | {f"contents-{n}": contents(n, n, c) for n, c in ((1, 1), (8, 3), (64, 64), (255, 9), (300, 200), (1000, 2), (4096, 30), (4097, 900), (0, 0))}


def page_store():
    k = Kind("page_store")
    mixed = {"Write": 6, "Set": 3, "Zero": 1, "Resize": 2, "Commit": 5, "Checkpoint": 1, "Abandon": 1, "Reopen": 1, "Read": 2, "Verify": 1}
    mixed |= {"Sync": 1, "Table": 1, "Prune": 1, "Hold": 2, "Conflict": 2, "Salvage": 1, "Fill": 2}
    every = k.Resize(1000) + k.Write(10, 9) + k.Commit(3) + k.Set(900, 1) + k.Checkpoint(0) + k.Read(0) + k.Verify() + k.Abandon()
    every += k.Zero(1) + k.Commit(255) + k.Reopen() + k.Read(1) + k.Resize(0) + k.Commit(0) + k.Read(3)
    edit = k.Write(90, 40) + k.Commit(1)
    whole = k.Resize(2048) + b"".join(k.Fill(n, n) for n in range(4)) + k.Commit(1) + k.Fill(1, 9) + k.Commit(2) + k.Fill(2, 7) + k.Commit(3)
    whole += b"".join(map(k.Read, range(3))) + k.Fill(0, 5) + k.Zero(3) + k.Commit(4) + k.Prune(1) + k.Fill(3, 3) + k.Commit(5) + k.Read(4)
    beside = k.Resize(2048 - 100) + edit * 3 + k.Hold(1) + k.Conflict(0, 1) + k.Hold(2) + k.Conflict(1, 1) + k.Conflict(18, 1)
    beside += k.Prune(2) + k.Hold(0) + k.Write(3, 50) + k.Commit(9) + k.Table() + k.Sync() + k.Read(0) + k.Read(3) + k.Salvage() + k.Verify()
    return {
        "empty": b"",
        "pruned-before-all": k.make() + k.Prune(1) + k.Sync() + k.Table() + k.Conflict(0, 0) + k.Salvage(),
        "every": k.make() + every,
        "every-with-checkpoints": k.make(page_bytes_log2=1, checkpoints=1) + every,
        "chain": k.make() + k.Resize(4096 + 90) + k.Write(0, 63) + edit * 20 + k.Reopen() + k.Read(7) + k.Verify(),
        "every-in-segments": k.make(segments=1) + every,
        "chain-in-segments": k.make(checkpoints=1, segments=1) + k.Resize(2048) + edit * 20 + k.Reopen() + k.Read(9) + k.Read(19),
        "chain-with-checkpoints": k.make(checkpoints=1) + k.Resize(2048) + edit * 20 + k.Reopen() + k.Read(9) + k.Read(19),
        "grows-and-shrinks": k.make(page_bytes_log2=2) + b"".join(k.Resize(n) + k.Write(n, 60) + k.Commit(0) for n in (1, 512, 2047, 2048, 2049, 8192 + 100, 100, 0, 5)) + k.Verify(),
    } | {f"fails-{n}": k.make(checkpoints=n % 2) + k.Resize(1024) + edit + k.Fail(n, 1) + edit * 3 + k.Reopen() + edit for n in (0, 1, 2, 3, 5, 8, 13)} | {
        f"fails-{n}-in-segments": k.make(segments=1) + k.Resize(1024) + edit * 2 + k.Fail(n, 1) + edit * 3 + k.Reopen() + edit for n in (0, 1, 3, 5, 8, 13)
    } | {
        f"whole-{n}": k.make(checkpoints=n % 2, segments=n // 2, durability=n) + whole + k.Reopen() + k.Verify() for n in range(4)
    } | {
        f"beside-{n}": k.make(checkpoints=n % 2, segments=n // 2, durability=n) + beside * 2 + k.Reopen() + k.Verify() for n in range(6)
    } | {
        f"{name}-fails-{n}": k.make(segments=n % 3, durability=n) + k.Resize(1024) + edit * 3 + k.Hold(1) + k.Fail(n, n // 9) + step + k.Fail(n + 20, 7) + edit + k.Reopen() + edit
        for name, step in (("prune", k.Prune(1)), ("table", k.Table()), ("conflict", k.Conflict(0, 1)), ("salvage", k.Salvage()))
        for n in (0, 2, 3, 5, 9, 14, 22, 35)
    } | {
        f"churn-{n}": k.make(page_bytes_log2=n, checkpoints=n % 2, segments=(0, 0, 0, 1, 30)[n % 5], durability=n // 2) + k.Resize(2048) + k.churn(n, 60, mixed) for n in range(1, 9)
    }


def transaction_log():
    k = Kind("transaction_log")
    mixed = {"Append": 6, "Checkpoint": 1, "Commit": 4, "Abort": 1, "Reopen": 1, "Crash": 1}
    one = k.Append(9, 100) + k.Commit(5)
    every = one + k.Append(3, 0) + k.Append(0, 1030) + k.Checkpoint(40, 24) + k.Commit(0) + k.Append(1, 1) + k.Abort() + k.Reopen() + k.Crash(3)
    later = k.Append(3, 40) + k.CommitUnsynced(5)

    def reads(transaction, n):
        return b"".join((transaction if a % 8 == 0 else b"") + k.Read(a) for a in range(n))

    return {
        "empty": b"",
        "every": k.make(crash_states=9) + every * 2,
        "crash-in-a-transaction": k.make(crash_states=31) + one + k.Append(9, 1100) + k.Append(9, 600) + k.Crash(7) + k.Commit(1) + k.Crash(0),
        "crash-after-each": k.make(crash_states=9) + (one + k.Crash(5)) * 3,
        "checkpoints": k.make(crash_states=5) + (k.Append(5, 60) + k.Checkpoint(40, 48) + k.Checkpoint(40, 0) + k.Commit(7)) * 4 + k.Crash(7),
        "aborted": k.make() + one + (k.Append(5, 60) + k.Abort()) * 3 + one + k.Crash(1),
        "crash-after-each-segment": k.make(crash_states=9, segments=1) + (one + k.Crash(5)) * 3,
        "checkpoints-in-segments": k.make(crash_states=5, segments=1) + (k.Append(5, 60) + k.Checkpoint(40, 48) + k.Commit(7)) * 4 + k.Crash(7),
        "aborted-in-segments": k.make(segments=1) + one + (k.Append(5, 60) + k.Abort()) * 3 + one + k.Crash(1),
        # The data go to the disk in a write of their own, and the commit record without them.
        "torn-in-the-middle": k.make(crash_states=31) + one + k.Append(9, 1 << 17) + k.Crash(8 + 7) + k.Commit(5),
        "emptied": k.make(crash_states=5) + k.Append(0, 0) + k.Fail(0, 2) + k.Commit(202) + k.Append(0, 0),
    } | {f"fails-{n}": k.make(crash_states=4) + one + k.Fail(n, 1) + one * 2 + k.Reopen() + one + k.Crash(2) for n in range(10)} | {
        f"fails-{n}-in-segments": k.make(crash_states=4, segments=1) + one * 2 + k.Fail(n, 1) + one * 2 + k.Reopen() + one + k.Crash(2) for n in range(10)
    } | {
        # What is found again is written and synced before the tip names it; what a tip in memory names, before the other is written.
        f"again-{n}-{m}": k.make(crash_states=31) + one + k.Append(9, 60) + k.Fail(n, 2) + k.Commit(5) + k.Reopen() + k.Crash(m * 8 + 7) + k.Commit(1)
        for n in (1, 2, 3) for m in (1, 2, 3, 4)
    } | {
        f"churn-{n}": k.make(crash_states=n, segments=(0, 0, 0, 1, 20)[n]) + k.churn(n, 40, mixed) for n in range(1, 5)
    } | {
        f"{name}{suffix}": k.make(crash_states=9, segments=segments) + steps
        for suffix, segments in (("", 0), ("-in-segments", 1))
        for name, steps in {
            "unsynced": one + later * 3 + k.Crash(7) + k.Sync() + k.Crash(7) + later + k.Reopen() + k.Sync() + k.Crash(7),
            "restated": one * 2 + k.Restate(9, 30) + k.Crash(7) + one + k.Restate(5, 10) * 2 + k.Sync() + k.Read(2) + k.Reopen() + k.Crash(7),
            "restated-in-vain": k.Restate(1, 1) + k.Append(3, 3) + k.Restate(1, 1) + k.Commit(1) + k.Read(0),
            "read": reads(k.Append(5, 60) + k.Checkpoint(40, 48) + k.Commit(7), 24),
            "read-from-nothing": k.Read(2) + k.Read(6) + one + k.Read(2) + k.Read(1) + k.Read(0),
        }.items()
    } | {
        f"{name}-fails-{n}{suffix}": k.make(crash_states=4, segments=segments) + one + steps(n) + k.Reopen() + one + k.Crash(2)
        for suffix, segments in (("", 0), ("-in-segments", 1))
        for name, steps in {
            "sync": lambda n: later + k.Fail(n, n % 3) + k.Sync() + later,
            "restate": lambda n: k.Fail(n, n % 3) + k.Restate(9, 30) + k.Sync(),
            "read": lambda n: k.Checkpoint(9, 9) + k.Commit(3) + k.Fail(n, 1) + k.Read(2) + k.Read(5),
            "abort": lambda n: k.Append(9, 60) + k.Fail(n, n % 3) + k.Abort() + one,
        }.items()
        for n in range(8)
    } | {
        f"all-{n}": k.make(crash_states=n, segments=(0, 0, 1, 20)[n % 4]) + k.churn(n, 40, mixed | {"CommitUnsynced": 3, "Sync": 2, "Restate": 1, "Read": 2, "Fail": n % 2})
        for n in range(1, 9)
    }


def log_recovery():
    k = Kind("log_recovery")
    mixed = {"Flip": 8, "Cut": 2, "Append": 1, "Zero": 2, "Move": 2, "Remove": 1, "Replace": 1}
    # Of the header, the records' heads and metas, and the tip: a byte of each field.
    forged = [(file, at) for file in range(4) for at in (8, 12, 16, 24, 32, 40, 48, 56)]
    forged += [(2, at) for at in range(65, 192, 6)] + [(2, (1 << p) + at) for p in range(8, 13) for at in range(-126, 128, 34)]
    return {"nothing": k.make(), "empty": b""} | {
        f"{name}-{file}-{store}": k.make(store=store) + step
        for store, files in ((1, 4), (3, 4), (4, 9))
        for file in range(files)
        for name, step in (
            ("flip", k.Flip(file, 70)),
            ("flip-late", k.Flip(file, (1 << 12) + 9)),
            ("cut", k.Cut(file, 5)),
            ("append", k.Append(file, 90)),
            ("zero", k.Zero(file, 64)),
            ("move", k.Move(file, 128)),
            ("remove", k.Remove(file)),
            ("replace", k.Replace(file, 100)),
        )
    } | {f"churn-{n}": k.make(store=n) + k.churn(n, n, mixed, lambda r: edge(r, 14)) for n in range(1, 9)} | {
        f"{name}-{file}-{at}": k.make(store=(1, 3, 4)[at % 3]) + step(file, at)
        for name, step in (("forged", k.Forge), ("flipped", k.Flip))
        for file, at in forged
    } | {f"forged-churn-{n}": k.make(store=n) + k.churn(n, n, {"Forge": 1}, lambda r: edge(r, 14)) for n in range(1, 9)} | {
        # A tip that is ahead by a million epochs.
        "forged-tip": k.make(store=3) + k.Forge(67, 2) + k.Flip(0, 4103) + k.Append(78, 0),
        # A commit whose state has close to 2^32 pages, all but a few of them zero.
        "forged-size": k.make(store=2) + k.Forge(2, 117),
    }


def mmsb_cli():
    k = Kind("mmsb_cli")
    every = k.Stat() + k.Log(0) + k.Log(1) + k.Verify() + k.Diff(1, 2) + k.Checkout(1, 0) + k.Checkout(1, 0) + k.Checkout(2, 1)
    every += k.Commit(1000, 1) + k.Checkout(5, 1) + k.Diff(0, 255) + k.Verify() + k.Log(0)
    kept = k.Salvage() + k.Prune(2) + k.Log(1) + k.Checkout(1, 1) + k.Checkout(2, 1) + k.Salvage() + k.Prune(9) + k.Commit(64, 0) + k.Verify()
    damage = {
        "flip-header": k.Flip(0, 9),
        "flip-log": k.Flip(2, 200),
        "flip-late": k.Flip(2, (1 << 11) + 7),
        "flip-tip": k.Flip(3, 9),
        "cut-log": k.Cut(2, 30),
        "cut-tip": k.Cut(3, 33),
        "no-header": k.Remove(0),
        "no-log": k.Remove(2),
        "no-tip": k.Remove(3),
        "nothing-left": k.Remove(0) * 4,
    }
    nonsense = b"".join(k.Nonsense(n, m) for n in range(12) for m in (0, 5))
    return {"empty": b"", "nonsense": k.make() + nonsense[:48]} | {f"sound-{n}": k.make(store=n) + every for n in range(6)} | {
        name: k.make(store=1) + step + every for name, step in damage.items()
    } | {f"kept-{n}": k.make(store=n) + kept for n in range(6)} | {
        f"kept-{name}": k.make(store=2) + step + kept for name, step in damage.items()
    } | {"help": k.make() + b"".join(map(k.Help, range(8)))} | {
        f"epochs-of-{n}-from-{e}": k.make(store=n) + b"".join(k.Checkout(e + i, 1) for i in range(16)) for n in range(6) for e in (1, 9)
    }


def simulated_device():
    k = Kind("simulated_device")
    memory = {"Allocate": 3, "Free": 1, "AllocateHost": 2, "FreeHost": 1}
    work = {"ToDevice": 4, "ToHost": 4, "OnDevice": 3, "Batch": 3, "Fill": 3, "Launch": 3, "Run": 2}
    order = {"Record": 4, "Wait": 4, "Await": 2, "Synchronize": 2, "Advance": 3}
    mixed = memory | work | order | {"LaunchBad": 1, "Replace": 1, "Refused": 1}
    names = [*work]

    def room(lanes):
        return b"".join(k.Allocate(i, 300) * 2 + k.AllocateHost(i, 500) * 2 for i in range(lanes))

    def step(op, lane, b):
        return getattr(k, op)(lane, *([b] if len(k.ops[op][1]) == 2 else []))

    each = b"".join(step(n, i, 31 * i + 7) for i, n in enumerate(names))
    refused = b"".join(k.Refused(0, n) for n in range(26))
    events = k.Record(0) + k.Run(0) + k.Record(0) + k.Wait(1, 0) + k.Wait(1, 3) + k.Await(0) + k.Await(1) + k.Synchronize(0) + k.Record(0) + k.Await(2)
    events += k.Synchronize(1) + k.Record(1) + k.Await(3) + k.Wait(0, 6) + k.Synchronize(0)
    every = each + k.Advance(9) + events + k.Synchronize(0) + k.Free(0, 1) + k.FreeHost(0, 0) + k.Replace(1) + k.Await(1)
    two = {"lanes": 1}
    compare = b"".join(k.Compare(0, n) for n in (0, 1, 2, 3, 6, 13, 69))
    return {
        "empty": b"",
        "compare": k.make(call_ns=9) + k.Compare(0, 0) + room(1) + compare + k.Fill(0, 90) + k.LaunchBad(0, 0) + k.Fill(0, 91) + compare + k.Lose() + k.Compare(0, 2),
        "every": k.make(lanes=2, call_ns=50, copy_ns=9, fresh=77) + room(3) + every * 2,
        "every-takes-long": k.make(lanes=2, bandwidth=1 << 12, call_ns=100, allocate_ns=90) + room(3) + every * 2,
        "end-of-time": k.make(lanes=2, bandwidth=1, call_ns=1 << 61, copy_ns=1 << 62) + room(3) + every * 2,
        "refused": k.make(**two) + refused[:60] + room(1) + refused[60:] + k.Synchronize(0),
        "full": k.make() + k.Allocate(0, 0) + k.Allocate(0, 1 << 11) * 5 + k.Allocate(0, 1 << 13) + k.Free(0, 0) + b"".join(k.Allocate(0, n) for n in (BIG - 1, 1 << 63, 1, 1 << 11)),
        "kernels-that-fail": k.make(**two) + (k.LaunchBad(0, 0) + k.Run(0) + events + k.LaunchBad(0, 1) + k.Record(0) + k.Wait(1, 10) + k.Replace(0) + k.Await(5) + k.Synchronize(1)) * 2,
        "waits-for-what-fails": k.make(**two, call_ns=100) + (k.LaunchBad(0, 0) + events) * 3,
        "lost": k.make(**two) + room(2) + each + k.Record(0) + k.Run(0) + k.Lose() + each + events + refused[:30] + k.Replace(0) + k.Free(0, 0),
    } | {
        f"fails-{name}-{fault}".lower(): k.make(**two) + room(2) + k.Fail(1, fault) + step(name, 0, 90) + each + events + k.Replace(0) + each
        for name in names
        for fault in (0, 1, 4, 5)
    } | {
        f"fails-{name}-{fault}".lower(): k.make(**two) + room(2) + each + k.Fail(1, fault) + s + each + events
        for name, s in (("allocate", k.Allocate(0, 9)), ("free", k.Free(0, 0)), ("allocatehost", k.AllocateHost(0, 9)), ("record", k.Record(0)), ("wait", k.Wait(0, 0)), ("replace", k.Replace(0)))
        for fault in (0, 1, 4, 5)
    } | {
        f"fails-compare-{call}-{fault}": k.make(**two) + room(2) + each + k.Fail(call, fault) + k.Compare(0, 4 + 2 * (fault % 2)) + k.Compare(0, 2)
        for call in (1, 2, 3, 6)
        for fault in (0, 1, 4, 5)
    } | {f"churn-{n}": k.make(lanes=n, call_ns=(0, 100)[n % 2], bandwidth=1 << 4 * n, fresh=n) + room(n % 3 + 1) + k.churn(n, 70, mixed) for n in range(1, 9)}


def device_memory_pool():
    k = Kind("device_memory_pool")
    mixed = {"Allocate": 8, "Deallocate": 6, "GiveToAll": 1, "Unknown": 1, "Synchronize": 1, "Trim": 1, "Advance": 2, "Replace": 1}
    a = k.Allocate

    def near(r):
        return r.choice([r.randrange(192), 256, 512, 1024, 2048, 4096]) - (r.random() < 0.3 and 1)

    every = a(100, 0) + a(1024, 5) + a(0, 2) + k.Deallocate(0, 1) + a(300, 1) + k.GiveToAll(1) + k.Unknown(3) + k.Advance(9)
    every += k.Synchronize(1) + k.Trim(0) + k.Replace(0) + a(256, 0) + k.Deallocate(0, 0)
    cross = a(512, 40) + a(512, 41) + k.Deallocate(0, 40) + a(500, 81) + k.Deallocate(1, 1) + a(1024, 42)
    whole = a(1024, 200) * 4 + k.Deallocate(0, 0) * 2 + k.Deallocate(0, 1) * 2 + a(4096, 102) + k.Deallocate(0, 2)
    base = {"chunk_units": 16, "streams": 2}
    return {
        "empty": b"",
        "every": k.make(**base) + every * 3,
        "sizes": k.make(**base) + b"".join(a(n, 0) for n in (0, 1, 255, 256, 257, 1 << 16, (1 << 16) + 1, BIG - 1, BIG - 127, 1 << 63)) + k.Deallocate(0, 1) * 9,
        "crosses": k.make(**base) + cross * 4,
        "neighbours": k.make(**base) + whole * 3,
        "streams-that-go": k.make(**base) + (a(1024, 40) * 3 + k.Deallocate(0, 0) * 2 + k.Replace(0) + a(2048, 41) + k.Deallocate(0, 1)) * 3,
        "grows": k.make(chunk_units=2, streams=1) + a(1024, 1) * 16 + k.Trim(0) + k.Deallocate(3, 1) * 16 + k.Trim(4096) + k.Trim(0),
        "idle-chunks-make-room": k.make(chunk_units=63, streams=1, max_bytes=1 << 15) + (a(1 << 14, 0) * 2 + k.Deallocate(0, 1) * 2 + a(1 << 15, 1) + k.Deallocate(0, 0)) * 2,
        "threshold": k.make(chunk_units=4, streams=1, threshold_bytes=2048) + (a(1024, 0) * 5 + k.Deallocate(0, 1) * 5 + k.Synchronize(1) + k.Synchronize(0)) * 2,
        "gives": k.make(chunk_units=8, streams=1, max_bytes=4096, gives=3) + a(1024, 41) * 9 + a(4096, 0) + a(4096, 1),
        "full": k.make(chunk_units=63) + a(4096, 0) * 20 + k.Deallocate(5, 0) * 3 + a(8192, 0) + a(4096, 0) * 3,
        "lost": k.make(**base) + cross + k.Lose() + cross + k.Synchronize(1) + k.Trim(0),
    } | {
        f"fails-{n}": k.make(**base, threshold_bytes=1024) + k.Fail(n) + cross + k.Synchronize(1) + whole + k.Trim(0) + k.Fail(n) + whole + cross for n in range(1, 9)
    } | {
        f"churn-{n}": k.make(chunk_units=4 * n, streams=n, max_bytes=(0, 1 << 14)[n % 2], gives=n) + k.churn(n, 38, mixed, near) for n in range(1, 33)
    }


def host_device_sync():
    k = Kind("host_device_sync")
    mixed = {"Write": 5, "Edit": 2, "WriteBeside": 3, "DeviceWrite": 6, "Read": 4, "Start": 5, "Finish": 2, "Drop": 1, "Advance": 2, "Again": 1, "Restore": 1}
    base = {"pages": 2, "page_bytes": 511, "batch_bytes": 1024, "batch_copies": 9, "attempts": 1}
    to_device, to_host = k.Start(7, 2), k.Start(7, 3)
    writes = k.Write(0, 17) + k.Edit(1, 40) + k.WriteBeside(2, 99) + to_device + k.DeviceWrite(0, 30) + k.DeviceWrite(1, 77) + to_host
    every = writes + k.Read(0, 17) + k.Start(3, 0) + k.Advance(9) + k.Finish() + k.Again(1, 0) + k.Again(2, 1) + k.Restore(0) + k.Unknown(1, 3)
    both = to_device + k.DeviceWrite(0, 3) + k.Write(0, 40) + k.Write(0, 3) + k.DeviceWrite(0, 40) + k.Read(0, 3) + to_host + to_device
    return {
        "empty": b"",
        "every": k.make(**base) + every * 3,
        "nothing-to-copy": k.make(**base) + to_device * 3 + to_host * 3,
        "both-sides": k.make(**base) + both * 3,
        "whole-pages": k.make(**base) + (k.Write(0, 255) + k.Write(1, 255) + to_device + k.DeviceWrite(0, 255) + to_host + k.Read(0, 255)) * 3,
        "one-byte": k.make(pages=3) + writes * 3,
        "small-batches": k.make(pages=3, page_bytes=899, batch_bytes=64) + (writes + k.Write(3, 50) + k.Write(3, 90)) * 3,
        "one-copy-a-batch": k.make(pages=3, page_bytes=899, batch_bytes=1999) + (writes + k.Write(3, 7) + k.Write(3, 12)) * 3,
        "little-memory": k.make(small_memory=1, pages=3, page_bytes=639) + every * 3,
        "in-flight": k.make(**base) + (k.Write(0, 9) + k.Start(7, 0) + k.Read(0, 9) + k.Start(7, 1) + k.Write(1, 8) + k.Start(5, 0) + k.Drop()) * 4,
        "lost-beside-a-copy": k.make(small_memory=1, batch_copies=124, attempts=84, pages=4, page_bytes=174) + k.Fail(3, 34) + k.Start(6, 4) + k.Again(0, 31),
        "on-the-device": k.make(**base) + (k.Again(0, 1) + k.DeviceWrite(0, 20) + k.Read(0, 0) + to_host + k.Read(0, 255)) * 4,
    } | {
        f"fails-{n}-{m}": k.make(**base) + (writes + k.Fail(n, m) + both + k.Drop()) * 2 for n in (0, 1, 2, 3, 5, 9) for m in (0, 1, 4, 5)
    } | {
        f"churn-{n}": k.make(pages=n, page_bytes=(97, 127, 300, 512, 511, 600, 190, 899)[n % 8], batch_bytes=64 << n % 5, batch_copies=n, attempts=n, small_memory=n // 7) + k.churn(n, 43, mixed) for n in range(1, 25)
    }


def varint(n):
    out = b""
    while n >= 128:
        out += bytes([n & 127 | 128])
        n >>= 7
    return out + bytes([n])


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


MESSAGE_MAGIC = b"\x8dMDLT\r\n\x1a"


def message(form, page_bytes, body, version=1, codec=0, zeros=0, encoded=None):
    """A delta message with right checksums, whatever it says (docs/format.md)."""

    def number(n, width):
        return n.to_bytes(width, "little")

    head = MESSAGE_MAGIC + number(version, 2) + bytes([form, codec]) + number(zeros, 4) + number(page_bytes, 8)
    head += number(len(body) if encoded is None else encoded, 8) + number(len(body), 8) + number(crc32c(body), 4)
    return head + number(crc32c(head), 4) + body


def delta_codec_tokens():
    forms = {name: bytes([n]) for n, name in enumerate(("dense", "sparse", "whole"), 1)}
    return {f"kind_{kind}_page_of_{n}": bytes([kind, n & 255, n >> 8]) for kind, n in ((0, 9), (1, 9), (0, 300), (1, 300), (2, 4096))} | {
        "magic": MESSAGE_MAGIC,
        "long_varint": b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01",
        "largest": b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
        "run_of_300": b"\x00\xac\x02",
        "one_run": b"\x01\x03\x02",
        "two_runs": b"\x02\x03\x02\xc8\x01\x04",
        "mask_of_9": b"\x81\x01",
        "spare_bits": b"\x81\x03",
    } | {f"message_{name}": message(form[0], 9, body) for (name, form), body in zip(forms.items(), (b"\x81\x01xyz", b"\x01\x03\x02ab", bytes(9)))}


def log_recovery_tokens():
    k = Kind("log_recovery")
    log, tip = 2, 3
    fields = {"header": (8, 12, 16, 24, 32, 40, 48, 56), "head": (67, 68, 72, 80, 88, 92, 96, 100, 104, 108), "meta": (112, 120, 124, 128, 132, 133)}
    return (
        {f"flip_{what}_{at}": k.Flip(log, at) for what, places in fields.items() for at in places}
        | {f"forge_{what}_{at}": k.Forge(log, at) for what, places in fields.items() for at in places}
        | {f"forge_mmsb_{at}": k.Forge(0, at) for at in fields["header"]}
        | {f"forge_tip_{at}": k.Forge(tip, at) for at in (0, 8, 16, 24, 32, 40, 48)}
        | {f"cut_{file}_{n}": k.Cut(file, n) for file in range(4) for n in (1, 32, 48, 64)}
        | {f"remove_{file}": k.Remove(file) for file in range(5)}
    )


def mmsb_cli_tokens():
    k = Kind("mmsb_cli")
    return {
        "stat": k.Stat(),
        "log": k.Log(0),
        "log_json": k.Log(1),
        "verify": k.Verify(),
        "salvage": k.Salvage(),
    } | {f"checkout_{e}": k.Checkout(e, 1) for e in (0, 1, 2, 9, 255)} | {f"prune_{e}": k.Prune(e) for e in (0, 1, 2, 5, 255)} | {
        f"diff_{a}_{b}": k.Diff(a, b) for a, b in ((1, 1), (1, 2), (2, 1), (0, 255))
    } | {f"commit_{n}": k.Commit(n, n % 2) for n in (0, 1, 511, 512, 513, 4097)} | {f"help_{n}": k.Help(n) for n in range(8)} | {
        f"{what}_{file}": step(file, 70) for file in range(4) for what, step in (("flip", k.Flip), ("cut", k.Cut))
    } | {f"remove_{file}": k.Remove(file) for file in range(4)}


def transaction_log_tokens():
    k = Kind("transaction_log")
    one = k.Append(9, 100) + k.Commit(5)
    return {
        "transaction": one,
        "empty_transaction": k.Append(0, 0) + k.Commit(0),
        "with_checkpoint": k.Append(5, 60) + k.Checkpoint(40, 48) + k.Commit(7),
        "abort": k.Append(5, 60) + k.Abort(),
        "crash": one + k.Crash(7),
        "crash_within": k.Append(9, 1100) + k.Crash(7),
        "reopen": k.Reopen(),
        "unsynced": k.Append(3, 40) + k.CommitUnsynced(5) + k.Sync(),
        "restated": one + k.Restate(9, 30) + k.Sync(),
        "read": k.Read(0) + k.Read(5) + k.Read(2) + k.Read(7),
    } | {f"failing_{n}": k.Fail(n, 1) + one + k.Reopen() for n in range(8)}


def page_store_tokens():
    k = Kind("page_store")
    edit = k.Write(90, 40) + k.Commit(1)
    return {
        "grow": k.Resize(2048) + edit,
        "edit": edit,
        "whole": k.Fill(1, 3) + k.Commit(0),
        "checkpoint": k.Write(9, 9) + k.Checkpoint(0),
        "hold_and_prune": k.Hold(0) + k.Prune(2) + k.Hold(1),
        "conflict": k.Conflict(1, 1),
        "no_conflict": k.Conflict(0, 1),
        "salvage": k.Salvage(),
        "sync": k.Sync() + k.Table(),
        "look": k.Read(0) + k.Verify(),
    } | {f"failing_{n}": k.Fail(n, 1) + edit + k.Reopen() for n in range(8)}


# A token is a step with its numbers, or some that belong together, where a fuzzer would
# have to guess each byte; libFuzzer takes none of more than 64 bytes.
DICTIONARIES = {
    "delta_codec": delta_codec_tokens,
    "log_recovery": log_recovery_tokens,
    "mmsb_cli": mmsb_cli_tokens,
    "page_store": page_store_tokens,
    "transaction_log": transaction_log_tokens,
}


def dictionary(name):
    tokens = DICTIONARIES[name]()
    lines = [f'{token}="' + "".join(f"\\x{b:02x}" for b in value) + '"\n' for token, value in tokens.items()]
    return "# Written by corpus.py.\n" + "".join(lines)


CORPORA = {
    "delta": delta,
    "delta_codec": delta_codec,
    "delta_kernels": delta_kernels,
    "device_memory_pool": device_memory_pool,
    "simulated_device": simulated_device,
    "lockfree_page_allocator": lockfree_page_allocator,
    "host_device_sync": host_device_sync,
    "log_recovery": log_recovery,
    "mmsb_cli": mmsb_cli,
    "page_store": page_store,
    "transaction_log": transaction_log,
    "page_allocator": page_allocator,
    "simd_mask": simd_mask,
    "allocator_adaptors": allocator_adaptors,
    "arena": arena,
    "lockfree_pool": lockfree_pool,
    "slab": slab,
}


def write(name):
    folder = FOLDER / f"{name}_corpus"
    folder.mkdir(exist_ok=True)
    wanted = CORPORA[name]()
    for path in folder.iterdir():
        if path.name not in wanted and not KEPT.fullmatch(path.name):
            path.unlink()
    for file, contents in wanted.items():
        (folder / file).write_bytes(contents)


if __name__ == "__main__":
    for name in CORPORA:
        write(name)
    for name in DICTIONARIES:
        (FOLDER / f"{name}.dict").write_text(dictionary(name))
