"""Which users see which arm of an experiment."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.stats import chisquare

from graphmeta.data.split import split_hash
from graphmeta.errors import ConfigError, DataError

# A check that is made in every experiment and at every look must rarely cry wolf.
MISMATCH_LEVEL = 0.001


@dataclass(frozen=True)
class Assignment:
    """Assigns users to arms by the hash of their id: the same arm each time, nothing kept.

    With `h` = `split_hash`, user u is in the first arm where `h(f"{experiment}/{u}")` is below its
    share, in the second where it is below the sum of the first two, and so on. Experiments of
    other names split the users independently of this one.

    Args:
        experiment: Its name, of its own for each experiment.
        shares: Each arm's share of the users; they add up to 1.

    Raises:
        ConfigError: The name is empty, there are fewer than two arms, or the shares are not
            above 0 with sum 1.
    """

    experiment: str
    shares: Mapping[str, float] = field(default_factory=lambda: {"control": 0.5, "treatment": 0.5})

    def __post_init__(self) -> None:
        if not self.experiment:
            raise ConfigError("the experiment has no name; give each its own")
        shares = np.array(list(self.shares.values()), dtype=np.float64)
        if len(shares) < 2 or not bool((shares > 0).all()) or abs(shares.sum() - 1) > 1e-9:
            raise ConfigError(
                f"shares={dict(self.shares)} must be at least two, all above 0, with sum 1"
            )

    def arm(self, user: Any) -> str:
        """Return the arm of a user; 318 and "318" are the same user."""
        below = np.cumsum(list(self.shares.values()))
        place = int(np.searchsorted(below, split_hash(f"{self.experiment}/{user}"), side="right"))
        # The sum of the shares may round to just below 1.
        return list(self.shares)[min(place, len(self.shares) - 1)]

    def check_ratio(self, arms: Iterable[str]) -> float:
        """Return the p-value of a chi-square test that users came to the arms as planned.

        Arms of other sizes than planned mean that users were lost or counted in one arm and not in
        the other, and then a difference means nothing (Fabijan et al., "Diagnosing sample ratio
        mismatch in online controlled experiments", 2019).

        Args:
            arms: The arm of each user who was counted, once per user.

        Raises:
            DataError: The p-value is below .001, there is no user, or an arm is another's.
        """
        seen = list(arms)
        strange = set(seen) - set(self.shares)
        if strange or not seen:
            raise DataError(
                f"users are in arms {sorted(set(seen), key=str)}; expected {list(self.shares)}"
            )
        counts = np.array([seen.count(arm) for arm in self.shares])
        planned = np.array(list(self.shares.values())) * len(seen)
        p_value = float(chisquare(counts, planned).pvalue)
        if p_value < MISMATCH_LEVEL:
            raise DataError(
                f"the arms hold {dict(zip(self.shares, counts.tolist(), strict=True))} users where "
                f"shares of {dict(self.shares)} were planned (p = {p_value:.1g}); find out who is "
                "missing before reading any difference"
            )
        return p_value
