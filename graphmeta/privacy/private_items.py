"""What private users' items say under noise: which are known, and which come together."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from scipy.sparse.linalg import eigsh
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.spectrum import LANCZOS_GAIN
from graphmeta.privacy.accounting import Release
from graphmeta.privacy.item_sums import co_occurrence, item_counts, noised
from graphmeta.ranking.item_statistics import ItemStatistics
from graphmeta.ranking.linear_part import RANK, Linear, LinearPart

# Of pairs are heard the items that hold this share of the counts: each other one adds noise alone.
HEARD_SHARE = 0.9
# Items count by their popularity to this power, or what all like would take up each user's vote.
EXPONENT = -0.25
# Added to the degrees: little known items are mostly noise, and small degrees would blow it up.
SMOOTHING, PER_NOISE = 30.0, 20.0
# The ridge, in users, with which the directions are offered; others are tried.
RIDGE = 100.0


@dataclass(frozen=True)
class ItemPairs:
    """How often items come together, under noise.

    Args:
        together: The sum over users of `y y^T / |y|^2`, of private ones with noise, where `y` is
            the user's binary row of the items heard of times their `scale`.
        rows: The items heard of, ascending.
        scale: What the interactions with each of them were multiplied by.
        noise: Standard deviation of the noise on the diagonal.

    Shapes:
        together: float32, `[n_heard, n_heard]`.
        rows: int64, `[n_heard]`; scale: float32, `[n_heard]`.
    """

    together: Tensor
    rows: Tensor
    scale: Tensor
    noise: float

    def factors(self, *, n_items: int, channels: int, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Return where item embeddings start, as `ItemTable` starts from a graph's spectrum.

        Args:
            n_items: Size of the catalogue.
            channels: Width of the embeddings.
            seed: Draws the random numbers at which items that were not heard of start.

        Shapes:
            output: float32, twice `[n_items, channels]`.
        """
        found = item_factors(self.together, channels=channels, noise=self.noise, seed=seed)
        generator = torch.Generator().manual_seed(seed)
        out = []
        for factor in found:
            full = 0.1 * torch.randn(n_items, channels, generator=generator)
            full[self.rows] = factor
            out.append(full)
        return out[0], out[1]

    def directions(self, n_items: int) -> LinearPart:
        """Return the leading directions as those of a linear part, for users of any size.

        Kept are at most `RANK` eigenvectors whose eigenvalues are above `noise sqrt(2 n_heard)`,
        the largest that noise alone has.

        Args:
            n_items: Size of the catalogue; of items that were not heard of it says nothing.
        """
        if len(self.rows) > LANCZOS_GAIN * RANK:  # All of them would take a share of an hour.
            value, found = _leading(self.together, RANK, torch.Generator().manual_seed(0))
        else:
            value, found = torch.linalg.eigh(self.together.double())
            value, found = value.flip(0)[:RANK], found.flip(1)[:, :RANK]
        is_heard = (value > self.noise * math.sqrt(2 * len(self.rows))) & (value > 0)
        value, found = value[is_heard], found[:, is_heard]
        vector, scale = torch.zeros(n_items, len(value)), torch.ones(n_items)
        vector[self.rows], scale[self.rows] = found.float(), self.scale
        return LinearPart(vector, value.float(), Linear(RIDGE, 1.0, 0), scale=scale)


def item_statistics(
    private: HeteroData,
    open_graph: HeteroData,
    releases: Sequence[Release],
    *,
    channels: int,
    generator: torch.Generator,
    seed: int = 0,
) -> ItemStatistics:
    """Return what private users, under noise, and open ones say of the items.

    Args:
        private: The graph of the private users.
        open_graph: That of the open users, with the same items.
        releases: The noise of the items' counts and, unless it is left out, of their pairs.
        channels: Width of the embeddings.
        generator: Draws the noise.
        seed: Draws where the embeddings of items start that were not heard of.

    Raises:
        ConfigError: There are more than 20,000 items to hear of.
    """
    counts, *pairs = releases
    count = item_counts(private)
    count = count + counts.noise * torch.randn(count.shape, generator=generator)
    count = (count + item_counts(open_graph)).clamp(min=0)
    known = count + max(1.0, counts.noise)
    priors = {"counted": known / known.sum()}
    if not pairs:
        return ItemStatistics(priors)
    found = item_pairs(private, open_graph, count, known, pairs[0], generator)
    n_items = len(count)
    directions = found.directions(n_items)
    return ItemStatistics(
        priors, directions, found.factors(n_items=n_items, channels=channels, seed=seed)
    )


def item_pairs(
    private: HeteroData,
    open_graph: HeteroData,
    count: Tensor,
    known: Tensor,
    release: Release,
    generator: torch.Generator,
) -> ItemPairs:
    """Return which items come together, for private users under noise and for open ones.

    Args:
        private: The graph of the private users.
        open_graph: That of the open users, with the same items.
        count: How well known items are, which chooses those to hear of.
        known: The same above 0, to set their scale.
        release: The noise of the pairs.
        generator: Draws the noise.

    Shapes:
        count, known: float32, `[n_items]`.

    Raises:
        ConfigError: There are more than 20,000 items to hear of.
    """
    rows = known_items(count)
    scale = known[rows].pow(EXPONENT)
    scale = scale / scale.mean()
    together = noised(co_occurrence(private, rows, scale), release.noise, generator)
    return ItemPairs(together + co_occurrence(open_graph, rows, scale), rows, scale, release.noise)


def known_items(count: Tensor) -> Tensor:
    """Return the rows of the best known items, which hold 90 % of the counts; ascending.

    Shapes:
        count: float32, `[n_items]`, not negative.
        output: int64, `[n_heard]`, at least one.
    """
    order = count.argsort(descending=True, stable=True)
    held = count[order].cumsum(0)
    n_heard = int((held < HEARD_SHARE * held[-1]).sum()) + 1
    return order[:n_heard].sort().values


def item_factors(
    together: Tensor, *, channels: int, noise: float, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Return where item embeddings start, as `ItemTable` starts from a graph's spectrum.

    With D the row sums, which are the items' degrees, V the leading eigenvectors of
    `D^-1/2 together D^-1/2`, those whose eigenvalues no noise alone has: `D^-1/2 V` and `D^1/2 V`,
    each scaled to unit mean square. Other channels start at small random numbers.

    Args:
        together: The co-occurrences, with their noise.
        channels: Width of the embeddings.
        noise: Standard deviation of the noise that `together` holds.
        seed: Draws the random numbers, and noise to compare with.

    Shapes:
        together: float32, `[n_items, n_items]`.
        output: float32, twice `[n_items, channels]`.
    """
    n_items = len(together)
    smoothing = SMOOTHING + PER_NOISE * noise * math.sqrt(2 * n_items)
    degree = together.sum(1).clamp(min=0) + smoothing
    root = degree.sqrt().unsqueeze(1)
    generator = torch.Generator().manual_seed(seed)
    value, vectors = _leading(together / root / root.T, min(channels, n_items - 1), generator)
    if noise:
        only_noise = noised(torch.zeros_like(together), noise, generator)
        edge = _leading(only_noise / root / root.T, 1, generator)[0][0]
        vectors = vectors[:, value > edge]
    missing = channels - vectors.size(1)
    others = 0.1 * torch.randn(n_items, missing, generator=generator) * n_items**-0.5
    vectors = torch.cat([vectors, others], dim=1)
    return _unit(vectors / root), _unit(vectors * root)


def _leading(matrix: Tensor, k: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the k largest eigenvalues, descending, and their vectors as columns."""
    first = torch.randn(len(matrix), generator=generator).double().numpy()
    value, vectors = eigsh(matrix.double().numpy(), k=k, which="LA", v0=first)
    return torch.from_numpy(value[::-1].copy()), torch.from_numpy(vectors[:, ::-1].copy()).float()


def _unit(rows: Tensor) -> Tensor:
    return rows / rows.square().mean().sqrt().clamp(min=1e-12)
