"""Content embeddings by hand, and their two starts."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.errors import ConfigError, DataError
from graphmeta.ranking.baselines.pair_content import INITIAL_SCALE, PairContent


def test_embeddings_by_hand(planted_graph: HeteroData) -> None:
    generator = torch.Generator().manual_seed(0)
    planted_graph["user"].x = torch.randn(200, 2, generator=generator)
    planted_graph["item"].x = torch.randn(100, 3, generator=generator)
    content = PairContent(planted_graph, channels=4)
    weights = content.initial(generator)
    assert not bool(weights["user_x"].any() or weights["item_x"].any())
    weights = {n: torch.randn(w.shape, generator=generator) for n, w in weights.items()}
    x = torch.tensor([[1.0, 2.0]])
    centred = x[0] - planted_graph["user"].x.mean(0)
    torch.testing.assert_close(
        content.users(weights, x, 1)[0], weights["user"] + centred @ weights["user_x"]
    )
    assert torch.equal(content.users(weights, None, 3), weights["user"].expand(3, 4))
    whole = weights["item"] + planted_graph["item"].x @ weights["item_x"]
    torch.testing.assert_close(content.items(weights), whole)
    some = torch.tensor([[5, 0], [99, 5]])
    torch.testing.assert_close(content.items(weights, some), whole[some])
    with pytest.raises(DataError, match="user_x has 1 features, the training users have 2"):
        content.users(weights, x[:, :1], 1)


def test_a_spectral_start_puts_items_of_a_taste_together(planted_graph: HeteroData) -> None:
    generator = torch.Generator().manual_seed(0)
    items = PairContent(planted_graph, channels=4, item_start="spectral").initial(generator)["item"]
    # The leading vector is that of the degrees; the others tell groups of items apart.
    assert items.square().mean().sqrt().item() == pytest.approx(INITIAL_SCALE, rel=1e-3)
    gram = items.T @ items
    torch.testing.assert_close(gram, torch.diag(gram.diag()), atol=1e-4, rtol=0)
    noise = PairContent(planted_graph, channels=4).initial(generator)["item"]
    assert not torch.allclose(items, noise, atol=1e-2)


def test_bad_input(planted_graph: HeteroData) -> None:
    with pytest.raises(ConfigError, match="item_start='best' must be one of"):
        PairContent(planted_graph, channels=4, item_start="best")
