"""Tests of coverage_table.py."""

import unittest

from tools.ci import coverage_table

LAYERS = ["primitives", "memory"]


def source(name, lines, branches):
    return {
        "filename": name,
        "summary": {
            "lines": {"covered": lines[0], "count": lines[1]},
            "branches": {"covered": branches[0], "count": branches[1]},
        },
    }


class CoverageTableTest(unittest.TestCase):

    def test_sums_by_folder_and_layer(self):
        export = {"data": [{"files": [
            source("primitives/check.h", (1, 2), (0, 0)),
            source("/out/execroot/mmsb/memory/log/a.cc", (3, 4), (1, 4)),
            source("memory/page/b.cc", (4, 4), (3, 4)),
        ]}]}
        rows = coverage_table.table(export, LAYERS).splitlines()
        self.assertEqual([row.split()[0] for row in rows[1:]],
                         ["primitives", "memory", "memory/log", "memory/page", "all"])
        self.assertEqual(rows[1].split()[1:], ["1/2", "50", "%", "0/0", "100", "%"])
        self.assertEqual(rows[2].split()[1:], ["7/8", "88", "%", "4/8", "50", "%"])
        self.assertEqual(rows[-1].split()[1:], ["8/10", "80", "%", "4/8", "50", "%"])

    def test_files_with_the_most_missed_first(self):
        export = {"data": [{"files": [
            source("primitives/check.h", (1, 2), (0, 0)),
            source("memory/log/whole.cc", (4, 4), (1, 4)),
            source("/out/execroot/mmsb/memory/log/a.cc", (3, 9), (1, 4)),
            source("cli/main.cc", (0, 9), (0, 0)),
        ]}]}
        rows = coverage_table.files(export, LAYERS).splitlines()
        self.assertEqual([row.split()[:2] for row in rows], [["memory/log/a.cc", "3/9"], ["primitives/check.h", "1/2"]])

    def test_leaves_out_what_is_in_no_layer(self):
        for name in ("cli/main.cc", "/out/external/x/memory/log/a.cc", "/usr/include/stdio.h"):
            self.assertIsNone(coverage_table.folder_of(name, LAYERS), name)


if __name__ == "__main__":
    unittest.main()
