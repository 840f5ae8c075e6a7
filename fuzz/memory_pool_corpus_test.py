"""The checked-in corpus is what its generator writes."""

import pathlib
import unittest

from fuzz import memory_pool_corpus

FOLDER = pathlib.Path("fuzz/memory_pool_corpus")


class MemoryPoolCorpusTest(unittest.TestCase):
    def test_files_are_as_generated(self):
        files = {p.name: p.read_bytes() for p in FOLDER.iterdir() if not p.name.startswith("found-")}
        self.assertEqual(files, memory_pool_corpus.corpus(), "run fuzz/memory_pool_corpus.py")

    def test_scenarios_differ(self):
        contents = list(memory_pool_corpus.corpus().values())
        self.assertGreaterEqual(len(contents), 20)
        self.assertEqual(len(set(contents)), len(contents))


if __name__ == "__main__":
    unittest.main()
