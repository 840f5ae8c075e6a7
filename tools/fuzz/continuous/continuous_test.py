"""Continuous fuzzing over targets that only act: a shell script in libFuzzer's place, which
finds an input in each run, and crashes when its name says so."""

import pathlib
import re
import tempfile
import threading
import time
import unittest

from continuous import crashes, fleet, libfuzzer, scheduler, status_page

# Two inputs that differ crash in the same place; `b` inputs in another. A reduced input is "a".
ACTOR = r"""#!/bin/bash
prefix= exact= merge= minimize= folders=()
for argument; do
  case $argument in
    -artifact_prefix=*) prefix=${argument#*=} ;;
    -exact_artifact_path=*) exact=${argument#*=} ;;
    -merge=1) merge=yes ;;
    -minimize_crash=1) minimize=yes ;;
    -*) ;;
    *) folders+=("$argument") ;;
  esac
done
crash() {
  echo "==1==ERROR: AddressSanitizer: heap-use-after-free on address 0x60 at pc 0x1"
  echo "    #0 0x5 in memcpy /x/interceptors.inc:1:2"
  echo "    #1 0x6 in mmsb::Place$1(int) /x/allocator/arena.h:$2:7"
  echo "    #2 0x7 in LLVMFuzzerTestOneInput /x/a_fuzz.cc:3:4"
  echo
  echo "SUMMARY: AddressSanitizer: heap-use-after-free arena.h:$2:7 in mmsb::Place$1(int)"
  exit 1
}
if [[ -n $minimize ]]; then printf a >"$exact"; exit 0; fi
if [[ -n $merge ]]; then cp "${folders[2]}"/* "${folders[0]}"/ 2>/dev/null; exit 0; fi
if [[ -f ${folders[0]} ]]; then
  [[ -z $MMSB_FUZZ_PRINT ]] || printf 'TEST(ActorRegressionTest, NAME_IT) {\n  Do(%s);\n}\n' "$(wc -c <"${folders[0]}")"
  case $(cat "${folders[0]}") in a*) crash A $RANDOM ;; b*) crash B 9 ;; esac
  exit 0
fi
n=$(ls "${folders[0]}" | wc -l)
echo x >"${folders[0]}/input$n"
echo "#100	NEW    cov: $((10 + n)) ft: $((20 + 2 * n)) corp: $n/9b exec/s: 50 rss: 30Mb"
echo "#$((1000 + n))	DONE   cov: $((10 + n)) ft: $((20 + 2 * n)) corp: $n/9b exec/s: 50 rss: 30Mb"
if [[ $0 == *bad* ]]; then printf "a$n" >"${prefix}crash-$n"; printf "bb$n" >"${prefix}crash-b$n"; fi
if [[ $0 == *flaky* ]]; then printf "c$n" >"${prefix}timeout-$n"; echo "==1==ERROR: libFuzzer: timeout after 25 seconds"; fi
if [[ $0 == *slow* ]]; then sleep 100; fi
"""


class ContinuousTest(unittest.TestCase):
    def setUp(self):
        self._folder = tempfile.TemporaryDirectory()
        self.root = pathlib.Path(self._folder.name)
        self.out = self.root / "out"
        self.said = []

    def tearDown(self):
        self._folder.cleanup()

    def target(self, name):
        binary, seed = self.root / name, self.root / f"{name}-seed"
        binary.write_text(ACTOR)
        binary.chmod(0o755)
        seed.write_text("seed")
        return libfuzzer.Target(name, f"//x:{name}", str(binary), [str(seed)])

    def fleet(self, *names):
        return fleet.Fleet([self.target(name) for name in names], self.out, 1, self.said.append)

    def test_keeps_inputs_and_history_and_goes_on(self):
        self.fleet("one").slice("one", 1)
        again = self.fleet("one")
        again.slice("one", 1)
        self.assertEqual(len(list((self.out / "corpus/one").iterdir())), 2)
        lines = (self.out / "history/one.jsonl").read_text().splitlines()
        self.assertEqual(len(lines), 2)
        self.assertIn('"coverage": 11', lines[1])
        self.assertIn('"executions": 1001', lines[1])

    def test_a_line_that_a_kill_cut_off_is_passed_over(self):
        self.fleet("one").slice("one", 1)
        with open(self.out / "history/one.jsonl", "a", encoding="utf-8") as history:
            history.write('{"seconds": 3, "cov')
        self.fleet("one").write_page()

    def test_a_bug_is_reported_once_reduced_and_as_a_test(self):
        ship = self.fleet("bad")
        for _ in range(3):
            ship.slice("bad", 1)
        bugs = ship.bugs()
        self.assertEqual([bug["what"] for bug in bugs], ["AddressSanitizer: heap-use-after-free"] * 2)
        self.assertEqual(sorted(bug["count"] for bug in bugs), [3, 3])
        reports = "".join((self.out / bug["path"]).read_text() for bug in bugs)
        self.assertIn("`mmsb::PlaceA`", reports)
        self.assertIn("2 bytes, reduced to 1", reports)
        self.assertIn("TEST(ActorRegressionTest, NAME_IT) {\n  Do(1);\n}", reports)
        # What is smaller and another bug is not taken for this one.
        self.assertIn("3 bytes, reduced to 3", reports)
        self.assertEqual(sum("NEW BUG" in line for line in self.said), 2)
        self.assertEqual(len(self.fleet("bad").bugs()), 2)

    def test_what_is_not_seen_again_is_named_so(self):
        ship = self.fleet("flaky")
        for _ in range(2):
            ship.slice("flaky", 1)
        (once,) = ship.bugs()
        self.assertEqual(once["what"], "timeout, not seen again when the input was run alone")
        self.assertEqual(once["count"], 2)
        self.assertIn("2 bytes, reduced to 2", (self.out / once["path"]).read_text())
        self.assertFalse([line for line in self.said if "NEW BUG" in line])

    def test_a_merge_cut_off_loses_nothing(self):
        ship = self.fleet("one")
        ship.slice("one", 1)
        corpus = self.out / "corpus/one"
        corpus.rename(self.out / "corpus/one.old")
        (self.out / "corpus/one.new").mkdir()
        self.fleet("one")
        self.assertEqual(len(list(corpus.iterdir())), 1)
        self.assertFalse((self.out / "corpus/one.new").exists())

    def test_merges_now_and_then(self):
        ship = self.fleet("one")
        for _ in range(fleet.MERGE_EVERY):
            ship.slice("one", 1)
        self.assertEqual(len(list((self.out / "corpus/one").iterdir())), fleet.MERGE_EVERY)
        self.assertFalse((self.out / "corpus/one.old").exists())

    def test_runs_for_the_time_given_over_all_targets(self):
        ship = self.fleet("one", "two", "three")
        ship.run(2, 3)
        for name in ("one", "two", "three"):
            self.assertTrue((self.out / f"history/{name}.jsonl").exists(), name)
        page = (self.out / "status.html").read_text()
        self.assertEqual(len(re.findall("<polyline", page)), 9)
        self.assertIn("3 targets", page)

    def test_stops_what_runs(self):
        ship = self.fleet("slow")
        started = time.monotonic()
        threading.Timer(1, ship.stop).start()
        ship.run(1, None)
        self.assertLess(time.monotonic() - started, 20)


class SchedulerTest(unittest.TestCase):
    def test_first_each_once_then_the_one_that_gains(self):
        chooser = scheduler.Scheduler(["dry", "rich", "poor"])
        order = []
        for _ in range(60):
            name = chooser.take()
            order.append(name)
            chooser.seen(name, {"dry": 0, "rich": 10, "poor": 1}[name])
            chooser.give(name)
        self.assertEqual(set(order[:3]), {"dry", "rich", "poor"})
        self.assertGreater(order.count("rich"), 2 * order.count("dry"))
        self.assertGreater(order.count("dry"), 3)  # not forgotten

    def test_two_cores_take_two_targets(self):
        chooser = scheduler.Scheduler(["a", "b"])
        self.assertNotEqual(chooser.take(), chooser.take())
        self.assertIn(chooser.take(), ("a", "b"))


class CrashesTest(unittest.TestCase):
    def test_a_model_s_complaint_is_one_bug_at_any_step(self):
        log = "step {}: wrong counter: live\n\nTEST(X, Y) {{\n}}\n==7== ERROR: libFuzzer: deadly signal\n    #0 0x1 in abort (/x)\n"
        self.assertEqual(crashes.signature(log.format(3)), crashes.signature(log.format(40)))
        self.assertEqual(crashes.signature(log.format(3))[1], "wrong counter: live")
        self.assertNotEqual(crashes.signature(log.format(3))[0], crashes.signature(log.format(3).replace("live", "peak"))[0])

    def test_frames_are_the_program_s_own_without_arguments(self):
        log = (
            "    #0 0x1 in __asan_memcpy (/x/b+0x1) (BuildId: 12ab)\n"
            "    #1 0x2 in mmsb::(anonymous namespace)::Model<int>::Perform(mmsb::Step const&) a/b.cc:3:5\n"
            "    #2 0x3 in std::vector<int>::push_back(int&&) /usr/v.h:1:1\n"
            "    #3 0x4 in mmsb::Run(int) a/b.cc:9:5\n\n    #0 0x5 in freed_by a/c.cc:1:1\n"
        )
        self.assertEqual(crashes.frames(log), ["mmsb::Model<int>::Perform", "mmsb::Run"])

    def test_values_do_not_name_a_runtime_error(self):
        log = "a/b.cc:{}:3: runtime error: signed integer overflow: {} + 1 cannot be represented\n"
        self.assertEqual(crashes.signature(log.format(3, 2147483647)), crashes.signature(log.format(3, 5)))

    def test_bytes_make_a_test_where_the_target_prints_none(self):
        self.assertIn("0x01, 0xff,", crashes.test_of("", "x_fuzz", b"\x01\xff"))


class StatusPageTest(unittest.TestCase):
    def test_is_escaped_and_short(self):
        history = [
            {"seconds": i, "slice_seconds": 1, "coverage": i, "executions": i, "corpus": i, "corpus_bytes": i} for i in range(5000)
        ]
        crash = {"target": "t", "what": "<b>", "path": 'a"b', "count": 1}
        text = status_page.page({"t": history, "new": []}, [crash], 9, 30)
        self.assertIn("&lt;b&gt;", text)
        self.assertIn("a&quot;b", text)
        self.assertLess(len(text), 40000)
        self.assertIn("not yet", text)


if __name__ == "__main__":
    unittest.main()
