"""The nodes from which sampling starts when the caller gives links."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.sampler import EdgeSamplerInput, NegativeSampling

from graphmeta.errors import ConfigError


@dataclass(frozen=True)
class LinkSeeds:
    """Source and destination nodes of a batch of links, positives first, negatives after.

    Negatives are drawn as PyG draws them, uniformly or by the weights of `NegativeSampling`, but
    from the caller's generator and not from torch's global one. Like PyG's, they may hit an edge
    of the graph.

    Shapes:
        src: int64, `[num_src]`; positives, then (mode `binary`) negatives.
        dst: int64, `[num_dst]`; positives, then negatives. In mode `triplet` the negatives of
            link `i` are at `num_pos + i`, `2 * num_pos + i`, ...
        label: `[num_src]` or None; 0 marks a negative.
        time: `[num_dst]` or None; a negative has the time of its positive.
    """

    num_pos: int
    src: Tensor
    dst: Tensor
    label: Tensor | None
    time: Tensor | None
    is_triplet: bool

    @classmethod
    def draw(
        cls,
        inputs: EdgeSamplerInput,
        negatives: NegativeSampling | None,
        *,
        num_src_nodes: int,
        num_dst_nodes: int,
        generator: torch.Generator,
    ) -> LinkSeeds:
        """Return the links of `inputs` and the negatives that `negatives` asks for.

        Raises:
            ConfigError: The weights of `negatives` do not fit the number of nodes.
        """
        src, dst, label, time = inputs.row, inputs.col, inputs.label, inputs.time
        num_pos = int(src.numel())
        if negatives is None:
            return cls(num_pos, src, dst, label, time, is_triplet=False)
        num_neg = math.ceil(num_pos * negatives.amount)
        if time is not None:
            time = time.repeat(1 + math.ceil(negatives.amount))[: num_pos + num_neg]
        if negatives.is_binary():
            drawn = _draw(negatives.src_weight, num_neg, num_src_nodes, generator)
            src = torch.cat([src, drawn])
            label = torch.ones(num_pos) if label is None else label
            label = torch.cat([label, label.new_zeros((num_neg, *label.shape[1:]))])
        drawn = _draw(negatives.dst_weight, num_neg, num_dst_nodes, generator)
        dst = torch.cat([dst, drawn])
        return cls(num_pos, src, dst, label, time, is_triplet=bool(negatives.is_triplet()))

    def metadata(
        self, input_id: Tensor | None, src_index: Tensor, dst_index: Tensor
    ) -> tuple[Tensor | None, ...]:
        """Return what PyG's `LinkLoader` expects, given the local row of every endpoint."""
        if not self.is_triplet:
            return input_id, torch.stack([src_index, dst_index]), self.label, self.time
        negative = dst_index[self.num_pos :].view(-1, self.num_pos).t().squeeze(-1)
        time = None if self.time is None else self.time[: self.num_pos]
        return input_id, src_index, dst_index[: self.num_pos], negative, time


def _draw(
    weight: Tensor | None, num_samples: int, num_nodes: int, generator: torch.Generator
) -> Tensor:
    if weight is None:
        return torch.randint(num_nodes, (num_samples,), generator=generator)
    if weight.numel() != num_nodes:
        raise ConfigError(
            f"expected one negative-sampling weight for each of {num_nodes} nodes, "
            f"got {weight.numel()}"
        )
    return torch.multinomial(weight.cpu(), num_samples, replacement=True, generator=generator)
