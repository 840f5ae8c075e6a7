"""The include rule against planted headers, and against what only looks like one."""

import unittest

from build_defs.gates import includes
from build_defs.gates.planting import PlantingTest


class IncludesTest(PlantingTest):
    def check(self, path, text):
        self.plant(path, text)
        return includes.check(self.tree([path]))

    def assert_passes(self, path, *lines):
        self.assert_refused(self.check(path, "\n".join(lines) + "\n"))

    def assert_line_refused(self, path, line, part=""):
        self.assert_refused(self.check(path, f"// first\n{line}\n"), (f"{path}:2", part))

    def test_clean_files_pass(self):
        self.assert_passes("primitives/id.h", "#include <compare>", "#include <stdio.h>", '#include "primitives/bytes.h"')
        self.assert_passes("primitives/os_memory.cc", "#include <sys/mman.h>", "#include <unistd.h>", "#include <linux/mempolicy.h>")
        self.assert_passes("primitives/poison.h", "#include <sanitizer/asan_interface.h>")
        self.assert_passes("allocator/arena.h", "#include <memory>", "#include <memory_resource>", '#include "allocator/raw_allocator.h"', '#include "primitives/page_id.h"')
        self.assert_passes("memory/page/page.h", "#include <vector>", '#include "absl/status/status.h"', '#include "allocator/arena.h"')
        self.assert_passes("memory/log/posix_file_system.cc", "#include <fcntl.h>", "#include <sys/stat.h>")
        self.assert_passes("device/simd/simd_mask.cc", '#include "hwy/highway.h"', '#include "memory/page/page.h"', "#include <span>")

    def test_tests_may_add_googletest_and_any_standard_header(self):
        for path in ("allocator/arena_test.cc", "allocator/testing/conformance.h", "primitives/id_test.cc"):
            self.assert_passes(path, "#include <thread>", "#include <random>", "#include <gtest/gtest.h>", '#include "gmock/gmock.h"')

    def test_tests_may_add_nothing_else(self):
        for line in ("#include <sys/mman.h>", '#include "absl/status/status.h"', '#include "hwy/highway.h"', '#include "memory/page/page.h"',
                     '#include "mmsb/arena.h"', "#include <immintrin.h>"):
            for path in ("allocator/arena_test.cc", "allocator/testing/conformance.h"):
                with self.subTest(path=path, line=line):
                    self.assert_line_refused(path, line)

    def test_a_name_with_test_in_it_is_no_test(self):
        for path in ("allocator/test_arena.h", "allocator/arena_test_util.cc", "allocator/arena_test.h", "allocator/testing.h"):
            with self.subTest(path):
                self.assert_line_refused(path, "#include <thread>", "not among the standard headers")

    def test_every_layer_above_is_refused(self):
        for path, line in (
            ("primitives/id.h", '#include "allocator/arena.h"'),
            ("allocator/arena.h", '#include "memory/page/page.h"'),
            ("allocator/arena.h", "#include <memory/page/page.h>"),
            ("memory/page/page.h", '#include "device/simd/simd_mask.h"'),
        ):
            with self.subTest(path):
                self.assert_line_refused(path, line, "which lies above")

    def test_the_face_and_the_tools_are_refused(self):
        for folder in ("mmsb", "cli", "fuzz", "bench", "examples", "tools", "third_party"):
            with self.subTest(folder):
                self.assert_line_refused("device/device.h", f'#include "{folder}/x.h"', "no layer may use")

    def test_headers_outside_the_allow_list(self):
        for header in ("vector", "string", "thread", "mutex", "random", "iostream", "cstdio", "stdint.h", "chrono", "format"):
            with self.subTest(header):
                self.assert_line_refused("allocator/arena.h", f"#include <{header}>", "not among the standard headers")
        self.assert_line_refused("primitives/id.h", '#include "absl/hash/hash.h"', "abseil-cpp")
        self.assert_line_refused("allocator/arena.h", '#include "absl/base/config.h"', "abseil-cpp")
        self.assert_line_refused("memory/page/page.cc", '#include "hwy/highway.h"', "highway")
        self.assert_line_refused("memory/page/page.cc", "#include <gtest/gtest.h>", "googletest")
        self.assert_line_refused("device/device.cc", "#include <benchmark/benchmark.h>", "google_benchmark")

    def test_system_headers_only_in_their_files(self):
        for path in ("primitives/check.cc", "primitives/os.h", "primitives/deep/os_memory.cc", "allocator/os_memory.cc", "memory/log/file_system.cc",
                     "memory/page/posix_file_system.cc", "device/device.cc"):
            for line in ("#include <sys/mman.h>", "#include <unistd.h>", "#include <pthread.h>"):
                with self.subTest(path=path, line=line):
                    self.assert_line_refused(path, line, "system header")
        self.assert_line_refused("allocator/arena.h", "#include <sanitizer/asan_interface.h>", "sanitizers")

    def test_vector_code_is_refused(self):
        for path in ("allocator/arena.h", "memory/page/page.cc", "device/device.cc", "primitives/bytes.h"):
            for line in ("#include <immintrin.h>", "#include <x86intrin.h>", "#include <arm_neon.h>"):
                self.assert_line_refused(path, line, "vector code")
            self.assert_line_refused(path, "__m128i x = _mm_setzero_si128();", "vector code")
            self.assert_line_refused(path, "typedef int v4 __attribute__((vector_size(16)));", "vector_size")
        self.assert_line_refused("allocator/arena.h", 'asm volatile("syscall");', "asm")

    def test_every_spelling_of_an_include_is_read(self):
        for line in ("#include<vector>", "  #  include   <vector>", "#\tinclude\t<vector>", "/* x */ #include <vector>", "#/**/include/**/<vector>",
                     "%:include <vector>", "#include <vector> // why", "#include <vector> /* why */"):
            with self.subTest(line):
                self.assert_line_refused("allocator/a.h", line, "<vector>")

    def test_a_continued_include_is_reported_where_it_begins(self):
        self.assert_refused(self.check("allocator/a.h", "int x;\n#inc\\\nlude \\\r\n <vector>\nint y;\n"), ("allocator/a.h:2", "<vector>"))
        self.assert_refused(self.check("allocator/a.h", "/* two\nlines */ #include <vector>\n"), ("allocator/a.h:2", "<vector>"))

    def test_an_include_that_does_not_name_its_header_is_refused(self):
        for line in ("#define H <vector>\n#include H", "int x;\n#include MMSB_HEADER(x)", "int x;\n#include_next <span>", "int x;\n#import <span>", "int x;\n#embed <data>"):
            with self.subTest(line):
                self.assert_refused(self.check("allocator/a.h", line + "\n"), ("allocator/a.h:2", "does not name"))
        for line in ("import <vector>;", 'export import "x.h";', "import std;"):
            with self.subTest(line):
                self.assert_line_refused("memory/page/page.h", line, "module")

    def test_odd_paths_are_refused(self):
        for line in ('#include "arena.h"', '#include "allocator/../memory/page/page.h"', '#include "./arena.h"', '#include "/etc/passwd"',
                     r'#include "allocator\arena.h"', '#include "unknown/thing.h"', '#include "span"'):
            with self.subTest(line):
                self.assert_line_refused("allocator/a.h", line)

    def test_an_include_in_a_comment_or_a_string_is_none(self):
        self.assert_passes(
            "allocator/a.h",
            "// #include <vector>",
            "/*",
            "#include <vector>",
            "*/",
            '// ends in a backslash \\',
            "#include <vector>",
            'const char* a = "\\',
            '#include <vector>";',
            'const char* b = R"x(',
            "#include <vector>",
            ')" )x";',
            'const char* c = u8R"(',
            "#include <vector>",
            ')";',
            "int n = 1'000'000; char q = '\"'; char r = '\\'';",
            "#include <span>",
            "#if __has_include(<vector>)",
            "#endif",
        )

    def test_code_after_a_literal_is_still_read(self):
        for before in ("char q = '\"';", "int n = 1'000;", 'auto s = "\\"";', 'auto r = R"(")";', "auto h = 0xA'B;", "bool FOOR = true;"):
            with self.subTest(before):
                self.assert_refused(self.check("allocator/a.h", f"{before}\n#include <vector>\n"), ("allocator/a.h:2", "<vector>"))

    def test_files_without_a_newline_at_the_end_and_empty_ones(self):
        self.assert_refused(self.check("allocator/a.h", "#include <vector>"), ("allocator/a.h:1", "<vector>"))
        self.assert_passes("allocator/b.h", "")

    def test_every_suffix_of_cpp_is_read(self):
        for suffix in (".h", ".cc", ".inc", ".cpp", ".hpp", ".c", ".cxx"):
            self.plant(f"allocator/a{suffix}", "#include <vector>\n")
        self.assertEqual(len(includes.check(self.tree())), 7)


if __name__ == "__main__":
    unittest.main()
