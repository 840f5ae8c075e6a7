"""What a crash is called, so that one bug is reported once."""

import hashlib
import re

_FRAME = re.compile(r"^\s*#\d+ 0x[0-9a-f]+ in (.+?) (\S+?)(?::\d+)*$", re.M)
_SUMMARY = re.compile(r"^SUMMARY: (\w+): ([\w-]+)", re.M)
_RUNTIME = re.compile(r"^(\S+?):\d+:\d+: runtime error: (.*)$", re.M)
_CHECK = re.compile(r"^(step \d+: .*|at the end: .*|\S.* failed.*)$", re.M)

# Frames of the tools, of the C library and of the standard library say nothing of the bug.
_NOISE = re.compile(
    r"^(__(asan|msan|tsan|ubsan|sanitizer|interceptor|GI|libc|cxa)|_start|abort|raise|gsignal|pthread_kill|fuzzer::"
    r"|main$|LLVMFuzzerTestOneInput|std::|__gnu_cxx::|operator (new|delete)|mem(cpy|move|set|cmp)$)"
)
FRAMES = 3


def frames(log):
    """The innermost functions of the first stack that are the program's own."""
    stack = re.split(r"\n\s*\n", log[log.find("#0 0x"):] if "#0 0x" in log else "")[0]
    names = [re.sub(r"\(.*", "", name.replace("(anonymous namespace)::", "")).strip() for name, _ in _FRAME.findall(stack)]
    return [name for name in names if not _NOISE.match(name)][:FRAMES]


def kind(log):
    match = _RUNTIME.search(log)
    if match:
        # Values differ from input to input.
        return "runtime error: " + re.sub(r"0x[0-9a-f]+|-?\d+", "N", match.group(2))
    said = _CHECK.search(log[: log.find("==ERROR")] if "==ERROR" in log else log)
    if "libFuzzer: deadly signal" in log and said:
        return re.sub(r"\d+", "N", re.sub(r"^step \d+: ", "", said.group(1)))
    for what in ("timeout", "out-of-memory"):
        if f"libFuzzer: {what}" in log:
            return what
    match = _SUMMARY.search(log)
    return f"{match.group(1)}: {match.group(2)}" if match else "crash"


def signature(log, again=True):
    """(a short name for files, what it is in words, frames); `again`: it was seen when the input was run alone"""
    what, stack = kind(log), frames(log)
    if not again:
        # As of a time limit that ran out while the machine was busy, or asleep.
        what += ", not seen again when the input was run alone"
    digest = hashlib.sha1("\n".join([what] + stack).encode()).hexdigest()[:12]
    return digest, what, stack


def test_of(log, target, data):
    """C++ that pastes: what the target printed of its program, or the bytes."""
    match = re.search(r"^TEST\(.*?^}$", log, re.M | re.S)
    if match:
        return match.group(0) + "\n"
    name = "".join(word.capitalize() for word in target.split("_"))
    rows = [", ".join(f"0x{byte:02x}" for byte in data[i : i + 12]) + "," for i in range(0, len(data), 12)]
    return (
        'extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t bytes);\n\n'
        f"TEST({name}RegressionTest, NAME_IT) {{\n  const std::vector<uint8_t> input = {{\n"
        + "".join(f"      {row}\n" for row in rows)
        + "  };\n  LLVMFuzzerTestOneInput(input.data(), input.size());\n}\n"
    )
