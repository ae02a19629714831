"""Explains a ranking: by leaving out, by parts, and by paths."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from graphmeta.errors import ConfigError
from graphmeta.explain.explanation import Explanation
from graphmeta.explain.left_out import left_out
from graphmeta.explain.paths import Paths, paths_to
from graphmeta.ranking import ColdStartRecommender, Ranking
from graphmeta.ranking.few_shot_scorer import FewShotScorer
from graphmeta.tasks.episode import EpisodeBatch


@torch.no_grad()
def explain_ranking(
    model: ColdStartRecommender,
    history: Iterable[Any],
    k: int = 10,
    *,
    n_paths: int = 3,
    **options: Any,
) -> Explanation:
    """Recommend, and say why.

    Every interaction is left out in turn and the user adapted and ranked anew, in one batch: that
    costs as much as ranking as many users as the history is long.

    Args:
        model: A fitted recommender.
        history: What the user has shown, as for `recommend`.
        k: How many items to recommend and explain.
        n_paths: How many paths to keep for each item and kind of path.
        options: Whatever else `recommend` takes, such as `ratings`.

    Raises:
        ConfigError: `n_paths` is negative, or as `recommend` raises it.
        DataError: As `recommend` raises it.
        UnknownIdError: As `recommend` raises it.
    """
    if n_paths < 0:
        raise ConfigError(f"n_paths={n_paths} must be 0 or more")
    ranking = model.recommend(history, k, **options)
    items = model.item_ids.to_index(ranking.items)
    episodes = model.fitted.episodes(ranking.support)
    paths = _paths(model.fitted, episodes, items, n_paths)
    return Explanation(
        ranking,
        _edge_table(model, ranking, items, paths["vote"].shown_share),
        _part_table(model.fitted, episodes, ranking, items),
        _path_table(model, ranking, paths),
    )


def _edge_table(
    model: ColdStartRecommender, ranking: Ranking, items: Tensor, vote_share: Tensor
) -> pd.DataFrame:
    shown = model.item_ids.to_ids(ranking.support.item_index[0])
    rows = []
    if len(shown):
        found = left_out(model.fitted, ranking.support, items)
        for at, item in enumerate(ranking.items):
            for slot in found.effect[:, at].argsort(descending=True).tolist():
                numbers = found.effect[slot, at], found.rank[0, at], found.rank_without[slot, at]
                each = (number.item() for number in (*numbers, vote_share[slot, at]))
                rows.append((item, shown[slot], *each))
    columns = ["item", "shown", "effect", "rank", "rank_without", "vote_share"]
    return pd.DataFrame(rows, columns=columns)


def _part_table(
    scorer: FewShotScorer, episodes: EpisodeBatch, ranking: Ranking, items: Tensor
) -> pd.DataFrame:
    learner, head, support = scorer.learner, scorer.head, ranking.support
    z = learner.embed(episodes, learner.shared_weights(1), head)
    parts = {name: part[0] for name, part in head.parts(z, episodes).items()}
    score = scorer.score(support)[0]
    before = replace(scorer, new_items=None).score(support)[0] if scorer.new_items else score
    added = scorer.added(support.item_index.size(1))
    parts["blend"] = torch.zeros_like(score) if added is None else added
    linear = scorer.linear
    if linear is not None and support.item_index.size(1) > linear.chosen.above:
        parts["linear"] = linear(support.to(scorer.device))[0]
    parts["adaptation"] = before - torch.stack([*parts.values()]).sum(0)
    if scorer.new_items:
        parts["like_items"] = score - before
    others = torch.ones_like(score, dtype=torch.bool)
    others[support.item_index[0]] = False
    columns = {
        name: (part - part[others].mean())[items].tolist()
        for name, part in {**parts, "score": score}.items()
    }
    return pd.DataFrame({"item": ranking.items, **columns})


def _paths(
    scorer: FewShotScorer, episodes: EpisodeBatch, items: Tensor, n_paths: int
) -> dict[str, Paths]:
    head = scorer.head
    weights = scorer.fast_weights(episodes)
    z = scorer.learner.embed(episodes, weights, head)
    found = {}
    for name, vote in head.votes().items():
        attention = vote.attention(
            episodes, vote.closeness(z, head.table.embedding, vote.voters_of(episodes))
        )
        on_device = items.to(scorer.device)
        found[name] = paths_to(vote, attention, episodes, on_device, n_paths=n_paths)
    return found


def _path_table(
    model: ColdStartRecommender, ranking: Ranking, paths: dict[str, Paths]
) -> pd.DataFrame:
    shown = model.item_ids.to_ids(ranking.support.item_index[0])
    over = {"vote": ("user", model.train_graph["user"].id_map.ids)}
    content = model.fitted.head.content
    if content is not None:
        columns, names = content.column.cpu(), model.train_graph["item"].get("x_names")
        over["content"] = ("feature", columns.numpy() if names is None else names.to_ids(columns))
    rows = [
        (ranking.items[p.item], shown[p.shown], over[name][0], over[name][1][p.voter], p.share)
        for name, found in paths.items()
        for p in found.strongest
    ]
    return pd.DataFrame(rows, columns=["item", "shown", "kind", "over", "share"])
