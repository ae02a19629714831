"""A learnt comparison of what a user has shown with what could be recommended."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.encoders.support_size_curve import SupportSizeCurve
from graphmeta.errors import ConfigError
from graphmeta.meta.head_width import refuse_other_width
from graphmeta.meta.learner import USER, FastWeights, Learner
from graphmeta.tasks.episode import EpisodeBatch

SUPPORT = "support"
# Hidden units held at a time, over users, support, items and width; more gains no speed.
UNITS_AT_ONCE = 2**20


class RelationNetwork(Learner):
    """Compares each support item with each candidate by a network, and adds what it says.

    Sung et al., "Learning to compare: relation network for few-shot learning", CVPR 2018. For a
    user with support S of size k and encoder's embedding z, item j scores

        head(z)_j + a(k) mean_{i in S} r(s_i, F_j)
        r(s_i, F_j) = v . ReLU(W_s E_i + W_z z + W_f F_j + b)

    with E the items' input embeddings (features included) and F their output embeddings; z puts
    the support in the context of the user's subgraph. There is no inner loop: `W`, `b`, `v`
    and the curve `a` are what training learns. A user without support is scored by the head.

    Departures: the paper sums the embeddings of a class before it compares, here the relations
    are averaged, since a user's items are not of one class; its squared error on 0 and 1 is the
    outer loss here; and the relation adds to the head's score, from which training starts, as
    `v` starts near zero.

    The first layer acts on each argument by itself, so that the catalogue's part is computed once
    for all users. Memory beyond the scores stays bounded at any number of users and items.

    Args:
        encoder: Any module with `forward(x_dict, edge_index_dict) -> {type: Tensor}`.
        channels: Width of the head's embeddings.
        hidden: Hidden units of r.
        is_batched: As in `Learner`.

    Raises:
        ConfigError: A width is not positive.
    """

    def __init__(
        self, encoder: nn.Module, *, channels: int, hidden: int = 8, is_batched: bool = True
    ) -> None:
        super().__init__(encoder, is_batched=is_batched)
        if min(channels, hidden) < 1:
            raise ConfigError(f"channels={channels} and hidden={hidden} must be at least 1")
        self.channels = channels
        self.support = nn.Linear(channels, hidden)
        self.context = nn.Linear(channels, hidden, bias=False)
        self.candidate = nn.Linear(channels, hidden, bias=False)
        # Not zero: the layer below would have no gradient.
        self.last = nn.Parameter(0.01 * torch.randn(hidden))
        self.curve = SupportSizeCurve({"relation": 1.0})

    def adapt(
        self,
        episodes: EpisodeBatch,
        head: CatalogueHead,
        *,
        generator: torch.Generator | None = None,
    ) -> FastWeights:
        """Return each user's embedding, and the support's part of the hidden layer.

        Shapes:
            output: `user`, float32, `[n_episodes, c]`, and `support`, float32,
                `[n_episodes, k, hidden]`.

        Raises:
            ConfigError: The head's embeddings are not `channels` wide.
        """
        refuse_other_width(head, self.channels)
        x_dict = head.x_dict(episodes)
        z = self._for_head(self.encode(episodes, {}, x_dict), head)
        shown = x_dict["item"][:, : episodes.support.item_index.size(1)]
        return {USER: z, SUPPORT: self.support(shown) + self.context(z).unsqueeze(1)}

    def score(
        self,
        episodes: EpisodeBatch,
        fast: FastWeights,
        head: CatalogueHead,
        items: Tensor | None = None,
    ) -> Tensor:
        """Return the catalogue's scores, or some items'; see `Learner.score`."""
        scores = super().score(episodes, fast, head, items)
        if SUPPORT not in fast:
            return scores
        support = episodes.support
        weight: Tensor = self.curve(support.size)["relation"]
        candidates = head.table.output_of(items)
        return scores + weight * self.relation(fast[SUPPORT], support.mask, candidates)

    def relation(self, shown: Tensor, mask: Tensor, items: Tensor) -> Tensor:
        """Return the mean relation of each user's support with every item.

        Shapes:
            shown: `[n, k, hidden]`; the support's part of the hidden layer.
            mask: bool, `[n, k]`; False at padding.
            items: `[n_items, c]`.
            output: `[n, n_items]`; zero where nothing was shown.
        """
        each = mask.to(shown.dtype) / mask.sum(1, keepdim=True).clamp(min=1)
        weight = each.unsqueeze(2) * self.last
        candidates = self.candidate(items).T.contiguous()
        mean: Tensor = _WeightedUnits.apply(shown, weight, candidates)  # type: ignore[no-untyped-call]
        return mean

    def parameter_groups(self, lr: float) -> list[dict[str, Any]]:
        """Return optimiser groups: curve and last layer move ten times as fast as matrices."""
        few = [self.last, *self.curve.parameters()]
        known = {id(parameter) for parameter in few}
        rest = [parameter for parameter in self.parameters() if id(parameter) not in known]
        return [{"params": rest, "lr": lr}, {"params": few, "lr": 10 * lr}]


class _WeightedUnits(torch.autograd.Function):
    """Sums `weight * ReLU(shown + candidate)` over support and width, block by block.

    The gradient computes the hidden units again. (`torch.utils.checkpoint` would too, but leaves
    a gradient per block between the blocks, where CPU memory grows as if nothing were freed.)
    """

    @staticmethod
    def forward(ctx: Any, shown: Tensor, weight: Tensor, candidates: Tensor) -> Tensor:
        """Return the sums.

        Shapes:
            shown: `[n, k, hidden]`.
            weight: `[n, k, hidden]`.
            candidates: `[hidden, n_items]`.
            output: `[n, n_items]`.
        """
        ctx.save_for_backward(shown, weight, candidates)
        out = shown.new_empty(len(shown), candidates.size(1))
        for rows, items in _blocks(shown, candidates):
            units = _units(shown[rows], candidates[:, items])
            out[rows, items] = (weight[rows].flatten(1).unsqueeze(1) @ units).squeeze(1)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return the gradients of the arguments."""
        shown, weight, candidates = ctx.saved_tensors
        of_shown, of_weight, of_candidates = map(torch.zeros_like, ctx.saved_tensors)
        for rows, items in _blocks(shown, candidates):
            back = gradient[rows, items].unsqueeze(1)
            units = _units(shown[rows], candidates[:, items])
            of_weight[rows] += (units @ back.mT).view_as(of_weight[rows])
            # In place, since this is the one large tensor: from units to their gradients.
            units.sign_().mul_(back).mul_(weight[rows].flatten(1).unsqueeze(2))
            of_shown[rows] += units.sum(2).view_as(of_shown[rows])
            of_candidates[:, items] += units.view(-1, len(candidates), back.size(2)).sum(0)
        return of_shown, of_weight, of_candidates


def _units(shown: Tensor, candidates: Tensor) -> Tensor:
    """Return the hidden units of users with items; `[n, k * hidden, n_items]`."""
    return (shown.unsqueeze(3) + candidates).relu_().flatten(1, 2)


def _blocks(shown: Tensor, candidates: Tensor) -> Iterator[tuple[slice, slice]]:
    """Cut users and items so that a block has at most `UNITS_AT_ONCE` hidden units."""
    (n, k, hidden), n_items = shown.shape, candidates.size(1)
    units = max(1, k * hidden)
    n_at_once = max(1, UNITS_AT_ONCE // (units * n_items))
    items_at_once = max(1, UNITS_AT_ONCE // units)
    for user in range(0, n, n_at_once):
        for item in range(0, n_items, items_at_once):
            yield slice(user, user + n_at_once), slice(item, item + items_at_once)
