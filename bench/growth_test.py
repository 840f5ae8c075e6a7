import unittest

from bench import growth


def run(**points):
    """A run of Google Benchmark with these rows, in ns."""
    return {
        "benchmarks": [
            {"name": name.replace("__", "/"), "time_unit": "ns", "real_time": value} for name, value in points.items()
        ]
    }


class GrowthTest(unittest.TestCase):
    def test_points_are_joined_by_cost_in_order_of_size(self):
        rounds = [
            growth.parse(run(pages_find__1000=3.0, pages_find__10=1.0)),
            growth.parse(run(pages_find__1000=5.0, pages_find__10=1.0)),
            growth.parse(run(pages_find__1000=4.0, pages_find__10=2.0)),
        ]
        points = growth.curves(rounds)["pages_find"]
        self.assertEqual([size for size, _ in points], [10, 1000])
        self.assertEqual((points[1][1].least, points[1][1].median, points[1][1].largest), (3.0, 4.0, 5.0))

    def test_the_clock_that_a_row_names_is_no_part_of_its_size(self):
        self.assertEqual(growth.parse(run(store_commit__100__real_time=7.0)), {("store_commit", 100): 7.0})

    def test_the_text_says_how_much_it_grew(self):
        found = growth.curves([growth.parse(run(epochs_open__10=2000.0, epochs_open__10000=5000.0))])
        self.assertIn("epochs_open, by epochs: x2.50", growth.text(found))
        self.assertIn("10000       5 us", growth.text(found))


if __name__ == "__main__":
    unittest.main()
