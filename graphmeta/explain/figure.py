"""How every figure of a run looks and is written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from graphmeta.errors import MissingExtraError

# Okabe and Ito's palette, told apart by colour-blind readers; yellow is too pale for lines.
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "<", ">")
DASHES: tuple[Any, ...] = ("-", (0, (5, 2)), (0, (1, 1.5)))


def has_matplotlib() -> bool:
    """Return whether figures can be drawn."""
    try:
        import matplotlib  # noqa: F401
    except ImportError:
        return False
    return True


def line_styles(n: int) -> list[dict[str, Any]]:
    """Return n line styles that differ in colour, marker and dashes."""
    dashes = [dash for dash in DASHES for _ in COLORS]
    drawn = zip(cycle(COLORS), cycle(MARKERS), cycle(dashes), strict=False)
    return [{"color": c, "marker": m, "linestyle": d} for c, m, d in islice(drawn, n)]


@contextmanager
def figure(path: Path, *, width: float = 8.0, height: float = 5.0) -> Iterator[tuple[Any, Any]]:
    """Yield a figure and its axes, and save it as PNG when the block ends.

    The figure is drawn without pyplot, so that no window and no global state is touched.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("figures need matplotlib; pip install 'graphmeta[plot]'") from error
    drawing = Figure(figsize=(width, height), layout="constrained", dpi=150)
    FigureCanvasAgg(drawing)
    axes = drawing.add_subplot()
    yield drawing, axes
    # No software name or date inside: the same numbers give the same bytes.
    drawing.savefig(path, format="png", metadata={"Software": None})


def plain(axes: Any, sides: Sequence[str] = ("top", "right")) -> None:
    """Take the frame away and lay a faint grid."""
    for side in sides:
        axes.spines[side].set_visible(False)
    axes.grid(axis="y", color="#dddddd", linewidth=0.7)
    axes.set_axisbelow(True)
