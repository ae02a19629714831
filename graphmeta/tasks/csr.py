"""Compressed rows of a directed graph, and uniform draws from them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import scipy.sparse as sp
import torch
from torch import Tensor

from graphmeta.errors import ConfigError, DataError
from graphmeta.tasks.draw_offsets import draw_offsets
from graphmeta.tasks.fixed_draws import fixed_draws
from graphmeta.tasks.gather_edges import gather_edges


class Rows(Protocol):
    """What neighbours are drawn from: a `CSR`, or the rows of a store."""

    @property
    def num_rows(self) -> int:
        """Number of rows."""

    def degree(self, rows: Tensor) -> Tensor:
        """Return how many neighbours some rows have; int64, `[n_rows]`."""

    def take(self, rows: Tensor, position: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
        """Return neighbours and edge ids: of row `rows[position]` the one at `offset`."""


@dataclass(frozen=True)
class CSR:
    """The neighbours of every row, one row after the other.

    Row `r` owns the slots `indptr[r]` to `indptr[r + 1] - 1`. Within a row, slots follow `time`
    when there is one (so a cut-off in time is a prefix of the row) and the input order otherwise.

    Shapes:
        indptr: int64, `[num_rows + 1]`.
        index: int64 or int32, `[num_edges]`; the neighbour in each slot.
        edge_id: int64 or int32, `[num_edges]`; the column of `edge_index` that each slot came
            from. None where that is the slot itself.
        time: `[num_edges]` or None; ascending within each row.
    """

    indptr: Tensor
    index: Tensor
    edge_id: Tensor | None
    time: Tensor | None = None

    @property
    def num_rows(self) -> int:
        """Number of rows."""
        return int(self.indptr.numel()) - 1

    @property
    def num_edges(self) -> int:
        """Number of edges."""
        return int(self.index.numel())

    def degree(self, rows: Tensor) -> Tensor:
        """Return how many neighbours some rows have; int64, `[n_rows]`."""
        return self.indptr[rows + 1] - self.indptr[rows]

    def take(self, rows: Tensor, position: Tensor, offset: Tensor) -> tuple[Tensor, Tensor]:
        """Return neighbours and edge ids: of row `rows[position]` the one at `offset`."""
        return gather_edges(self.indptr[rows], self.index, self.edge_id, position, offset)

    @classmethod
    def from_edge_index(
        cls, edge_index: Tensor, *, num_rows: int, time: Tensor | None = None, end: int = 0
    ) -> CSR:
        """Group edges by one of their ends.

        Args:
            edge_index: The edges.
            num_rows: Number of nodes at that end.
            time: When each edge came.
            end: The row of `edge_index` to group by; the other one holds the neighbours. Messages
                flow from source to destination, so who sends to a node is grouped by row 1.

        Shapes:
            edge_index: int64, `[2, num_edges]`.
            time: `[num_edges]`.

        Raises:
            DataError: `edge_index` has another shape or dtype, names a row outside
                `0 .. num_rows - 1`, or `time` has another length or is not finite.
        """
        _check_edges(edge_index, num_rows, time, end)
        edge_index = edge_index.detach().cpu()
        row, neighbour = edge_index[end], edge_index[1 - end]
        indptr = torch.zeros(num_rows + 1, dtype=torch.long)
        torch.cumsum(torch.bincount(row, minlength=num_rows), dim=0, out=indptr[1:])
        if time is not None:
            time = time.detach().cpu()
            edge_id = torch.argsort(time, stable=True)
            edge_id = edge_id[torch.argsort(row[edge_id], stable=True)]
        elif bool((row[1:] >= row[:-1]).all()):
            return cls(indptr, neighbour, None)  # In order as it is, and not copied.
        else:
            return cls(indptr, *_grouped(row, neighbour, num_rows))
        return cls(indptr, narrow(neighbour[edge_id]), narrow(edge_id), time[edge_id])


def narrow(numbers: Tensor) -> Tensor:
    """Return numbers of 0 or more as int32 where they fit, in half the memory."""
    fits = not numbers.numel() or int(numbers.max()) <= torch.iinfo(torch.int32).max
    return numbers.int() if fits else numbers


def _grouped(row: Tensor, neighbour: Tensor, num_rows: int) -> tuple[Tensor, Tensor]:
    """Return the neighbours and the edges row by row, each row in the order of the input."""
    edges, *ends = (narrow(part).numpy() for part in (torch.arange(len(row)), row, neighbour))
    matrix = sp.coo_array((edges, tuple(ends)), (num_rows, int(neighbour.max()) + 1))
    matrix.has_canonical_format = True  # Edges between the same nodes are not to be added up.
    # Counted into place, not sorted: linear, and in int32.
    of_row = matrix.tocsr()
    return torch.from_numpy(of_row.indices), torch.from_numpy(of_row.data)


def _check_edges(edge_index: Tensor, num_rows: int, time: Tensor | None, end: int) -> None:
    if edge_index.dim() != 2 or edge_index.size(0) != 2 or edge_index.dtype != torch.long:
        raise DataError(
            f"expected edge_index as int64 [2, num_edges], got {edge_index.dtype} "
            f"{list(edge_index.shape)}; convert it with edge_index.long()"
        )
    if edge_index.numel():
        low, high = int(edge_index[end].min()), int(edge_index[end].max())
        if low < 0 or high >= num_rows or int(edge_index[1 - end].min()) < 0:
            raise DataError(
                f"edge_index names rows {low} to {high}, but there are {num_rows} rows and no "
                "index may be negative; set num_nodes or renumber the nodes"
            )
    if time is not None:
        if time.shape != edge_index.shape[1:]:
            raise DataError(
                f"expected one time for each of {edge_index.size(1)} edges, got "
                f"{list(time.shape)}; flatten it or drop it"
            )
        if not bool(torch.isfinite(time).all()):
            raise DataError("some edge times are NaN or infinite; drop those edges first")


def sample_neighbors(
    csr: Rows,
    seeds: Tensor,
    fanout: int,
    *,
    generator: torch.Generator | None = None,
    seed: int | None = None,
    before: Tensor | None = None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Draw up to `fanout` edges of every seed, uniformly and without replacement.

    A row with no more than `fanout` edges is returned whole. A longer one goes through Floyd's
    algorithm (Bentley & Floyd, "A sample of brilliance", 1987) for all such seeds at once, in
    `O(fanout ** 2)` per seed whatever the degree, so a hub costs no more than any other node.

    Args:
        csr: The rows to draw from.
        seeds: Rows; one that appears twice is drawn for twice, independently.
        fanout: The most edges per seed; -1 takes all.
        generator: The source of randomness; may be None where `fanout` is -1 or 0.
        seed: Takes the generator's place: a row's draws then follow from the seed and the row
            alone, whatever else is drawn, and are the same each time.
        before: The latest time that each seed may see; edges newer than it do not exist.

    Returns:
        The position in `seeds` (ascending), the neighbour and the edge id of every edge drawn.

    Shapes:
        seeds: int64, `[num_seeds]`.
        before: `[num_seeds]`, in the unit of `csr.time`.
        output: three times int64, `[num_drawn]`.

    Raises:
        ConfigError: `fanout` is below -1, or it is positive and there is neither generator nor
            seed.
        DataError: `before` does not fit `seeds` or `csr.time`.
    """
    if fanout < -1:
        raise ConfigError(f"expected a fanout of -1 (all) or more, got {fanout}; use -1 for all")
    if fanout > 0 and generator is None and seed is None:
        raise ConfigError(f"fanout={fanout} draws at random; pass a torch.Generator or a seed")
    degree = csr.degree(seeds)
    if before is not None:
        degree = _count_until(csr, seeds, degree, before)
    draws = None
    if fanout > 0:
        rows = seeds[degree > fanout]
        if len(rows) and seed is None:
            draws = torch.rand(len(rows), fanout, generator=generator, dtype=torch.float64)
        elif len(rows) and seed is not None:
            draws = fixed_draws(seed, rows, fanout)
    position, offset = draw_offsets(degree, fanout, draws)
    return position, *csr.take(seeds, position, offset)


def _count_until(csr: Rows, seeds: Tensor, degree: Tensor, before: Tensor) -> Tensor:
    """Count the edges of each row that are not newer than `before`, by bisection."""
    if not isinstance(csr, CSR) or csr.time is None:
        raise DataError("the rows carry no time; build the CSR with time=")
    start = csr.indptr[seeds]
    if before.shape != start.shape:
        raise DataError(
            f"expected one time for each of {start.numel()} seeds, got {list(before.shape)}"
        )
    exact = csr.time.dtype == torch.float64 and not before.is_floating_point()
    if before.dtype != csr.time.dtype and not exact:
        raise DataError(
            f"seed times are {before.dtype} and edge times {csr.time.dtype}, which would round "
            "a time and could let a newer edge through; give both the same dtype"
        )
    if bool(torch.isnan(before).any()):
        raise DataError("a seed time is NaN; give every seed a time")
    low, high = torch.zeros_like(degree), degree.clone()
    while bool((low < high).any()):
        middle = (low + high) // 2
        slot = (start + middle).clamp(max=csr.num_edges - 1)
        is_old = (csr.time[slot] <= before) & (low < high)
        low, high = torch.where(is_old, middle + 1, low), torch.where(is_old, high, middle)
    return low
