"""Two rankings in one list, so that every session compares both."""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from graphmeta.errors import ConfigError, DataError

Team = Literal["a", "b"]


@dataclass(frozen=True)
class Interleaved:
    """A list to show, and which ranking each place came from.

    Args:
        items: Ids, the first place first.
        teams: The ranking that put each there, "a" or "b". Keep it with what was shown.
    """

    items: tuple[Any, ...]
    teams: tuple[Team, ...]

    def credit(self, clicked: Collection[Any]) -> int:
        """Return 1 where ranking a got more of the clicks, -1 where b did, 0 for a tie.

        Args:
            clicked: Ids of the items of this list that were clicked; again counts once.

        Raises:
            DataError: An item was not on the list.
        """
        clicks = set(clicked)
        strange = clicks - set(self.items)
        if strange:
            raise DataError(f"clicked item {next(iter(strange))!r} was not on the list shown")
        teams = [team for item, team in zip(self.items, self.teams, strict=True) if item in clicks]
        return int(np.sign(2 * teams.count("a") - len(teams)))


def team_draft(
    a: Sequence[Hashable], b: Sequence[Hashable], *, k: int = 10, rng: np.random.Generator
) -> Interleaved:
    """Merge two rankings as two captains pick teams.

    The ranking with fewer places so far picks next, a coin decides where both have as many, and
    each picks its best item that is not yet on the list (Radlinski, Kurup and Joachims, "How does
    clickthrough data reflect retrieval quality?", 2008). Each place is equally likely to be
    either's, so that clicks that ignore the items prefer neither. An item that both rank well
    is credited to whoever picked it.

    Args:
        a: Ids of the first ranking, best first.
        b: Ids of the second ranking for the same user.
        k: Length of the list.
        rng: Tosses the coins.

    Raises:
        ConfigError: `k` is below 1, or a ranking has fewer than `k` items or one twice.
    """
    for name, ranking in (("a", a), ("b", b)):
        if not 1 <= k <= len(ranking):
            raise ConfigError(
                f"k={k} is outside 1..{len(ranking)}, the items of ranking {name}; rank more"
            )
        if len(set(ranking)) < len(ranking):
            raise ConfigError(f"ranking {name} holds an item twice; name each once")
    left = {"a": iter(a), "b": iter(b)}
    teams: list[Team] = []
    picked: dict[Hashable, None] = {}  # In the order of the list.
    while len(picked) < k:
        ahead = 2 * teams.count("a") - len(teams)
        team: Team = ("a" if ahead < 0 else "b") if ahead else ("a", "b")[int(rng.integers(2))]
        # Never runs out: a ranking has k items, and fewer than k are on the list.
        picked[next(item for item in left[team] if item not in picked)] = None
        teams.append(team)
    return Interleaved(tuple(picked), tuple(teams))
