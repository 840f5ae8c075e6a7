"""The checked-in corpora and dictionaries are what their generator writes, and small."""

import subprocess
import unittest

from fuzz import corpus

MAX_BYTES = 1 << 20
MAX_TOKEN_BYTES = 64  # libFuzzer's
CHECK_DICTIONARY = "build_defs/fuzz/check_dictionary"


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

    def test_dictionaries_are_as_generated_and_taken(self):
        for name, generate in corpus.DICTIONARIES.items():
            path = corpus.FOLDER / f"{name}.dict"
            self.assertEqual(path.read_text(), corpus.dictionary(name), "run fuzz/corpus.py")
            subprocess.run([CHECK_DICTIONARY, path], check=True)
            tokens = list(generate().values())
            self.assertEqual(len(set(tokens)), len(tokens), name)
            self.assertLessEqual(max(map(len, tokens)), MAX_TOKEN_BYTES, name)

    def test_numbers_that_the_reader_knows(self):
        self.assertEqual(corpus.encode("kSize", 191), b"\xbf")
        self.assertEqual(corpus.encode("kSize", (1 << 64) - 1), b"\xc0\xfe")
        self.assertEqual(corpus.encode("kSize", 4095), b"\xcc\xff")
        self.assertEqual(corpus.encode("kAlignment", 64), b"\x06")
        self.assertEqual(corpus.encode("kAlignment", 3), b"\xc1")


if __name__ == "__main__":
    unittest.main()
