"""How much of a ranking that is the same for everybody a new user's ranking should hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple, Self

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import ColdUsers, Support
from graphmeta.data.scipy_matrix import to_scipy
from graphmeta.data.spectrum import first_right_singular
from graphmeta.ranking.scorer import Scorer
from graphmeta.ranking.surest import surest_way

# Relative to a vote, whose logarithm has a weight near 1. The largest leaves little of it.
WEIGHTS = (0.15, 0.3, 0.6, 1.2, 2.4)
# Of the active users' prior, which may be zero, this much is popularity.
SMOOTHING = 0.01


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
    rank-1 model; Cremonesi et al., RecSys 2010). Chosen is the one that surely helps most, or none
    (`surest_way`).

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
        return cls.of_shares(_priors(train), device=device)

    @classmethod
    def of_shares(cls, priors: Mapping[str, Tensor], *, device: torch.device) -> Self:
        """Return these priors, none chosen.

        Args:
            priors: Each item's share by the name of the prior.
            device: Where scores are.

        Shapes:
            priors: float32, `[n_items]` each, above 0.
        """
        return cls({name: prior.log().to(device) for name, prior in priors.items()})

    def carried(self, newer: HeteroData, row: Tensor) -> PriorBlend:
        """Return the blend for another graph, with the same choices.

        Priors that the graph says nothing of go along by item; new items get the least share.

        Args:
            newer: The graph.
            row: Each item's row in this catalogue, -1 where it is new.

        Shapes:
            row: int64, `[n_items]`.
        """
        shares = _priors(newer)
        priors = {}
        for name, known in self.log_prior.items():
            if name in shares:
                priors[name] = shares[name].log().to(known.device)
            else:
                priors[name] = known[row.clamp(min=0)].where(row >= 0, known.min())
        return PriorBlend(priors, self.chosen)

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
        nothing = Blend("popularity", 0.0)
        candidates = [Blend(name, w) for name in self.log_prior for w in WEIGHTS]

        def scored(support: Support) -> Iterator[tuple[Blend, Tensor]]:
            scores = scorer.score(support)
            yield nothing, scores
            for blend in candidates:
                yield blend, scores + blend.weight * self.log_prior[blend.prior]

        return surest_way(users, [size], scored, nothing, seed=seed)

    def of(self, size: int) -> Tensor | None:
        """Return what to add to the scores at a support size: the choice of the nearest one.

        Shapes:
            output: float32, `[n_items]`, or None.
        """
        if not self.chosen:
            return None
        blend = self.chosen[min(self.chosen, key=lambda known: (abs(known - size), known))]
        return blend.weight * self.log_prior[blend.prior] if blend.weight else None


def _priors(train: HeteroData) -> dict[str, Tensor]:
    matrix = to_scipy(train)
    count = torch.from_numpy(np.diff(matrix.tocsc().indptr)).float() + 1
    popularity = count / count.sum()
    if not matrix.nnz:
        return {"popularity": popularity}
    active = first_right_singular(matrix)
    active = (1 - SMOOTHING) * active / active.sum() + SMOOTHING * popularity
    return {"popularity": popularity, "active": active}
