"""Every SIMD target that this machine has keeps the same versions, and gives them back."""

import os
import random
import re
import unittest

import harness


def run_on(target, *arguments):
    return harness.run(*arguments, env={**os.environ, "MMSB_SIMD_TARGET": target})


def targets():
    """What the message about a target that there is none of lists."""
    result = run_on("NONESUCH", "--version")
    listed = re.fullmatch(
        r"mmsb: MMSB_SIMD_TARGET: there is no SIMD target 'NONESUCH' on this machine; there is: (\w+(, \w+)*)\n",
        result.err,
    )
    return result, listed and listed.group(1).split(", ")


class SimdTargetTest(harness.StoreTest):
    def test_a_wrong_name_is_refused_and_lists_the_right_ones(self):
        result, listed = targets()
        self.assertEqual((result.code, result.out), (2, ""))
        self.assertIsNotNone(listed, result.err)
        self.assertIn("EMU128", listed)
        self.assertIn("'\\x1b[2J'", run_on("\x1b[2J", "--version").err, "no control characters are printed")

    def test_all_targets_write_the_same_store(self):
        rng = random.Random(1)
        versions = [rng.randbytes(40_000)]
        for _ in range(12):
            changed = bytearray(versions[-1])
            # Few changes and many, so that pages are kept in each form.
            for _ in range(rng.choice((1, 30, 3_000))):
                changed[rng.randrange(len(changed))] = rng.randrange(256)
            versions.append(bytes(changed))
        stores = {}
        for target in targets()[1]:
            store = self.path(f"{target}.mmsb")
            for contents in versions:
                harness.write(self.path("file"), contents)
                self.assertEqual(run_on(target, "commit", store, self.path("file")).code, 0)
            self.assertIn(f"SIMD target     {target}\n", run_on(target, "stat", store).out)
            for number, contents in enumerate(versions, start=1):
                self.assertEqual(run_on(target, "checkout", "--force", store, str(number), self.path("out")).code, 0)
                self.assertEqual(harness.read(self.path("out")), contents)
            diffs = [run_on(target, "diff", store, "1", str(number)).out for number in (1, 2, 13)]
            verified = run_on(target, "verify", store)
            self.assertEqual(verified.code, 0, verified.err)
            stat = re.search(r"pages .*", run_on(target, "stat", store).out).group()
            stores[target] = (diffs, stat, os.path.getsize(os.path.join(store, "log")))
        self.assertRegex(stores["EMU128"][1], r" [1-9]\d* as deltas")
        for target, what in stores.items():
            self.assertEqual(what, stores["EMU128"], target)


if __name__ == "__main__":
    unittest.main()
