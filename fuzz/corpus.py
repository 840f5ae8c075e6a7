"""Writes the seed corpora of the targets whose inputs are programs.

    python3 fuzz/corpus.py

writes fuzz/NAME_corpus for each NAME of CORPORA. Which numbers a structure is made
of, and which operations it has with which arguments, is read from the tables in
fuzz/NAME_run.cc; the encoding is that of program_reader.h. What a fuzzer finds
beside these is kept in the same folders under names "found-...", which this leaves
alone.
"""

import pathlib
import random
import re

FOLDER = pathlib.Path("fuzz")
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
    mixed |= {"DeallocateUnsized": 3, "DeallocateNewest": 1, "Reallocate": 3, "Decay": 1, "Walk": 1}
    every = a(100, 8) + k.AllocateMany(48, 9) + k.AllocateAtLeast(33, 16) + k.AllocateZeroed(300, 32) + k.Deallocate(2)
    every += k.DeallocateUnsized(1) + k.Reallocate(0, 101) + k.DeallocateNewest(3) + k.Walk() + k.Decay(2) + k.Purge()
    classes = b"".join(a(n + d, 1) for n in (8, 16, 128, 144, 256, 288, 512, 1 << 12, 1 << 14, 1 << 15) for d in (-1, 0, 1))
    large = b"".join(a(n, m) for n in ((1 << 15) + 1, 1 << 16, (1 << 17) - 1) for m in (1, 1 << 12, 1 << 15))
    faults = b"".join(k.FailMapper(n, 1) + a(64, 8) + a(1 << 16, 8) + k.Deallocate(0) + k.Purge() for n in range(8))
    return {
        "empty": b"",
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
    } | {f"churn-{seed}": k.make(checked=seed % 2) + k.churn(seed, 120, mixed) for seed in range(1, 7)}


def lockfree_pool():
    k = Kind("lockfree_pool")
    mixed = {"Allocate": 5, "Deallocate": 8, "DeallocateId": 2, "DeallocateMany": 4, "Detach": 1, "Replace": 1}
    checked, symmetric, threads, at_once = 1, 2, 4, 8
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
        "at-once": k.make(**base, flags=threads | at_once) + k.churn(1, 100, mixed),
        "at-once-checked": k.make(block_size=99, capacity=9, magazine_blocks_log2=1, flags=threads | at_once | checked) + k.churn(2, 100, mixed),
        "at-once-symmetric": k.make(block_size=9, capacity=250, max_threads=2, flags=threads | at_once | symmetric) + k.churn(3, 100, mixed),
        "aligned": k.make(block_size=9, capacity=60, alignment_log2=9, magazine_blocks_log2=3) + (k.Allocate(0, 31) + k.DeallocateMany(0, 20)) * 8,
        "full": k.make(block_size=7, capacity=255, magazine_blocks_log2=6) + k.Allocate(0, 31) * 9 + k.DeallocateMany(0, 31) * 9 + k.Allocate(0, 31) * 9,
        "detached": k.make(**base) + (k.Allocate(0, 25) + k.DeallocateMany(0, 13) + k.Detach(0)) * 5,
    } | {
        f"churn-{seed}": k.make(block_size=31, capacity=20 * seed, magazine_blocks_log2=seed % 4, max_threads=seed, flags=seed % 8) + k.churn(seed, 120, mixed)
        for seed in range(1, 8)
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


CORPORA = {
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
        if path.name not in wanted and not path.name.startswith("found-"):
            path.unlink()
    for file, contents in wanted.items():
        (folder / file).write_bytes(contents)


if __name__ == "__main__":
    for name in CORPORA:
        write(name)
