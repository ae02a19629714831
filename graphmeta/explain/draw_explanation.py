"""A picture of why one user got some items."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import networkx as nx

from graphmeta.explain.explanation import Explanation
from graphmeta.explain.figure import COLORS, figure

COLUMNS = ("what the user showed", "neighbours and features", "recommended")
# Characters of a label; titles run long.
LONGEST = 34


def explanation_graph(explanation: Explanation) -> nx.Graph:
    """Return the paths of an explanation as a graph of three layers.

    Nodes carry `layer` (0 shown, 1 a neighbour or a feature, 2 recommended) and `label`; edges
    carry `kind` and `share`, that of the strongest path over them.
    """
    graph = nx.Graph()
    for item in explanation.ranking.items:
        graph.add_node(("recommended", item), layer=2, label=str(item))
    for path in explanation.paths.itertuples():
        nodes = [("shown", path.shown), (path.kind, path.over), ("recommended", path.item)]
        labels = [str(path.shown), f"{path.kind} {path.over}", str(path.item)]
        for layer, (node, label) in enumerate(zip(nodes, labels, strict=True)):
            graph.add_node(node, layer=layer, label=label)
        for edge in (nodes[:2], nodes[1:]):
            known = graph.get_edge_data(*edge, default={"share": 0.0})["share"]
            graph.add_edge(*edge, share=max(known, path.share), kind=path.kind)
    return graph


def draw_explanation(
    path: str | Path, explanation: Explanation, *, titles: Mapping[Any, str] | None = None
) -> None:
    """Draw the strongest paths from left to right as a PNG.

    A line is the wider the more of its item's votes went over it, against the widest of its kind:
    neighbours are many, and each has little to say.

    Args:
        path: The file.
        explanation: What to draw.
        titles: What to write for an item instead of its id.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    graph = explanation_graph(explanation)
    titles = titles or {}
    layers = [[n for n, layer in graph.nodes("layer") if layer == number] for number in range(3)]
    place = {
        node: (float(number), 1 - (row + 0.5) / len(nodes))
        for number, nodes in enumerate(layers)
        for row, node in enumerate(nodes)
    }
    tallest = max(len(nodes) for nodes in layers)
    widest: dict[str, float] = {}
    for *_, edge in graph.edges.data():
        widest[edge["kind"]] = max(widest.get(edge["kind"], 0.0), edge["share"])
    widths = [0.5 + 3 * edge["share"] / widest[edge["kind"]] for *_, edge in graph.edges.data()]
    with figure(Path(path), width=10.5, height=max(3.5, 0.34 * tallest + 1.2)) as (_, axes):
        nx.draw_networkx_edges(graph, place, ax=axes, edge_color="#bbbbbb", width=widths)
        for number, nodes in enumerate(layers):
            nx.draw_networkx_nodes(
                graph,
                place,
                nodelist=nodes,
                node_color=COLORS[number],
                node_shape="o" if number == 1 else "s",
                node_size=90,
                ax=axes,
            )
            for node in nodes:
                label = graph.nodes[node]["label"]
                if number != 1:  # An id of a user or a feature may be that of an item.
                    label = str(titles.get(node[1], label))
                axes.annotate(
                    label if len(label) <= LONGEST else f"{label[:LONGEST]}…",
                    place[node],
                    xytext=((-10, 0), (0, 10), (10, 0))[number],
                    textcoords="offset points",
                    ha=("right", "center", "left")[number],
                    va="center",
                    fontsize=8,
                )
        axes.set_xticks(range(3), COLUMNS)
        axes.tick_params(bottom=False, labelbottom=True, left=False, labelleft=False)
        axes.set_xlim(-0.9, 2.9)
        axes.set_ylim(-0.04, 1.04)
        for side in ("top", "right", "left", "bottom"):
            axes.spines[side].set_visible(False)
