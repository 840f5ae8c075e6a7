"""Damage is told, with the epochs that it touches; wrong bytes are never handed out."""

import concurrent.futures
import os
import random
import shutil
import unittest

import harness

# The store's files that hold something.
FILES = ("MMSB", "log", "tip")


class DamageTest(harness.StoreTest):
    """Each test damages copies of one store of a database's 62 versions."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        maker = harness.StoreTest()
        maker.setUp()
        cls.addClassCleanup(maker.doCleanups)
        cls.versions = list(harness.database_versions(maker.path("db"), transactions=60, seed=7))
        for contents in cls.versions:
            maker.commit(contents)
        cls.original = maker.store

    def damaged_copy(self, number):
        store = self.path("damaged-%d" % number)
        shutil.copytree(self.original, store)
        return store

    def assert_told_or_harmless(self, store, what, epochs):
        """Checks a damaged store; looks at the `epochs` of it, and at all that are called damaged."""
        result = harness.run("verify", store)
        self.assertIn(result.code, (0, 1), what)
        damaged = harness.damaged_epochs(result.out)
        if result.code == 0:
            self.assertEqual((damaged, result.err), (set(), ""), what)
        else:
            # Something must be said: the epochs, or that it is harmless to them all, or
            # that there is nothing to be had at all.
            self.assertTrue(result.out or result.err, what)
        unreadable = result.code == 1 and not result.out
        for epoch in sorted(epochs | damaged):
            contents = self.checked_out(epoch, store)
            if contents is not None:
                self.assertTrue(
                    epoch <= len(self.versions) and contents == self.versions[epoch - 1],
                    "%s: epoch %d has wrong bytes" % (what, epoch),
                )
            else:
                self.assertTrue(
                    unreadable or epoch in damaged, "%s: epoch %d was lost unseen" % (what, epoch)
                )
        return result, damaged

    def assert_commit_is_right(self, store, what):
        """A commit onto a damaged store is refused, or right."""
        path = store + ".new"
        contents = self.versions[-1] + b"more"
        harness.write(path, contents)
        result = harness.run("commit", store, path)
        if result.code != 0:
            self.assertRegex(result.err, r"\Ammsb commit: [^\n]+\n\Z", what)
            return
        self.assert_epoch(harness.epoch_of(result.out), contents, store)
        for epoch in (1, len(self.versions)):
            got = self.checked_out(epoch, store)
            self.assertTrue(got is None or got == self.versions[epoch - 1], what)

    def places(self):
        """200 seeded (file, offset): most uniformly over all bytes, some in each small file."""
        rng = random.Random(8)
        sizes = {name: os.path.getsize(os.path.join(self.original, name)) for name in FILES}
        self.assertEqual(
            set(os.listdir(self.original)) - set(FILES), {"lock"}, "files that are not flipped"
        )
        self.assertEqual(os.path.getsize(os.path.join(self.original, "lock")), 0)
        found = []
        for name, count in (("MMSB", 16), ("tip", 16)):
            found += [(name, rng.randrange(sizes[name])) for _ in range(count)]
        found += [("log", rng.randrange(64)) for _ in range(8)]
        for _ in range(160):
            offset = rng.randrange(sum(sizes.values()))
            for name in FILES:
                if offset < sizes[name]:
                    found.append((name, offset))
                    break
                offset -= sizes[name]
        rng.shuffle(found)
        return found

    def test_one_flipped_byte(self):
        rng = random.Random(9)
        plans = []
        for number, (name, offset) in enumerate(self.places()):
            epochs = {1, len(self.versions)} | {
                rng.randrange(1, len(self.versions) + 1) for _ in range(4)
            }
            if number % 20 == 0:
                epochs = set(range(1, len(self.versions) + 1))
            plans.append((number, name, offset, 1 << rng.randrange(8), epochs))

        def flip_and_check(plan):
            number, name, offset, mask, epochs = plan
            what = "%s, byte %d, bits %#x" % (name, offset, mask)
            store = self.damaged_copy(number)
            harness.flip(os.path.join(store, name), offset, mask)
            result, damaged = self.assert_told_or_harmless(store, what, epochs)
            self.assert_commit_is_right(store, what)
            shutil.rmtree(store)
            return name, bool(damaged), result.code

        with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
            done = list(pool.map(flip_and_check, plans[: harness.rounds(len(plans))]))
        # Nearly all of the log is pages that some epoch needs.
        in_log = [touched for name, touched, _ in done if name == "log"]
        self.assertGreater(sum(in_log), len(in_log) // 2)
        # One damaged slot of the tip is a note, as the other one serves.
        self.assertTrue(all(code == 1 for name, _, code in done if name in ("MMSB", "log")))
        self.assertTrue(all(code == 1 for _, touched, code in done if touched))

    def test_a_log_that_was_cut(self):
        rng = random.Random(10)
        size = os.path.getsize(os.path.join(self.original, "log"))
        lengths = [0, 1, 63, 64, 65, size - 1]
        lengths += [rng.randrange(size) for _ in range(harness.rounds(14))]
        for number, length in enumerate(lengths):
            what = "log of %d bytes" % length
            store = self.damaged_copy(number)
            os.truncate(os.path.join(store, "log"), length)
            result, damaged = self.assert_told_or_harmless(store, what, {1, 30, 61, 62})
            # The newest epoch's commit record was at the end.
            self.assertEqual(result.code, 1, what)
            self.assertIn(len(self.versions), damaged, what)
            self.assertIsNone(self.checked_out(len(self.versions), store), what)
            self.assert_commit_is_right(store, what)

    def test_a_file_that_is_missing(self):
        for number, name in enumerate(("MMSB", "log", "tip")):
            store = self.damaged_copy(number)
            os.remove(os.path.join(store, name))
            result, _ = self.assert_told_or_harmless(store, name, {1, 30, 62})
            self.assertEqual(result.code, 1, name)
            for epoch in (1, 30, 62) if name != "log" else ():
                self.assertEqual(
                    self.checked_out(epoch, store), self.versions[epoch - 1], "without " + name
                )
            self.assert_commit_is_right(store, name)

    def test_two_stretches_of_garbage(self):
        rng = random.Random(11)
        size = os.path.getsize(os.path.join(self.original, "log"))
        for number in range(harness.rounds(8)):
            store = self.damaged_copy(number)
            with open(os.path.join(store, "log"), "r+b") as log:
                for _ in range(2):
                    log.seek(rng.randrange(size))
                    log.write(rng.randbytes(rng.randrange(1, 20_000)))
                log.truncate(size)
            result, _ = self.assert_told_or_harmless(store, "garbage %d" % number, {1, 30, 62})
            self.assertEqual(result.code, 1)
            self.assert_commit_is_right(store, "garbage %d" % number)

    def test_bytes_after_the_end_are_an_unfinished_commit(self):
        store = self.damaged_copy(0)
        with open(os.path.join(store, "log"), "ab") as log:
            log.write(random.Random(12).randbytes(5000))
        out = self.succeed("verify", store)
        self.assertIn("note: ", out)
        for epoch in (1, 62):
            self.assert_epoch(epoch, self.versions[epoch - 1], store)
        self.assertEqual(self.commit(b"next", store), 63)
        self.assertNotIn("note: ", self.succeed("verify", store))


if __name__ == "__main__":
    unittest.main()
