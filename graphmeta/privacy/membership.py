"""Can somebody who knows a user's data tell from a model whether it learnt from that user?"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import torch
from scipy.stats import rankdata
from torch import Tensor

from graphmeta.data.cold_users import ColdUsers
from graphmeta.errors import ConfigError, DataError
from graphmeta.ranking.scorer import Scorer

Array = np.ndarray[Any, np.dtype[Any]]
BATCH_SIZE = 128


class Attack(NamedTuple):
    """How well an attack tells members, each figure with its 95 % interval.

    `auc` is the chance that a member's score is above another user's, ties half; `found` the share
    of members above the threshold that a share of the other users passes.
    """

    auc: tuple[float, float, float]
    found: tuple[float, float, float]


def user_losses(scorer: Scorer, users: ColdUsers, *, k: int) -> Tensor:
    """Return each user's mean negative log-likelihood of the query, given the first k items.

    Users on whom a model was trained have a lower one if it remembers them. An attack that knows
    a model from before, too, takes the difference: it tells users who are easy from users who
    were learnt (Watson et al., ICLR 2022).

    Args:
        scorer: The model under attack.
        users: Users with all of their items.
        k: Items that each shows.

    Shapes:
        output: float64, `[n_users]`.

    Raises:
        ConfigError: `k` is more than the users show.
        DataError: A user has an empty query.
    """
    found = []
    for _, block in users.batches(BATCH_SIZE):
        support, n_query = block.support(k), block.query_ptr.diff()
        if bool((n_query == 0).any()):
            raise DataError("a user has an empty query; attack users with items beyond the first")
        scores = scorer.score(support).detach().cpu().double()
        shown = support.to_dense(scores.size(1)) > 0
        log_p = scores.masked_fill(shown, -math.inf).log_softmax(1)
        row = torch.arange(len(block)).repeat_interleave(n_query)
        total = torch.zeros(len(block), dtype=torch.float64)
        found.append(-total.index_add(0, row, log_p[row, block.query_index]) / n_query)
    return torch.cat(found)


def attack(
    members: Array, others: Array, *, false_positives: float = 0.01, n_draws: int = 500
) -> Attack:
    """Return how well scores tell members from others.

    Args:
        members: A score of each member, high where the attack says so.
        others: Those of users whom the model never saw.
        false_positives: The share of others that the threshold lets through.
        n_draws: Bootstrap draws of both kinds of users.

    Shapes:
        members: float64, `[n_members]`.
        others: float64, `[n_others]`.

    Raises:
        ConfigError: `false_positives` is not between 0 and 1, or `n_draws` is below 1.
        DataError: There is no member, or nobody else, or a score is NaN.
    """
    if not 0 < false_positives < 1 or n_draws < 1:
        raise ConfigError(
            f"false_positives={false_positives} must be above 0 and below 1, n_draws={n_draws} at "
            "least 1"
        )
    if not len(members) or not len(others) or np.isnan([members.sum(), others.sum()]).any():
        raise DataError(
            f"an attack needs scores of members and of others without NaN; got {len(members)} and "
            f"{len(others)}"
        )
    rng = np.random.default_rng(0)
    drawn = [
        _figures(
            rng.choice(members, len(members)), rng.choice(others, len(others)), false_positives
        )
        for _ in range(n_draws)
    ]
    low, high = np.quantile(drawn, [0.025, 0.975], axis=0)
    auc, found = zip(_figures(members, others, false_positives), low, high, strict=True)
    return Attack(tuple(map(float, auc)), tuple(map(float, found)))  # type: ignore[arg-type]


def most_found(epsilon: float, delta: float, *, false_positives: float = 0.01) -> float:
    """Return the most members that any attack can find on an (epsilon, delta)-private model.

    With f the share of false positives the least of `e^epsilon f + delta` and
    `1 - e^-epsilon (1 - f - delta)` (Kairouz, Oh and Viswanath, ICML 2015).

    Args:
        epsilon: Of the guarantee.
        delta: Of the guarantee.
        false_positives: The share of others that the attack takes for members.
    """
    if math.isinf(epsilon):
        return 1.0
    few = math.exp(epsilon) * false_positives + delta
    many = 1 - math.exp(-epsilon) * (1 - false_positives - delta)
    return min(1.0, few, many)


def _figures(members: Array, others: Array, false_positives: float) -> tuple[float, float]:
    n, m = len(members), len(others)
    rank = rankdata(np.concatenate([members, others]))[:n].sum()
    auc = (rank - n * (n + 1) / 2) / (n * m)
    threshold = np.quantile(others, 1 - false_positives, method="higher")
    return float(auc), float((members > threshold).mean())
