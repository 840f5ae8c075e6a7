"""Writes the seed corpus of memory_pool_fuzz, one file a scenario.

    python3 fuzz/memory_pool_corpus.py fuzz/memory_pool_corpus

An input is eight bytes that say how the pool is made, then two bytes a step; the
decoder is MemoryPoolProgram::Decode. What a fuzzer finds beside these is kept in
the same folder under the name "found-...", which this leaves alone.
"""

import pathlib
import random
import sys

ALLOCATE = 0
ALLOCATE_SIZED = 1
ALLOCATE_AT_LEAST = 2
DEALLOCATE = 3
DEALLOCATE_SIZED = 4
DEALLOCATE_NEWEST = 5
DEALLOCATE_OLDEST = 6
DEALLOCATE_NULL = 7
KINDS = 8

UNLIMITED = 0xFFFF


def header(
    block_size=64,
    alignment=None,
    per_chunk=0,
    max_blocks=UNLIMITED,
    checked=False,
    region=None,
    offset=0,
    fail_at=0,
    fail_from=0,
    upstream=0,
):
    """The first eight bytes.

    block_size: 1 to 256 bytes. alignment: a power of two up to 512, or None for
    the pool's choice. region: None, or its size in units of 67 bytes, at
    `offset` (0 to 63) bytes from a multiple of 64. upstream: 0, or the most
    that it gives in units of 512 bytes. fail_at, fail_from: number of the
    upstream's call that fails, or the first of all that do.
    """
    assert not (fail_at and fail_from)
    flags = (region is not None) | checked << 1
    if region is None:
        flags |= (fail_from != 0) << 2
    else:
        flags |= offset << 2
    return bytes(
        [
            flags,
            block_size - 1,
            0 if alignment is None else alignment.bit_length(),
            per_chunk,
            max_blocks & 0xFF,
            max_blocks >> 8,
            fail_at or fail_from,
            upstream if region is None else region,
        ]
    )


def step(kind, argument=0):
    return bytes([kind, argument])


def bursts(kind, count):
    """`count` blocks, 32 a step."""
    return b"".join(step(kind, min(32, count - done) - 1) for done in range(0, count, 32))


def allocate(count):
    return bursts(ALLOCATE, count)


def newest(count):
    return bursts(DEALLOCATE_NEWEST, count)


def oldest(count):
    return bursts(DEALLOCATE_OLDEST, count)


def sized(kind, size, alignment_log2=0):
    return step(kind + KINDS * alignment_log2, size)


def churn(seed, steps):
    """A mixture of everything, mostly blocks in and out."""
    rng = random.Random(seed)
    kinds = [ALLOCATE, ALLOCATE_SIZED, DEALLOCATE, DEALLOCATE, DEALLOCATE_SIZED, DEALLOCATE_NEWEST, DEALLOCATE_OLDEST]
    parts = []
    for _ in range(steps):
        kind = rng.choice(kinds)
        if kind in (ALLOCATE, DEALLOCATE_NEWEST, DEALLOCATE_OLDEST):
            parts.append(step(kind, rng.randrange(12)))
        elif kind == ALLOCATE_SIZED:
            parts.append(sized(kind, rng.randrange(80), rng.randrange(5)))
        else:
            parts.append(step(kind, rng.randrange(256)))
    return b"".join(parts)


def corpus():
    """Name to contents."""
    one_of_each = (
        allocate(3)
        + sized(ALLOCATE_SIZED, 10, 2)
        + sized(ALLOCATE_AT_LEAST, 64, 3)
        + step(DEALLOCATE, 1)
        + step(DEALLOCATE_SIZED, 2)
        + newest(1)
        + oldest(1)
        + step(DEALLOCATE_NULL, 9)
    )
    misfits = b"".join(
        sized(kind, size, log2)
        for kind in (ALLOCATE_SIZED, ALLOCATE_AT_LEAST)
        for size, log2 in ((0, 0), (1, 0), (64, 4), (65, 0), (255, 0), (8, 5), (8, 15), (8, 16), (8, 31))
    )
    inputs = {
        "empty": b"",
        "no-steps": header(),
        "one-of-each": header() + one_of_each,
        "one-of-each-checked": header(checked=True) + one_of_each,
        "half-a-step": header() + allocate(2) + bytes([DEALLOCATE]),
        "sizes-that-do-not-fit": header() + misfits,
        "sizes-that-do-not-fit-checked": header(checked=True) + misfits,
        "smallest-block": header(block_size=1) + allocate(256) + oldest(128) + allocate(64),
        "odd-block-checked": header(block_size=7, checked=True) + allocate(50) + newest(20) + churn(1, 30),
        "slack-behind-each-block": header(block_size=33, alignment=64) + churn(2, 60),
        "strict-alignment": header(block_size=8, alignment=512, per_chunk=3) + churn(3, 60),
        "one-block-a-chunk": header(block_size=24, per_chunk=1) + allocate(40) + oldest(40) + allocate(41),
        "many-chunks-checked": header(block_size=16, per_chunk=2, checked=True) + allocate(60) + churn(4, 80),
        "growth-by-doubling": header(block_size=256) + allocate(1280) + oldest(192) + newest(1920),
        "last-block": header(max_blocks=10) + allocate(12) + step(DEALLOCATE, 3) + allocate(2),
        "no-blocks": header(max_blocks=0) + allocate(2) + step(DEALLOCATE_NULL),
        "chunk-cut-by-max-blocks": header(per_chunk=8, max_blocks=20) + allocate(30) + newest(30) + allocate(21),
        "first-call-fails": header(fail_at=1) + allocate(3) + newest(2),
        "directory-fails": header(fail_at=2) + allocate(3) + churn(5, 20),
        "second-chunk-fails": header(per_chunk=4, fail_at=3) + allocate(12) + churn(6, 30),
        "second-directory-fails": header(per_chunk=4, fail_at=4) + allocate(12) + churn(7, 30),
        "fails-for-good": header(per_chunk=4, fail_from=5, checked=True) + allocate(40) + oldest(10) + allocate(20),
        "poor-upstream": header(upstream=40) + allocate(384) + oldest(32) + allocate(33),
        "poor-upstream-checked": header(block_size=100, upstream=25, checked=True) + allocate(192) + churn(8, 40),
        "region": header(region=60) + allocate(64) + newest(64) + allocate(64),
        "region-checked": header(region=60, checked=True) + allocate(64) + oldest(10) + allocate(20) + churn(9, 60),
        "region-at-odd-address": header(block_size=40, alignment=32, region=50, offset=13) + churn(10, 80),
        "region-too-small": header(region=1) + allocate(2),
        "region-of-nothing": header(region=0) + allocate(2) + step(DEALLOCATE_NULL),
        "region-for-one-block": header(block_size=64, region=3, checked=True) + allocate(2) + newest(1) + allocate(2),
        "region-with-max-blocks": header(region=200, max_blocks=5) + allocate(6) + step(DEALLOCATE, 2) + allocate(2),
        "lifo": header(per_chunk=16) + (allocate(20) + newest(20)) * 4,
        "fifo": header(per_chunk=16, checked=True) + (allocate(20) + oldest(20)) * 4,
        "churn": header(block_size=48) + churn(11, 200),
        "churn-checked": header(block_size=48, checked=True, per_chunk=5) + churn(12, 200),
    }
    return inputs


def write(folder):
    folder.mkdir(parents=True, exist_ok=True)
    wanted = corpus()
    for path in folder.iterdir():
        if path.name not in wanted and not path.name.startswith("found-"):
            path.unlink()
    for name, contents in wanted.items():
        (folder / name).write_bytes(contents)


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    write(pathlib.Path(sys.argv[1]))
