"""Tests of coverage_table.py."""

import unittest

from tools.ci import coverage_table

LAYERS = ["primitives", "memory"]


def record(name, lines, branches=()):
    """`lines` is of (line, count), `branches` of (line, number, count)."""
    return (
        [f"SF:{name}"]
        + [f"BRDA:{line},0,{number},{count}" for line, number, count in branches]
        + [f"DA:{line},{count}" for line, count in lines]
        + ["LF:9", "end_of_record"]
    )


class CoverageTableTest(unittest.TestCase):

    def read(self, *records):
        return coverage_table.read([line for each in records for line in each], LAYERS)

    def test_sums_by_folder_and_layer(self):
        sources = self.read(
            record("primitives/check.h", [(1, 5), (2, 0)]),
            record("/out/execroot/mmsb/memory/log/a.cc", [(1, 1), (2, 1), (3, 1), (4, 0)], [(1, 0, 2), (1, 1, 0)]),
            record("memory/page/b.cc", [(n, 1) for n in range(4)], [(1, 0, 1), (1, 1, 1)]),
        )
        rows = coverage_table.table(sources, LAYERS).splitlines()
        self.assertEqual([row.split()[0] for row in rows[1:]],
                         ["primitives", "memory", "memory/log", "memory/page", "above", "all"])
        self.assertEqual(rows[1].split()[1:], ["1/2", "50", "%", "0/0", "100", "%"])
        self.assertEqual(rows[2].split()[1:], ["7/8", "88", "%", "3/4", "75", "%"])
        self.assertEqual(rows[5].split()[2:], rows[2].split()[1:])
        self.assertEqual(rows[-1].split()[1:], ["8/10", "80", "%", "3/4", "75", "%"])

    def test_what_one_program_reaches_is_reached(self):
        sources = self.read(
            record("memory/a.h", [(1, 0), (2, 7), (3, 0)], [(1, 0, "-"), (1, 1, "-")]),
            record("memory/a.h", [(1, 3), (2, 0)], [(1, 0, 3), (1, 1, 0)]),
        )
        self.assertEqual(coverage_table.counts_of(sources["memory/a.h"]), {"lines": (2, 3), "branches": (1, 2)})
        self.assertEqual(coverage_table.missed("memory/a.h", sources["memory/a.h"]),
                         "memory/a.h:1: branch not taken\nmemory/a.h:3: line not reached")

    def test_files_with_the_most_missed_first(self):
        sources = self.read(
            record("primitives/check.h", [(1, 5), (2, 0)]),
            record("memory/log/whole.cc", [(1, 1)], [(1, 0, 0)]),
            record("memory/log/a.cc", [(1, 0), (2, 0), (3, 1)]),
            record("cli/main.cc", [(1, 0)]),
        )
        rows = coverage_table.files(sources).splitlines()
        self.assertEqual([row.split()[:2] for row in rows], [["memory/log/a.cc", "1/3"], ["primitives/check.h", "1/2"]])

    def test_leaves_out_what_is_in_no_layer(self):
        for name in ("cli/main.cc", "/out/external/x/memory/log/a.cc", "/usr/include/stdio.h"):
            self.assertIsNone(coverage_table.path_of(name, LAYERS), name)


if __name__ == "__main__":
    unittest.main()
