"""Which target is fuzzed next: the one that lately gained the most a second."""

import math


class Scheduler:
    """A bandit over targets. A slice's reward is the features it found a second; older rewards
    fade, and a target that was not run for long becomes the next whatever it gained
    (Auer et al., Finite-time analysis of the multiarmed bandit problem, 2002).

    Not thread-safe."""

    FADE = 0.7  # of what a target gained before, with each slice of its own

    def __init__(self, names):
        self._gain = {name: None for name in names}
        self._slices = {name: 0 for name in names}
        self._busy = {name: 0 for name in names}

    def seen(self, name, features_a_second):
        old = self._gain[name]
        self._gain[name] = features_a_second if old is None else self.FADE * old + (1 - self.FADE) * features_a_second
        self._slices[name] += 1

    def take(self):
        """The next target, busy until `give`."""
        total = sum(self._slices.values()) + sum(self._busy.values()) + 1
        most = max([gain or 0 for gain in self._gain.values()] + [1e-9])

        def score(name):
            runs = self._slices[name] + self._busy[name]
            if runs == 0:
                return math.inf
            return (self._gain[name] or 0) / most + math.sqrt(2 * math.log(total) / runs)

        # Two runs of one target find much of the same.
        name = max(self._gain, key=lambda n: (-self._busy[n], score(n)))
        self._busy[name] += 1
        return name

    def give(self, name):
        self._busy[name] -= 1
