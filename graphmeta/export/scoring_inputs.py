"""What the exported file takes: the subgraphs and weights of new users, by name."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from graphmeta.data.cold_users import Support
from graphmeta.errors import DataError
from graphmeta.export.named_inputs import named_inputs
from graphmeta.meta.learner import USER, FastWeights
from graphmeta.meta.ridge_head import RidgeHead
from graphmeta.ranking import ColdStartRecommender
from graphmeta.ranking.few_shot_scorer import FewShotScorer
from graphmeta.ranking.histories import OnUnknown, one_history
from graphmeta.tasks.episode import EpisodeBatch

Array = np.ndarray[Any, np.dtype[Any]]


@torch.no_grad()
def scoring_inputs(
    model: ColdStartRecommender,
    histories: Sequence[Iterable[Any]],
    *,
    ratings: Sequence[Iterable[Any]] | None = None,
    times: Sequence[Iterable[Any]] | None = None,
    user_x: Tensor | None = None,
    on_unknown: OnUnknown = "raise",
) -> dict[str, Array]:
    """Return what the file of `export_onnx` takes to score new users.

    The subgraph around what each user has shown is sampled, and the user's weights are adapted
    where the model's gate says so; the file does the rest. Histories need not be equally long.

    Args:
        model: The recommender that was exported.
        histories: For each user the ids of the items, oldest first; may be empty.
        ratings: For each user a number for each item, where the training graph has ratings.
        times: For each user a number of seconds since 1970, or a date, for each item.
        user_x: The users' features where known, as `x` of the training graph's users.
        on_unknown: What to do about ids that are not in the catalogue, as in `recommend`.

    Shapes:
        user_x: float32, `[n_users, n_features]`.

    Raises:
        UnknownIdError: An id is not in the catalogue, and `on_unknown` is "raise".
        DataError: The recommender is not fitted, there is no user, or ratings, times or `user_x`
            do not fit.
        ConfigError: `on_unknown` has no known value.
    """
    scorer, n_users = model.fitted, len(histories)
    if not n_users:
        raise DataError("there is no user; give a history, which may be empty, for each")
    each = []
    of_each = zip(histories, _of_each(n_users, ratings), _of_each(n_users, times), strict=True)
    for history, rating, time in of_each:
        known = one_history(
            history, model.item_ids, ratings=rating, times=time, on_unknown=on_unknown
        )
        each += [support for _, support in known.blocks(1)]
    episodes = scorer.episodes(_padded(each, _features(scorer, user_x, n_users)))
    named = named_inputs(scorer, episodes, fast_weights_by_gate(scorer, episodes))
    return {name: x.detach().cpu().numpy() for name, x in named.items()}


def fast_weights_by_gate(scorer: FewShotScorer, episodes: EpisodeBatch) -> FastWeights:
    """Return each user's own weights, the shared ones where the gate says so.

    Where the weights are an embedding, the shared ones are the encoder's.
    """
    learner, head = scorer.learner.eval(), scorer.head
    shared = learner.shared_weights(len(episodes))
    if isinstance(learner, RidgeHead):
        shared = {USER: learner.embed(episodes, {}, head)}
    gate = [scorer.source(size) == "adapted" for size in episodes.support.size.tolist()]
    if not any(gate):
        return shared
    is_adapted = torch.tensor(gate, device=scorer.device)
    return {
        name: weight.where(is_adapted.view(-1, *[1] * (weight.dim() - 1)), shared[name])
        for name, weight in learner.adapt(episodes, head).items()
    }


def _of_each(
    n_users: int, values: Sequence[Iterable[Any]] | None
) -> Sequence[Iterable[Any] | None]:
    if values is None:
        return [None] * n_users
    if len(values) != n_users:
        raise DataError(
            f"there are {len(values)} lists of ratings or times for {n_users} users; give one for "
            "each"
        )
    return values


def _padded(each: Sequence[Support], user_x: Tensor | None) -> Support:
    """Return one batch; at least one slot wide, of which all may be padding."""
    columns = {}
    for name, padding in (("item_index", -1), ("rating", 0), ("time", 0)):
        rows = [getattr(support, name) for support in each]
        if rows[0] is not None:
            one = rows[0].new_full((1,), padding)
            columns[name] = pad_sequence([one, *(row[0] for row in rows)], True, padding)[1:]
    return Support(**columns, user_x=user_x)


def _features(scorer: FewShotScorer, user_x: Tensor | None, n_users: int) -> Tensor | None:
    known = scorer.head.table.user_x
    if user_x is None:
        return None
    width = 0 if known is None else known.size(1)
    if user_x.shape != (n_users, width) or not bool(user_x.isfinite().all()):
        raise DataError(
            f"user_x has shape {list(user_x.shape)}, but there are {n_users} users and training "
            f"users have {width} features; give finite numbers of that shape, or leave user_x out"
        )
    return user_x.float()
