"""How far off-policy estimates are from a truth that is known.

Simulated users each hold the items that they will really want, so that what any policy earns can be
added up. Logs of a policy are drawn from them, and another policy is judged by the logs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from graphmeta.data import ColdSplit
from graphmeta.data.cold_users import ColdUsers
from graphmeta.live import SoftmaxPolicy, estimate_off_policy
from graphmeta.live.policies import masked_scores
from graphmeta.ranking import Scorer
from graphmeta.ranking.baselines import Popularity, UserKNN

Array = np.ndarray[Any, np.dtype[Any]]
# Items that users have shown, the target policy's temperature, where weights are cut, and a
# prediction that is wrong.
K, COLD, CLIP, WRONG = 5, 0.3, 10, 0.5


@dataclass(frozen=True)
class World:
    """Users of whom it is known what they want, and policies that rank for them.

    Args:
        wanted: Whether each user wants each item: the reward of showing it.
        target: The policy to be judged.
        logging: Policies that may have run, by name.
        predicted: The reward that a model predicts, learnt from other users.

    Shapes:
        wanted: bool, `[n_users, n_items]`; all others float64, the same.
    """

    wanted: Array
    target: Array
    logging: dict[str, Array]
    predicted: Array

    @property
    def value(self) -> float:
        """What the target policy earns."""
        return float((self.target * self.wanted).sum(axis=1).mean())

    def overlap(self, logging: str) -> float:
        """Return the effective share of rows: one over the mean squared weight."""
        mean = (self.target**2 / np.maximum(self.logging[logging], 1e-300)).sum(axis=1).mean()
        return float(1 / mean)


def world_of(split: ColdSplit, model: Scorer) -> World:
    """Return the test users of a split, who want what they interacted with later.

    The target policy is a softmax of the model's scores. Three policies may have logged: the
    same model, exploring more; popularity; and, farthest from it, an older model (UserKNN) that is
    as sure of other items.

    Args:
        split: Where the users come from.
        model: Fitted on its training users.
    """
    users = split.test
    scores = standardized(model, users)
    older = standardized(UserKNN().fit(split.train), users)
    popularity = Popularity().fit(split.train).score(users.support(K))
    shown = users.first.item_index
    logging = {
        "the same model": SoftmaxPolicy(1.5 * COLD, uniform=0.2).probabilities(scores, shown),
        "popularity": SoftmaxPolicy().probabilities(popularity, shown),
        "an older model": SoftmaxPolicy(COLD, uniform=0.2).probabilities(older, shown),
    }
    return World(
        wanted_by(users),
        SoftmaxPolicy(COLD).probabilities(scores, shown).numpy(),
        {name: policy.numpy() for name, policy in logging.items()},
        _predicted(model, split.validation, scores, shown),
    )


def standardized(model: Scorer, users: ColdUsers) -> Tensor:
    """Return scores with mean 0 and deviation 1 per user, so that a temperature means the same."""
    scores = model.score(users.support(K)).cpu().double()
    return (scores - scores.mean(dim=1, keepdim=True)) / scores.std(dim=1, keepdim=True)


def wanted_by(users: ColdUsers) -> Array:
    """Return whether each item is in each user's query; bool, `[n_users, n_items]`."""
    wanted = np.zeros((len(users), len(users.item_ids)), dtype=bool)
    rows = np.repeat(np.arange(len(users)), users.query_ptr.diff().numpy())
    wanted[rows, users.query_index.numpy()] = True
    return wanted


def _predicted(model: Scorer, learnt_from: ColdUsers, scores: Tensor, shown: Tensor) -> Array:
    """Return the share of validation users who want what comes at such a rank."""
    theirs = _rank_class(standardized(model, learnt_from), learnt_from.first.item_index)
    wanted = wanted_by(learnt_from)
    rate = np.bincount(theirs.ravel(), wanted.ravel()) / np.maximum(np.bincount(theirs.ravel()), 1)
    return rate[_rank_class(scores, shown)]


def _rank_class(scores: Tensor, shown: Tensor) -> Array:
    """Return the whole logarithm to base 2 of each item's rank."""
    order = masked_scores(scores, shown).argsort(dim=1, descending=True)
    rank = torch.empty_like(order).scatter_(
        1, order, torch.arange(1, order.size(1) + 1).expand_as(order)
    )
    return rank.double().log2().long().numpy()


def simulate_off_policy(
    world: World,
    logging: str,
    *,
    n_users: int,
    n_logs: int,
    rows: tuple[int, ...] = (1,),
    seed: int = 0,
) -> pd.DataFrame:
    """Return what the estimators say of each of many logs.

    Args:
        world: Its users are drawn with replacement; each draw is a new user.
        logging: The policy that logs.
        n_users: Users in a log.
        n_logs: Logs.
        rows: How many rows a user may have, each number equally likely.
        seed: Draws all.

    Returns:
        A row per log and estimator: `estimator`, `value`, `lower`, `upper`, `truth`, and of the
        log `effective_rows`, `is_refused`.
    """
    rng = np.random.default_rng(seed)
    policy = world.logging[logging]
    # One sorted list for all users: row u's cumulated probabilities lie between u and u + 1.
    ladder = np.cumsum(policy, axis=1)
    ladder = (ladder / ladder[:, -1:] + np.arange(len(policy))[:, None]).ravel()
    largest = float((world.target / np.where(policy > 0, policy, np.inf)).max())
    means = {
        "good": (world.target * world.predicted).sum(axis=1),
        "wrong": np.full(len(policy), WRONG),
    }
    parts = []
    for _ in range(n_logs):
        user = np.repeat(np.arange(n_users), rng.choice(rows, n_users))
        who = rng.integers(len(policy), size=n_users)[user]
        place = np.searchsorted(ladder, who + rng.random(len(who)), side="right")
        item = np.minimum(place - who * policy.shape[1], policy.shape[1] - 1)
        log = pd.DataFrame(
            {
                "user": user,
                "reward": world.wanted[who, item].astype(float),
                "propensity": policy[who, item],
                "target": world.target[who, item],
                "good": world.predicted[who, item],
                "good_target": means["good"][who],
                "wrong": WRONG,
                "wrong_target": means["wrong"][who],
            }
        )
        parts.append(_estimates(log, largest))
    return pd.concat(parts, ignore_index=True).assign(truth=world.value)


def _estimates(log: pd.DataFrame, largest: float) -> pd.DataFrame:
    good = estimate_off_policy(
        log,
        predicted="good",
        predicted_target="good_target",
        largest_weight=largest,
        on_poor_overlap="keep",
    )
    wrong = estimate_off_policy(
        log,
        predicted="wrong",
        predicted_target="wrong_target",
        reward_range=None,
        on_poor_overlap="keep",
    )
    by_row = estimate_off_policy(
        log.assign(user=range(len(log))), reward_range=None, on_poor_overlap="keep"
    )
    cut = estimate_off_policy(log, clip=CLIP, on_poor_overlap="keep")
    values = pd.concat(
        [
            good.values,
            cut.values.loc[["ips"]].add_suffix(f" (clip {CLIP})", axis=0),
            wrong.values.loc[["dm", "dr"]].add_suffix(" (wrong model)", axis=0),
            by_row.values.loc[["snips"]].add_suffix(" (by row)", axis=0),
        ]
    )
    return (
        values.rename_axis("estimator")
        .reset_index()
        .assign(
            effective_rows=good.overlap.effective_rows, is_refused=good.overlap.problem is not None
        )
    )
