"""Every planted bug still fits the code that it is about, and every target has some."""

import collections
import pathlib
import re
import unittest

FOLDER = pathlib.Path("fuzz/mutants")
LEAST_A_TARGET = 2


def hunks(diff):
    """(path, text before, text after) of each hunk."""
    path = None
    for part in re.split(r"^(?=--- |@@ )", diff, flags=re.M):
        if part.startswith("--- "):
            path = re.search(r"^\+\+\+ b/(\S+)", part, re.M).group(1)
        elif part.startswith("@@ "):
            lines = part.splitlines(keepends=True)[1:]
            yield path, "".join(l[1:] for l in lines if l[0] in " -"), "".join(l[1:] for l in lines if l[0] in " +")


class MutantsTest(unittest.TestCase):
    def setUp(self):
        self.patches = {p.stem: p.read_text() for p in FOLDER.glob("*.patch")}

    def test_patches_apply(self):
        for name, text in self.patches.items():
            with self.subTest(name):
                changes = list(hunks(text))
                self.assertTrue(changes)
                for path, before, after in changes:
                    self.assertNotEqual(before, after)
                    self.assertEqual(pathlib.Path(path).read_text().count(before), 1, f"{path}: write it anew")

    def test_heads_name_the_target(self):
        targets = collections.Counter()
        for name, text in self.patches.items():
            with self.subTest(name):
                why, blank, target = text.splitlines()[:3]
                self.assertTrue(why.endswith("."))
                self.assertEqual(blank, "")
                target = re.fullmatch(r"Target: (\w+)", target).group(1)
                self.assertTrue(name.startswith(f"{target}-"))
                self.assertTrue(pathlib.Path(f"fuzz/{target}_fuzz.cc").exists())
                targets[target] += 1
        self.assertGreaterEqual(len(self.patches), 30)
        self.assertEqual([t for t, n in targets.items() if n < LEAST_A_TARGET], [])


if __name__ == "__main__":
    unittest.main()
