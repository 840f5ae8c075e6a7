"""Every version of real and of awkward files comes back bit for bit."""

import os
import select
import random
import shutil
import signal
import sys
import time
import unittest

import harness


class DatabaseTest(harness.StoreTest):
    def test_every_version_of_a_database(self):
        versions = list(harness.database_versions(self.path("db"), transactions=60, seed=1))
        self.assertEqual(len(versions), 62)
        self.assertTrue(any(len(b) < len(a) for a, b in zip(versions, versions[1:])))
        for number, contents in enumerate(versions, start=1):
            self.assertEqual(self.commit(contents), number)
        for number, contents in enumerate(versions, start=1):
            self.assert_epoch(number, contents)
        self.assert_sound()
        log = self.log()
        self.assertEqual([e["epoch"] for e in log], list(range(62, 0, -1)))
        self.assertEqual([e["bytes"] for e in log], [len(v) for v in reversed(versions)])
        # What is kept is what changed, and not 62 databases.
        self.assertLess(sum(e["stored_bytes"] for e in log), sum(map(len, versions)) / 4)


class FilesTest(harness.StoreTest):
    def assert_versions(self, versions):
        for contents in versions:
            self.commit(contents)
        for number, contents in enumerate(versions, start=1):
            self.assert_epoch(number, contents)
        self.assert_sound()

    def test_two_unrelated_executables(self):
        self.assert_versions(
            [
                harness.read(os.path.realpath(sys.executable)),
                harness.read(os.path.realpath(shutil.which("sh"))),
                harness.read(os.path.realpath(sys.executable)),
            ]
        )

    def test_sizes_around_nothing_and_around_pages(self):
        rng = random.Random(2)
        sizes = [0, 1, 0, 4095, 4096, 4097, 1, 8192, 8191, 262143, 262144, 262145, 4096, 0, 12289]
        self.assert_versions([rng.randbytes(size) for size in sizes])

    def test_what_was_cut_off_does_not_come_back(self):
        full = b"\xff" * 20000
        self.assert_versions(
            [
                full,
                full[:5000],
                full[:5000] + bytes(15000),
                full,
                full[:1],
                bytes(20000),
                b"",
                bytes(5000),
            ]
        )

    def test_appended_and_moved_bytes(self):
        rng = random.Random(3)
        base = rng.randbytes(100_000)
        self.assert_versions(
            [base, base + rng.randbytes(50_000), rng.randbytes(7) + base, base[4096:], base]
        )

    def test_many_small_changes_to_one_page(self):
        rng = random.Random(4)
        state = bytearray(rng.randbytes(3 * 4096))
        versions = [bytes(state)]
        for _ in range(40):
            state[4096 + rng.randrange(4096)] ^= rng.randrange(1, 256)
            versions.append(bytes(state))
        self.assert_versions(versions)

    def test_a_sparse_file(self):
        path = self.path("sparse")
        out = self.path("out")
        with open(path, "wb") as file:
            file.truncate(64 << 20)
            file.seek(40_000_000)
            file.write(b"data")
        self.succeed("commit", self.store, path)
        self.succeed("checkout", self.store, "1", out)
        self.assertEqual(os.path.getsize(out), 64 << 20)
        self.assertTrue(harness.read(out) == harness.read(path))
        self.assertLess(os.stat(out).st_blocks * 512, 8 << 20)
        self.assertLess(self.log()[0]["stored_bytes"], 8192)

    def test_an_unchanged_file_is_an_epoch_that_takes_nearly_nothing(self):
        contents = random.Random(5).randbytes(1 << 20)
        self.assert_versions([contents, contents])
        self.assertEqual(self.log()[0]["changed_bytes"], 0)
        self.assertLess(self.log()[0]["stored_bytes"], 1024)


class OutputTest(harness.StoreTest):
    def test_commit_log_and_diff_tell_what_changed(self):
        before = bytearray(random.Random(6).randbytes(10 * 4096))
        after = bytearray(before)
        for at in (4096, 4097, 4098, 9 * 4096):
            after[at] ^= 1
        harness.write(self.path("state"), before)
        self.succeed("commit", self.store, self.path("state"), "-m", "first\nof two\x1b[31m")
        harness.write(self.path("state"), after)
        out = self.succeed("commit", self.store, self.path("state"))
        self.assertRegex(out, r"\Aepoch 2\n")
        self.assertIn("  changed  4 bytes in 2 of 10 pages\n", out)
        self.assertRegex(out, r"\n  time     [0-9.]+ s, [0-9.]+ [KMG]?i?B/s\n\Z")

        text = self.succeed("log", self.store).splitlines()
        self.assertEqual(len(text), 3)
        self.assertRegex(text[1], r"\A2 .*40\.0 KiB \(40960 bytes\) +4 bytes +2 ")
        self.assertRegex(text[2], r"\A1 .*first\\nof two\\x1b\[31m\Z")
        newest, oldest = self.log()
        self.assertEqual((newest["changed_bytes"], newest["changed_pages"]), (4, 2))
        self.assertEqual((newest["message"], oldest["message"]), ("", "first\nof two\x1b[31m"))

        result = harness.run("diff", self.store, "1", "2")
        self.assertEqual(
            (result.code, result.err, result.out),
            (1, "", "page 1: 3 bytes\npage 9: 1 byte\ntotal: 4 bytes in 2 pages\n"),
        )
        self.assertEqual(self.succeed("diff", self.store, "2", "2"), "")
        harness.write(self.path("state"), before)
        self.succeed("commit", self.store, self.path("state"))
        self.assertEqual(self.succeed("diff", self.store, "1", "3"), "")
        harness.write(self.path("state"), before + bytes(1))
        self.succeed("commit", self.store, self.path("state"))
        result = harness.run("diff", self.store, "3", "4")
        self.assertEqual(result.code, 1)
        self.assertIn("epoch 4: 40.0 KiB (40961 bytes)\n", result.out)

    def test_a_message_that_is_not_utf8(self):
        harness.write(self.path("state"), b"x")
        self.succeed("commit", self.store, self.path("state"), "-m", os.fsdecode(b'\xff"\\'))
        self.assertEqual(self.log()[0]["message"], '\ufffd"\\')

    def test_progress_for_a_person_who_watches(self):
        path = self.path("large")
        with open(path, "wb") as file:
            file.truncate(512 << 20)
        time.sleep(0.1)  # an old file is read at once
        controller, terminal = os.openpty()
        self.addCleanup(os.close, controller)
        # Kept open: what is on its way when the last one closes it may be lost.
        self.addCleanup(os.close, terminal)
        process = self.stopped_while_reading(path, stderr=terminal)
        time.sleep(0.6)
        process.send_signal(signal.SIGCONT)
        self.assertEqual(self.finish(process).code, 0)
        shown = ""
        while select.select([controller], [], [], 1)[0]:
            shown += os.read(controller, 1 << 16).decode()
        self.assertRegex(shown, r"\A\rcommitting \[[#.]{24}\] +\d+%  [^\n]* of 512\.0 MiB, ")
        # At the end the line is empty again.
        self.assertRegex(shown, r"\r +\r\Z")

    def test_stat_adds_up(self):
        self.commit(bytes(3 * 4096) + b"\x01" * 4096)
        out = self.succeed("stat", self.store)
        self.assertIn("pages           4: 1 whole, 0 as deltas, 3 zero\n", out)
        counters = dict(line.split() for line in out.splitlines() if line.startswith("  "))
        self.assertEqual(
            sum(int(counters[name]) for name in ("live", "cached", "free", "metadata")),
            int(counters["committed"]),
        )
        self.assertGreater(int(counters["live"]), 0)

    def test_paths_are_taken_from_where_bazel_run_was_called(self):
        harness.write(self.path("state"), b"x")
        environment = dict(os.environ, BUILD_WORKING_DIRECTORY=self.folder)
        self.succeed("commit", "store", "state", env=environment, cwd="/")
        self.assert_epoch(1, b"x")


if __name__ == "__main__":
    unittest.main()
