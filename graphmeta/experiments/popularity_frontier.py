"""What a share of the long tail costs: ways of ranking for it, each at several strengths."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

import pandas as pd
from torch_geometric.data import HeteroData

from graphmeta.data import ColdSplit, ColdUsers
from graphmeta.experiments.kept_scores import KeptScores
from graphmeta.ranking import ColdStartRecommender, evaluate
from graphmeta.ranking.long_tail import long_tail
from graphmeta.rerank import CalibratedReranker, LongTailReranker

PLAIN = "as trained"


class Way(NamedTuple):
    """A way of ranking for the long tail, and the strengths to try, weakest first."""

    strengths: tuple[float, ...]
    applied: Callable[[KeptScores, HeteroData, float], KeptScores]


WAYS: Mapping[str, Way] = {
    "niche": Way(
        (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5),
        lambda scorer, train, strength: replace(scorer, niche=strength),
    ),
    "long tail (xQuAD)": Way(
        (0.2, 0.3, 0.4, 0.5, 0.6, 0.65, 0.7, 0.8, 0.9),
        lambda scorer, train, strength: replace(
            scorer, reranker=LongTailReranker(train, strength=strength)
        ),
    ),
    "calibrated": Way(
        (0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6),
        lambda scorer, train, strength: replace(
            scorer, reranker=CalibratedReranker(train, strength=strength)
        ),
    ),
}


def frontier(
    model: ColdStartRecommender,
    split: ColdSplit,
    *,
    k: Sequence[int],
    choose: Callable[[pd.DataFrame, str], float],
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return what validation users showed, and what test users got at the strengths so chosen.

    Test users are ranked for at the strength alone that validation users chose for the way and the
    support size.

    Args:
        model: Fitted on the split.
        split: Where the users come from.
        k: Support sizes, each at least 1.
        choose: Returns a strength, from the validation users' means of one support size and the
            name of a way, such as `strongest`.

    Returns:
        The validation users' means: `way`, `strength`, `k`, `ndcg@10`, `tail_share@10`; the test
        users' figures: `way`, `strength`, `k`, `user`, `ndcg@10` and `tail_share@10`; and what
        `Evaluation.catalogue` says of them, with `way`.
    """
    scorer = KeptScores(model)
    tried = pd.concat(_tried(scorer, split, k), ignore_index=True)
    per_user, catalogue = [], []
    for way in (PLAIN, *WAYS):
        for size in k:
            chosen = choose(tried[tried["k"] == size], way)
            ranked = WAYS[way].applied(scorer, split.train, chosen) if chosen else scorer
            of_users, of_items = _measured(ranked, split.test, [size], split.seed)
            per_user.append(of_users.assign(way=way, strength=chosen))
            catalogue.append(of_items.assign(way=way))
    return tried, pd.concat(per_user, ignore_index=True), pd.concat(catalogue, ignore_index=True)


def strongest(tried: pd.DataFrame, way: str, *, most_lost: float) -> float:
    """Return the strongest setting that, as all weaker ones, loses at most a share of NDCG@10.

    It is 0 where none does.
    """
    ndcg = tried.set_index(["way", "strength"])["ndcg@10"]
    enough = (ndcg[way].sort_index() >= (1 - most_lost) * ndcg[PLAIN, 0.0]).cummin()
    return float(enough.index[enough].max()) if bool(enough.any()) else 0.0


def weakest(tried: pd.DataFrame, way: str, *, times: float) -> float:
    """Return the weakest setting that multiplies the share of the long tail; the last if none."""
    share = tried.set_index(["way", "strength"])["tail_share@10"]
    if way == PLAIN:
        return 0.0
    enough = share[way].sort_index() >= times * share[PLAIN, 0.0]
    return float(enough.idxmax() if bool(enough.any()) else enough.index.max())


def _tried(scorer: KeptScores, split: ColdSplit, k: Sequence[int]) -> Iterator[pd.DataFrame]:
    """Yield the validation users' means at every strength of every way."""
    settings = [(name, way, strength) for name, way in WAYS.items() for strength in way.strengths]
    for name, way, strength in [(PLAIN, None, 0.0), *settings]:
        ranked = scorer if way is None else way.applied(scorer, split.train, strength)
        found, _ = _measured(ranked, split.validation, k, split.seed)
        means = found.groupby("k")[["ndcg@10", "tail_share@10"]].mean().reset_index()
        yield means.assign(way=name, strength=strength)


def _measured(
    scorer: KeptScores, users: ColdUsers, k: Sequence[int], seed: int
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return each user's NDCG@10 and share of the long tail, and the figures of the catalogue."""
    found = evaluate(scorer, users, k=k, seed=seed)
    top = found.rankings[found.rankings["rank"] <= 10]
    tail = long_tail(users.item_count)[users.item_ids.find(top["item"].to_numpy())]
    share = top.assign(is_tail=tail.numpy()).groupby(["user", "k"])["is_tail"].mean()
    named = found.per_user[["user", "k", "ndcg@10"]]
    return named.join(share.rename("tail_share@10"), on=["user", "k"]), found.catalogue
