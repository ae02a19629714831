"""The training curve draws each training once, whoever shares it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import matplotlib.axes
import pytest

from graphmeta.experiments.training_curve import draw_training_curve


def test_shared_training_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: list[Any] = []
    plot = matplotlib.axes.Axes.plot

    def record(self: Any, x: Any, y: Any, **options: Any) -> Any:
        drawn.append((list(x), y, options["label"]))
        return plot(self, x, y, **options)

    monkeypatch.setattr(matplotlib.axes.Axes, "plot", record)
    losses = [
        {"seed": 0, "method": "unadapted", "loss": [3.0, 2.0]},
        {"seed": 0, "method": "adapted", "loss": [3.0, 2.0]},
        {"seed": 1, "method": "unadapted", "loss": [3.0, 1.0]},
        {"seed": 1, "method": "adapted", "loss": [3.0, 1.0]},
    ]
    draw_training_curve(tmp_path / "t.png", losses, title="t")
    assert drawn == [
        ([1, 2], [3.0, 2.0], "unadapted and adapted\na line for each split"),
        ([1, 2], [3.0, 1.0], None),
    ]
    assert (tmp_path / "t.png").read_bytes().startswith(b"\x89PNG")
