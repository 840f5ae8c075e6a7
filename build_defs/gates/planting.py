"""A tree in a temporary folder, for tests that plant violations in it."""

import os
import tempfile
import unittest

from build_defs.gates.tree import Tree


class PlantingTest(unittest.TestCase):
    """Gives each test an empty tree of its own."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = folder.name

    def plant(self, path, content=""):
        """Writes a file, text or bytes, into the tree."""
        target = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(target), exist_ok=True)
        with open(target, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode())

    def tree(self, paths=None):
        return Tree(self.root, paths)

    def assert_refused(self, violations, *expected):
        """Exactly these violations, each given as (where, part of what it says)."""
        found = sorted((v.where, v.what) for v in violations)
        self.assertEqual([where for where, _ in found], sorted(where for where, _ in expected), found)
        for where, part in expected:
            self.assertTrue(any(w == where and part in what for w, what in found), f"{(where, part)} is not in {found}")
        for violation in violations:
            self.assertTrue(violation.belongs, f"{violation} does not say where the code belongs")
