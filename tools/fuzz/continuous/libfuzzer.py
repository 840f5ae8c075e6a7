"""One libFuzzer binary: what it is told, and what it says."""

import dataclasses
import pathlib
import re
import subprocess

_PULSE = re.compile(r"^#(\d+)\s+\w+\s+cov: (\d+) ft: (\d+)(?: corp: (\d+)/\S+)?")
_STAT = re.compile(r"^stat::(\w+):\s+(\d+)", re.M)


@dataclasses.dataclass
class Target:
    """A fuzz target of the manifest; paths are absolute."""

    name: str
    label: str
    binary: str
    seeds: list  # files
    dictionary: str = ""
    options: list = dataclasses.field(default_factory=list)


@dataclasses.dataclass
class Progress:
    """The last that a run said of itself."""

    executions: int = 0
    coverage: int = 0
    features: int = 0


def parse(log):
    progress = Progress()
    for line in log.splitlines():
        match = _PULSE.match(line)
        if match:
            progress = Progress(*(int(number) for number in match.groups()[:3]))
    stats = {name: int(value) for name, value in _STAT.findall(log)}
    progress.executions = max(progress.executions, stats.get("number_of_executed_units", 0))
    return progress


class Runner:
    """Starts a target's binary. `stop()` ends what runs and lets nothing new begin."""

    def __init__(self):
        self._running = set()
        self._stopped = False

    def run(self, arguments, seconds, folder, environment=None):
        """Exit code and output; the code is None when it was stopped or ran too long."""
        if self._stopped:
            return None, ""
        # Into a file: what the process said outlives it, and no pipe can fill.
        log = pathlib.Path(folder) / "last.log"
        with open(log, "wb") as out:
            process = subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, cwd=folder, env=environment
            )
            self._running.add(process)
            try:
                code = process.wait(seconds)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
                code = None
            finally:
                self._running.discard(process)
        return (None if self._stopped else code), log.read_text(errors="replace")

    def stop(self):
        self._stopped = True
        for process in list(self._running):
            process.kill()

    @property
    def stopped(self):
        return self._stopped
