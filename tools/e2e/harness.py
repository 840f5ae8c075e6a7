"""The mmsb command as a test runs it, and the data that the tests give it."""

import ctypes
import dataclasses
import json
import os
import random
import re
import signal
import sqlite3
import subprocess
import tempfile
import time
import unittest

MMSB = os.path.abspath(os.environ["MMSB"])

# A command that takes longer than this hangs.
TIMEOUT_S = 240


def _sanitizer():
    """The sanitizer that the command was built with, or None."""
    with open(MMSB, "rb") as binary:
        contents = binary.read()
    for name, mark in (
        ("asan", b"__asan_init"),
        ("tsan", b"__tsan_init"),
        ("msan", b"__msan_init"),
        ("ubsan", b"__ubsan_handle"),  # last: the others bring it along
    ):
        if mark in contents:
            return name
    return None


SANITIZER = _sanitizer()


def rounds(count):
    """How many of `count` rounds to do: under most sanitizers programs start slowly."""
    return count if SANITIZER in (None, "ubsan") else max(1, count // 8)


@dataclasses.dataclass
class Result:
    code: int
    out: str
    err: str


def run(*arguments, **options):
    """Runs `mmsb ARGUMENTS`, with subprocess.run's options."""
    done = subprocess.run(
        [MMSB, *map(os.fspath, arguments)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=TIMEOUT_S,
        **options,
    )
    return Result(
        done.returncode,
        done.stdout.decode("utf-8", "surrogateescape"),
        done.stderr.decode("utf-8", "surrogateescape"),
    )


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(path, contents):
    with open(path, "wb") as file:
        file.write(contents)


def flip(path, offset, mask):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ mask]))


def tree(folder):
    """Everything in a folder: names, kinds and contents."""
    found = {}
    for directory, folders, files in os.walk(folder):
        for name in folders:
            found[os.path.join(directory, name)] = None
        for name in files:
            path = os.path.join(directory, name)
            found[path] = read(path)
    return found


def _crc32c_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = (value >> 1) ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


_CRC32C = _crc32c_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = (crc >> 8) ^ _CRC32C[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def without_root_powers():
    """For preexec_fn: file permissions count for root, too."""
    libc = ctypes.CDLL(None, use_errno=True)
    pr_capbset_drop = 24
    for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
        # Fails where there is no such power to drop.
        libc.prctl(pr_capbset_drop, capability, 0, 0, 0)


def database_versions(path, transactions, seed):
    """Grows an SQLite database at `path`; yields its contents after each step.

    The transactions insert, update and delete; one table is truncated once and the
    database vacuumed once, as steps of their own.
    """
    rng = random.Random(seed)
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = DELETE")
    connection.execute("CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT, data BLOB)")
    connection.execute("CREATE TABLE event (id INTEGER PRIMARY KEY, item INTEGER, note TEXT)")
    connection.execute("CREATE INDEX event_item ON event (item)")
    try:
        for step in range(transactions):
            connection.execute("BEGIN")
            for _ in range(rng.randrange(5, 25)):
                connection.execute(
                    "INSERT INTO item (name, data) VALUES (?, ?)",
                    ("item %d" % rng.randrange(10**9), rng.randbytes(rng.randrange(600))),
                )
                connection.execute(
                    "INSERT INTO event (item, note) VALUES (?, ?)",
                    (rng.randrange(1000), "step %d" % step),
                )
            connection.execute("UPDATE item SET name = 'renamed' WHERE id % 37 = ?", (step % 37,))
            connection.execute("DELETE FROM item WHERE id % 41 = ?", (step % 41,))
            connection.execute("COMMIT")
            yield read(path)
            if step == transactions // 2:
                connection.execute("DELETE FROM event")
                yield read(path)
            if step == transactions * 2 // 3:
                connection.execute("VACUUM")
                yield read(path)
    finally:
        connection.close()


class StoreTest(unittest.TestCase):
    """A test with a folder of its own, and a store in it."""

    def setUp(self):
        folder = tempfile.TemporaryDirectory(dir=os.environ.get("TEST_TMPDIR"))
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.store = self.path("store")
        self._outs = 0

    def path(self, name):
        return os.path.join(self.folder, name)

    def out_path(self):
        """A path where nothing is."""
        self._outs += 1
        return self.path("out-%d" % self._outs)

    def succeed(self, *arguments, **options):
        """Runs a command that must succeed; returns its output."""
        result = run(*arguments, **options)
        self.assertEqual((result.code, result.err), (0, ""), arguments)
        return result.out

    def fail_with(self, code, message, *arguments, **options):
        """Runs a command that must fail, with one line on standard error.

        The line must match the regular expression `message`.
        """
        result = run(*arguments, **options)
        self.assertEqual(result.code, code, (arguments, result))
        self.assertRegex(result.err, r"\Ammsb[^\n]*: [^\n]+\n\Z", arguments)
        self.assertRegex(result.err, message, arguments)
        return result

    def commit(self, contents, store=None):
        """Commits `contents`; returns the epoch's number."""
        path = self.path("state")
        write(path, contents)
        return epoch_of(self.succeed("commit", store or self.store, path))

    def checked_out(self, epoch, store=None):
        """The contents of an epoch, or None when it cannot be had; then there is no file."""
        out = self.out_path()
        result = run("checkout", store or self.store, str(epoch), out)
        if result.code == 0:
            self.assertEqual(result.err, "")
            contents = read(out)
            os.remove(out)
            return contents
        self.assertEqual(result.code, 1, result)
        self.assertRegex(result.err, r"\Ammsb checkout: [^\n]+\n\Z")
        self.assertFalse(os.path.exists(out))
        return None

    def assert_epoch(self, epoch, contents, store=None):
        got = self.checked_out(epoch, store)
        self.assertIsNotNone(got, "epoch %d" % epoch)
        # Not assertEqual: it would print both.
        self.assertTrue(got == contents, "epoch %d has wrong bytes" % epoch)

    def assert_sound(self, store=None):
        self.succeed("verify", store or self.store)

    def log(self, store=None):
        """The store's log as --json has it."""
        return json.loads(self.succeed("log", store or self.store, "--json"))

    def start(self, *arguments, **options):
        """Starts a command and returns the process, which ends with the test."""
        process = subprocess.Popen(
            [MMSB, *map(os.fspath, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            **{"stderr": subprocess.PIPE, **options},
        )
        self.addCleanup(_end, process)
        return process

    def stopped_while_reading(self, path, **options):
        """A commit of `path`, stopped after it read some of the file and before it read all.

        The file must be so large that there is time for it; others go first.
        """
        path = os.path.realpath(path)
        options["preexec_fn"] = lambda: os.nice(19)
        process = self.start("commit", self.store, path, **options)
        descriptors = "/proc/%d/fd" % process.pid
        deadline = time.monotonic() + TIMEOUT_S
        while time.monotonic() < deadline:
            try:
                names = [
                    os.readlink(os.path.join(descriptors, name))
                    for name in os.listdir(descriptors)
                ]
            except OSError:
                continue
            # The lock is opened after the first look at the file, and before the second. What
            # the file was is noted between its opening and the first read.
            opened = path in names and os.path.join(self.store, "lock") in names
            if opened and _bytes_read(process.pid) > 1 << 20:
                process.send_signal(signal.SIGSTOP)
                return process
        self.fail("the commit never read the file")

    def finish(self, process):
        out, err = process.communicate(timeout=TIMEOUT_S)
        return Result(process.returncode, out.decode(), err.decode() if err is not None else "")


def _bytes_read(pid):
    """By all reads of a process so far."""
    with open(f"/proc/{pid}/io", encoding="ascii") as file:
        return int(re.search(r"^rchar: (\d+)", file.read(), re.M).group(1))


def _end(process):
    if process.poll() is None:
        process.send_signal(signal.SIGKILL)
    process.communicate()


def epoch_of(output):
    """The epoch that `mmsb commit` printed."""
    return int(re.match(r"epoch (\d+)\n", output).group(1))


def damaged_epochs(verify_output):
    """The epochs that `mmsb verify` calls damaged."""
    return {int(n) for n in re.findall(r"^epoch (\d+) is damaged", verify_output, re.M)}
