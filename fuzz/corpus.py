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


CORPORA = {"arena": arena}


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
