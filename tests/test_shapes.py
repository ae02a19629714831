"""The shape annotations are executed: a wrong shape is refused while tests run."""

from __future__ import annotations

import pytest
import torch
from jaxtyping import TypeCheckError

from graphmeta.ranking.metrics import ranking_metrics


def test_a_wrong_shape_is_refused_in_tests() -> None:
    with pytest.raises(TypeCheckError, match="n_query"):
        ranking_metrics(torch.ones(2, 3, dtype=torch.bool), torch.ones(3, dtype=torch.long))
