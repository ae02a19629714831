"""A picture of the subgraph that is sampled around one new user's support."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import networkx as nx
import torch

from graphmeta.data import ColdSplit
from graphmeta.explain.figure import figure
from graphmeta.tasks import EpisodeSampler
from graphmeta.tasks.episode import RATES, REV_RATES

LAYERS = ("new user", "shown items", "their other users", "those users' items")
LAYER_COLORS = ("#D55E00", "#0072B2", "#E69F00", "#56B4E9")


def sampled_subgraph(
    split: ColdSplit, *, k: int = 3, num_neighbors: tuple[int, int] = (3, 3), seed: int = 0
) -> nx.Graph:
    """Return the subgraph around the first test user's first `k` items.

    Nodes carry `layer` (0 the new user, 1 the support, 2 other users, 3 their items) and
    `label`, the caller's id.

    Args:
        split: A split; neighbours come from its training graph.
        k: Items that the user shows.
        num_neighbors: Users drawn per support item, then items drawn per such user.
        seed: Draws the neighbours.
    """
    support = split.test.support(k)[slice(0, 1)]
    sampler = EpisodeSampler(split.train, num_neighbors=num_neighbors)
    episode = sampler.sample(support, generator=torch.Generator().manual_seed(seed))
    ids = {node: split.train[node].id_map.ids for node in ("user", "item")}
    index = {node: rows[0].tolist() for node, rows in episode.node_index_dict.items()}
    graph = nx.Graph()
    graph.add_node(("user", 0), layer=0, label=str(split.test.user_ids.ids[0]))
    for slot, row in enumerate(index["item"][:k]):
        graph.add_node(("item", slot), layer=1, label=str(ids["item"][row]))
        graph.add_edge(("user", 0), ("item", slot))
    for edge_type, flipped in ((RATES, False), (REV_RATES, True)):
        for edge in episode.edge_index_dict[edge_type][0].T.tolist():
            user, item = reversed(edge) if flipped else edge
            if index["user"][user] < 0 or index["item"][item] < 0:
                continue  # The user itself, whose edges are there, or padding.
            for node, local, layer in (("user", user, 2), ("item", item, 3)):
                if (node, local) not in graph:
                    label = str(ids[node][index[node][local]])
                    graph.add_node((node, local), layer=layer, label=label)
            graph.add_edge(("user", user), ("item", item))
    return graph


def draw_subgraph(path: Path, graph: nx.Graph, *, title: str) -> None:
    """Draw the subgraph in columns, from the new user on the left to second-hop items.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    layer = nx.get_node_attributes(graph, "layer")
    columns = [[node for node in graph if layer[node] == number] for number in range(len(LAYERS))]
    place = _places(graph, columns)
    tallest = max(len(column) for column in columns)
    with figure(path, width=9.5, height=max(4.5, 0.3 * tallest + 1.5)) as (_, axes):
        nx.draw_networkx_edges(graph, place, ax=axes, edge_color="#bbbbbb", width=0.9)
        for number, column in enumerate(columns):
            _draw_column(graph, place, column, number, axes)
        axes.set_title(title)
        axes.set_xticks(range(len(LAYERS)), LAYERS)
        axes.tick_params(bottom=False, labelbottom=True, left=False, labelleft=False)
        axes.margins(x=0.12, y=0.04)
        for side in ("top", "right", "left", "bottom"):
            axes.spines[side].set_visible(False)


def _draw_column(
    graph: nx.Graph,
    place: dict[Any, tuple[float, float]],
    column: list[Any],
    number: int,
    axes: Any,
) -> None:
    nx.draw_networkx_nodes(
        graph,
        place,
        nodelist=column,
        node_color=LAYER_COLORS[number],
        node_shape="s" if number % 2 else "o",
        node_size=110,
        ax=axes,
    )
    # Ids stand beside their nodes, away from the lines where nothing follows to the right.
    beside = 10 if number == len(LAYERS) - 1 else -10
    for node in column:
        axes.annotate(
            graph.nodes[node]["label"],
            place[node],
            xytext=(beside, 0) if number in (0, len(LAYERS) - 1) else (0, 11),
            textcoords="offset points",
            ha={0: "right", len(LAYERS) - 1: "left"}.get(number, "center"),
            va="center",
            fontsize=8,
        )


def _places(graph: nx.Graph, columns: list[list[Any]]) -> dict[Any, tuple[float, float]]:
    """Place each column's nodes at the mean height of their neighbours to the left."""
    place: dict[Any, tuple[float, float]] = {}
    for number, column in enumerate(columns):
        heights = {
            node: [place[other][1] for other in graph[node] if other in place] for node in column
        }
        order = sorted(column, key=lambda node: -sum(heights[node]) / max(1, len(heights[node])))
        for row, node in enumerate(order):
            place[node] = (float(number), 1 - (row + 0.5) / len(order))
    return place
