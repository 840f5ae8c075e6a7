"""kill -9 of a running commit loses nothing that was acknowledged, and leaves no half epoch."""

import random
import shutil
import signal
import statistics
import time
import unittest

import harness

MOMENTS = 50


class KillTest(harness.StoreTest):
    def setUp(self):
        super().setUp()
        self.rng = random.Random(13)

    def next_state(self, state):
        """Half of the pages new, and the end moved."""
        changed = bytearray(state)
        for page in range(0, len(changed), 8192):
            changed[page : page + 4096] = self.rng.randbytes(4096)
        return bytes(changed) + self.rng.randbytes(self.rng.randrange(10_000))

    def commit_and_kill(self, after_s):
        """Commits the file `state`, and kills the command after so long; True if it acknowledged."""
        process = self.start("commit", self.store, self.path("state"))
        time.sleep(after_s)
        process.send_signal(signal.SIGKILL)
        code = self.finish(process).code
        self.assertIn(code, (0, -signal.SIGKILL))
        return code == 0

    def typical_seconds(self, prepare):
        """How long a commit takes, undisturbed."""
        times = []
        for _ in range(3):
            prepare()
            started = time.monotonic()
            self.succeed("commit", self.store, self.path("state"))
            times.append(time.monotonic() - started)
        return statistics.median(times)

    def acknowledge(self, versions, attempted, acknowledged):
        """Checks the store after an attempt; returns whether the epoch is there."""
        expected = len(versions) + acknowledged
        if expected == 0 and harness.run("log", self.store).code != 0:
            # Not even the store was made. The next commit makes it.
            self.fail_with(1, "does not exist|holds no mmsb store", "log", self.store)
            return False
        epochs = len(self.log())
        self.assertIn(epochs, {expected, len(versions) + 1})
        self.assert_sound()
        for number, contents in list(enumerate(versions, start=1))[-2:]:
            self.assert_epoch(number, contents)
        if epochs > len(versions):
            self.assert_epoch(epochs, attempted)
            return True
        return False

    def test_while_epochs_are_added(self):
        versions = []
        state = self.rng.randbytes(2 << 20)

        def prepare():
            nonlocal state
            state = self.next_state(state)
            harness.write(self.path("state"), state)
            versions.append(state)

        typical = self.typical_seconds(prepare)
        outcomes = []
        for _ in range(harness.rounds(MOMENTS)):
            state = self.next_state(versions[-1])
            harness.write(self.path("state"), state)
            acknowledged = self.commit_and_kill(self.rng.uniform(0, typical * 1.1))
            there = self.acknowledge(versions, state, acknowledged)
            if there:
                versions.append(state)
            outcomes.append((acknowledged, there))
        # All of them still are, and the store goes on.
        for number, contents in enumerate(versions, start=1):
            self.assert_epoch(number, contents)
        self.assertEqual(self.commit(b"the end"), len(versions) + 1)
        self.assert_sound()
        self.assertIn((False, False), outcomes, "no kill came in time")

    def test_while_the_store_is_made(self):
        state = self.rng.randbytes(1 << 18)
        harness.write(self.path("state"), state)
        typical = self.typical_seconds(lambda: shutil.rmtree(self.store, ignore_errors=True))
        outcomes = []
        for _ in range(harness.rounds(MOMENTS)):
            shutil.rmtree(self.store, ignore_errors=True)
            acknowledged = self.commit_and_kill(self.rng.uniform(0, typical * 1.1))
            there = self.acknowledge([], state, acknowledged)
            self.assertEqual(self.commit(b"next"), 2 if there else 1)
            harness.write(self.path("state"), state)
            outcomes.append((acknowledged, there))
        self.assertIn((False, False), outcomes, "no kill came in time")

    def test_checkout_leaves_no_part_of_the_file(self):
        contents = self.rng.randbytes(4 << 20)
        self.commit(contents)
        out = self.path("out")
        for _ in range(harness.rounds(10)):
            process = self.start("checkout", self.store, "1", out, "--force")
            time.sleep(self.rng.uniform(0, 0.1))
            process.send_signal(signal.SIGKILL)
            self.finish(process)
            try:
                self.assertTrue(harness.read(out) == contents)
            except FileNotFoundError:
                pass


if __name__ == "__main__":
    unittest.main()
