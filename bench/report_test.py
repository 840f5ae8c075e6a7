import re
import unittest

from bench import report
from bench import report_table


def run(**items_per_second):
    rows = {"ours": "churn/mmsb", "boost": "churn/boost::pool/manual_time"}
    return {"benchmarks": [{"name": rows[key], "items_per_second": value} for key, value in items_per_second.items()]}


class ParseTest(unittest.TestCase):
    def test_items_become_nanoseconds(self):
        values = report_table.parse_run(run(ours=1e9, boost=2.5e8))
        self.assertEqual(values, {("churn", "mmsb"): 1.0, ("churn", "boost::pool"): 4.0})

    def test_counters_are_workloads_of_their_own(self):
        values = report_table.parse_run(
            {"benchmarks": [{"name": "held/malloc/iterations:1", "held_after_churn": 1.5, "held_after_purge": 1.25}]}
        )
        self.assertEqual(values, {("held_after_churn", "malloc"): 1.5, ("held_after_purge", "malloc"): 1.25})

    def test_an_error_is_not_a_value(self):
        with self.assertRaisesRegex(ValueError, "churn/mmsb: no memory"):
            report_table.parse_run(
                {"benchmarks": [{"name": "churn/mmsb", "error_occurred": True, "error_message": "no memory"}]}
            )

    def test_a_pattern_matches_its_rows_alone(self):
        pattern = report_table.exactly(["churn/mmsb", "churn/a (b)"])
        self.assertTrue(re.search(pattern, "churn/mmsb"))
        self.assertTrue(re.search(pattern, "churn/a (b)"))
        self.assertFalse(re.search(pattern, "churn/mmsb checked"))


class TableTest(unittest.TestCase):
    def test_a_ratio_is_taken_within_each_round(self):
        # The machine was twice as slow in the second round.
        table = report_table.Table(
            [
                {("churn", "mmsb"): 1.0, ("churn", "boost::pool"): 4.0},
                {("churn", "mmsb"): 2.0, ("churn", "boost::pool"): 8.0},
                {("churn", "mmsb"): 1.0, ("churn", "boost::pool"): 2.0},
            ]
        )
        ratio = table.ratio("churn", "mmsb", "boost::pool")
        self.assertEqual((ratio.median, ratio.least, ratio.largest), (0.25, 0.25, 0.5))
        self.assertEqual(str(ratio), "0.25 (0.25 to 0.50)")

    def test_a_round_without_the_peer_does_not_count(self):
        table = report_table.Table([{("churn", "mmsb"): 1.0}, {("churn", "mmsb"): 1.0, ("churn", "other"): 2.0}])
        self.assertEqual(table.ratio("churn", "mmsb", "other").median, 0.5)
        self.assertIsNone(table.ratio("churn", "mmsb", "nobody"))

    def test_of_two_faces_of_a_heap_the_better_one_counts(self):
        table = report_table.Table(
            [{("churn", "mmsb"): 1.0, ("churn", "tcmalloc (malloc)"): 5.0, ("churn", "tcmalloc (sized new)"): 4.0}]
        )
        self.assertEqual(table.peers("churn"), ["tcmalloc (sized new)"])
        self.assertEqual(table.row_of("churn", "tcmalloc"), "tcmalloc (sized new)")

    def test_the_hand_over_is_subtracted(self):
        table = report_table.Table(
            [{("shared_handed_over", "mmsb"): 7.0, ("shared_handed_over", "a"): 12.0, ("shared_handed_over", "hand-over alone"): 2.0}]
        )
        self.assertEqual(table.ratio("shared_handed_over", "mmsb", "a").median, 0.5)
        self.assertEqual(table.rows["shared_handed_over"], ["mmsb", "a"])
        self.assertIn("less the hand-over itself", table.text())

    def test_the_best_peer_is_no_limit(self):
        table = report_table.Table([{("arena_8192", "mmsb"): 1.0, ("arena_8192", "a bare bump pointer"): 0.9, ("arena_8192", "std::pmr"): 2.0}])
        self.assertEqual(table.row_of("arena_8192", None), "std::pmr")

    def test_aims_are_judged_by_the_median(self):
        table = report_table.Table(
            [
                {("pool_churn_1000", "mmsb"): 1.0, ("pool_churn_1000", "boost::pool"): 2.0},
                {("pool_churn_1000", "mmsb"): 1.0, ("pool_churn_1000", "boost::pool"): 1.0},
                {("pool_churn_1000", "mmsb"): 1.0, ("pool_churn_1000", "boost::pool"): 2.0},
            ]
        )
        self.assertIn("aim: mmsb / boost::pool <= 0.6: 0.50 (0.50 to 1.00), met", table.text())
        slow = report_table.Table([{("pool_churn_1000", "mmsb"): 3.0, ("pool_churn_1000", "boost::pool"): 2.0}])
        self.assertIn("1.50 (1.50 to 1.50), MISSED", slow.text())

    def test_workloads_without_ours_are_printed(self):
        table = report_table.Table([{("general_replace_1_thread", "glibc (malloc)"): 75.0}])
        self.assertIn("glibc (malloc)", table.text())
        self.assertNotIn("aim", table.text())


class InstructionsTest(unittest.TestCase):
    def test_what_counting_adds_is_judged(self):
        text = report_table.instructions_text(
            {
                ("pool_pairs", "mmsb"): 14.0,
                ("pool_pairs", "mmsb uncounted"): 13.0,
                ("pool_pairs", "mmsb slab"): 101.0,
                ("pool_pairs", "mmsb slab uncounted"): 100.0,
                ("pool_pairs", "a bare stack"): 9.0,
            }
        )
        self.assertIn("pool_pairs, mmsb / the same uncounted <= 1.02: 1.077, MISSED", text)
        self.assertIn("pool_pairs, mmsb slab / the same uncounted <= 1.02: 1.010, met", text)
        self.assertEqual(text.count("aim"), 2)


class HeapsTest(unittest.TestCase):
    def test_a_heap_that_is_not_there_is_named(self):
        found, missing = report.find_heaps(folders=())
        self.assertEqual(found, {"glibc": None})
        self.assertIn("jemalloc (libjemalloc.so.2)", missing)


if __name__ == "__main__":
    unittest.main()
