"""Graph meta-learning for cold-start recommendation on PyTorch Geometric."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from graphmeta import data
    from graphmeta.encoders import RelationEncoder
    from graphmeta.meta import MAML
    from graphmeta.ranking import ColdStartRecommender, evaluate

__all__ = ["MAML", "ColdStartRecommender", "RelationEncoder", "data", "evaluate"]

_HOMES = {
    "MAML": "graphmeta.meta",
    "ColdStartRecommender": "graphmeta.ranking",
    "RelationEncoder": "graphmeta.encoders",
    "evaluate": "graphmeta.ranking",
}

if not TYPE_CHECKING:  # A type checker would take every name for one that exists.

    def __getattr__(name: str) -> object:
        """Import a name or a package when it is first used: PyTorch Geometric takes seconds."""
        if name in _HOMES:
            value = getattr(import_module(_HOMES[name]), name)
            globals()[name] = value
            return value
        package = f"{__name__}.{name}"
        if name.startswith("_") or find_spec(package) is None:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return import_module(package)

    def __dir__() -> list[str]:
        return sorted({*globals(), *__all__})
