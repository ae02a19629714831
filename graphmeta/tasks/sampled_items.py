"""Some items in place of a large catalogue, drawn so that a sum over them stands for the whole."""

from __future__ import annotations

from dataclasses import dataclass
from numbers import Integral
from typing import Self

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from graphmeta.data.cold_users import Support
from graphmeta.errors import ConfigError
from graphmeta.tasks.place_among import place_among

# A catalogue above this size is sampled unless asked otherwise, by as many draws.
SAMPLED_ABOVE, N_DRAWS = 50_000, 4096


@dataclass(frozen=True)
class SampledItems:
    """Items by which sums over the catalogue are estimated (importance sampling).

    `sum_j f_j` is estimated by `sum_m exp(log_weight_m) f_m`, without bias.

    Args:
        item: Distinct rows of the catalogue, ascending.
        log_weight: Logarithm of how often each came over how often it was expected to.
        n_items: Size of the catalogue.

    Shapes:
        item: int64, `[m]`.
        log_weight: float32, `[m]`.
    """

    item: Int[Tensor, " m"]
    log_weight: Float[Tensor, " m"]
    n_items: int

    def to(self, device: torch.device) -> Self:
        """Return the same items on a device."""
        return type(self)(self.item.to(device), self.log_weight.to(device), self.n_items)

    def shown(self, support: Support) -> Bool[Tensor, "n m"]:
        """Return which of the items each user has shown."""
        index = support.item_index
        place = place_among(self.item, index)
        row, slot = (place >= 0).nonzero().unbind(1)
        out = torch.zeros(len(support), len(self.item), dtype=torch.bool, device=index.device)
        out[row, place[row, slot]] = True
        return out


class ItemSampler:
    """Draws items by their popularity, with replacement.

    The items of a batch of random users come by popularity too, and so count as draws that cost
    nothing (in-batch negatives; Yi et al., RecSys 2019).

    Args:
        degree: How many users each item has; one is added for the draws, so that every item can
            come.
        n_draws: How many to draw.

    Shapes:
        degree: `[n_items]`.

    Raises:
        ConfigError: `n_draws` is below 1.
    """

    def __init__(self, degree: Tensor, *, n_draws: int) -> None:
        if n_draws < 1:
            raise ConfigError(f"n_draws={n_draws} must be at least 1")
        self.n_draws = n_draws
        # In double, whose sum over millions of items loses no popular one's share.
        self._degree = degree.cpu().double()
        self._until = (self._degree + 1).cumsum(0)
        self._n_edges = float(self._degree.sum().clamp(min=1))

    def draw(
        self, generator: torch.Generator, *, seen: Int[Tensor, " n"] | None = None
    ) -> SampledItems:
        """Return the distinct items of a new draw.

        Args:
            generator: Draws, on the processor.
            seen: The items of a batch of random users, one by one; all will be there.
        """
        at = torch.rand(self.n_draws, generator=generator, dtype=torch.float64) * self._until[-1]
        drawn = torch.searchsorted(self._until, at, right=True).clamp(max=len(self._until) - 1)
        n_seen = 0 if seen is None else len(seen)
        together = drawn if seen is None else torch.cat([drawn, seen])
        item, times = together.unique(return_counts=True)
        degree = self._degree[item]
        expected = self.n_draws * (degree + 1) / self._until[-1] + n_seen * degree / self._n_edges
        return SampledItems(item, (times / expected).log().float(), len(self._until))


def sampler_for(degree: Tensor, n_draws: int | None) -> ItemSampler | None:
    """Return what samples a catalogue, None where all of it is to count.

    Args:
        degree: How many users each item has.
        n_draws: How many to draw; 0 for the whole catalogue, None for the whole up to 50,000
            items and 4,096 above.

    Raises:
        ConfigError: `n_draws` is no whole number from 0 on.
    """
    if n_draws is not None and (not isinstance(n_draws, Integral) or n_draws < 0):
        raise ConfigError(
            f"num_sampled={n_draws} must be a whole number, 0 for the whole catalogue or more"
        )
    if n_draws is None:
        n_draws = N_DRAWS if len(degree) > SAMPLED_ABOVE else 0
    return ItemSampler(degree, n_draws=n_draws) if n_draws else None
