"""mmsb prune and mmsb salvage: what is kept, what is told, and what is left."""

import os
import random
import signal
import time
import unittest

import harness


class PruneTest(harness.StoreTest):
    def setUp(self):
        super().setUp()
        self.rng = random.Random(14)

    def grow(self, count):
        """Commits `count` versions of a file of which much is written anew each time."""
        state = bytearray(self.rng.randbytes(400_000))
        versions = []
        for number in range(count):
            at = self.rng.randrange(len(state) - 60_000)
            state[at : at + 50_000] = self.rng.randbytes(50_000)
            for _ in range(30):
                state[self.rng.randrange(len(state))] ^= 1
            if number % 5 == 3:
                state += self.rng.randbytes(self.rng.randrange(9000))
            versions.append(bytes(state))
            self.assertEqual(self.commit(versions[-1]), number + 1)
        return versions

    def bytes_of_store(self):
        return sum(os.path.getsize(os.path.join(self.store, name)) for name in os.listdir(self.store))

    def assert_kept(self, versions, first):
        for number, contents in enumerate(versions, start=1):
            if number >= first:
                self.assert_epoch(number, contents)
            else:
                self.fail_with(
                    1,
                    "has the epochs %d to %d, and not %d, which was pruned" % (first, len(versions), number),
                    "checkout", self.store, str(number), self.out_path(),
                )
        self.assert_sound()
        self.assertEqual([e["epoch"] for e in self.log()], list(range(len(versions), first - 1, -1)))

    def test_keeps_what_it_says_and_gives_room_back(self):
        versions = self.grow(20)
        for first in (2, 9, 20):
            before = self.bytes_of_store()
            out = self.succeed("prune", self.store, str(first))
            self.assertRegex(out, r"\A\d+ epochs? pruned, %d to 20 kept\n" % first)
            self.assertLess(self.bytes_of_store(), before)
            self.assertEqual(len(os.listdir(self.store)), 4, os.listdir(self.store))
            self.assert_kept(versions, first)
        # Nearly nothing but the one state is left.
        self.assertLess(self.bytes_of_store(), len(versions[-1]) * 1.05 + 8192)
        versions.append(versions[3])
        self.assertEqual(self.commit(versions[-1]), 21)
        self.assert_kept(versions, 20)
        self.succeed("diff", self.store, "21", "21")

    def test_what_cannot_be_pruned(self):
        self.fail_with(1, "does not exist", "prune", self.store, "1")
        self.grow(3)
        before = harness.tree(self.store)
        self.fail_with(1, "has the epochs 1 to 3, and not 4", "prune", self.store, "4")
        self.fail_with(1, "has the epochs 1 to 3, and not 0", "prune", self.store, "0")
        self.fail_with(2, "EPOCH", "prune", self.store)
        self.succeed("prune", self.store, "1")
        self.assertEqual(harness.tree(self.store), before)

    def test_a_damaged_store_is_left_alone(self):
        versions = self.grow(6)
        # A page of the first epoch which the second still needs.
        log = os.path.join(self.store, "log")
        page = next(at for at in range(0, 400_000, 4096) if versions[0][at : at + 4096] == versions[1][at : at + 4096])
        at = harness.read(log).find(versions[0][page : page + 64])
        self.assertGreater(at, 0)
        harness.flip(log, at, 1)
        before = harness.tree(self.store)
        result = harness.run("prune", self.store, "2")
        self.assertEqual(result.code, 1)
        self.assertIn("is damaged", result.err)
        self.assertEqual(harness.tree(self.store), before)

    def test_killed_at_any_moment(self):
        versions = self.grow(12)
        typical = time.monotonic()
        self.succeed("prune", self.store, "2")
        typical = time.monotonic() - typical
        first = 2
        outcomes = set()
        for attempt in range(harness.rounds(24)):
            if first == len(versions):
                versions.append(versions[first - 1][::-1])
                self.commit(versions[-1])
            process = self.start("prune", self.store, str(first + 1))
            time.sleep(self.rng.uniform(0, typical * 1.2))
            process.send_signal(signal.SIGKILL)
            self.finish(process)
            oldest = self.log()[-1]["epoch"]
            self.assertIn(oldest, (first, first + 1))
            outcomes.add(oldest == first)
            first = oldest
            self.assert_epoch(first, versions[first - 1])
            self.assert_epoch(len(versions), versions[-1])
        versions.append(b"the end")
        self.commit(versions[-1])
        self.assertEqual(len(os.listdir(self.store)), 4, os.listdir(self.store))
        self.assert_kept(versions, first)


class SalvageTest(harness.StoreTest):
    def test_copies_what_is_whole(self):
        rng = random.Random(15)
        versions = []
        for number in range(8):
            versions.append(rng.randbytes(40_000))
            self.commit(versions[-1])
        salvaged = self.path("salvaged")
        self.assertIn("8 epochs copied", self.succeed("salvage", self.store, salvaged))
        for number, contents in enumerate(versions, start=1):
            self.assert_epoch(number, contents, salvaged)
        self.fail_with(1, "exists", "salvage", self.store, salvaged)
        # Every page of epochs 3 and 6 is written by that epoch alone.
        log = os.path.join(self.store, "log")
        for number in (3, 6):
            harness.flip(log, harness.read(log).find(versions[number - 1][:64]) + 7, 2)
        before = harness.tree(self.store)
        again = self.path("again")
        result = harness.run("salvage", self.store, again)
        self.assertEqual((result.code, result.err), (1, ""))
        self.assertEqual(harness.tree(self.store), before)
        self.assertRegex(result.out, "epoch 3 is lost: .*\nepoch 6 is lost: .*\n6 epochs copied, the newest is 8; 2 epochs lost\n")
        self.assert_sound(again)
        for number, contents in enumerate(versions, start=1):
            if number in (3, 6):
                self.fail_with(1, "lost before the store was salvaged", "checkout", again, str(number), self.out_path())
            else:
                self.assert_epoch(number, contents, again)
        absent = [e["epoch"] for e in self.log(again) if e.get("absent")]
        self.assertEqual(absent, [6, 3])
        self.succeed("log", again)
        self.assertEqual(self.commit(b"next", again), 9)
        self.assert_sound(again)
        self.succeed("prune", again, "6")
        self.assert_epoch(7, versions[6], again)


if __name__ == "__main__":
    unittest.main()
