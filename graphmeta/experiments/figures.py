"""The figures of a run."""

from __future__ import annotations

from typing import Any

import pandas as pd

from graphmeta.experiments.run_data import RunData
from graphmeta.experiments.run_folder import RunFolder
from graphmeta.experiments.shot_curve import draw_shot_curve
from graphmeta.experiments.subgraph_picture import draw_subgraph, sampled_subgraph
from graphmeta.experiments.training_curve import draw_training_curve
from graphmeta.explain.figure import has_matplotlib

SHOT_CURVE = "shot_curve.png"


def draw_figures(
    folder: RunFolder, data: RunData, summary: pd.DataFrame, metrics: dict[str, Any]
) -> None:
    """Write `shot_curve.png`, `training_curve.png` and `subgraph.png`, if matplotlib is there.

    Raises:
        OutputError: A figure cannot be written.
    """
    if not has_matplotlib():
        return
    quick = "smoke run, not a result: " if metrics["quick"] else ""
    name = metrics["data"]
    title = f"{quick}{name}, {metrics['n_users']} held-out users"
    folder.write(SHOT_CURVE, lambda path: draw_shot_curve(path, summary, title=title))
    losses = metrics["losses"]
    if losses:
        folder.write(
            "training_curve.png",
            lambda path: draw_training_curve(path, losses, title=f"{quick}training on {name}"),
        )
    split = data.splits[0]
    graph = sampled_subgraph(split, k=min(3, split.k_max), seed=split.seed)
    person = split.test.user_ids.ids[0]
    folder.write(
        "subgraph.png",
        lambda path: draw_subgraph(
            path, graph, title=f"{name}: the subgraph around new user {person}"
        ),
    )
