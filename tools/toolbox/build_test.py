"""The toolbox is built aside and renamed when whole, or not at all."""

import os
import signal
import unittest

from tools.toolbox import bazelw_world

# Holds the build up until the test says go on, or until the build is killed.
HOLD = bazelw_world.DEBOOTSTRAP + 'while [[ ! -e $CALLS.go ]] && kill -0 $PPID 2>/dev/null; do sleep 0.02; done\n'


class BuildTest(bazelw_world.BazelwTestCase):

    def build(self, **env):
        return self.world.run("toolbox", "build", **env)

    def assert_builds(self, result):
        self.assertEqual(result.code, 0, result)
        self.assertIsNotNone(self.world.toolbox(), result)
        self.assertFalse((self.world.cache / "toolbox/building").exists())

    def steps(self, result):
        return [line for line in result.lines if line.startswith("bazelw:   [")]

    def test_what_is_built(self):
        result = self.build()
        self.assert_builds(result)
        self.assertEqual([line.split("]")[0][-3:] for line in self.steps(result)],
                         ["1/5", "2/5", "3/5", "4/5", "5/5"], result)
        for line in self.steps(result):
            self.assertRegex(line, r": \d+ s$")
        archives = self.world.toolbox() / "root/usr/share/mmsb/archives"
        self.assertEqual(sorted(os.listdir(archives)), sorted(self.world.archives))
        self.assertIn("bazel-bootstrap 7.7.1", (self.world.toolbox() / "versions").read_text())
        debootstrap = self.world.calls("debootstrap")
        self.assertEqual(len(debootstrap), 1)
        self.assertIn("forky", debootstrap[0])
        self.assertIn(self.world.server.url + "/debian ", debootstrap[0])
        inside = self.world.calls("in_root")
        self.assertTrue(any("apt-get" in call and " install " in call and "bazel-bootstrap" in call for call in inside))
        self.assertTrue(any(call.endswith(" clean") for call in inside))

    def test_built_once(self):
        self.assert_builds(self.build())
        again = self.build()
        self.assertEqual((again.code, again.err), (0, ""))
        self.assertEqual(len(self.world.calls("debootstrap")), 1)

    def test_a_changed_recipe_is_another_toolbox(self):
        self.assert_builds(self.build())
        old = self.world.toolbox()
        self.world.edit("recipe.sh", "kRecipeRevision=[0-9]+", "kRecipeRevision=999")
        result = self.build()
        self.assertEqual(result.code, 0, result)
        self.assertIn("toolbox clean --old", result.lines[-1])
        self.assertEqual(len(self.world.calls("debootstrap")), 2)
        info = self.world.run("toolbox", "info").out
        self.assertIn("%s, " % old, [line for line in info.splitlines() if line.startswith("old")][0])
        cleaned = self.world.run("toolbox", "clean", "--old")
        self.assertEqual(cleaned.code, 0, cleaned)
        self.assertFalse(old.exists())
        self.assertNotEqual(self.world.toolbox(), old)

    def test_a_changed_add_on_is_no_other_toolbox(self):
        self.assert_builds(self.build())
        self.world.edit("recipe.sh", "xdelta3", "xdelta4")
        self.assertEqual(self.build().err, "")

    def test_what_bazel_is_given(self):
        self.world.plant()
        result = self.world.run("test", "//a b", MMSB_BAZEL="toolbox")
        self.assertEqual(result.code, 0, result)
        tools, toolbox = self.world.project / "tools/toolbox", self.world.toolbox()
        self.assertEqual(result.out, "entered " + " ".join("<%s>" % word for word in (
            toolbox / "root", self.world.project, self.world.cache, self.world.project,
            "bazel", "--bazelrc=%s/toolbox.bazelrc" % tools, "--bazelrc=%s/mmsb.bazelrc" % tools,
            "--output_user_root=%s/bazel" % toolbox, "test", "//a b")) + "\n", result)

    def test_what_bazel_is_given_in_another_workspace(self):
        self.world.plant()
        other = self.world.folder / "other"
        (other / "package").mkdir(parents=True)
        (other / "WORKSPACE").touch()
        result = self.world.run("test", cwd=other / "package", MMSB_BAZEL="toolbox")
        self.assertIn("<%s> <bazel> " % other, result.out)
        self.assertIn("toolbox.bazelrc", result.out)
        self.assertNotIn("mmsb.bazelrc", result.out)

    def test_outside_every_workspace_it_is_the_project(self):
        self.world.plant()
        result = self.world.run("test", cwd=self.world.folder, MMSB_BAZEL="toolbox")
        self.assertIn("<%s> <bazel> " % self.world.project, result.out)
        self.assertIn("mmsb.bazelrc", result.out)

    def test_inside_the_toolbox_bazel_is_run_at_once(self):
        self.world.plant()
        self.world.fake("bazel", 'echo "bazel ran: ${*: -2}"')
        result = self.world.run("test", "//...", MMSB_IN_TOOLBOX=str(self.world.toolbox()))
        self.assertEqual(result.out, "bazel ran: test //...\n", result)

    def test_the_mirror_of_the_machine_is_taken(self):
        self.world.fake("apt-get", 'printf "%s\\n" "contrib $URL/contrib/" "main cdrom:[x]/" "main $URL/security/" "main $URL/debian/"')
        self.assert_builds(self.build(MMSB_DEBIAN_MIRROR="", URL=self.world.server.url))
        self.assertIn(self.world.server.url + "/debian ", self.world.calls("debootstrap")[0])

    def test_else_the_default_mirror(self):
        self.world.fake("apt-get", 'echo "main $URL/ubuntu/"')
        self.world.fake("debootstrap", 'DEF_MIRROR="%s/debian"\n%s' % (self.world.server.url, bazelw_world.DEBOOTSTRAP))
        self.assert_builds(self.build(MMSB_DEBIAN_MIRROR="", URL=self.world.server.url))
        self.assertIn(self.world.server.url + "/debian ", self.world.calls("debootstrap")[0])

    def test_no_mirror_at_all(self):
        self.assert_fails(self.build(MMSB_DEBIAN_MIRROR=""), "no mirror answers", "MMSB_DEBIAN_MIRROR")
        self.world.fake("debootstrap", 'DEF_MIRROR="%s/none"\n%s' % (self.world.server.url, bazelw_world.DEBOOTSTRAP))
        self.assert_fails(self.build(MMSB_DEBIAN_MIRROR=""), "no mirror answers", "/none", "MMSB_DEBIAN_MIRROR")
        self.assert_nothing_built()

    def test_a_mirror_that_does_not_answer(self):
        with bazelw_world.silent_host() as silent:
            for mirror in (silent, "http://127.0.0.1:1/debian", self.world.server.url + "/none"):
                self.assert_fails(self.build(MMSB_DEBIAN_MIRROR=mirror), mirror, "does not answer", "MMSB_DEBIAN_MIRROR")
                self.assert_nothing_built()
        self.assertEqual(self.world.calls("debootstrap"), [])

    def test_a_date_that_has_passed_is_said_and_not_asked_about(self):
        self.world.release("Mon, 03 Jan 2000 00:00:00 UTC")
        result = self.build()
        self.assert_builds(result)
        self.assertTrue(any("valid until Mon, 03 Jan 2000" in line for line in result.lines), result)
        setting = self.world.toolbox() / "root/etc/apt/apt.conf.d/90mmsb-valid-until"
        self.assertEqual(setting.read_text(), 'Acquire::Check-Valid-Until "false";\n')
        self.assertIn("valid-until not checked", self.world.run("toolbox", "info").out)

    def test_a_date_that_has_not_passed_is_asked_about(self):
        for date in ("Fri, 03 Jan 2200 00:00:00 UTC", None):
            self.world.release(date)
            result = self.build()
            self.assert_builds(result)
            self.assertNotIn("valid until", result.err)
            self.assertFalse((self.world.toolbox() / "root/etc/apt/apt.conf.d/90mmsb-valid-until").exists())
            self.assertIn("valid-until checked", self.world.run("toolbox", "info").out)
            self.world.run("toolbox", "clean")

    def test_not_root(self):
        self.world.fake("id", "echo 1000")
        self.assert_fails_at_once(self.build(), "takes root", "sudo MMSB_CACHE=", "toolbox build", "MMSB_BAZEL")
        self.assertFalse(self.world.cache.exists())

    def test_not_root_says_why_the_toolbox_is_needed(self):
        self.world.fake("id", "echo 1000")
        result = self.world.run("test", "//...")
        self.assert_fails(result, "takes root")
        self.assertIn("/archive could not be fetched", result.lines[0])
        self.assertEqual(len(result.lines), 2, result)

    def test_unknown_architecture(self):
        self.world.fake("uname", "echo riscv64")
        self.assert_fails_at_once(self.build(), "riscv64", "x86_64 and aarch64", "MMSB_BAZEL")
        self.assert_nothing_built()

    def test_cache_folder_that_cannot_be_written(self):
        self.world.cache.touch()
        self.assert_fails_at_once(self.build(), "cannot write to the cache folder %s" % self.world.cache, "MMSB_CACHE")

    def test_unshare_not_permitted(self):
        self.world.fake("unshare", "echo 'unshare failed: Operation not permitted' >&2; exit 1")
        self.assert_fails_at_once(self.build(), "unshare is not permitted", "MMSB_BAZEL")
        self.assert_nothing_built()

    def test_unshare_not_permitted_any_more(self):
        self.world.plant()
        self.world.fake("unshare", "exit 1")
        self.assert_fails_at_once(self.world.run("test", MMSB_BAZEL="toolbox"), "unshare is not permitted")

    def test_no_space(self):
        self.world.fake("df", "printf 'Filesystem Blocks Used Available Capacity Mounted\\n/dev/x 9 9 %d 9 /\\n' $((3499 * 1024))")
        self.assert_fails_at_once(self.build(), "needs 3500 MiB", "has 3499 MiB", "MMSB_CACHE")
        self.assert_nothing_built()

    def test_debootstrap_is_installed(self):
        real = self.world.fake("debootstrap", bazelw_world.DEBOOTSTRAP).rename(self.world.folder / "debootstrap")
        self.world.fake("apt-get", '[[ $1 != install ]] || cp "%s" "%s"' % (real, self.world.bin))
        result = self.build()
        self.assert_builds(result)
        self.assertTrue(any("installing debootstrap" in line for line in result.lines), result)

    def test_debootstrap_is_installed_after_an_update(self):
        real = self.world.fake("debootstrap", bazelw_world.DEBOOTSTRAP).rename(self.world.folder / "debootstrap")
        self.world.fake("apt-get", 'case $1 in update) touch "$CALLS.up" ;; install) [[ -e $CALLS.up ]] && cp "%s" "%s" ;; esac' % (real, self.world.bin))
        self.assert_builds(self.build())

    def test_no_debootstrap_and_no_way_to_install_it(self):
        self.world.remove("debootstrap")
        self.world.fake("apt-get", 'echo "E: Unable to locate package debootstrap"; exit 100')
        result = self.build()
        self.assert_fails(result, "no debootstrap", "E: Unable to locate package debootstrap", "by hand", "MMSB_BAZEL")
        self.assert_nothing_built()
        self.world.remove("apt-get")
        self.assert_fails(self.build(), "no debootstrap", "by hand", "MMSB_BAZEL")
        self.assert_nothing_built()

    def test_debootstrap_fails(self):
        self.world.fake("debootstrap", 'echo "E: Failed getting release file"; exit 1')
        self.assert_fails(self.build(), "debootstrap failed", "E: Failed getting release file", "run again", "build.log")
        self.assert_nothing_built()

    def test_apt_fails(self):
        for command in ("update", "install"):
            self.world.fake("chroot", '[[ " $* " != *" %s "* ]] || { echo "E: no such %s" >&2; exit 100; }\n%s' % (command, command, bazelw_world.CHROOT))
            self.assert_fails(self.build(), "apt-get %s failed" % command, "E: no such %s" % command, "run again", "build.log")
            self.assert_nothing_built()

    def test_an_unforeseen_failure_says_where(self):
        self.world.fake("sync", "exit 1")
        self.assert_fails(self.build(), "build_root.sh failed", "build.log")
        self.assert_nothing_built()

    def test_a_root_that_cannot_be_entered_is_not_kept(self):
        refuse = "[[ $* != *mount_root.sh* ]] || { echo 'bazelw: cannot enter the toolbox' >&2; exit 36; }\n"
        self.world.fake("unshare", refuse + bazelw_world.UNSHARE)
        self.assert_fails(self.build(), "cannot enter the toolbox")
        self.assert_nothing_built()

    def test_an_archive_with_another_sha256(self):
        for mirror_path, upstream in self.world.archives.values():
            whole = self.world.server.files[mirror_path]
            self.world.server.files[mirror_path] = whole + b"x"
            result = self.build()
            self.assert_fails(result, self.world.server.url + mirror_path, "another sha256", "run again")
            self.assert_nothing_built()
            self.world.server.files[mirror_path] = whole
        self.assert_builds(self.build())

    def test_an_archive_that_the_mirror_has_no_more_comes_from_its_project(self):
        for mirror_path, upstream in self.world.archives.values():
            self.world.server.files[upstream] = self.world.server.files.pop(mirror_path)
        self.assert_builds(self.build())

    def test_an_archive_that_nobody_has(self):
        mirror_path, _ = self.world.archives["highway-1.3.0.tar.gz"]
        del self.world.server.files[mirror_path]
        self.assert_fails(self.build(), "highway-1.3.0.tar.gz cannot be fetched", "MMSB_DEBIAN_MIRROR")
        self.assert_nothing_built()

    def test_two_at_once(self):
        self.world.fake("debootstrap", HOLD)
        first = self.world.start("toolbox", "build")
        self.wait_for(lambda: self.world.calls("debootstrap"), "the first to begin")
        second = self.world.start("test", "//...", MMSB_BAZEL="toolbox")
        said = ""
        while "waiting for it" not in said:
            said += second.stderr.readline()
        (self.world.folder / "calls.go").touch()
        self.assertEqual(first.wait(timeout=60), 0)
        out, err = second.communicate(timeout=60)
        self.assertEqual((second.returncode, err), (0, ""))
        self.assertTrue(out.startswith("entered "))
        self.assertEqual(len(self.world.calls("debootstrap")), 1)
        first.communicate()

    def test_the_second_builds_when_the_first_fails(self):
        self.world.fake("debootstrap", 'while [[ ! -e $CALLS.go ]]; do sleep 0.02; done; [[ -e $CALLS.failed ]] || { touch "$CALLS.failed"; exit 1; }\n' + bazelw_world.DEBOOTSTRAP)
        first = self.world.start("toolbox", "build")
        self.wait_for(lambda: self.world.calls("debootstrap"), "the first to begin")
        second = self.world.start("toolbox", "build")
        self.assertIn("waiting for it", second.stderr.readline())
        (self.world.folder / "calls.go").touch()
        first.communicate(timeout=60)
        second.communicate(timeout=60)
        self.assertEqual((first.returncode, second.returncode), (36, 0))
        self.assertIsNotNone(self.world.toolbox())

    def interrupt(self, number):
        self.world.fake("debootstrap", HOLD)
        process = self.world.start("toolbox", "build")
        calls = len(self.world.calls("debootstrap"))
        self.wait_for(lambda: len(self.world.calls("debootstrap")) > calls, "the build to begin")
        self.wait_for((self.world.cache / "toolbox/building/root/dev").exists, "the root to be begun")
        process.send_signal(number)
        _, err = process.communicate(timeout=60)
        return process.returncode, err

    def test_interrupted(self):
        for number, code in ((signal.SIGHUP, 129), (signal.SIGINT, 130), (signal.SIGTERM, 143)):
            got, err = self.interrupt(number)
            self.assertEqual(got, code, err)
            self.assertIn("interrupted; nothing half-built is left", err)
            self.assert_nothing_built()
        self.world.fake("debootstrap", bazelw_world.DEBOOTSTRAP)
        self.assert_builds(self.build())

    def test_killed(self):
        got, _ = self.interrupt(signal.SIGKILL)
        self.assertEqual(got, -signal.SIGKILL)
        self.assertIsNone(self.world.toolbox())
        leftover = self.world.cache / "toolbox/building/root/leftover"
        leftover.touch()
        self.world.fake("debootstrap", bazelw_world.DEBOOTSTRAP)
        self.assert_builds(self.build())
        self.assertFalse((self.world.toolbox() / "root/leftover").exists())


if __name__ == "__main__":
    unittest.main()
