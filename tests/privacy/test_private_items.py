"""What one user adds to the co-occurrences, the noise, and the embeddings that come of them."""

import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import bipartite_graph
from graphmeta.data.id_map import IdMap
from graphmeta.errors import ConfigError
from graphmeta.privacy import private_items
from graphmeta.privacy.private_items import co_occurrence, item_factors, noised


def graph_of(rows: list[list[int]], n_items: int) -> HeteroData:
    edges = torch.tensor([[u, i] for u, row in enumerate(rows) for i in row]).T
    return bipartite_graph(edges, user_ids=IdMap(range(len(rows))), item_ids=IdMap(range(n_items)))


def test_one_user_changes_the_matrix_by_one_whatever_the_user_did() -> None:
    rows = [[0, 1], [1, 2, 3], [0]]
    before = co_occurrence(graph_of(rows, 5))
    expected = torch.tensor([[1.5, 0.5], [0.5, 0.5 + 1 / 3]])
    torch.testing.assert_close(before[:2, :2], expected)
    # The row sums are the items' degrees.
    torch.testing.assert_close(before.sum(1), torch.tensor([2.0, 2.0, 1.0, 1.0, 0.0]))
    for more in ([4], [0, 1, 2, 3, 4], [0, 4]):
        change = co_occurrence(graph_of([*rows, more], 5)) - before
        torch.testing.assert_close(change.norm(), torch.tensor(1.0))
        # As it is released: the upper triangle, off the diagonal times the root of 2.
        released = torch.cat(
            [change.diagonal(), 2**0.5 * change[tuple(torch.triu_indices(5, 5, 1))]]
        )
        torch.testing.assert_close(released.norm(), torch.tensor(1.0))


def test_the_noise_is_symmetric_and_as_large_as_promised() -> None:
    zero = torch.zeros(300, 300)
    found = noised(zero, 2.0, torch.Generator().manual_seed(0))
    assert torch.equal(found, found.T)
    assert float(found.diagonal().std()) == pytest.approx(2.0, rel=0.15)
    upper = found[tuple(torch.triu_indices(300, 300, 1))]
    assert float(2**0.5 * upper.std()) == pytest.approx(2.0, rel=0.02)
    assert noised(zero, 0.0, torch.Generator()) is zero


def test_items_that_come_together_are_close_even_under_noise() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = []
    for user in range(600):
        order = torch.randperm(20, generator=generator)[:8]
        rows.append((2 * order + user % 2).tolist())  # Even items, or odd ones.
    graph = graph_of(rows, 40)
    for noise in (0.0, 0.7):
        matrix = noised(co_occurrence(graph), noise, generator)
        embedding, output = item_factors(matrix, channels=6, noise=noise)
        assert embedding.shape == output.shape == (40, 6)
        torch.testing.assert_close(output.square().mean(), torch.tensor(1.0))
        products = embedding[0] @ output.T
        assert products[2::2].mean() > 1 > 0.3 > products[1::2].mean()


def test_where_noise_is_all_there_is_no_vector_is_kept() -> None:
    graph = graph_of([[0, 1], [2, 3]], 30)
    noisy = noised(co_occurrence(graph), 50.0, torch.Generator().manual_seed(1))
    one, _ = item_factors(noisy, channels=4, noise=50.0, seed=0)
    other, _ = item_factors(noisy, channels=4, noise=50.0, seed=1)
    assert (one @ other.T).abs().max() < 20  # Random numbers alone, which the seed draws.
    assert not torch.allclose(one, other)


def test_too_many_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(private_items, "MOST_ITEMS", 4)
    with pytest.raises(ConfigError, match="pass items_share=0"):
        co_occurrence(graph_of([[0, 1]], 5))
