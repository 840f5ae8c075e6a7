"""A commit's peak memory keeps within what `mmsb commit --help` states."""

import random
import resource
import unittest

import harness

PAGE_BYTES = 4096
FIXED_BYTES = 8 << 20
BYTES_A_PAGE = 64


class MemoryTest(harness.StoreTest):
    def test_peak_of_commits(self):
        path = self.path("state")
        # A sanitizer's own memory is more than all else, and counts as the program's.
        size = (64 if harness.SANITIZER else 512) << 20
        pages = size // PAGE_BYTES
        bound = FIXED_BYTES + BYTES_A_PAGE * pages

        def limit():
            # What a program writes to, whether it is there or not: its own data, its heap
            # and its stack. More is refused, and then the command does not succeed.
            resource.setrlimit(resource.RLIMIT_DATA, (bound, bound))

        options = {} if harness.SANITIZER else {"preexec_fn": limit}

        # Every page is stored: whole by the first commit, as a delta by the second.
        block = random.Random(19).randbytes(1 << 20)
        with open(path, "wb") as file:
            for _ in range(size >> 20):
                file.write(block)
        self.succeed("commit", self.store, path, **options)
        with open(path, "r+b") as file:
            for page in range(pages):
                file.seek(page * PAGE_BYTES + 100)
                file.write(b"\0\1\2\3")
        self.succeed("commit", self.store, path, **options)
        self.assertGreater(self.log()[0]["changed_pages"], pages * 9 // 10)
        self.succeed("checkout", self.store, "1", self.path("out"), **options)

        stated = " ".join(self.succeed("commit", "--help").split())
        self.assertIn("at most 8 MiB are used, and 64 bytes for each page", stated)


if __name__ == "__main__":
    unittest.main()
