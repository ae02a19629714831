"""The scales of a belief by what validation users would have answered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from scipy.optimize import minimize
from torch import Tensor
from torch.nn.functional import binary_cross_entropy

from graphmeta.data.cold_users import ColdUsers
from graphmeta.errors import ConfigError, DataError
from graphmeta.explore.belief import Belief, Scales
from graphmeta.explore.laplace import laplace
from graphmeta.explore.policies import Thompson
from graphmeta.explore.posterior import chance
from graphmeta.explore.session_batch import SessionBatch
from graphmeta.explore.simulate import all_items

MOST_EVALUATIONS = 150
# How far the first steps go, in logits and logarithms.
FIRST_STEP = -0.5
# Whose logarithm stands for none.
LEAST = 1e-3
# A user with fewer items says little about sessions.
FEWEST = 10


@dataclass(frozen=True)
class _Asked:
    """A slate with its answers, what was shown before it, and the model's log shares of both."""

    known: Tensor
    was_taken: Tensor
    known_share: Tensor
    slate: Tensor
    is_taken: Tensor
    slate_share: Tensor


def fit_scales(
    belief: Belief,
    users: ColdUsers,
    *,
    k: Sequence[int] = (0, 1, 3),
    n_rounds: int = 6,
    slate: int = 5,
    seed: int = 0,
) -> Scales:
    """Return the scales under which validation users' answers were most likely.

    The users are shown slates by Thompson's rule under the given belief, and every slate's answers
    are predicted from those before it. The four numbers that make the logarithm of the predicted
    chances largest are found by Nelder and Mead's method, from those of the belief. The logarithms
    of taste and activity are added, which keeps a spread that few users cannot tell from none away
    from 0 and costs next to nothing otherwise (Chung et al., "A nondegenerate penalized likelihood
    estimator for variance parameters in multilevel models", Psychometrika 2013).

    Args:
        belief: Of the fitted model, under scales to begin with.
        users: Validation users.
        k: How many first items the users have, each in turn.
        n_rounds: How often something is shown.
        slate: How many items each time.
        seed: Draws the slates.

    Raises:
        ConfigError: `n_rounds` or `slate` is not positive, or k is outside what the users have.
        DataError: No user has ten items.
    """
    if min(n_rounds, slate) < 1:
        raise ConfigError(f"n_rounds={n_rounds} and slate={slate} must be at least 1")
    many = (all_items(users).sum(1) >= FEWEST).nonzero().flatten()
    if not len(many):
        raise DataError(f"no validation user has {FEWEST} items; give users with more")
    users = users.select(many)
    asked = [one for size in k for one in _asked(belief, users, size, n_rounds, slate, seed)]

    def loss(numbers: np.ndarray) -> float:
        scales = _scales(numbers)
        avoided = math.log(scales.taste) + math.log(scales.activity)
        return _surprise(Belief(belief.scorer, scales), asked) - avoided

    given = belief.scales
    logs = [math.log(max(number, LEAST)) for number in (given.slope, given.taste, given.activity)]
    start = np.array([given.level, *logs])
    found = minimize(
        loss,
        start,
        method="Nelder-Mead",
        options={
            "initial_simplex": np.vstack([start, start + FIRST_STEP * np.eye(len(start))]),
            "maxfev": MOST_EVALUATIONS,
            "xatol": 0.05,
            "fatol": 0.5,
        },
    )
    return _scales(found.x)


def _scales(numbers: np.ndarray) -> Scales:
    level, *logs = (float(number) for number in numbers)
    slope, taste, activity = (math.exp(min(log, 5.0)) for log in logs)
    return Scales(level=level, slope=slope, taste=taste, activity=activity)


def _asked(
    belief: Belief,
    users: ColdUsers,
    k: int,
    n_rounds: int,
    slate: int,
    seed: int,
) -> list[_Asked]:
    """Return what the users were shown in each round, and what was known then."""
    policy, generator = Thompson(1.0), torch.Generator().manual_seed(seed)
    takes = all_items(users)
    sessions, asked = SessionBatch(belief, users.support(k).item_index), []
    for _ in range(n_rounds):
        chosen = policy.slate(sessions.posterior, sessions.is_shown, slate, generator)
        asked.append(
            _Asked(
                known=sessions.shown,
                was_taken=sessions.is_taken,
                known_share=sessions.log_share.gather(1, sessions.shown),
                slate=chosen,
                is_taken=takes.gather(1, chosen),
                slate_share=sessions.log_share.gather(1, chosen),
            )
        )
        sessions.answer(chosen, asked[-1].is_taken)
    return asked


def _surprise(belief: Belief, asked: Sequence[_Asked]) -> float:
    """Return the surprise at the answers, in nats."""
    scales, features = belief.scales, belief.features
    total = 0.0
    for one in asked:
        known, slate = (scales.level + scales.slope * s for s in (one.known_share, one.slate_share))
        seen = torch.ones_like(one.was_taken)
        mode, root = laplace(known, features[one.known], one.was_taken, seen)
        expected = chance(slate, features[one.slate], mode, root)
        total += float(binary_cross_entropy(expected, one.is_taken.float(), reduction="sum"))
    return total
