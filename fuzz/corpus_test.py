"""The checked-in corpora are what their generator writes, and small."""

import unittest

from fuzz import corpus

MAX_BYTES = 1 << 20


class CorpusTest(unittest.TestCase):
    def test_files_are_as_generated(self):
        for name, generate in corpus.CORPORA.items():
            folder = corpus.FOLDER / f"{name}_corpus"
            files = {p.name: p.read_bytes() for p in folder.iterdir() if not corpus.KEPT.fullmatch(p.name)}
            self.assertEqual(files, generate(), "run fuzz/corpus.py")

    def test_inputs_differ(self):
        for name, generate in corpus.CORPORA.items():
            contents = list(generate().values())
            self.assertGreaterEqual(len(contents), 8, name)
            self.assertEqual(len(set(contents)), len(contents), name)

    def test_corpora_are_small(self):
        for name in corpus.CORPORA:
            folder = corpus.FOLDER / f"{name}_corpus"
            self.assertLessEqual(sum(p.stat().st_size for p in folder.iterdir()), MAX_BYTES, name)

    def test_numbers_that_the_reader_knows(self):
        self.assertEqual(corpus.encode("kSize", 191), b"\xbf")
        self.assertEqual(corpus.encode("kSize", (1 << 64) - 1), b"\xc0\xfe")
        self.assertEqual(corpus.encode("kSize", 4095), b"\xcc\xff")
        self.assertEqual(corpus.encode("kAlignment", 64), b"\x06")
        self.assertEqual(corpus.encode("kAlignment", 3), b"\xc1")


if __name__ == "__main__":
    unittest.main()
