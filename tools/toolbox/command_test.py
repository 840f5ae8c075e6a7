"""./bazelw toolbox add, clean, shell, info and help."""

import os
import signal
import subprocess
import sys
import unittest

from tools.toolbox import bazelw_world


class CommandTest(bazelw_world.BazelwTestCase):

    def toolbox_command(self, *arguments, **env):
        return self.world.run("toolbox", *arguments, **env)

    def assert_misused(self, result, *words):
        self.assertEqual(result.code, 2, result)
        self.assertEqual(len(result.lines), 1, result)
        for word in words:
            self.assertIn(word, result.err)

    def installs(self, package):
        return [call for call in self.world.calls("in_root") if " install " in call and " %s" % package in call]

    def info_of(self, row):
        lines = self.toolbox_command("info").out.splitlines()
        return [line for line in lines if line.startswith(row + " ")][0]

    def test_what_there_is_not(self):
        self.assert_misused(self.toolbox_command("sing"), "'toolbox sing'", "toolbox help")
        self.assert_misused(self.toolbox_command("info", "--loud"), "info --loud", "[--probe]")
        self.assert_misused(self.toolbox_command("clean", "--most"), "clean --most", "[--old]")
        self.assert_misused(self.toolbox_command("add", "bench", "songs"), "no add-on 'songs'", "msan|valgrind|bench|aarch64|remote|afl")
        self.assert_misused(self.toolbox_command("add"), "wants a name", "msan|valgrind|bench|aarch64|remote|afl")
        self.assert_nothing_built()

    def test_help(self):
        for arguments in ((), ("help",), ("--help",)):
            result = self.toolbox_command(*arguments)
            self.assertEqual((result.code, result.err), (0, ""), result)
            for command in ("info", "build", "shell", "add", "clean"):
                self.assertIn("./bazelw toolbox " + command, result.out)
        self.assert_nothing_built()

    def test_add(self):
        self.world.plant()
        self.assertIn("not added", self.info_of("bench"))
        result = self.toolbox_command("add", "bench")
        self.assertEqual(result.code, 0, result)
        self.assertEqual(len(self.installs("xdelta3")), 1)
        self.assertIn("added", self.info_of("bench"))
        self.assertNotIn("not added", self.info_of("bench"))
        self.assertIn("not added", self.info_of("aarch64"))

    def test_add_builds_the_toolbox_first_and_adds_several(self):
        result = self.toolbox_command("add", "bench", "aarch64")
        self.assertEqual(result.code, 0, result)
        self.assertEqual(len(self.installs("xdelta3")), 1)
        self.assertEqual(len(self.installs("qemu-user")), 1)

    def test_add_again_does_nothing(self):
        self.world.plant()
        self.toolbox_command("add", "bench")
        calls = len(self.world.calls("in_root"))
        result = self.toolbox_command("add", "bench")
        self.assertEqual((result.code, result.lines), (0, ["bazelw: bench is there already"]))
        self.assertEqual(len(self.world.calls("in_root")), calls)

    def test_an_add_on_that_grew_is_added_again(self):
        self.world.plant()
        self.toolbox_command("add", "bench")
        self.world.edit("recipe.sh", "xdelta3", "xdelta3 zstd")
        self.assertIn("not added", self.info_of("bench"))
        self.toolbox_command("add", "bench")
        self.assertEqual(len(self.installs("zstd")), 1)

    def test_add_fails_and_is_completed(self):
        self.world.plant()
        self.world.fake("chroot", '[[ $* != *xdelta3* ]] || { echo "E: out of luck" >&2; exit 100; }\n' + bazelw_world.CHROOT)
        self.assert_fails(self.toolbox_command("add", "bench"), "apt-get install failed", "E: out of luck", "run again")
        self.assertIn("interrupted while it was added: ./bazelw toolbox add bench", self.info_of("bench"))
        self.assertEqual(self.world.run("info", MMSB_BAZEL="toolbox").code, 0)
        self.world.fake("chroot", bazelw_world.CHROOT)
        self.assertEqual(self.toolbox_command("add", "bench").code, 0)
        self.assertNotIn("interrupted", self.info_of("bench"))

    def test_add_interrupted_and_completed(self):
        self.world.plant()
        self.world.fake("chroot", '[[ $* != *xdelta3* ]] || { : >"$CALLS.adding"; while kill -0 $PPID 2>/dev/null; do sleep 0.02; done; }\n' + bazelw_world.CHROOT)
        process = self.world.start("toolbox", "add", "bench")
        self.wait_for((self.world.folder / "calls.adding").exists, "the adding to begin")
        self.assertIn("being added now", self.info_of("bench"))
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
        self.assertEqual(process.returncode, 130, err)
        self.assertIn("run ./bazelw toolbox add bench again to complete it", err)
        self.world.fake("chroot", bazelw_world.CHROOT)
        self.assertEqual(self.toolbox_command("add", "bench").code, 0)
        self.assertTrue([call for call in self.world.calls("in_root") if "dpkg --configure -a" in call])

    def test_what_was_half_unpacked_is_unpacked_again(self):
        self.world.plant()
        self.world.fake("chroot", bazelw_world.CHROOT + """
[[ $* != *Status-Eflag* ]] || printf 'ok whole:amd64\\nreinstreq half:amd64\\n'
""")
        self.assertEqual(self.toolbox_command("add", "bench").code, 0)
        mended = [call for call in self.world.calls("in_root") if " --reinstall " in call]
        self.assertEqual(len(mended), 1)
        self.assertTrue(mended[0].endswith(" --fix-broken --reinstall half:amd64"), mended)

    def test_what_dpkg_cannot_complete(self):
        self.world.plant()
        self.world.fake("chroot", '[[ $* != *"dpkg --configure"* ]] || { echo "dpkg: no" >&2; exit 1; }\n' + bazelw_world.CHROOT)
        self.assert_fails(self.toolbox_command("add", "bench"), "dpkg cannot complete", "dpkg: no", "toolbox clean")

    def test_add_msan(self):
        source = "/debian/llvm.orig.tar.xz"
        self.world.server.files[source] = b"source"
        uris = "'%s%s' llvm-toolchain-21_21.1.8.orig.tar.xz 6 SHA256:abc" % (self.world.server.url, source)
        self.world.fake("chroot", bazelw_world.CHROOT.replace("esac", """
  ninja) mkdir -p "$root/opt/msan-build/stage/opt/msan-libcxx/lib" ;;
esac
[[ $* != *--print-uris* ]] || echo "%s"
""" % uris))
        self.world.plant()
        result = self.toolbox_command("add", "msan")
        self.assertEqual(result.code, 0, result)
        self.assertTrue((self.world.toolbox() / "root/opt/msan-libcxx/lib").is_dir())
        self.assertFalse((self.world.toolbox() / "root/opt/msan-build").exists())
        self.assertFalse((self.world.toolbox() / "root/etc/apt/sources.list.d/mmsb-source.list").exists())
        fetch = [call for call in self.world.calls("in_root") if "llvm.orig" in call]
        self.assertTrue(fetch[0].endswith(" SHA256:abc"), fetch)

    def test_add_msan_of_a_source_that_the_mirror_has_not(self):
        self.world.plant()
        self.assert_fails(self.toolbox_command("add", "msan"), "no source of llvm-toolchain-21", "MMSB_DEBIAN_MIRROR")

    def test_add_without_root(self):
        self.world.plant()
        self.world.fake("id", "echo 1000")
        self.assert_fails_at_once(self.toolbox_command("add", "bench"), "takes root", "toolbox add bench")

    def test_clean(self):
        self.world.plant()
        self.toolbox_command("add", "bench")
        self.world.run("info")
        toolbox = self.world.toolbox()
        result = self.toolbox_command("clean")
        self.assertEqual((result.code, result.out), (0, ""), result)
        self.assertTrue(any("removing %s (" % toolbox in line for line in result.lines), result)
        self.assertEqual(os.listdir(self.world.cache), ["toolbox"])
        self.assertEqual(os.listdir(self.world.cache / "toolbox"), ["lock"])
        again = self.toolbox_command("clean")
        self.assertEqual(again.code, 0)
        self.assertIn("nothing to remove", again.err)

    def test_clean_where_there_never_was_one(self):
        result = self.toolbox_command("clean")
        self.assertEqual((result.code, len(result.lines)), (0, 1), result)
        self.assertFalse(self.world.cache.exists())

    def test_clean_leaves_the_pinned_release(self):
        self.world.internet()
        self.world.bazelisk_release()
        self.world.run("info")
        self.toolbox_command("clean")
        self.assertEqual(len(os.listdir(self.world.cache / "bazelisk")), 1)

    def server(self, base, named=None):
        """A process that looks like the Bazel server of an output base."""
        process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", "--output_base=%s" % (named or base)])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        (base / "server").mkdir(parents=True)
        (base / "server/server.pid.txt").write_text("%d" % process.pid)
        return process

    def test_clean_stops_its_own_servers_and_no_other(self):
        self.world.plant()
        output = self.world.toolbox() / "bazel"
        own = self.server(output / "own")
        reused = self.server(output / "reused", named="/another/base")
        elsewhere = self.server(self.world.folder / "elsewhere")
        result = self.toolbox_command("clean")
        self.assertEqual(result.code, 0, result)
        self.assertEqual(own.wait(timeout=10), -signal.SIGTERM)
        self.assertIsNone(reused.poll())
        self.assertIsNone(elsewhere.poll())
        self.assertEqual(len([line for line in result.lines if "stopping" in line]), 1, result)

    def test_clean_completes_an_interrupted_clean(self):
        self.world.plant()
        os.rename(self.world.toolbox(), self.world.cache / "toolbox/removing.x")
        (self.world.cache / "toolbox/building/root").mkdir(parents=True)
        self.assertEqual(self.toolbox_command("clean").code, 0)
        self.assertEqual(os.listdir(self.world.cache / "toolbox"), ["lock"])

    def test_clean_does_not_reach_through_a_mount(self):
        self.world.plant()
        mounted = self.world.toolbox() / "root/dev"
        removing = self.world.cache / ("toolbox/removing.%s/root/dev" % self.world.toolbox().name)
        fake = self.world.folder / "mountinfo"
        fake.write_text("1 2 0:1 / %s rw - devtmpfs x rw\n" % str(removing).replace(" ", "\\040"))
        self.world.edit("remove.sh", "/proc/self/mountinfo", '"$CALLS.mounts"')
        fake.rename(self.world.folder / "calls.mounts")
        (mounted / "precious").touch()
        self.assert_fails(self.toolbox_command("clean"), "something is mounted at %s" % removing, "unmount it")
        self.assertTrue((removing / "precious").exists())

    def test_shell_runs_a_command_in_this_folder(self):
        self.world.plant()
        folder = self.world.project / "a folder"
        folder.mkdir()
        result = self.world.run("toolbox", "shell", "make", "a b", cwd=folder)
        self.assertEqual(result.code, 0, result)
        self.assertTrue(result.out.endswith("<%s> <make> <a b>\n" % folder), result)
        self.assertTrue(self.toolbox_command("shell").out.endswith("<bash>\n"))

    def test_shell_hands_back_the_exit_code(self):
        self.world.plant()
        self.world.fake("unshare", "[[ $* == *true ]] || exit 7")
        self.assertEqual(self.toolbox_command("shell", "false").code, 7)

    def test_inside_the_toolbox(self):
        self.world.plant()
        inside = {"MMSB_IN_TOOLBOX": str(self.world.toolbox())}
        self.assertEqual(self.toolbox_command("shell", "bash", "-c", "echo here", **inside).out, "here\n")
        self.assert_fails_at_once(self.toolbox_command("clean", **inside), "inside the toolbox", "exit")
        self.assert_fails_at_once(self.toolbox_command("add", "bench", **inside), "inside the toolbox", "exit")
        self.assertIsNotNone(self.world.toolbox())

    def test_without_root_it_is_entered_by_a_user_namespace(self):
        self.world.plant()
        self.world.fake("id", "echo 1000")
        self.assertEqual(self.toolbox_command("shell", "make").code, 0)
        self.assertIn("--user --map-root-user", self.world.calls("unshare")[-1])

    def test_somebody_elses_toolbox(self):
        self.world.plant()
        output = self.world.toolbox() / "bazel"
        output.rmdir()
        self.assert_fails_at_once(self.world.run("info", MMSB_BAZEL="toolbox"), "cannot write to %s" % output, "MMSB_CACHE")

    def test_info_where_there_is_no_toolbox(self):
        result = self.toolbox_command("info")
        self.assertEqual(result.code, 0, result)
        self.assertIn("not built (./bazelw toolbox build)", result.out)
        for row, value in (("project", self.world.project), ("cache", self.world.cache)):
            self.assertIn("%-12s%s\n" % (row, value), result.out)

    def test_info_of_a_toolbox(self):
        self.world.plant()
        toolbox = self.world.toolbox()
        self.assertRegex(self.info_of("toolbox"), "%s, built 20" % toolbox)
        self.assertIn("Debian forky; bazel-bootstrap 7.7.1", self.info_of("holds"))
        self.assertRegex(self.info_of("root"), r"/root, [0-9.]+[KMG]?$")


if __name__ == "__main__":
    unittest.main()
