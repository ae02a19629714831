"""What is checked before Ray is asked for anything; the cluster itself is tested with its users."""

from __future__ import annotations

import importlib.util

import pytest

from graphmeta.cluster.ray_cluster import refuse_too_many, refuse_without_ray
from graphmeta.errors import ConfigError, MissingExtraError


def test_without_ray_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    refuse_without_ray("walk")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r'"graphmeta\[scale\]", or walk$'):
        refuse_without_ray("walk")


def test_too_many_workers_are_refused() -> None:
    refuse_too_many(2, 2)
    with pytest.raises(ConfigError, match="workers=1 exceeds the 0 GPUs of the Ray cluster; lower"):
        refuse_too_many(1, 0, "GPUs")
