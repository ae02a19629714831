"""Team drafts and their credit."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from graphmeta.errors import ConfigError, DataError
from graphmeta.live import Interleaved, team_draft

A, B = ["x", "y", "z"], ["y", "w", "x"]


def test_all_drafts_by_hand() -> None:
    # Two coins: who picks first, and, as both then have one place, who picks third.
    expected = {
        (("x", "y", "z"), ("a", "b", "a")),
        (("x", "y", "w"), ("a", "b", "b")),
        (("y", "x", "z"), ("b", "a", "a")),
        (("y", "x", "w"), ("b", "a", "b")),
    }
    rng = np.random.default_rng(0)
    drafts = [team_draft(A, B, k=3, rng=rng) for _ in range(400)]
    seen = [(draft.items, draft.teams) for draft in drafts]
    assert set(seen) == expected
    for one in expected:
        assert 60 < seen.count(one) < 140


def test_credit_by_hand() -> None:
    draft = Interleaved(("x", "y", "z", "w"), ("a", "b", "a", "b"))
    assert draft.credit(["x"]) == 1
    assert draft.credit(["w", "y", "x"]) == -1
    assert draft.credit(["x", "x", "y"]) == 0
    assert draft.credit([]) == 0
    with pytest.raises(DataError, match="'q' was not on the list"):
        draft.credit(["q"])


@given(st.permutations(range(8)), st.permutations(range(8)), st.integers(1, 8), st.integers(0, 9))
def test_a_draft_is_fair(a: list[int], b: list[int], k: int, seed: int) -> None:
    draft = team_draft(a, b, k=k, rng=np.random.default_rng(seed))
    assert len(set(draft.items)) == k
    for place in range(1, k + 1):
        of_a = draft.teams[:place].count("a")
        assert abs(2 * of_a - place) <= 1
    # Each pick is the captain's best item that was left.
    for place, (item, team) in enumerate(zip(draft.items, draft.teams, strict=True)):
        before = set(draft.items[:place])
        assert item == next(i for i in (a if team == "a" else b) if i not in before)


def test_clicks_that_ignore_the_items_prefer_nobody() -> None:
    rng = np.random.default_rng(1)
    total = 0
    for _ in range(4000):
        draft = team_draft(A, B, k=3, rng=rng)
        # The first place always, the others sometimes.
        places = [0, *np.flatnonzero(rng.random(2) < 0.3) + 1]
        total += draft.credit([draft.items[p] for p in places])
    assert abs(total) < 4 * np.sqrt(4000)


def test_bad_input() -> None:
    rng = np.random.default_rng(0)
    with pytest.raises(ConfigError, match=r"k=4 is outside 1\.\.3, the items of ranking a"):
        team_draft(A, [*B, "v"], k=4, rng=rng)
    with pytest.raises(ConfigError, match="ranking b holds an item twice"):
        team_draft(A, ["y", "y", "x"], k=2, rng=rng)
