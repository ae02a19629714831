"""Scores of items that nobody has interacted with, from those of items with like features."""

from __future__ import annotations

from typing import Self

import numpy as np
import scipy.sparse as sp
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.encoders.content_vote import voting_columns

# Found on validation users of movielens-small and lastfm-hetrec; .5 to 1 and 3 to 6 are as good.
SHARPNESS = 0.75
POWER = 4
# Most like items that an item's score is read from.
N_LIKE = 256
# Above so many items comparing them would take long.
MOST_ITEMS = 65_536
ROWS_AT_ONCE = 256


class NewItemScores(nn.Module):
    """Scores a new item as the items are scored that share its features.

    With s the scores of a user, N the known items most like the new item j and `w_ji` the fourth
    power of the cosine of their binary features, each by its rarity, summing to 1,

        s_j <- 1/h log(sum over i in N of w_ji exp(h s_i)) + s_j - mean of s over the new items

    with h the sharpness: a kernel regression of what users are likely to take on what items are
    (Nadaraya, 1964; Watson, 1964). All that a model knows of known items comes to new ones, how
    popular they are among it; what s_j was before, the vote of the features, tells new items with
    like neighbours apart. An item without a feature that a known one has is left as it is, and so
    are all in a catalogue of more than 65,536 items.

    Args:
        new: The new items.
        like: The known items that are most like each.
        weight: How much each of these counts.

    Shapes:
        new: int64, `[n_new]`.
        like: int64, `[n_new, m]`.
        weight: float32, `[n_new, m]`; rows sum to 1, and are 0 behind the last like item.
    """

    def __init__(self, new: Tensor, like: Tensor, weight: Tensor) -> None:
        super().__init__()
        self.register_buffer("new", new)
        self.register_buffer("like", like)
        self.register_buffer("weight", weight)

    new: Tensor
    like: Tensor
    weight: Tensor

    @classmethod
    def of_graph(cls, graph: HeteroData, *, device: torch.device) -> Self:
        """Return what scores a graph's items without interactions, be there any or none.

        Args:
            graph: The training graph; items have features.
            device: Where scores are.
        """
        return cls(*like_known_items(graph, power=POWER)).to(device)

    def __len__(self) -> int:
        return len(self.new)

    def forward(self, scores: Tensor) -> Tensor:
        """Write the new items' scores in place, and return the scores.

        Shapes:
            scores: float32, `[n_users, n_items]`; all items have one.
        """
        if not len(self):
            return scores
        own = scores[:, self.new]
        highest = scores.amax(1, keepdim=True)
        likely = (SHARPNESS * (scores - highest)).exp()
        mean = self.mean_of_like(likely).clamp(min=torch.finfo(scores.dtype).tiny)
        scores[:, self.new] = mean.log() / SHARPNESS + highest + own - own.mean(1, keepdim=True)
        return scores

    def mean_of_like(self, values: Tensor) -> Tensor:
        """Return the weighted means over the items like each new one.

        Shapes:
            values: `[n_users, n_items]`.
            output: `[n_users, n_new]`.
        """
        # Not a gather, which would hold `n_users` times the neighbours at once.
        return F.embedding_bag(
            self.like, values.T.contiguous(), per_sample_weights=self.weight, mode="sum"
        ).T


def like_known_items(graph: HeteroData, *, power: float) -> tuple[Tensor, Tensor, Tensor]:
    """Return the items without interactions, and known ones like each with weights that sum to 1.

    Those are left out that have no feature that a known item has too, and all of a catalogue of
    more than `MOST_ITEMS`.

    Args:
        graph: A graph whose items have features.
        power: Of the cosine of two items' binary features, each by its rarity.

    Shapes:
        output: int64 `[n_new]`, int64 and float32 `[n_new, m]`.
    """
    n_items, x = int(graph["item"].num_nodes), graph["item"].x
    is_new = graph[FORWARD].edge_index[1].bincount(minlength=n_items) == 0
    new, known = (rows.nonzero().flatten() for rows in (is_new, ~is_new))
    if not len(new) or n_items > MOST_ITEMS:
        return new[:0], new.new_empty(0, 1), torch.empty(0, 1)
    features = _by_rarity(x[:, voting_columns(x)])
    of_known = features[known.numpy()].T.tocsc()
    n_like = min(N_LIKE, len(known))
    found = []
    for rows in new.split(ROWS_AT_ONCE):
        cosine = torch.from_numpy((features[rows.numpy()] @ of_known).toarray())
        found.append(cosine.clamp(0, 1).pow(power).topk(n_like, dim=1))
    weight = torch.cat([best.values for best in found])
    like = known[torch.cat([best.indices for best in found])]
    total = weight.sum(1, keepdim=True)
    has_like = (total > 0).flatten()
    return new[has_like], like[has_like], (weight / total)[has_like].float()


def _by_rarity(x: Tensor) -> sp.csr_matrix:
    """Return indicators times the logarithm of their rarity, rows of length 1 or 0."""
    indicators = sp.csr_matrix(x.double().numpy())
    count = np.asarray(indicators.sum(0)).ravel()
    rarity = np.log(indicators.shape[0] / np.maximum(count, 1))
    weighted = indicators @ sp.diags_array(rarity)
    length = np.sqrt(np.asarray(weighted.multiply(weighted).sum(1)).ravel())
    return sp.csr_matrix(sp.diags_array(1 / np.maximum(length, 1e-12)) @ weighted)
