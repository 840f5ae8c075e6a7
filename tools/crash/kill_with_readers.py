#!/usr/bin/env python3
"""kill -9 of `mmsb commit`, again and again, while readers check epochs out.

    ./bazelw run //tools/crash:kill_with_readers
    ./bazelw run //tools/crash:kill_with_readers -- [--kills 500] [--readers 4] [--seed N]

One store in a temporary directory. Commits are started one after another, each of the state that belongs to the next
epoch's number, and each is killed after a random part of the time that one takes. Meanwhile each reader lists the
epochs and checks one out, and compares all of it with what that epoch must hold: every page carries the number of the
epoch that wrote it last, so that a mixture of two is found. After each kill: the epochs are as many as before the
commit, or one more, and one more if it was acknowledged by exit code 0. In the end every epoch is compared, and
`mmsb verify` finds no damage. Prints the seed, the counts and the result; the exit code is 0 when all held. The seed
gives the moments of the kills and what readers choose, not how the system schedules them.
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
    def __init__(self, mmsb, folder, seed):
        self.mmsb = mmsb
        self.store = os.path.join(folder, "store")
        self.folder = folder
        self.seed = seed
        self.stopping = threading.Event()
        self.lock = threading.Lock()
        self.wrong = []
        self.reads = 0

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
        """How many there are; None, with a complaint, when they cannot be listed, or one is damaged."""
        done = self.run("log", "--json", self.store)
        if done.returncode != 0:
            self.complain(f"log: exit code {done.returncode}: {done.stderr.decode()}")
            return None
        return len(json.loads(done.stdout))

    def check(self, epoch, out):
        done = self.run("checkout", "--force", self.store, str(epoch), out)
        if done.returncode != 0:
            self.complain(f"checkout of epoch {epoch}: exit code {done.returncode}: {done.stderr.decode()}")
            return
        with open(out, "rb") as file:
            if file.read() != self.contents(epoch):
                self.complain(f"epoch {epoch} is not what was committed")

    def read(self, number):
        rng = random.Random(f"{self.seed} reader {number}")
        out = os.path.join(self.folder, f"out-{number}")
        most = 0
        while not self.stopping.is_set():
            count = self.epochs()
            if count is None:
                continue
            if count < most:
                self.complain(f"a reader saw {most} epochs, and then {count}")
            most = max(most, count)
            self.check(count if rng.random() < 0.5 else rng.randint(1, count), out)
            with self.lock:
                self.reads += 1

    def commit(self, epoch, after_s=None):
        """Whether a commit of that epoch's state was acknowledged, though killed after so long."""
        state = os.path.join(self.folder, "state")
        with open(state, "wb") as file:
            file.write(self.contents(epoch))
        process = subprocess.Popen(
            [self.mmsb, "commit", self.store, state], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
        if after_s is not None:
            time.sleep(after_s)
            process.kill()
        error = process.communicate()[1]
        if process.returncode not in ((0,) if after_s is None else (0, -9)):
            self.complain(f"commit of epoch {epoch}: exit code {process.returncode}: {error.decode()}")
        return process.returncode == 0


def crash(mmsb, folder, seed, kills, readers):
    it = Crash(mmsb, folder, seed)
    rng = random.Random(f"{seed} kills")
    it.commit(1)
    count = 1
    threads = [threading.Thread(target=it.read, args=(i,)) for i in range(readers)]
    for thread in threads:
        thread.start()
    outcomes = {"acknowledged": 0, "whole, not acknowledged": 0, "gone": 0}
    # How long one takes among the readers.
    started = time.monotonic()
    it.commit(2)
    count = 2
    typical = time.monotonic() - started
    for _ in range(kills):
        acknowledged = it.commit(count + 1, rng.uniform(0, 1.2 * typical))
        now = it.epochs()
        if now is None:
            break
        if now not in ({count + 1} if acknowledged else {count, count + 1}):
            it.complain(f"{count} epochs, and {now} after a commit that was {'' if acknowledged else 'not '}acknowledged")
            break
        outcomes["acknowledged" if acknowledged else "gone" if now == count else "whole, not acknowledged"] += 1
        count = now
        if it.wrong:
            break
    it.stopping.set()
    for thread in threads:
        thread.join()
    for epoch in range(1, count + 1):
        it.check(epoch, os.path.join(folder, "out"))
    verified = it.run("verify", it.store)
    if verified.returncode != 0:
        it.complain(f"verify: exit code {verified.returncode}: {verified.stdout.decode()}{verified.stderr.decode()}")
    print(f"commits: {sum(outcomes.values())}: " + ", ".join(f"{n} {what}" for what, n in outcomes.items()))
    print(f"epochs: {count}; checked out and compared meanwhile: {it.reads}")
    return it.wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mmsb", default=os.environ.get("MMSB"), help="the command (set by Bazel)")
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--readers", type=int, default=4)
    parser.add_argument("--seed", type=int, default=None, help="random when not given")
    options = parser.parse_args()
    if options.mmsb is None:
        parser.error("--mmsb is missing")
    seed = random.SystemRandom().randrange(1 << 32) if options.seed is None else options.seed
    print(f"seed: {seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        wrong = crash(os.path.abspath(options.mmsb), folder, seed, options.kills, options.readers)
    for what in wrong[:20]:
        print(f"WRONG: {what}")
    print("result: " + (f"{len(wrong)} wrong" if wrong else "nothing acknowledged was lost, and no reader saw a mixture"))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
