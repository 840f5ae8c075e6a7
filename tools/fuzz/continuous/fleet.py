"""Fuzzes many targets in rotation, and keeps what it finds.

    OUT/corpus/TARGET/            inputs, as ClusterFuzzLite and OSS-Fuzz lay them out
    OUT/crashes/TARGET/BUG/       input, reduced, log, report.md, count; one folder a bug
    OUT/history/TARGET.jsonl      a line a slice
    OUT/status.html

All state is in these files, and each is written whole or appended to, so a killed run goes
on where it was."""

import json
import os
import pathlib
import shutil
import threading
import time

from continuous import crashes, libfuzzer, scheduler, status_page

MERGE_EVERY = 8  # slices of a target
REDUCE_SECONDS = 60
GRACE_SECONDS = 60  # for a process that does not end by itself


def write(path, text):
    """Whole or not at all."""
    aside = path.with_name(path.name + ".new")
    aside.write_text(text)
    os.replace(aside, path)


def files(folder):
    return [path for path in folder.iterdir() if path.is_file()] if folder.is_dir() else []


class Fleet:
    def __init__(self, targets, out, slice_seconds, say=print):
        self._targets = {target.name: target for target in targets}
        self._out = pathlib.Path(out).absolute()
        self._slice_seconds = slice_seconds
        self._say = say
        self._runner = libfuzzer.Runner()
        self._scheduler = scheduler.Scheduler(self._targets)
        self._lock = threading.Lock()
        self._history = {}
        for name in self._targets:
            for kind in ("corpus", "crashes", "work", "seeds"):
                (self._out / kind).mkdir(parents=True, exist_ok=True)
            (self._out / "history").mkdir(exist_ok=True)
            self._recover(name)
            self._lay_seeds(name)
            self._history[name] = self._read_history(name)

    # --- what is on disk

    def _recover(self, name):
        """Ends a merge that a kill cut off."""
        corpus, old, new = (self._out / "corpus" / (name + suffix) for suffix in ("", ".old", ".new"))
        if old.exists() and not corpus.exists():
            old.rename(corpus)
        for rest in (old, new):
            shutil.rmtree(rest, ignore_errors=True)
        corpus.mkdir(exist_ok=True)

    def _lay_seeds(self, name):
        folder = self._out / "seeds" / name
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        for seed in self._targets[name].seeds:
            shutil.copyfile(seed, folder / pathlib.Path(seed).name)

    def _read_history(self, name):
        path = self._out / "history" / f"{name}.jsonl"
        history = []
        for line in path.read_text().splitlines() if path.exists() else []:
            try:
                history.append(json.loads(line))
            except ValueError:
                pass  # cut off by a kill
        return history

    def _note(self, name, seconds, progress):
        corpus = files(self._out / "corpus" / name)
        history = self._history[name]
        before = history[-1]["seconds"] if history else 0
        entry = {
            "seconds": round(before + seconds, 1),
            "slice_seconds": round(seconds, 2),
            "coverage": max([progress.coverage] + [h["coverage"] for h in history[-1:]]),
            "features": progress.features,
            "executions": progress.executions,
            "corpus": len(corpus),
            "corpus_bytes": sum(path.stat().st_size for path in corpus),
        }
        gained = max(0, progress.features - (history[-1]["features"] if history else 0))
        history.append(entry)
        with open(self._out / "history" / f"{name}.jsonl", "a", encoding="utf-8") as out:
            out.write(json.dumps(entry) + "\n")
        self._scheduler.seen(name, gained / max(seconds, 0.1))
        return entry

    # --- one slice

    def _command(self, target, *arguments):
        command = [target.binary, *target.options, *arguments]
        return command + ([f"-dict={target.dictionary}"] if target.dictionary else [])

    def slice(self, name, seconds):
        """Fuzzes one target for a while; then looks at what it found."""
        target = self._targets[name]
        corpus = self._out / "corpus" / name
        work = self._out / "work" / f"{name}-{threading.get_ident()}"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        started = time.monotonic()
        _, log = self._runner.run(
            self._command(
                target, f"-max_total_time={int(seconds)}", f"-artifact_prefix={work}/", "-print_final_stats=1",
                str(corpus), str(self._out / "seeds" / name),
            ),
            seconds + GRACE_SECONDS,
            work,
        )
        progress = libfuzzer.parse(log)
        found = [path for path in files(work) if path.name.split("-")[0] in ("crash", "timeout", "oom", "leak")]
        for path in found:
            self._keep_crash(target, path, work, log)
        with self._lock:
            entry = self._note(name, time.monotonic() - started, progress)
            count = len(self._history[name])
        if not self._runner.stopped:
            self._say(
                f"{name}: coverage {entry['coverage']}, {entry['executions'] / max(entry['slice_seconds'], 0.1):.0f}"
                f" executions/s, corpus {entry['corpus']}"
            )
            if count % MERGE_EVERY == 0:
                self.merge(name)
        shutil.rmtree(work, ignore_errors=True)
        return bool(found)

    def merge(self, name):
        """The fewest inputs that reach as much. A crash in it leaves the corpus as it is."""
        target = self._targets[name]
        corpus = self._out / "corpus" / name
        new, old = corpus.with_name(name + ".new"), corpus.with_name(name + ".old")
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        work = self._out / "work" / f"{name}-merge"
        work.mkdir(exist_ok=True)
        code, _ = self._runner.run(
            self._command(
                target, "-merge=1", f"-artifact_prefix={work}/", str(new), str(self._out / "seeds" / name), str(corpus)
            ),
            600,
            work,
        )
        if code != 0 or not files(new):
            shutil.rmtree(new, ignore_errors=True)
            return False
        corpus.rename(old)
        new.rename(corpus)
        shutil.rmtree(old)
        return True

    # --- crashes

    def _keep_crash(self, target, path, work, slice_log):
        """A folder for the bug, if it is a new one; else its count. `slice_log` is of the run that found it."""
        code, log = self._runner.run(self._command(target, str(path)), 120, work, self._printing())
        if code is None and self._runner.stopped:
            return
        again = code != 0
        digest, what, stack = crashes.signature(log if again else slice_log, again)
        bug = self._out / "crashes" / target.name / digest
        with self._lock:
            known = bug.exists()
            if not known:
                (bug.parent / (digest + ".new")).mkdir(parents=True, exist_ok=True)
            else:
                count = int((bug / "count").read_text()) + 1
                write(bug / "count", str(count))
        if known:
            return
        aside = bug.parent / (digest + ".new")
        shutil.copyfile(path, aside / "input")
        reduced = self._reduce(target, path, digest, work) if again else path
        shutil.copyfile(reduced, aside / "reduced")
        _, log = self._runner.run(self._command(target, str(reduced)), 120, work, self._printing())
        (aside / "log").write_text(log if again else slice_log)
        (aside / "what").write_text(what)
        (aside / "count").write_text("1")
        data = reduced.read_bytes()
        (aside / "report.md").write_text(
            f"# {target.name}: {what}\n\nIn {', '.join(f'`{frame}`' for frame in stack) or 'no frame of ours'}. "
            f"{path.stat().st_size} bytes, reduced to {len(data)}.\n\n"
            f"    bazel run {target.label}_run -- --input={bug}/reduced\n"
            f"    bazel run {target.label}_promote -- {bug}/reduced --name=NameIt\n\n"
            f"```cpp\n{crashes.test_of(log, target.name, data)}```\n\nThe log is beside this.\n"
        )
        if not self._runner.stopped:
            aside.rename(bug)
            self._say(f"{target.name}: {'NEW BUG' if again else 'once'}: {what}: {bug}/report.md")

    @staticmethod
    def _printing():
        return dict(os.environ, MMSB_FUZZ_PRINT="1")

    def _reduce(self, target, path, digest, work):
        """The smallest input that is seen to end in the same bug."""
        smaller = work / "reduced"
        self._runner.run(
            self._command(
                target, "-minimize_crash=1", f"-max_total_time={REDUCE_SECONDS}", f"-exact_artifact_path={smaller}", str(path)
            ),
            REDUCE_SECONDS + GRACE_SECONDS,
            work,
        )
        if not smaller.exists():
            return path
        _, log = self._runner.run(self._command(target, str(smaller)), 120, work, self._printing())
        return smaller if crashes.signature(log)[0] == digest else path

    # --- all of it

    def bugs(self):
        found = []
        for what in sorted((self._out / "crashes").glob("*/*/what")):
            bug = what.parent
            if bug.suffix == ".new":
                continue
            found.append({
                "target": bug.parent.name,
                "what": what.read_text(),
                "path": f"crashes/{bug.parent.name}/{bug.name}/report.md",
                "count": int((bug / "count").read_text()),
            })
        return found

    def write_page(self, refresh=30):
        with self._lock:
            seconds = sum(history[-1]["seconds"] for history in self._history.values() if history)
            write(self._out / "status.html", status_page.page(self._history, self.bugs(), seconds, refresh))

    def run(self, cores, seconds):
        """Until `seconds` are over (None: until stopped)."""
        end = None if seconds is None else time.monotonic() + seconds

        def work():
            while not self._runner.stopped:
                left = self._slice_seconds if end is None else min(self._slice_seconds, end - time.monotonic())
                if left < 1:
                    return
                with self._lock:
                    name = self._scheduler.take()
                try:
                    self.slice(name, left)
                finally:
                    with self._lock:
                        self._scheduler.give(name)
                self.write_page()

        self.write_page()
        threads = [threading.Thread(target=work, daemon=True) for _ in range(cores)]
        for thread in threads:
            thread.start()
        for thread in threads:
            # Short, so that signals are seen.
            while thread.is_alive():
                thread.join(0.5)
        self.write_page(refresh=0)

    def stop(self):
        self._runner.stop()
