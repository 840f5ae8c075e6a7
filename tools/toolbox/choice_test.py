"""Which Bazel bazelw takes, each branch of it, and that it remembers."""

import shutil
import time
import unittest

from tools.toolbox import bazelw_world

BAZEL_7 = '[[ $1 != --version ]] || { echo "bazel 7.4.0"; exit; }\necho "bazel ran: $*"'
BAZEL_6 = '[[ $1 != --version ]] || { echo "bazel 6.5.0"; exit; }\necho "bazel ran: $*"'
BAZELISK = 'echo "bazelisk ran: $*"'


class ChoiceTest(bazelw_world.BazelwTestCase):

    def assert_ran(self, result, words):
        self.assertEqual(result.code, 0, result)
        self.assertEqual(result.out, words + "\n", result)

    def assert_toolbox_ran(self, result):
        self.assertEqual(result.code, 0, result)
        self.assertTrue(result.out.startswith("entered "), result)

    def test_mmsb_bazel_wins_over_all_and_gets_every_argument(self):
        self.world.internet()
        self.world.fake("bazelisk", BAZELISK)
        mine = self.world.fake("my bazel", 'printf "<%s>" "$@"', self.world.folder)
        result = self.world.run("test", "//a b/...", "", "-c", "opt", MMSB_BAZEL=str(mine))
        self.assertEqual((result.code, result.out), (0, "<test><//a b/...><><-c><opt>"), result)
        self.assertEqual(self.world.server.asked, [])

    def test_mmsb_bazel_may_be_a_name_on_path(self):
        self.world.fake("bazel-7", 'echo "ran: $*"')
        self.assert_ran(self.world.run("info", MMSB_BAZEL="bazel-7"), "ran: info")

    def test_mmsb_bazel_that_is_no_program(self):
        plain = self.world.folder / "plain"
        plain.write_text("text")
        for name in (str(plain), str(self.world.folder), "/nowhere/bazel", "no-such-bazel"):
            self.assert_fails_at_once(self.world.run("info", MMSB_BAZEL=name), "MMSB_BAZEL", name, "unset it")

    def test_mmsb_bazel_can_ask_for_the_toolbox(self):
        self.world.internet()
        self.world.fake("bazelisk", BAZELISK)
        self.assert_toolbox_ran(self.world.run("info", MMSB_BAZEL="toolbox"))

    def test_bazelisk_on_path(self):
        self.world.internet()
        self.world.fake("bazelisk", BAZELISK)
        self.world.fake("bazel", BAZEL_7)
        self.assert_ran(self.world.run("test", "//..."), "bazelisk ran: test //...")
        self.assertIsNone(self.world.toolbox())

    def test_bazel_7_on_path(self):
        self.world.internet()
        self.world.fake("bazel", BAZEL_7)
        self.assert_ran(self.world.run("test", "//..."), "bazel ran: test //...")

    def test_bazel_7_where_bazelisk_could_fetch_none(self):
        self.world.internet()
        del self.world.server.files["/bazel"]
        self.world.fake("bazelisk", BAZELISK)
        self.world.fake("bazel", BAZEL_7)
        self.assert_ran(self.world.run("test", "//..."), "bazel ran: test //...")

    def test_an_older_bazel_is_passed_over_for_the_pinned_release(self):
        self.world.internet()
        self.world.bazelisk_release()
        self.world.fake("bazel", BAZEL_6)
        self.assert_ran(self.world.run("test", "//..."), "release ran: test //...")

    def test_a_bazel_that_does_not_say_its_version_is_passed_over(self):
        self.world.internet()
        self.world.bazelisk_release()
        self.world.fake("bazel", "exec sleep 600")
        self.assert_ran(self.world.run("info"), "release ran: info")

    def test_pinned_release_is_fetched_once(self):
        self.world.internet()
        self.world.bazelisk_release()
        first = self.world.run("info", "a b")
        self.assert_ran(first, "release ran: info a b")
        self.assertEqual(len(first.lines), 1, first)
        self.assertIn("fetching Bazelisk 1.28.1", first.lines[0])
        (self.world.cache / "choice").unlink()
        self.assertEqual(self.world.run("info").err, "")
        fetched = [path for path in self.world.server.asked if path.startswith("/bazelisk/")]
        self.assertEqual(len(fetched), 1, fetched)

    def test_pinned_release_needs_no_root(self):
        self.world.internet()
        self.world.bazelisk_release()
        self.world.fake("id", "echo 1000")
        self.assert_ran(self.world.run("info"), "release ran: info")

    def test_pinned_release_for_arm(self):
        self.world.internet()
        self.world.bazelisk_release()
        self.world.fake("uname", "echo aarch64")
        self.assert_ran(self.world.run("info"), "release ran: info")
        self.assertIn("/bazelisk/bazelisk-linux-arm64", self.world.server.asked)

    def test_pinned_release_with_another_sha256(self):
        self.world.internet()
        self.world.bazelisk_release()
        for path in ("amd64", "arm64"):
            self.world.server.files["/bazelisk/bazelisk-linux-" + path] += b"\n"
        result = self.world.run("info")
        self.assert_fails(result, "/bazelisk/bazelisk-linux-", "another sha256", "run again")
        self.assertEqual(list((self.world.cache / "bazelisk").iterdir()), [])
        self.assertFalse((self.world.cache / "choice").exists())
        self.assert_nothing_built()

    def test_pinned_release_that_is_not_there(self):
        self.world.internet()
        self.assert_toolbox_ran(self.world.run("info"))
        self.assertEqual(list((self.world.cache / "bazelisk").iterdir()), [])

    def test_pinned_release_that_never_comes(self):
        self.world.internet()
        with bazelw_world.silent_host() as url:
            for client in ("curl", "wget", "python3"):
                self.world.clients(client)
                if not (self.world.bin / client).exists():
                    continue
                with self.subTest(client):
                    result = self.world.run("toolbox", "info", "--probe", MMSB_BAZELISK_BASE_URL=url, MMSB_FETCH_SILENCE="1")
                    self.assertIn("the toolbox, because %s/bazelisk-linux-" % url, result.out, result)
        self.assertEqual(list((self.world.cache / "bazelisk").iterdir()), [])

    def test_pinned_release_of_no_known_architecture(self):
        self.world.internet()
        self.world.fake("uname", "echo riscv64")
        self.assert_fails_at_once(self.world.run("info"), "riscv64", "MMSB_BAZEL")

    def test_pinned_release_with_no_cache_folder_to_go_to(self):
        self.world.internet()
        self.world.cache.touch()
        self.assert_fails_at_once(self.world.run("info"), "cannot write to the cache folder", "MMSB_CACHE")

    def test_toolbox_where_the_archives_do_not_answer(self):
        self.world.fake("bazelisk", BAZELISK)
        self.world.fake("bazel", BAZEL_7)
        result = self.world.run("test", "//...")
        self.assert_toolbox_ran(result)
        self.assertIn("/archive could not be fetched", result.lines[0])

    def test_toolbox_where_no_bazel_could_be_fetched(self):
        self.world.internet()
        del self.world.server.files["/bazel"]
        self.world.fake("bazelisk", BAZELISK)
        result = self.world.run("test", "//...")
        self.assert_toolbox_ran(result)
        self.assertIn("/bazel could not be fetched", result.lines[0])

    def test_toolbox_where_nobody_listens(self):
        self.world.fake("bazelisk", BAZELISK)
        self.assert_toolbox_ran(self.world.run("info", MMSB_ARCHIVE_URL="http://127.0.0.1:1/archive"))

    def test_toolbox_where_nothing_can_fetch(self):
        self.world.internet()
        self.world.clients()
        self.world.fake("bazelisk", BAZELISK)
        result = self.world.run("toolbox", "info")
        self.assertIn("bazel       the toolbox, because", result.out, result)

    def test_every_client_gets_the_same_answers(self):
        self.world.internet()
        self.world.bazelisk_release()
        for client in ("curl", "wget", "python3"):
            self.world.clients(client)
            if not (self.world.bin / client).exists():
                continue
            with self.subTest(client):
                shutil.rmtree(self.world.cache, ignore_errors=True)
                self.assert_ran(self.world.run("info"), "release ran: info")
                shutil.rmtree(self.world.cache)
                self.assert_toolbox_ran(self.world.run("info", MMSB_ARCHIVE_URL=self.world.server.url + "/none"))

    def test_a_silent_host_costs_five_seconds_at_most(self):
        self.world.fake("bazelisk", BAZELISK)
        with bazelw_world.silent_host() as url:
            for client in ("curl", "wget", "python3"):
                self.world.clients(client)
                if not (self.world.bin / client).exists():
                    continue
                with self.subTest(client):
                    began = time.monotonic()
                    result = self.world.run("toolbox", "info", "--probe", MMSB_ARCHIVE_URL=url, MMSB_BAZEL_URL=url)
                    self.assertLess(time.monotonic() - began, 5 + 2, "2 s for a busy machine")
                    self.assertIn("the toolbox, because %s could not be fetched" % url, result.out)

    def test_the_choice_is_remembered(self):
        self.world.internet()
        self.world.fake("bazelisk", BAZELISK)
        self.assert_ran(self.world.run("info"), "bazelisk ran: info")
        asked = len(self.world.server.asked)
        self.assertGreater(asked, 0)
        self.world.server.files.clear()
        self.assert_ran(self.world.run("info"), "bazelisk ran: info")
        self.assertEqual(len(self.world.server.asked), asked)

    def test_the_toolbox_is_remembered_even_when_the_network_comes(self):
        self.world.fake("bazelisk", BAZELISK)
        self.assert_toolbox_ran(self.world.run("info"))
        self.world.internet()
        again = self.world.run("info")
        self.assert_toolbox_ran(again)
        self.assertEqual(again.err, "")

    def test_probe_asks_anew(self):
        self.world.fake("bazelisk", BAZELISK)
        self.assert_toolbox_ran(self.world.run("info"))
        self.world.internet()
        self.world.run("toolbox", "info", "--probe")
        self.assert_ran(self.world.run("info"), "bazelisk ran: info")

    def test_another_path_is_another_question(self):
        self.world.internet()
        self.world.bazelisk_release()
        self.assert_ran(self.world.run("info"), "release ran: info")
        self.world.fake("bazelisk", BAZELISK)
        self.assert_ran(self.world.run("info"), "bazelisk ran: info")
        self.world.remove("bazelisk")
        self.assert_ran(self.world.run("info"), "release ran: info")

    def test_a_choice_whose_program_is_gone_is_made_anew(self):
        self.world.internet()
        self.world.bazelisk_release()
        self.assert_ran(self.world.run("info"), "release ran: info")
        shutil.rmtree(self.world.cache / "bazelisk")
        self.assert_ran(self.world.run("info"), "release ran: info")

    def test_a_damaged_record_is_made_anew(self):
        self.world.internet()
        self.world.fake("bazelisk", BAZELISK)
        self.world.run("info")
        record = self.world.cache / "choice"
        whole = record.read_bytes()
        for damaged in (b"", whole[:10], b"\x00\xff\n" * 9, whole.split(b"\n")[0] + b"\n"):
            record.write_bytes(damaged)
            self.assert_ran(self.world.run("info"), "bazelisk ran: info")
            self.assertEqual(record.read_bytes().split(b"\n")[0], whole.split(b"\n")[0])

    def test_bazelisk_needs_no_cache_folder(self):
        self.world.internet()
        self.world.fake("bazelisk", BAZELISK)
        self.world.cache.touch()
        result = self.world.run("info")
        self.assert_ran(result, "bazelisk ran: info")
        self.assertEqual(len(result.lines), 1, result)
        self.assertIn("is not remembered", result.lines[0])

    def test_no_home(self):
        self.assert_fails_at_once(self.world.run("info", HOME="", MMSB_CACHE="", XDG_CACHE_HOME=""), "MMSB_CACHE")

    def test_where_the_cache_folder_is(self):
        self.world.internet()
        self.world.fake("bazelisk", BAZELISK)
        xdg = self.world.folder / "xdg"
        self.world.run("info", MMSB_CACHE="", XDG_CACHE_HOME=str(xdg))
        self.assertTrue((xdg / "mmsb/choice").exists())
        self.world.run("info", MMSB_CACHE="")
        self.assertTrue((self.world.folder / ".cache/mmsb/choice").exists())
        self.world.run("info", MMSB_CACHE="beside")
        self.assertTrue((self.world.project / "beside/choice").exists())

    def test_info_says_which_and_why(self):
        def bazel_line(**env):
            result = self.world.run("toolbox", "info", **env)
            self.assertEqual(result.code, 0, result)
            return result.out.splitlines()[0]

        self.assertIn("/archive could not be fetched", bazel_line())
        self.assertIsNone(self.world.toolbox(), "info builds nothing")
        self.world.internet()
        self.world.bazelisk_release()
        self.assertIn("Bazelisk's release, because neither", bazel_line())
        bazel = self.world.fake("bazel", BAZEL_7)
        self.assertIn("%s, because it is a Bazel 7 on PATH" % bazel, bazel_line())
        bazelisk = self.world.fake("bazelisk", BAZELISK)
        self.assertIn("%s, because it is on PATH" % bazelisk, bazel_line())
        self.assertIn("the toolbox, because MMSB_BAZEL asks", bazel_line(MMSB_BAZEL="toolbox"))
        self.assertIn("/a/bazel, because MMSB_BAZEL names it", bazel_line(MMSB_BAZEL="/a/bazel"))

    def test_from_another_folder_and_through_a_link(self):
        self.world.internet()
        self.world.fake("bazelisk", 'echo "in $PWD"')
        self.assert_ran(self.world.run("info", cwd=self.world.folder), "in %s" % self.world.folder)
        elsewhere = self.world.folder / "elsewhere"
        elsewhere.mkdir()
        (elsewhere / "bazelw").symlink_to(self.world.project / "bazelw")
        self.world.bazelw = elsewhere / "bazelw"
        self.assert_ran(self.world.run("info"), "in %s" % self.world.project)


if __name__ == "__main__":
    unittest.main()
