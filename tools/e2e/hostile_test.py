"""What the world does to a command: one clear line, an exit code, and a store that is sound."""

import fcntl
import os
import random
import resource
import signal
import subprocess
import time
import unittest

import harness


class StrangersTest(harness.StoreTest):
    """Store paths that are no stores are refused by every command, and left alone."""

    def commands(self, store):
        state = self.path("state")
        harness.write(state, b"x" * 5000)
        return [
            ("commit", store, state),
            ("log", store),
            ("checkout", store, "1", self.out_path()),
            ("diff", store, "1", "2"),
            ("verify", store),
            ("stat", store),
        ]

    def assert_refused(self, store, message):
        before = harness.tree(self.folder)
        for command in self.commands(store):
            self.fail_with(2 if command[0] == "diff" else 1, message, *command)
        after = harness.tree(self.folder)
        before[self.path("state")] = after[self.path("state")]
        self.assertEqual(before, after)

    def test_a_strangers_folder(self):
        os.mkdir(self.store)
        harness.write(os.path.join(self.store, "letter.txt"), b"dear")
        self.assert_refused(self.store, "is not an mmsb store")

    def test_a_strangers_folder_with_files_of_our_names(self):
        os.mkdir(self.store)
        for name in ("MMSB", "log", "tip", "lock"):
            harness.write(os.path.join(self.store, name), b"not of a store" * 10)
        self.assert_refused(self.store, "does not begin as")

    def test_a_strangers_file(self):
        harness.write(self.store, b"dear")
        self.assert_refused(self.store, "is not an mmsb store")

    def test_a_device(self):
        self.assert_refused("/dev/null", "is not an mmsb store")

    def test_another_versions_format(self):
        self.commit(b"state")
        path = os.path.join(self.store, "MMSB")
        header = bytearray(harness.read(path))
        self.assertEqual(int.from_bytes(header[8:12], "little"), 5)
        self.assertEqual(int.from_bytes(header[60:], "little"), harness.crc32c(header[:60]))
        for version in (1, 4, 6):
            header[8:12] = version.to_bytes(4, "little")
            header[60:] = harness.crc32c(header[:60]).to_bytes(4, "little")
            harness.write(path, header)
            self.assert_refused(self.store, "format version %d" % version)

    def test_a_store_that_is_not_there(self):
        for command in self.commands(self.path("none"))[1:]:
            self.fail_with(2 if command[0] == "diff" else 1, "does not exist", *command)
        self.assertFalse(os.path.exists(self.path("none")))

    def test_a_store_in_a_folder_that_is_not_there(self):
        harness.write(self.path("state"), b"x")
        self.fail_with(
            1, "No such file", "commit", self.path("none/store"), self.path("state")
        )

    def test_an_empty_folder_becomes_a_store(self):
        os.mkdir(self.store)
        self.fail_with(1, "holds no mmsb store", "log", self.store)
        self.assertEqual(self.commit(b"x"), 1)

    def test_a_name_with_a_newline_is_still_one_line(self):
        self.fail_with(1, r"'a\\nb\\x1b'", "log", "a\nb\x1b")


class StateFileTest(harness.StoreTest):
    """Files that cannot be committed; nothing is."""

    def setUp(self):
        super().setUp()
        self.commit(b"first")

    def assert_nothing_committed(self):
        self.assertEqual(len(self.log()), 1)
        self.assert_epoch(1, b"first")
        self.assert_sound()

    def test_what_is_no_regular_file(self):
        os.mkdir(self.path("folder"))
        os.mkfifo(self.path("pipe"))
        for path, message in (
            (self.path("folder"), "is a directory"),
            (self.path("pipe"), "is not a regular file"),
            ("/dev/zero", "is not a regular file"),
            (self.path("none"), "No such file"),
            (self.path("state/x"), "Not a directory"),
        ):
            self.fail_with(1, message, "commit", self.store, path)
            self.fail_with(1, message, "commit", self.path("new"), path)
            self.assertFalse(os.path.exists(self.path("new")))
        self.assert_nothing_committed()

    def test_a_file_that_may_not_be_read(self):
        harness.write(self.path("secret"), b"x")
        os.chmod(self.path("secret"), 0)
        self.fail_with(
            1,
            "Permission denied",
            "commit",
            self.store,
            self.path("secret"),
            preexec_fn=harness.without_root_powers,
        )
        self.assert_nothing_committed()

    def test_the_store_itself(self):
        for path in ("", "/log", "/tip", "/../store/MMSB"):
            self.fail_with(
                1, "store|is a directory", "commit", self.store, self.store + path
            )
        self.assert_nothing_committed()

    def test_a_message_that_is_too_long(self):
        self.fail_with(
            1, "limit is 65536", "commit", self.store, self.path("state"), "-m", "m" * 65537
        )
        self.assert_nothing_committed()

    def assert_seen(self, change, message):
        path = os.path.realpath(self.path("large"))
        with open(path, "wb") as file:
            file.truncate(512 << 20)
        time.sleep(0.1)  # an old file is read at once
        process = self.stopped_while_reading(path)
        change(path)
        process.send_signal(signal.SIGCONT)
        result = self.finish(process)
        self.assertEqual((result.code, result.out), (1, ""), result)
        self.assertRegex(result.err, r"\Ammsb commit: '[^\n]*large' " + message + r"\n\Z")
        self.assert_nothing_committed()

    def test_a_file_that_vanishes(self):
        self.assert_seen(os.remove, "(was removed|changed) while it was read")

    def test_a_file_that_is_replaced(self):
        def replace(path):
            harness.write(path + ".new", b"")
            os.truncate(path + ".new", 512 << 20)
            os.rename(path + ".new", path)

        self.assert_seen(replace, "changed while it was read")

    def test_a_file_that_is_written_to(self):
        def change(path):
            with open(path, "r+b") as file:
                file.write(b"x")

        self.assert_seen(change, "changed while it was read")

    def test_a_file_that_shrinks(self):
        self.assert_seen(lambda path: os.truncate(path, 1), "changed while it was read")

    def test_a_file_that_grows(self):
        self.assert_seen(lambda path: os.truncate(path, 513 << 20), "changed while it was read")


class FullTest(harness.StoreTest):
    """No room: the store is as it was, and goes on when there is some.

    A limit on the size of files stands for the full disk here; full_disk.sh has a real one.
    """

    def limited(self, limit):
        def preexec():
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        return preexec

    def test_commit(self):
        rng = random.Random(14)
        versions = [rng.randbytes(300_000)]
        self.commit(versions[0])
        log = os.path.join(self.store, "log")
        before = os.path.getsize(log)
        large = rng.randbytes(4 << 20)
        harness.write(self.path("state"), large)
        for room in (0, 1, 47, 48, 4096, 1 << 20, (4 << 20) - 1):
            self.fail_with(
                1,
                "File too large",
                "commit",
                self.store,
                self.path("state"),
                preexec_fn=self.limited(before + room),
            )
            self.assertEqual(len(self.log()), 1)
            self.assert_sound()
            # The room that the attempt took is given back.
            self.assertEqual(os.path.getsize(log), before)
        self.assert_epoch(1, versions[0])
        self.assertEqual(self.commit(large), 2)
        self.assert_epoch(2, large)
        self.assert_sound()

    def test_a_store_that_cannot_be_made(self):
        harness.write(self.path("state"), bytes(10_000) + b"x" * 10_000)
        # TSan's runtime writes a file of its own before main, and does not outlive a limit of 0.
        for room in (*([] if harness.SANITIZER == "tsan" else [0]), 63, 64, 100, 5000):
            self.fail_with(
                1,
                "File too large",
                "commit",
                self.store,
                self.path("state"),
                preexec_fn=self.limited(room),
            )
        self.succeed("commit", self.store, self.path("state"))
        self.assert_sound()
        self.assert_epoch(1, harness.read(self.path("state")))

    def test_checkout(self):
        self.commit(random.Random(15).randbytes(1 << 20))
        before = sorted(os.listdir(self.folder))
        self.fail_with(
            1,
            "File too large",
            "checkout",
            self.store,
            "1",
            self.path("out"),
            preexec_fn=self.limited(1000),
        )
        self.assertEqual(sorted(os.listdir(self.folder)), before)

    def test_standard_output(self):
        self.commit(b"x")
        for command in (("log",), ("log", "--json"), ("verify",), ("stat",), ("--help",)):
            arguments = [command[0], *([self.store] if command[0] != "--help" else []), *command[1:]]
            with open("/dev/full", "wb") as full:
                done = subprocess.run(
                    [harness.MMSB, *arguments], stdout=full, stderr=subprocess.PIPE
                )
            self.assertEqual(done.returncode, 1, command)
            self.assertRegex(
                done.stderr.decode(), r"\Ammsb[^\n]*: cannot write [^\n]*No space left[^\n]*\n\Z"
            )

    def test_closed_streams_are_not_taken_for_files_of_the_store(self):
        harness.write(self.path("state"), b"x" * 5000)
        done = subprocess.run(
            ["sh", "-c", 'exec "$0" "$@" <&- >&- 2>&-', harness.MMSB, "commit", self.store]
            + [self.path("state")]
        )
        self.assertEqual(done.returncode, 1)
        self.assert_sound()
        self.assert_epoch(1, b"x" * 5000)


class ReadOnlyTest(harness.StoreTest):
    def test_a_read_only_store(self):
        self.commit(b"first")
        for name in os.listdir(self.store):
            os.chmod(os.path.join(self.store, name), 0o444)
        os.chmod(self.store, 0o555)
        self.addCleanup(os.chmod, self.store, 0o755)
        before = harness.tree(self.store)
        weak = {"preexec_fn": harness.without_root_powers}
        self.fail_with(
            1, "Permission denied", "commit", self.store, self.path("state"), **weak
        )
        out = self.path("out")
        for command in (
            ("log", self.store),
            ("verify", self.store),
            ("stat", self.store),
            ("checkout", self.store, "1", out),
            ("diff", self.store, "1", "1"),
        ):
            self.succeed(*command, **weak)
        self.assertEqual(harness.read(out), b"first")
        self.assertEqual(harness.tree(self.store), before)

    def test_a_read_only_folder(self):
        harness.write(self.path("state"), b"x")
        os.mkdir(self.path("folder"), 0o555)
        weak = {"preexec_fn": harness.without_root_powers}
        self.fail_with(
            1, "Permission denied", "commit", self.path("folder/s"), self.path("state"), **weak
        )
        self.commit(b"x")
        self.fail_with(
            1, "Permission denied", "checkout", self.store, "1", self.path("folder/out"), **weak
        )
        self.assertEqual(os.listdir(self.path("folder")), [])


class CheckoutTest(harness.StoreTest):
    def setUp(self):
        super().setUp()
        self.commit(b"first")
        self.out = self.path("out")

    def test_what_exists_is_kept_without_force(self):
        harness.write(self.out, b"precious")
        os.chmod(self.out, 0o4600)
        before = sorted(os.listdir(self.folder))
        self.fail_with(1, "exists; --force", "checkout", self.store, "1", self.out)
        self.assertEqual(harness.read(self.out), b"precious")
        self.succeed("checkout", self.store, "1", self.out, "--force")
        self.assertEqual(harness.read(self.out), b"first")
        self.assertEqual(os.stat(self.out).st_mode & 0o7777, 0o600)
        self.assertEqual(sorted(os.listdir(self.folder)), before)

    def test_nobody_else_may_enter_the_store(self):
        self.assertEqual(os.stat(self.store).st_mode & 0o777, 0o700)

    def test_a_link_is_followed(self):
        harness.write(self.path("target"), b"old")
        os.symlink("target", self.out)
        self.fail_with(1, "exists; --force", "checkout", self.store, "1", self.out)
        self.succeed("checkout", "-f", self.store, "1", self.out)
        self.assertTrue(os.path.islink(self.out))
        self.assertEqual(harness.read(self.path("target")), b"first")

    def test_a_link_to_nowhere_is_kept(self):
        os.symlink("nowhere", self.out)
        for force in ((), ("--force",)):
            self.fail_with(
                1, "is a symbolic link to nothing", "checkout", self.store, "1", self.out, *force
            )
            self.assertTrue(os.path.islink(self.out))

    def test_what_is_no_file_is_never_replaced(self):
        os.mkdir(self.path("folder"))
        os.mkfifo(self.path("pipe"))
        before = harness.tree(self.store)
        for out, message in (
            (self.path("folder"), "is a directory"),
            (self.path("folder/"), "is a directory"),
            (self.path("none/"), "names a directory"),
            (self.path("pipe"), "is not a regular file"),
            ("/dev/null", "is not a regular file"),
            (self.store, "is the store itself"),
            (os.path.join(self.store, "log"), "lies in the store"),
            (os.path.join(self.store, "new"), "lies in the store"),
            (self.path("none/out"), "No such file"),
        ):
            self.fail_with(1, message, "checkout", self.store, "1", out, "--force")
        self.assertEqual(harness.tree(self.store), before)
        self.assert_sound()

    def test_epochs_that_are_not_there(self):
        for epoch in ("0", "2", "18446744073709551615"):
            self.fail_with(1, "has the epochs 1 to 1, and not " + epoch, "checkout", self.store, epoch, self.out)
            self.fail_with(2, "has the epochs 1 to 1", "diff", self.store, "1", epoch)
        for epoch in ("x", "-1", "18446744073709551616"):
            self.fail_with(2, "EPOCH|option", "checkout", self.store, epoch, self.out)
        self.assertFalse(os.path.exists(self.out))

    def test_a_signal_leaves_nothing_behind(self):
        self.commit(random.Random(16).randbytes(16 << 20))
        before = sorted(os.listdir(self.folder))
        for sent in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            process = self.start("checkout", self.store, "2", self.out)
            deadline = time.monotonic() + harness.TIMEOUT_S
            while process.poll() is None and time.monotonic() < deadline:
                if any(".mmsb-" in name for name in os.listdir(self.folder)):
                    process.send_signal(sent)
                    break
            result = self.finish(process)
            self.assertIn(result.code, (0, -sent))
            if result.code == 0:
                os.remove(self.out)
            self.assertEqual(sorted(os.listdir(self.folder)), before)


class TogetherTest(harness.StoreTest):
    """Several commands on one store at once."""

    def test_two_commits(self):
        rng = random.Random(17)
        states = [rng.randbytes(2 << 20) for _ in range(4)]
        for number, contents in enumerate(states):
            harness.write(self.path("state-%d" % number), contents)
        processes = [
            self.start("commit", self.store, self.path("state-%d" % number)) for number in range(4)
        ]
        seen = {}
        for number, process in enumerate(processes):
            result = self.finish(process)
            self.assertEqual(result.code, 0, result)
            self.assertRegex(result.err, r"\A(mmsb commit: waiting for another commit to [^\n]*\n)?\Z")
            seen[harness.epoch_of(result.out)] = states[number]
        self.assertEqual(sorted(seen), [1, 2, 3, 4])
        for epoch, contents in seen.items():
            self.assert_epoch(epoch, contents)
        self.assert_sound()

    def test_the_second_says_that_it_waits(self):
        self.commit(b"first")
        harness.write(self.path("state"), b"second")
        with open(os.path.join(self.store, "lock"), "r+b") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            process = self.start("commit", self.store, self.path("state"))
            line = process.stderr.readline().decode()
            self.assertEqual(
                line, "mmsb commit: waiting for another commit to '%s'\n" % self.store
            )
            self.assertEqual(len(self.log()), 1)
            time.sleep(0.1)
            self.assertIsNone(process.poll())
        result = self.finish(process)
        self.assertEqual((result.code, result.err), (0, ""))
        self.assert_epoch(2, b"second")

    def test_readers_see_whole_epochs_while_commits_run(self):
        rng = random.Random(18)
        states = [rng.randbytes(rng.randrange(1 << 20)) for _ in range(harness.rounds(16))]
        self.commit(b"first")
        harness.write(self.path("script"), b"")
        script = 'for f in "$2"/v-*; do "$0" commit "$1" "$f" || exit 1; done'
        for number, contents in enumerate(states):
            harness.write(self.path("v-%03d" % number), contents)
        writer = subprocess.Popen(
            ["sh", "-c", script, harness.MMSB, self.store, self.folder], stdout=subprocess.DEVNULL
        )
        looks = 0
        while writer.poll() is None:
            self.assert_sound()
            newest = self.log()[0]["epoch"]
            contents = b"first" if newest == 1 else states[newest - 2]
            self.assert_epoch(newest, contents)
            looks += 1
        self.assertEqual(writer.returncode, 0)
        self.assertGreater(looks, 0)
        self.assertEqual(len(self.log()), len(states) + 1)
        self.assert_sound()


class UsageTest(harness.StoreTest):
    def test_wrong_usage_is_two(self):
        for arguments, message in (
            ((), "a command is missing"),
            (("comit",), "the nearest is 'commit'"),
            (("commit",), "STORE is missing"),
            (("commit", "s", "f", "g"), "one operand too many"),
            (("commit", "--json", "s", "f"), "no option '--json'"),
            (("commit", "--force", "s", "f"), "no option '--force'"),
            (("log", "-m", "text", "s"), "no option '-m'"),
            (("log", "--json=1", "s"), "takes no value"),
            (("checkout", "s", "one", "f"), "EPOCH must be the number"),
            (("commit", "s", "f", "-m"), "needs a value"),
        ):
            self.fail_with(2, message, *arguments)

    def test_help_and_version(self):
        for command in ("commit", "log", "checkout", "diff", "prune", "verify", "salvage", "stat"):
            out = self.succeed(command, "--help")
            self.assertTrue(out.startswith("Usage: mmsb " + command))
            self.assertIn("\nExamples:\n", out)
            self.assertTrue(all(len(line) <= 79 for line in out.splitlines()), out)
            self.assertIn("mmsb " + command, self.succeed("--help"))
        self.assertRegex(self.succeed("--version"), r"\Ammsb \d+\.\d+\.\d+\n\Z")


if __name__ == "__main__":
    unittest.main()
