"""The layering rules of mmsb as tables. docs/layering.md explains them.

Everything the five gates know of the layers is here, so a new layer, edge or
header is one line in one file.
"""

# Lowest first: a layer may use itself and those before it.
LAYERS = ("primitives", "allocator", "memory", "device")

# They may use every layer, and no layer may use them.
ABOVE = ("mmsb", "cli", "fuzz", "bench", "examples")

# Folders with packages that are neither. No layer may use them.
SUPPORT = ("build_defs", "docs", "third_party", "tools")

# Repositories that a layer may use, and those that may not be reached even
# through an allowed one.
EXTERNAL = {
    "primitives": (),
    "allocator": (),
    "memory": ("abseil-cpp",),
    "device": ("abseil-cpp", "highway"),
}
NEVER_REACHED = {
    "primitives": (),
    "allocator": (),
    "memory": ("highway", "googletest", "google_benchmark"),
    "device": ("googletest", "google_benchmark"),
}

# Tests, and what is testonly, may use these besides.
TEST_EXTERNAL = ("googletest",)

# Labels of the compiler's side, which select() and the rules bring in.
TOOLCHAIN = (
    "@bazel_tools//src/conditions:",
    "@bazel_tools//tools/cpp:",
    "@platforms//",
    "@rules_cc//:link_extra_lib",
    "@rules_cc//cc/compiler:",
    "@rules_cc//cc/private/toolchain:",
)

# The kill rule: the word part, and the home of what it names.
KILL_WORDS = {
    "page": "memory/page/ (what a page is, where it lies, which are free)",
    "delta": "memory/delta/ (what a change is), device/simd/ (how it is computed fast)",
    "epoch": "memory/epoch/ (versions, and reclaiming by version)",
    "device": "device/ (where work runs). A seed in a test is a fixed number, so no random source is asked",
    "simd": "device/simd/ (data-parallel kernels)",
}

# The only ways an allocator may say one of those words: the opaque type, its
# header and its label.
KILL_EXEMPT = (
    r"(?<!\w)PageId(?!\w)",
    r"(?<![\w./-])primitives/page_id\.h(?!\w)",
    r"(?<![\w/@])//primitives:page_id(?!\w)",
)

ALLOCATOR_STANDARD = frozenset(
    """algorithm array atomic bit charconv concepts cstddef cstdint cstring
    limits memory memory_resource new span type_traits utility""".split()
)

# ISO C++20 and what later standards add, and the C headers they carry over.
STANDARD = frozenset(
    """algorithm any array atomic barrier bit bitset charconv chrono compare
    complex concepts condition_variable coroutine deque exception execution
    expected filesystem flat_map flat_set format forward_list fstream
    functional future generator initializer_list iomanip ios iosfwd iostream
    istream iterator latch limits list locale map mdspan memory
    memory_resource mutex new numbers numeric optional ostream print queue
    random ranges ratio regex scoped_allocator semaphore set shared_mutex
    source_location span spanstream sstream stack stacktrace stdexcept
    stdfloat stop_token streambuf string string_view strstream syncstream
    system_error thread tuple type_traits typeindex typeinfo unordered_map
    unordered_set utility valarray variant vector version
    cassert cctype cerrno cfenv cfloat cinttypes climits clocale cmath csetjmp
    csignal cstdarg cstddef cstdint cstdio cstdlib cstring ctime cuchar cwchar
    cwctype
    assert.h complex.h ctype.h errno.h fenv.h float.h inttypes.h iso646.h
    limits.h locale.h math.h setjmp.h signal.h stdalign.h stdarg.h stdatomic.h
    stdbool.h stddef.h stdint.h stdio.h stdlib.h string.h tgmath.h time.h
    uchar.h wchar.h wctype.h""".split()
)

# Headers by their first folder.
HEADER_OWNERS = {
    "absl": "abseil-cpp",
    "hwy": "highway",
    "gtest": "googletest",
    "gmock": "googletest",
    "benchmark": "google_benchmark",
}

# Files of a layer (by regular expression) that may include system headers, and
# the only ones that may include the sanitizers' interface.
SYSTEM_HEADER_FILES = {
    "primitives": r"primitives/os_[a-z0-9_]+\.(h|cc)",
    "memory": r"memory/log/posix_file_system(_test)?\.cc",
}
SANITIZER_HEADER_FILES = r"primitives/poison(_test)?\.(h|cc)"

CPP_SUFFIXES = (".h", ".hh", ".hpp", ".hxx", ".inc", ".ipp", ".c", ".cc", ".cpp", ".cxx")
HEADER_SUFFIXES = (".h", ".hh", ".hpp", ".hxx", ".inc", ".ipp")


# Labels that a graph shows and that are no dependencies: who may see a file,
# and what a select() falls back to.
NO_DEPENDENCY = ("//build_defs/layers:above_", "//conditions:default")


def layer_of(path):
    """The layer that a path or a package belongs to, or None."""
    first = path.split("/", 1)[0]
    return first if first in LAYERS else None


def may_use(user, used):
    """Whether layer `user` may use layer `used`."""
    return LAYERS.index(used) <= LAYERS.index(user)


def is_test_file(path):
    parts = path.split("/")
    return parts[-1].endswith("_test.cc") or "testing" in parts[1:-1]
