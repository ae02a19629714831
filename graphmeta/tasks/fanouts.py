"""How many neighbours to draw, for every edge type and hop."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from graphmeta.errors import ConfigError

EdgeType = tuple[str, str, str]


def resolve_fanouts(
    num_neighbors: Sequence[int] | Mapping[EdgeType, Sequence[int]], edge_types: list[EdgeType]
) -> dict[EdgeType, list[int]]:
    """Return one list of fan-outs, hop by hop, for every edge type.

    Args:
        num_neighbors: One list for all edge types, or one for each; -1 takes every neighbour and
            0 skips the edge type at that hop.
        edge_types: The edge types of the graph.

    Raises:
        ConfigError: A list is empty, holds anything but integers from -1 up, or differs in length
            from another; an edge type is missing or unknown.
    """
    if isinstance(num_neighbors, Mapping):
        unknown = [t for t in num_neighbors if t not in edge_types]
        missing = [t for t in edge_types if t not in num_neighbors]
        if unknown or missing:
            raise ConfigError(
                f"num_neighbors must name every edge type of the graph and no other; unknown: "
                f"{unknown}, missing: {missing}; give a missing one a list of zeros to skip it"
            )
        fanouts = {t: _checked(num_neighbors[t]) for t in edge_types}
    else:
        fanouts = {t: list(_checked(num_neighbors)) for t in edge_types}
    lengths = sorted({len(f) for f in fanouts.values()})
    if len(lengths) > 1:
        raise ConfigError(
            f"num_neighbors has lists of {lengths} hops; give all the same length (pad with 0)"
        )
    return fanouts


def _checked(values: Sequence[int]) -> list[int]:
    is_list = isinstance(values, Sequence) and not isinstance(values, str) and len(values) > 0
    if not is_list or any(type(v) is not int or v < -1 for v in values):
        raise ConfigError(
            f"expected num_neighbors as a list of integers from -1 (all) up, one for each hop, "
            f"got {values!r}"
        )
    return list(values)
