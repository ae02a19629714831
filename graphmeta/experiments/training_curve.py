"""The training curve: the loss of each epoch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graphmeta.explain.figure import figure, line_styles, plain


def draw_training_curve(path: Path, losses: Sequence[dict[str, Any]], *, title: str) -> None:
    """Draw the mean training loss per epoch, a line for each method and seed.

    Args:
        path: The PNG file.
        losses: Entries with method, seed and the losses; entries with the same losses, as of
            methods that share their training, are drawn once.
        title: Written above.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    together: dict[tuple[Any, ...], list[str]] = {}
    for row in losses:
        together.setdefault((row["seed"], *row["loss"]), []).append(row["method"])
    families = list(dict.fromkeys(" and ".join(names) for names in together.values()))
    styles = dict(zip(families, line_styles(len(families)), strict=True))
    several = len({row["seed"] for row in losses}) > 1
    labelled: set[str] = set()
    with figure(path) as (_, axes):
        for (_, *loss), names in together.items():
            name = " and ".join(names)
            axes.plot(
                range(1, len(loss) + 1),
                loss,
                label=None if name in labelled else name + several * "\na line for each split",
                markersize=4,
                **styles[name],
            )
            labelled.add(name)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set_xlabel("epoch")
        axes.set_ylabel("mean training loss")
        axes.set_title(title)
        plain(axes)
        axes.legend(loc="center left", bbox_to_anchor=(1.01, 0.5), frameon=False)
