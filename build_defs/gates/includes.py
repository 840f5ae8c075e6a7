"""Gate 5: the headers that each layer may include."""

import re

from build_defs.gates import policy
from build_defs.gates.violation import Violation

RULE = (
    "primitives includes the standard library (system headers only in its os_* files); allocator its "
    "short list of standard headers and primitives; memory adds Abseil, with system headers only in "
    "memory/log/posix_file_system.cc; device adds Highway. Tests and testing/ add GoogleTest and any "
    "standard header. Includes name a header by its path from the repository's root."
)

_VECTOR_CODE = re.compile(
    r"\b(_mm\d*_(?!pause\b)\w+|__m(?:64|128|256|512)[di]?|__builtin_(?:ia32|neon|arm|aarch64)_(?!pause\b|yield\b)\w+"
    r"|vector_size|__vector_size__|ext_vector_type)\b"
)
_ASSEMBLY = re.compile(r"\b(asm|__asm|__asm__)\b")
_VECTOR_HEADER = re.compile(r"(\w*intrin|arm_neon|arm_sve|arm_acle|altivec)\.h")
_RAW_PREFIX = re.compile(r"(?<!\w)(?:u8|u|U|L)?R$")
_NUMBER = re.compile(r"(?<![\w'])\.?\d[\w'.]*$")


def _splice(text):
    """The characters of `text`, each with its line, continued lines joined."""
    chars, line, at = [], 1, 0
    while at < len(text):
        joined = re.compile(r"\\[ \t]*(\r\n|\r|\n)").match(text, at) if text[at] == "\\" else None
        if joined:
            line += 1
            at = joined.end()
            continue
        ending = re.compile(r"\r\n|\r").match(text, at) if text[at] == "\r" else None
        chars.append(("\n" if ending else text[at], line))
        if chars[-1][0] == "\n":
            line += 1
        at = ending.end() if ending else at + 1
    return chars


def scan(text):
    """Splits C++ text: ([(line, directive's text)], [(line, code's text)]).

    Comments are gone from both; literals are gone from the code, so an include
    in a string or a comment is none.
    """
    chars = _splice(text)
    source = "".join(c for c, _ in chars)
    directives, code = [], []
    at, fresh, directive, current = 0, True, False, ""
    started = 1

    def line_at(index):
        return chars[min(index, len(chars) - 1)][1] if chars else 1

    def flush():
        nonlocal current, directive, fresh
        if current.strip():
            (directives if directive else code).append((started, current))
        current, directive, fresh = "", False, True

    while at < len(source):
        c = source[at]
        if c == "\n":
            flush()
            at += 1
            continue
        if source.startswith("//", at):
            end = source.find("\n", at)
            at = len(source) if end < 0 else end
            continue
        if source.startswith("/*", at):
            end = source.find("*/", at + 2)
            at = len(source) if end < 0 else end + 2
            current += " "
            continue
        if fresh and not c.isspace():
            started = line_at(at)
            if c == "#" or source.startswith("%:", at):
                directive = True
                at += 1 if c == "#" else 2
                fresh = False
                continue
        if c.isspace():
            current += " "
            at += 1
            continue
        fresh = False
        including = directive and re.fullmatch(r"\s*(include|include_next|import|embed)\s*", current)
        if including and c in '<"':
            end = re.compile(r'[^\n>]*>?' if c == "<" else r'"[^\n"]*"?').match(source, at).end()
            current += source[at:end]
            at = end
            continue
        if c == '"':
            raw = _RAW_PREFIX.search(current)
            if raw:
                opened = re.compile(r'"([^()\\\s]{0,16})\(').match(source, at)
                closing = f'){opened.group(1)}"' if opened else '"'
                end = source.find(closing, opened.end() if opened else at + 1)
                at = len(source) if end < 0 else end + len(closing)
            else:
                at = re.compile(r'"(?:\\.|[^"\\\n])*"?').match(source, at).end()
            current += '""'
            continue
        if c == "'" and not _NUMBER.search(current):
            at = re.compile(r"'(?:\\.|[^'\\\n])*'?").match(source, at).end()
            current += "''"
            continue
        current += c
        at += 1
    flush()
    return directives, code


def _refusal(path, name, quoted):
    """(what is wrong, where it belongs) with an include, or None."""
    layer = policy.layer_of(path)
    test = policy.is_test_file(path)
    first = name.split("/", 1)[0]
    shown = f'"{name}"' if quoted else f"<{name}>"
    if name.startswith("/") or "\\" in name or ".." in name.split("/") or "." in name.split("/"):
        return f"{shown} is not a plain path", "named by its path from the repository's root"
    if first in policy.LAYERS and "/" in name:
        if policy.may_use(layer, first):
            return None
        return (
            f"{shown} is of {first}, which lies above {layer}",
            f"code of {layer} that needs {first} goes up into {first}/, or is handed what it needs by its caller",
        )
    if first in policy.ABOVE + policy.SUPPORT and "/" in name:
        return (
            f"{shown} is of {first}/, which no layer may use",
            f"include the layer's own header instead of the public face's, or move the code to {first}/",
        )
    if first in policy.HEADER_OWNERS and "/" in name:
        owner = policy.HEADER_OWNERS[first]
        if owner in policy.EXTERNAL[layer] or (test and owner in policy.TEST_EXTERNAL):
            return None
        homes = [other for other in policy.LAYERS if owner in policy.EXTERNAL[other]]
        if owner in policy.TEST_EXTERNAL:
            home = "a file named *_test.cc, or the layer's testing/ folder"
        elif homes:
            home = f"{homes[0]}/" + (" or above" if homes[0] != policy.LAYERS[-1] else "")
        else:
            home = "bench/"
        return f"{shown} is of {owner}, which {layer} may not use", home
    if name in policy.STANDARD and not quoted:
        if layer != "allocator" or test or name in policy.ALLOCATOR_STANDARD:
            return None
        return (
            f"{shown} is not among the standard headers that raw memory needs",
            "memory/ or above; locks, threads and clocks come from primitives/os_*.h, and a test includes what it likes",
        )
    if _VECTOR_HEADER.fullmatch(name):
        return f"{shown} is vector code of one processor", "device/simd/, through Highway"
    if first == "sanitizer" and "/" in name:
        if re.fullmatch(policy.SANITIZER_HEADER_FILES, path):
            return None
        return f"{shown} is the sanitizers' interface", "primitives/poison.h, which has it for every layer"
    if quoted and "/" not in name:
        return f"{shown} is not named from the repository's root", f'written as "FOLDER/{name}"'
    allowed = policy.SYSTEM_HEADER_FILES.get(layer)
    if not quoted and allowed and re.fullmatch(allowed, path):
        return None
    return (
        f"{shown} is a system header, or one that the gates do not know",
        "primitives/os_*.{h,cc} (memory, locks, clock, threads) or memory/log/posix_file_system.cc (files)",
    )


def check(tree):
    """Violations of the include rule in every C++ file of the layers."""
    found = []
    for layer in policy.LAYERS:
        for path in tree.files(layer):
            if not path.endswith(policy.CPP_SUFFIXES):
                continue
            directives, code = scan(tree.read(path))
            for line, text in directives:
                word = re.match(r"\s*(\w+)", text)
                if not word or word.group(1) not in ("include", "include_next", "import", "embed"):
                    continue
                named = re.fullmatch(r'\s*include\s*(?:<([^>]*)>|"([^"]*)")\s*', text)
                if named:
                    quoted = named.group(2) is not None
                    refusal = _refusal(path, named.group(2) if quoted else named.group(1), quoted)
                else:
                    refusal = (
                        f"#{text.strip()} does not name one header plainly",
                        'written as #include "path/from/root.h" or #include <header>',
                    )
                if refusal:
                    found.append(Violation(f"{path}:{line}", *refusal))
            for line, text in code:
                if re.match(r"\s*(export\s+)?import\b", text):
                    found.append(
                        Violation(f"{path}:{line}", "a module is imported", "written as an #include, which the gates can read")
                    )
                vector = _VECTOR_CODE.search(text)
                if vector:
                    found.append(
                        Violation(f"{path}:{line}", f'"{vector.group()}" is vector code of one processor', "device/simd/, through Highway")
                    )
                assembly = layer != "primitives" and _ASSEMBLY.search(text)
                if assembly:
                    found.append(
                        Violation(f"{path}:{line}", f'"{assembly.group()}" is code of one processor', "primitives/, behind a neutral name")
                    )
    return found
