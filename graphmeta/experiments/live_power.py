"""How many sessions interleaving and an A/B test need, and how often repeated looks cry wolf."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy.stats import binom, norm

from graphmeta.live import SequentialTest, team_draft

Array = np.ndarray[Any, np.dtype[Any]]
# The chance of a click on a wanted and on any other item, where it is looked at.
WANTED, OTHER = 0.6, 0.05
LEVEL = 0.05


@dataclass(frozen=True)
class Sessions:
    """Simulated sessions, each of another user.

    Args:
        credit: Of interleaved lists.
        a: Clicks on a list of ranking a.
        b: Clicks on a list of ranking b.
        shared: Share of the items of a list that are on the other list as well, on average.

    Shapes:
        credit: int64, `[n_sessions]`; the others alike.
    """

    credit: Array
    a: Array
    b: Array
    shared: float


def simulate_sessions(
    a: Array, b: Array, wanted: Array, *, n_sessions: int, k: int = 10, seed: int = 0
) -> Sessions:
    """Return what users click on interleaved lists, and on lists of either ranking alone.

    A user looks at place p with chance `1 / log2(p + 1)` and then clicks, on a wanted item with
    chance .6 and on any other with .05.

    Args:
        a: Each user's items by ranking a, best first.
        b: Each user's items by ranking b.
        wanted: Whether each user wants each item.
        n_sessions: Sessions of each kind.
        k: Length of the lists.
        seed: Draws users, teams and clicks.

    Shapes:
        a: int64, `[n_users, at least k]`.
        b: int64, `[n_users, at least k]`.
        wanted: bool, `[n_users, n_items]`.
    """
    rng = np.random.default_rng(seed)
    looked = 1 / np.log2(np.arange(1, k + 1) + 1)

    def clicks(user: Array, items: Array) -> Array:
        chance = looked * np.where(wanted[user[:, None], items], WANTED, OTHER)
        return rng.random(items.shape) < chance

    users = [rng.integers(len(wanted), size=n_sessions) for _ in range(3)]
    drafts = [team_draft(a[u].tolist(), b[u].tolist(), k=k, rng=rng) for u in users[0]]
    clicked = clicks(users[0], np.array([draft.items for draft in drafts]))
    credit = [
        draft.credit([item for item, hit in zip(draft.items, row, strict=True) if hit])
        for draft, row in zip(drafts, clicked, strict=True)
    ]
    alone = [
        clicks(user, ranking[user, :k]).sum(axis=1)
        for user, ranking in zip(users[1:], (a, b), strict=True)
    ]
    shared = [len(set(x) & set(y)) / k for x, y in zip(a[:, :k], b[:, :k], strict=True)]
    return Sessions(np.array(credit), alone[0], alone[1], float(np.mean(shared)))


def power_by_sessions(
    sessions: Sessions, sizes: Sequence[int], *, n_tests: int = 400, seed: int = 0
) -> pd.DataFrame:
    """Return how often each test finds the better ranking in so many sessions.

    The better one gets more clicks where it is shown alone. To find the other one is no success.

    Args:
        sessions: Drawn from with replacement.
        sizes: Numbers of sessions; an A/B test shows half of them each ranking.
        n_tests: Tests per size.
        seed: Draws them.

    Returns:
        A row per size: `n_sessions`, `interleaving` (two-sided sign test), `ab` (Welch's test of
        clicks per session, by the normal distribution), each at 5 %.
    """
    rng = np.random.default_rng(seed)
    better = np.sign(sessions.a.mean() - sessions.b.mean())
    rows = []
    for n in sizes:
        credit = rng.choice(sessions.credit, (n_tests, n))
        for_a, for_b = (credit > 0).sum(axis=1), (credit < 0).sum(axis=1)
        sign_p = 2 * binom.cdf(np.minimum(for_a, for_b), for_a + for_b, 0.5)
        arms = [rng.choice(part, (n_tests, n // 2)) for part in (sessions.a, sessions.b)]
        gap = arms[0].mean(axis=1) - arms[1].mean(axis=1)
        error = np.sqrt(sum(arm.var(axis=1, ddof=1) / (n // 2) for arm in arms))
        ab_p = 2 * norm.sf(np.abs(gap) / np.maximum(error, 1e-12))
        found = (
            (sign_p < LEVEL) & ((for_a - for_b) * better > 0),
            (ab_p < LEVEL) & (gap * better > 0),
        )
        rows.append((n, *(which.mean() for which in found)))
    return pd.DataFrame(rows, columns=["n_sessions", "interleaving", "ab"])


def sessions_for(power: pd.DataFrame, test: str, *, wanted: float = 0.8) -> float:
    """Return how many sessions have the wanted power, between two sizes by straight line.

    Infinity where even the most have less, 0 where the fewest have more.
    """
    reached = np.maximum.accumulate(power[test].to_numpy())
    if wanted > reached[-1]:
        return float("inf")
    if wanted < reached[0]:
        return 0.0
    return float(np.exp(np.interp(wanted, reached, np.log(power["n_sessions"].to_numpy()))))


def false_alarms(
    values: Array,
    *,
    effect: float,
    shift: float = 0.0,
    n_users: int = 5000,
    n_tests: int = 1000,
    seed: int = 0,
) -> pd.DataFrame:
    """Return what looking after every pair of users finds, with an always-valid test and without.

    Args:
        values: One per user, drawn from with replacement for both arms.
        effect: As of `SequentialTest`.
        shift: What the treatment really adds.
        n_users: Users of each arm at the end.
        n_tests: Experiments.
        seed: Draws them.

    Returns:
        A row per way, `always valid`, `t-test at every look` and `t-test at the end`: the share of
        tests that `found` a difference, and the mean `n_users` of both arms at which they stopped.
    """
    rng = np.random.default_rng(seed)
    test = SequentialTest(effect, alpha=LEVEL)
    count = np.arange(1, n_users + 1)
    stops: dict[str, list[int]] = {"always valid": [], "t-test at every look": []}
    ended = []
    for _ in range(n_tests):
        arms = [rng.choice(values, n_users), rng.choice(values, n_users) + shift]
        means = [arm.cumsum() / count for arm in arms]
        # Sums of squares around the overall mean do not cancel.
        spread = [((arm - arm.mean()) ** 2).cumsum() / count for arm in arms]
        variances = [
            s - (m - arm.mean()) ** 2 for s, m, arm in zip(spread, means, arms, strict=True)
        ]
        variance = sum(variances) / np.maximum(count - 1, 1)
        gap = means[1] - means[0]
        known = count >= test.min_users
        _, p_value = test.bounds(gap, variance)
        plain = 2 * norm.sf(np.abs(gap) / np.sqrt(np.maximum(variance, 1e-300)))
        for name, p in (("always valid", p_value), ("t-test at every look", plain)):
            alarm = np.flatnonzero(known & (p <= LEVEL))
            stops[name].append(int(count[alarm[0]]) if len(alarm) else n_users + 1)
        ended.append(plain[-1] <= LEVEL)
    rows = [
        (name, np.mean(np.array(at) <= n_users), 2 * np.minimum(at, n_users).mean())
        for name, at in stops.items()
    ]
    rows.append(("t-test at the end", np.mean(ended), 2.0 * n_users))
    return pd.DataFrame(rows, columns=["way", "found", "n_users"])
