"""When did surprises rise for good?"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphmeta.errors import ConfigError, MissingExtraError


class PageHinkley:
    """Finds the place in a row of surprises after which they are higher than before.

    The alarm is `river.drift.PageHinkley`: the sum of what each surprise exceeds the mean so far by
    has risen by more than `threshold` above its lowest (Page, "Continuous inspection schemes",
    Biometrika, 1954; Hinkley, 1971). After an alarm, the change is put where a cut explains most
    of the variance, the maximum likelihood estimate for a step in a normal mean. (ADWIN, whose
    guarantee takes hundreds of observations, found next to nothing in histories of 80.)

    Args:
        threshold: Rise that is an alarm, in surprises: 1 is ten items that rank by a tenth of the
            catalogue lower than those before did. Of 0.75 to 1.5, 1 was best on validation users.
        tolerance: What each surprise may exceed the mean by at no charge.
        min_shown: Interactions before there can be an alarm.

    Raises:
        ConfigError: A number is out of its range.
        MissingExtraError: river is not installed.
    """

    def __init__(
        self, *, threshold: float = 1.0, tolerance: float = 0.0, min_shown: int = 10
    ) -> None:
        if not threshold > 0 or tolerance < 0 or min_shown < 2:
            raise ConfigError(
                f"threshold={threshold} must be above 0, tolerance={tolerance} 0 or more and "
                f"min_shown={min_shown} at least 2"
            )
        try:
            from river import drift
        except ImportError as error:
            raise MissingExtraError(
                "detecting changes needs river; pip install 'graphmeta[drift]'"
            ) from error
        self._new: Callable[[], Any] = lambda: drift.PageHinkley(
            min_instances=min_shown, delta=tolerance, threshold=threshold, alpha=1.0, mode="up"
        )
        self.threshold, self.tolerance, self.min_shown = threshold, tolerance, min_shown

    def change(self, surprises: Sequence[float]) -> tuple[int, int] | None:
        """Return after how many surprises the first alarm comes, and how many precede the change.

        Args:
            surprises: From 0 to 1, oldest first.

        Returns:
            None where there is no alarm.
        """
        detector = self._new()
        for n_seen, surprise in enumerate(surprises, start=1):
            detector.update(surprise)
            if detector.drift_detected:
                return n_seen, most_likely_cut(surprises[:n_seen])
        return None


def most_likely_cut(values: Sequence[float]) -> int:
    """Return how many values come before the cut between whose sides means differ the most.

    That is the n that maximises `n (m - n) / m (mean of the first n - mean of the rest)^2`, of m
    values; at least one value is on either side.
    """
    x = np.asarray(values, dtype=np.float64)
    n = np.arange(1, len(x))
    total = x.cumsum()
    before, after = total[:-1] / n, (total[-1] - total[:-1]) / (len(x) - n)
    rise = np.where(after > before, after - before, 0.0)
    return int(n[(n * (len(x) - n) * rise**2).argmax()])
