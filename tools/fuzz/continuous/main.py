"""usage: bazel run //fuzz:continuous -- [--time=TIME] [--cores=N] [--slice=TIME] [--out=FOLDER] [TARGET...]

Fuzzes all targets, or those named, in rotation by what they gain: for TIME (90s, 5m, 2h; else
until it is stopped), on N cores (all). Outputs are in FOLDER ($FUZZ_OUT/continuous, FUZZ_OUT
being ~/.cache/mmsb/fuzz if unset); status.html there shows how it goes. The exit code is 1 when
there is a bug."""

import json
import os
import pathlib
import re
import signal
import sys

from continuous import fleet, libfuzzer


def seconds(text):
    match = re.fullmatch(r"(\d+)([smh]?)", text)
    if not match:
        sys.exit(f"{text}: a time is a number with s, m or h")
    return int(match.group(1)) * {"": 1, "s": 1, "m": 60, "h": 3600}[match.group(2)]


def targets(manifest, runfiles):
    def path(name):
        return str(runfiles / name) if name else ""

    return [
        libfuzzer.Target(
            name=entry["name"],
            label=entry["label"],
            binary=path(entry["binary"]),
            seeds=[path(seed) for seed in entry["seeds"]],
            dictionary=path(entry["dictionary"]),
            options=entry["options"],
        )
        for entry in manifest
    ]


def main(arguments):
    manifest_path, *arguments = arguments
    manifest = json.loads(pathlib.Path(manifest_path).read_text())
    known = {entry["name"] for entry in manifest}
    flags = {"time": None, "cores": os.cpu_count(), "slice": 60}
    out = pathlib.Path(os.environ.get("FUZZ_OUT") or pathlib.Path.home() / ".cache/mmsb/fuzz") / "continuous"
    names = []
    for argument in arguments:
        flag, _, value = argument.partition("=")
        if flag in ("--time", "--slice"):
            flags[flag[2:]] = seconds(value)
        elif flag == "--cores" and value.isdigit() and int(value) > 0:
            flags["cores"] = int(value)
        elif flag == "--out" and value:
            out = pathlib.Path(os.environ.get("BUILD_WORKING_DIRECTORY", "."), value)
        elif argument in known:
            names.append(argument)
        else:
            sys.exit(f"what is {argument}?\n\n{__doc__}\n\nThe targets: {', '.join(sorted(known))}")
    chosen = [entry for entry in manifest if not names or entry["name"] in names]
    # Paths of the manifest are from the runfiles' own root, where `bazel run` begins.
    ship = fleet.Fleet(targets(chosen, pathlib.Path.cwd()), out, flags["slice"], lambda text: print(text, flush=True))
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ship.stop())
    print(f"{len(chosen)} targets on {flags['cores']} cores; {out}/status.html", flush=True)
    ship.run(flags["cores"], flags["time"])
    bugs = ship.bugs()
    print(f"{len(bugs)} bugs" + "".join(f"\n  {bug['target']}: {bug['what']}: {out}/{bug['path']}" for bug in bugs))
    return 1 if bugs else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
