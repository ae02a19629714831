"""How much of a ranking that is the same for everybody a new user's ranking should hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Self, TypeVar

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import ColdUsers
from graphmeta.data.scipy_matrix import to_scipy
from graphmeta.data.spectrum import first_right_singular
from graphmeta.ranking.metrics import ranking_metrics
from graphmeta.ranking.query_hits import query_hits
from graphmeta.ranking.scorer import Scorer

# Relative to a vote, whose logarithm has a weight near 1. The largest leaves little of it.
WEIGHTS = (0.15, 0.3, 0.6, 1.2, 2.4)
# Of the active users' prior, which may be zero, this much is popularity.
SMOOTHING = 0.01
BATCH_SIZE = 256


Candidate = TypeVar("Candidate")


class Blend(NamedTuple):
    """What is added to the scores: `weight` times the logarithm of the prior of this name."""

    prior: str
    weight: float


class PriorBlend:
    """Adds a prior to the scores of each support size, as much as validation users ask for.

    Training draws supports from training users; a new user's first items are another sample of
    theirs, perhaps their first in time, and may say less. Validation users show it. For each k the
    candidates are two priors with a few weights each: "popularity", the item's share of the
    interactions, and "active", its share among active users (the first singular vector, the best
    rank-1 model; Cremonesi et al., RecSys 2010). Chosen is the one whose mean gain in NDCG@10 less
    its standard error is highest, and none where that is not above 0: a few dozen users choose
    nothing by chance.

    Args:
        log_prior: The logarithm of each prior by name.
        chosen: What each support size asks for, see `choose`.

    Shapes:
        log_prior: float32, `[n_items]` each.
    """

    def __init__(
        self, log_prior: Mapping[str, Tensor], chosen: Mapping[int, Blend] | None = None
    ) -> None:
        self.log_prior = dict(log_prior)
        self.chosen = dict(chosen or {})

    @classmethod
    def of_graph(cls, train: HeteroData, *, device: torch.device) -> Self:
        """Return the training graph's priors, none chosen.

        Args:
            train: The training graph.
            device: Where scores are.
        """
        return cls({name: prior.log().to(device) for name, prior in _priors(train).items()})

    def choose(
        self, scorer: Scorer, users: ColdUsers, sizes: Sequence[int], *, seed: int
    ) -> dict[int, Blend]:
        """Return what each support size asks for; sizes that ask for nothing have weight 0.

        Args:
            scorer: What the prior is to be added to.
            users: Validation users.
            sizes: Support sizes.
            seed: Breaks ties.
        """
        return {size: self._choice(scorer, users, size, seed) for size in sizes}

    def _choice(self, scorer: Scorer, users: ColdUsers, size: int, seed: int) -> Blend:
        candidates = [Blend("popularity", 0.0)]
        candidates += [Blend(name, weight) for name in self.log_prior for weight in WEIGHTS]
        parts: dict[Blend, list[Tensor]] = {candidate: [] for candidate in candidates}
        for _, block in users.batches(BATCH_SIZE):
            scores = scorer.score(block.support(size))
            for blend in candidates:
                added = scores + blend.weight * self.log_prior[blend.prior]
                generator = torch.Generator().manual_seed(seed)
                hits = query_hits(added.cpu(), block, n_best=10, generator=generator)[1]
                parts[blend].append(ranking_metrics(hits, block.query_ptr.diff())["ndcg@10"])
        figures = {blend: torch.cat(found) for blend, found in parts.items()}
        return surest(figures, candidates[0])

    def of(self, size: int) -> Tensor | None:
        """Return what to add to the scores at a support size: the choice of the nearest one.

        Shapes:
            output: float32, `[n_items]`, or None.
        """
        if not self.chosen:
            return None
        blend = self.chosen[min(self.chosen, key=lambda known: (abs(known - size), known))]
        return blend.weight * self.log_prior[blend.prior] if blend.weight else None


def surest(figures: Mapping[Candidate, Tensor], none: Candidate) -> Candidate:
    """Return the candidate with the highest mean gain over `none`, less its standard error.

    Shapes:
        figures: float64, `[n_users]` for each candidate.
    """
    n_users = len(figures[none])

    def least_gain(candidate: Candidate) -> float:
        gain = figures[candidate] - figures[none]
        return float(gain.mean() - gain.std() / n_users**0.5) if n_users > 1 else 0.0

    best = max(figures, key=least_gain)
    return best if least_gain(best) > 0 else none


def _priors(train: HeteroData) -> dict[str, Tensor]:
    matrix = to_scipy(train)
    count = torch.from_numpy(np.diff(matrix.tocsc().indptr)).float() + 1
    popularity = count / count.sum()
    if not matrix.nnz:
        return {"popularity": popularity}
    active = first_right_singular(matrix)
    active = (1 - SMOOTHING) * active / active.sum() + SMOOTHING * popularity
    return {"popularity": popularity, "active": active}
