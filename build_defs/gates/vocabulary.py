"""Gate 4, the kill rule: if a file mentions a page, it is not an allocator."""

import re
import unicodedata

from build_defs.gates import policy
from build_defs.gates.violation import Violation

RULE = (
    "no file under allocator/ holds a word, in its text or its name and in any case, with "
    + ", ".join(policy.KILL_WORDS)
    + " in it. Exempt are only the type PageId, primitives/page_id.h and //primitives:page_id."
)

_EXEMPT = re.compile("|".join(policy.KILL_EXEMPT))
_WORD = re.compile(r"\w+")


def _blank(match):
    return " " * len(match.group())


def killed_words(text):
    """Yields (word, the part that kills it) of one line of text."""
    # Look-alikes of the same letters, and characters that do not show, are folded
    # away, so that they hide nothing.
    text = "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
    text = _EXEMPT.sub(_blank, text)
    for match in _WORD.finditer(text):
        folded = match.group().casefold()
        for part in policy.KILL_WORDS:
            if part in folded:
                yield match.group(), part


def _logical_lines(text):
    """Yields (number of the first line, text) with continued lines joined."""
    first, held = None, ""
    for number, line in enumerate(re.split(r"\r\n|\r|\n", text), start=1):
        if first is None:
            first = number
        joined = re.search(r"\\[ \t]*$", line)
        if joined:
            held += line[: joined.start()]
            continue
        yield first, held + line
        first, held = None, ""
    if first is not None:
        yield first, held


def _violation(where, what, part):
    return Violation(where, what, policy.KILL_WORDS[part])


def check(tree):
    """Violations of the kill rule in every file of `tree` under allocator/."""
    found = []
    for path in tree.files("allocator"):
        for word, part in killed_words(path[len("allocator") :]):
            found.append(_violation(f"{path}:1", f'the file name says "{word}"', part))
        try:
            text = tree.read(path)
        except UnicodeDecodeError:
            found.append(
                Violation(
                    f"{path}:1",
                    "the file is not UTF-8 text, so it cannot be read for words",
                    "outside allocator/, or written as text",
                )
            )
            continue
        for number, line in _logical_lines(text):
            for word, part in killed_words(line):
                found.append(_violation(f"{path}:{number}", f'"{word}" says "{part}"', part))
    return found
