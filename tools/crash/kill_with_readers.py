#!/usr/bin/env python3
"""kill -9 of `mmsb commit` and `mmsb prune`, again and again, while readers check epochs out.

    ./bazelw run //tools/crash:kill_with_readers
    ./bazelw run //tools/crash:kill_with_readers -- [--kills 500] [--readers 4] [--prune-every 5] [--segment-bytes N] [--seed N]

One store in a temporary directory. Commits are started one after another, each of the state that belongs to the next
epoch's number, and each is killed after a random part of the time that one takes. One in --prune-every is a prune
instead, of a random part of the epochs (0: none). Meanwhile each reader lists the epochs and checks one out, and
compares all of it with what that epoch must hold: every page carries the number of the epoch that wrote it last, so
that a mixture of two is found. An epoch that cannot be checked out must have been pruned meanwhile. After each kill:
the newest epoch is what it was before the commit, or the next, and the next if that was acknowledged by exit code 0;
the oldest is what it was before the prune, or the one it was to prune to, and that one if it was acknowledged. In the
end every epoch is compared, and `mmsb verify` finds no damage. Prints the seed, the counts and the result; the exit
code is 0 when all held. The seed gives the moments of the kills and what readers choose, not how the system schedules
them.
"""

import argparse
import hashlib
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time

PAGE = 4096
PAGES = 128
PERIOD = 4  # An epoch changes every fourth page.


class Crash:
    def __init__(self, mmsb, folder, seed, segment_bytes):
        self.mmsb = mmsb
        self.store = os.path.join(folder, "store")
        self.folder = folder
        self.seed = seed
        self.segments = [] if segment_bytes is None else [f"--segment-bytes={segment_bytes}"]
        self.most_segments = 0
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.wrong = []
        self.reads = 0
        self.pruned_meanwhile = 0

    def run(self, *arguments):
        return subprocess.run([self.mmsb, *arguments], capture_output=True)

    def complain(self, what):
        with self.lock:
            self.wrong.append(what)

    def contents(self, epoch):
        """The state of an epoch; page p was written by the newest epoch e up to it with e = p modulo PERIOD."""
        pages = []
        for page in range(PAGES):
            version = max(epoch - (epoch - page) % PERIOD, 0)
            pages.append(hashlib.shake_128(f"{self.seed} {page} {version}".encode()).digest(PAGE))
        return b"".join(pages)

    def epochs(self):
        """The oldest and the newest; None, with a complaint, when they cannot be listed, or are not in a row."""
        done = self.run("log", "--json", self.store)
        if done.returncode != 0:
            self.complain(f"log: exit code {done.returncode}: {done.stderr.decode()}")
            return None
        numbers = [epoch["epoch"] for epoch in json.loads(done.stdout)]
        if not numbers or sorted(numbers) != list(range(min(numbers), max(numbers) + 1)):
            self.complain(f"log: the epochs are {numbers}")
            return None
        return min(numbers), max(numbers)

    def check(self, epoch, out):
        done = self.run("checkout", "--force", self.store, str(epoch), out)
        if done.returncode != 0:
            now = self.epochs()
            if now is not None and epoch < now[0]:
                with self.lock:
                    self.pruned_meanwhile += 1
                return
            self.complain(f"checkout of epoch {epoch}: exit code {done.returncode}: {done.stderr.decode()}")
            return
        with open(out, "rb") as file:
            if file.read() != self.contents(epoch):
                self.complain(f"epoch {epoch} is not what was committed")
        with self.lock:
            self.reads += 1

    def read(self, number):
        rng = random.Random(f"{self.seed} reader {number}")
        out = os.path.join(self.folder, f"out-{number}")
        seen = (1, 1)
        while not self.stopping.is_set():
            now = self.epochs()
            if now is None:
                continue
            if now[0] < seen[0] or now[1] < seen[1]:
                self.complain(f"a reader saw the epochs from {seen[0]} to {seen[1]}, and then {now[0]} to {now[1]}")
            seen = now
            self.check(now[1] if rng.random() < 0.5 else rng.randint(*now), out)

    def killed(self, command, after_s):
        """Whether `command` was acknowledged, though killed after so long; None: never."""
        process = subprocess.Popen(
            [self.mmsb, *command, *self.segments], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        if after_s is not None:
            time.sleep(after_s)
            process.kill()
        error = process.communicate()[1]
        if process.returncode not in ((0,) if after_s is None else (0, -9)):
            self.complain(f"{' '.join(command)}: exit code {process.returncode}: {error.decode()}")
        files = sum(name.startswith("log") for name in os.listdir(self.store)) if os.path.isdir(self.store) else 0
        self.most_segments = max(self.most_segments, files)
        return process.returncode == 0

    def commit(self, epoch, after_s=None):
        state = os.path.join(self.folder, "state")
        with open(state, "wb") as file:
            file.write(self.contents(epoch))
        return self.killed(["commit", self.store, state], after_s)

    def prune(self, first, after_s=None):
        return self.killed(["prune", self.store, str(first)], after_s)


class Outcomes:
    def __init__(self, name):
        self.name = name
        self.counts = {"acknowledged": 0, "done, not acknowledged": 0, "gone": 0}

    def add(self, acknowledged, done):
        self.counts["acknowledged" if acknowledged else "done, not acknowledged" if done else "gone"] += 1

    def __str__(self):
        return f"{self.name}: {sum(self.counts.values())}: " + ", ".join(f"{n} {what}" for what, n in self.counts.items())


def crash(mmsb, folder, seed, kills, readers, prune_every, segment_bytes):
    it = Crash(mmsb, folder, seed, segment_bytes)
    rng = random.Random(f"{seed} kills")
    it.commit(1)
    first, newest = 1, 1
    threads = [threading.Thread(target=it.read, args=(i,)) for i in range(readers)]
    for thread in threads:
        thread.start()
    commits, prunes = Outcomes("commits"), Outcomes("prunes")
    # How long one takes among the readers.
    started = time.monotonic()
    it.commit(2)
    newest = 2
    typical = time.monotonic() - started
    for kill in range(1, kills + 1):
        # A prune takes longer than a commit.
        to = rng.randint(min(first + 1, newest), newest) if prune_every and kill % prune_every == 0 else None
        if to is None:
            acknowledged = it.commit(newest + 1, rng.uniform(0, 1.2 * typical))
        else:
            acknowledged = it.prune(to, rng.uniform(0, 1.5 * typical))
        now = it.epochs()
        if now is None:
            break
        wanted = (first, newest + 1) if to is None else (to, newest)
        if now not in ({wanted} if acknowledged else {wanted, (first, newest)}):
            it.complain(
                f"epochs {first} to {newest}, and {now[0]} to {now[1]} after a "
                f"{'commit' if to is None else f'prune to {to}'} that was {'' if acknowledged else 'not '}acknowledged"
            )
            break
        (commits if to is None else prunes).add(acknowledged, now != (first, newest))
        first, newest = now
        if it.wrong:
            break
    it.stopping.set()
    for thread in threads:
        thread.join()
    print(f"checked out and compared meanwhile: {it.reads}; pruned before it was checked out: {it.pruned_meanwhile}")
    for epoch in range(first, newest + 1):
        it.check(epoch, os.path.join(folder, "out"))
    verified = it.run("verify", it.store)
    if verified.returncode != 0:
        it.complain(f"verify: exit code {verified.returncode}: {verified.stdout.decode()}{verified.stderr.decode()}")
    print(commits)
    print(prunes)
    print(f"epochs: {first} to {newest}; files of the log at a time: up to {it.most_segments}")
    return it.wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mmsb", default=os.environ.get("MMSB"), help="the command (set by Bazel)")
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--readers", type=int, default=4)
    parser.add_argument("--prune-every", type=int, default=5, help="one kill in so many is of a prune, 0: none")
    parser.add_argument("--segment-bytes", type=int, default=None, help="of `mmsb commit` and `mmsb prune`")
    parser.add_argument("--seed", type=int, default=None, help="random when not given")
    options = parser.parse_args()
    if options.mmsb is None:
        parser.error("--mmsb is missing")
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    print(f"seed: {seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        wrong = crash(
            os.path.abspath(options.mmsb),
            folder,
            seed,
            options.kills,
            options.readers,
            options.prune_every,
            options.segment_bytes,
        )
    for what in wrong[:20]:
        print(f"WRONG: {what}")
    print("result: " + (f"{len(wrong)} wrong" if wrong else "nothing acknowledged was lost, and no reader saw a mixture"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
