"""A machine for bazelw to find itself on, made of fakes and a loopback server.

A World has a copy of bazelw, a cache folder, and a PATH with nothing on it but
the plain tools that bazelw uses and the fakes that a test puts there. Every fake
writes down how it was called. Their names hold a space, and a digit after one.
"""

import contextlib
import hashlib
import http.server
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

_PLAIN_TOOLS = (
    "awk bash basename cat chmod chown cp cut date df dirname du env find flock grep id ln mkdir mv "
    "readlink rm sed setpriv sha256sum sleep tail timeout touch tr uname"
).split()

# Stands for every namespace: runs what it is given, and for a toolbox that is
# entered, shows with what.
UNSHARE = r"""
while [[ $1 != -- && $1 != true ]]; do shift; done
[[ $1 != true ]] || exit 0
shift
[[ ${*: -1} != true ]] || exit 0
[[ $2 != */mount_root.sh ]] || { printf 'entered'; printf ' <%s>' "${@:3}"; echo; exit 0; }
exec "$@"
"""

DEBOOTSTRAP = r"""
for folder; do [[ $folder != */root ]] || root=$folder; done
mkdir -p "$root"/{dev,proc,tmp,etc/apt/{apt.conf.d,sources.list.d},etc/bazel,usr/share,var/lib/apt/lists}
"""

# What runs inside the root: apt fetches for real, from the loopback server.
CHROOT = r"""
get() {
  if [[ -n $CURL ]]; then
    "$CURL" --silent --fail --output "$2" "$1"
  else
    "$PYTHON" -c 'import sys, urllib.request; urllib.request.urlretrieve(*sys.argv[1:])' "$1" "$2"
  fi
}
root=$1
shift 2
while [[ $1 == *=* ]]; do shift; done
echo "in_root $*" >>"$CALLS"
case $1 in
  apt-helper) get "$3" "$root$4" || { echo "E: Failed to fetch $3" >&2; exit 100; } ;;
  apt-get) echo "pmstatus:clang-21:50.0000:Unpacking clang-21" >&3 ;;
  dpkg-query) printf 'bazel-bootstrap 7.7.1; ' ;;
esac
"""


class Server:
    """Serves `files` (path to bytes) on loopback; everything else is 404."""

    def __init__(self, files=()):
        self.files = dict(files)
        self.asked = []
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                server.asked.append(self.path)
                body = server.files.get(self.path)
                self.send_response(404 if body is None else 200)
                self.send_header("Content-Length", str(len(body or b"")))
                self.end_headers()
                self.wfile.write(body or b"")

            def log_message(self, *_):
                pass

        self._http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._http.serve_forever, daemon=True).start()
        self.url = "http://127.0.0.1:%d" % self._http.server_port

    def stop(self):
        self._http.shutdown()
        self._http.server_close()


@contextlib.contextmanager
def silent_host():
    """The URL of a host that takes connections and never says a word."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(16)
        yield "http://127.0.0.1:%d" % listener.getsockname()[1]


class Result:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err
        self.lines = err.splitlines()

    def __repr__(self):
        return "exit %d\n--- stdout\n%s--- stderr\n%s" % (self.code, self.out, self.err)


class World:
    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.project = self.folder / "the project"
        self.bazelw = self.project / "bazelw"
        self.cache = self.folder / "the cache"
        self.bin = self.folder / "bin"
        self.calls_file = self.folder / "calls"
        self.bin.mkdir()
        self.calls_file.touch()
        for tool in _PLAIN_TOOLS:
            os.symlink(shutil.which(tool, path=os.environ["PATH"] + ":/usr/sbin:/sbin"), self.bin / tool)
        self.clients("curl", "wget", "python3")
        self._copy_project()
        self.fake("id", "echo 0")
        self.fake("mount", "")
        self.fake("sync", "")
        self.fake("unshare", UNSHARE)
        self.fake("debootstrap", DEBOOTSTRAP)
        self.fake("chroot", CHROOT)
        self.server = Server()
        self.env = {
            "PATH": str(self.bin),
            "HOME": str(self.folder),
            "CALLS": str(self.calls_file),
            "CURL": shutil.which("curl") or "",
            "PYTHON": sys.executable,
            "MMSB_CACHE": str(self.cache),
            "MMSB_ARCHIVE_URL": self.server.url + "/archive",
            "MMSB_BAZEL_URL": self.server.url + "/bazel",
            "MMSB_BAZELISK_BASE_URL": self.server.url + "/bazelisk",
            "MMSB_DEBIAN_MIRROR": self.server.url + "/debian",
            "MMSB_DEBIAN_KEYRING": str(self._serve_debian()),
        }

    def _copy_project(self):
        runfiles = pathlib.Path(os.environ["TEST_SRCDIR"]) / os.environ["TEST_WORKSPACE"]
        tools = self.project / "tools/toolbox"
        tools.mkdir(parents=True)
        shutil.copy(runfiles / "bazelw", self.bazelw)
        for path in (runfiles / "tools/toolbox").iterdir():
            if path.suffix in (".sh", ".bazelrc"):
                shutil.copy(path, tools / path.name)
        (self.project / ".bazelversion").write_text("7.7.1\n")
        (self.project / "WORKSPACE").touch()

    def _serve_debian(self):
        """A mirror with archives of our own, pinned in this world's recipe."""
        self.archives = {}

        def pin(match):
            name, path, upstream = match[2], match[3], match[4]
            body = b"archive " + name.encode()
            self.archives[name] = ("/debian/" + path, upstream.replace("$kGithub", ""))
            self.server.files["/debian/" + path] = body
            return '"%s %s %s %s"' % (hashlib.sha256(body).hexdigest(), name, path, upstream)

        self.edit("recipe.sh", r'"([0-9a-f]{64}) (\S+) (\S+) (\S+)"', pin)
        self.edit("recipe.sh", r"kGithub=\S+", "kGithub=" + self.server.url)
        self.release(valid_until=None)
        keyring = self.folder / "keyring.gpg"
        keyring.touch()
        return keyring

    def release(self, valid_until):
        """What the mirror's InRelease says of its own date."""
        line = "Valid-Until: %s\n" % valid_until if valid_until else ""
        self.server.files["/debian/dists/forky/InRelease"] = ("Suite: testing\n" + line).encode()

    def internet(self):
        """The archives and Bazel's releases answer."""
        self.server.files.update({"/archive": b"archive", "/bazel": b"bazel"})

    def bazelisk_release(self):
        """A Bazelisk to download, pinned in this world by its own sha256."""
        body = b'#!/bin/bash\necho "release ran: $*"\n'
        for platform in ("amd64", "arm64"):
            self.server.files["/bazelisk/bazelisk-linux-" + platform] = body
        self.edit("bazelisk.sh", "[0-9a-f]{64}", hashlib.sha256(body).hexdigest())

    def edit(self, name, pattern, replacement):
        path = self.project / "tools/toolbox" / name
        text, count = re.subn(pattern, replacement, path.read_text())
        assert count, "%s has no %s" % (name, pattern)
        path.write_text(text)

    def clients(self, *names):
        """Leaves only these of the programs that can fetch, where the machine has them."""
        for name in ("curl", "wget", "python3"):
            (self.bin / name).unlink(missing_ok=True)
        for name in names:
            found = sys.executable if name == "python3" else shutil.which(name)
            if found:
                os.symlink(found, self.bin / name)

    def fake(self, name, script, folder=None):
        path = (folder or self.bin) / name
        path.unlink(missing_ok=True)
        path.write_text('#!/bin/bash\necho "%s $*" >>"$CALLS"\n%s\n' % (name, script))
        path.chmod(0o755)
        return path

    def remove(self, name):
        (self.bin / name).unlink()

    def calls(self, name):
        return [line for line in self.calls_file.read_text().splitlines() if line.split(" ")[0] == name]

    def start(self, *arguments, cwd=None, **env):
        # A shell that starts jobs makes them ignore SIGINT, and they could not trap it.
        return subprocess.Popen(
            [str(self.bin / "bash"), str(self.bazelw), *arguments],
            cwd=cwd or self.project, env={**self.env, **env}, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL))

    def run(self, *arguments, cwd=None, **env):
        process = self.start(*arguments, cwd=cwd, **env)
        out, err = process.communicate(timeout=100)
        return Result(process.returncode, out, err)

    def toolbox(self):
        """The whole toolbox, or None."""
        found = [path.parent for path in self.cache.glob("toolbox/*/root")
                 if path.parent.name != "building"]
        assert len(found) < 2, found
        return found[0] if found else None

    def plant(self):
        """Puts a toolbox there, as a build would have left it."""
        told = self.run("toolbox", "info").out
        folder = pathlib.Path(re.search("it would be (.*)", told)[1])
        for part in ("addons", "bazel", "root/dev", "root/etc/apt/apt.conf.d",
                     "root/etc/apt/sources.list.d", "root/proc", "root/tmp", "root/var/lib/apt/lists"):
            (folder / part).mkdir(parents=True)
        (folder / "versions").write_text("bazel-bootstrap 7.7.1; ")
        (folder / "built").write_text("2026-01-01 00:00\n")
        assert self.toolbox() == folder, told

    def close(self):
        self.server.stop()


class BazelwTestCase(unittest.TestCase):
    def setUp(self):
        folder = tempfile.mkdtemp(prefix="a world 1 ", dir=os.environ.get("TEST_TMPDIR"))
        self.addCleanup(shutil.rmtree, folder, ignore_errors=True)
        self.world = World(folder)
        self.addCleanup(self.world.close)

    def assert_fails(self, result, *words):
        """One clear last line with the words in it, and Bazel's code for a bad machine."""
        self.assertEqual(result.code, 36, result)
        self.assertEqual(result.out, "", result)
        complaint = result.lines[-1]
        self.assertTrue(complaint.startswith("bazelw: "), result)
        for word in words:
            self.assertIn(word, complaint, result)

    def assert_fails_at_once(self, result, *words):
        """The same, with not a word before it."""
        self.assert_fails(result, *words)
        self.assertEqual(len(result.lines), 1, result)

    def assert_nothing_built(self):
        self.assertIsNone(self.world.toolbox())
        self.assertFalse((self.world.cache / "toolbox/building").exists())

    def wait_for(self, condition, what):
        deadline = time.monotonic() + 60
        while not condition():
            self.assertLess(time.monotonic(), deadline, "still waiting for " + what)
            time.sleep(0.02)
