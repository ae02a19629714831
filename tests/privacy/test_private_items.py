"""What one user adds to counts and pairs of items, the noise, and what comes of them."""

import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.bipartite_graph import bipartite_graph
from graphmeta.data.cold_users import Support
from graphmeta.data.id_map import IdMap
from graphmeta.errors import ConfigError
from graphmeta.privacy import Release, epsilon_of, item_sums, private_items
from graphmeta.privacy.item_sums import co_occurrence, item_counts, item_releases, noised
from graphmeta.privacy.private_items import (
    RIDGE,
    item_factors,
    item_pairs,
    item_statistics,
    known_items,
)


def graph_of(rows: list[list[int]], n_items: int) -> HeteroData:
    edges = torch.tensor([[u, i] for u, row in enumerate(rows) for i in row]).T
    return bipartite_graph(edges, user_ids=IdMap(range(len(rows))), item_ids=IdMap(range(n_items)))


def all_of(graph: HeteroData) -> tuple[Tensor, Tensor]:
    """Return the rows of all items and scales of 1."""
    n_items = int(graph["item"].num_nodes)
    return torch.arange(n_items), torch.ones(n_items)


ROWS = [[0, 1], [1, 2, 3], [0]]
MORE = ([4], [0, 1, 2, 3, 4], [0, 4])


def test_one_user_changes_the_pairs_by_one_whatever_the_user_did() -> None:
    before_graph = graph_of(ROWS, 5)
    before = co_occurrence(before_graph, *all_of(before_graph))
    expected = torch.tensor([[1.5, 0.5], [0.5, 0.5 + 1 / 3]])
    torch.testing.assert_close(before[:2, :2], expected)
    # The row sums are the items' degrees.
    torch.testing.assert_close(before.sum(1), torch.tensor([2.0, 2.0, 1.0, 1.0, 0.0]))
    some = torch.tensor([0, 2, 3]), torch.tensor([0.5, 2.0, 1.0])
    for more in MORE:
        for rows, scale in (all_of(before_graph), some):
            after = co_occurrence(graph_of([*ROWS, more], 5), rows, scale)
            change = after - co_occurrence(before_graph, rows, scale)
            is_heard = any(item in rows for item in more)
            torch.testing.assert_close(change.norm(), torch.tensor(float(is_heard)))
            # As it is released: the upper triangle, off the diagonal times the root of 2.
            upper = change[tuple(torch.triu_indices(len(rows), len(rows), 1))]
            released = torch.cat([change.diagonal(), 2**0.5 * upper])
            torch.testing.assert_close(released.norm(), torch.tensor(float(is_heard)))


def test_one_user_changes_the_counts_by_one_whatever_the_user_did() -> None:
    before = item_counts(graph_of(ROWS, 5))
    torch.testing.assert_close(before[0], torch.tensor(2**-0.5 + 1))
    for more in MORE:
        change = item_counts(graph_of([*ROWS, more], 5)) - before
        torch.testing.assert_close(change.norm(), torch.tensor(1.0))


@pytest.mark.parametrize("noise", [0.7, 5.0])
def test_counts_and_pairs_together_tell_what_one_sum_would(noise: float) -> None:
    assert epsilon_of(item_releases(noise), 1e-5) == pytest.approx(
        epsilon_of([Release(noise)], 1e-5), rel=0.01
    )


def test_of_little_known_items_nothing_is_heard() -> None:
    count = torch.tensor([0.0, 50.0, 3.0, 40.0, 2.0, 1.0])
    assert known_items(count).tolist() == [1, 3]
    assert known_items(torch.zeros(3)).tolist() == [0]


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
    graph, alone = graph_of(rows, 40), graph_of([[0], [1]], 40)
    for noise in (0.0, 0.7):
        release, count = item_releases(noise)[1], item_counts(graph)
        pairs = item_pairs(graph, alone, count, count + 1, release, generator)
        embedding, output = pairs.factors(n_items=40, channels=6)
        assert embedding.shape == output.shape == (40, 6)
        torch.testing.assert_close(output[pairs.rows].square().mean(), torch.tensor(1.0))
        products = embedding[pairs.rows[0]] @ output[pairs.rows].T
        is_even = pairs.rows % 2 == pairs.rows[0] % 2
        assert products[is_even].mean() > 1 > 0.3 > products[~is_even].mean()
        # And so they are in the linear part, from the first item on.
        part = pairs.directions(40)
        scores = part(Support(pairs.rows[:1].view(1, 1)))[0]
        same, others = scores[pairs.rows[is_even][1:]], scores[pairs.rows[~is_even]]
        assert same.mean() > 3 * others.mean().abs()
        unheard = torch.ones(40, dtype=torch.bool).scatter(0, pairs.rows, False)
        assert not scores[unheard].any()
        assert part(Support(torch.full((1, 1), -1))).eq(0).all()


def test_the_directions_are_those_of_the_weighted_rows() -> None:
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randperm(12, generator=generator)[:5].tolist() for _ in range(300)]
    graph, nothing = graph_of(rows, 12), graph_of([[0]], 12)
    count = item_counts(graph)
    pairs = item_pairs(graph, nothing, count, count + 1, Release(0.0), generator)
    part = pairs.directions(12)
    scale, together = pairs.scale, pairs.together
    inverse = torch.linalg.inv(together + RIDGE * torch.eye(len(together)))
    weights = torch.eye(len(together)) - inverse / inverse.diagonal()
    wanted = scale.view(-1, 1) * weights / scale
    found = part(Support(pairs.rows.view(-1, 1)))[:, pairs.rows]
    is_other = ~torch.eye(len(together), dtype=torch.bool)
    torch.testing.assert_close(found[is_other], wanted[is_other], atol=1e-4, rtol=1e-3)


def test_the_leading_directions_of_many_items_are_those_of_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    generator = torch.Generator().manual_seed(0)
    rows = [torch.randperm(40, generator=generator)[:8].tolist() for _ in range(200)]
    graph, count = graph_of(rows, 40), item_counts(graph_of(rows, 40))
    nothing = graph_of([[0]], 40)
    pairs = item_pairs(graph, nothing, count, count + 1, Release(0.0), generator)
    whole = pairs.directions(40)
    assert whole.vector.size(1) == len(pairs.rows)
    monkeypatch.setattr(private_items, "RANK", 3)
    for gain in (5, 100):  # By iterations, and by all eigenvectors.
        monkeypatch.setattr(private_items, "LANCZOS_GAIN", gain)
        part = pairs.directions(40)
        torch.testing.assert_close(part.squared, whole.squared[:3], rtol=1e-4, atol=1e-4)
        overlap = (part.vector.T @ whole.vector[:, :3]).abs()
        torch.testing.assert_close(overlap, torch.eye(3), atol=1e-3, rtol=0)


def test_counts_are_a_prior_with_pairs_and_without() -> None:
    graph, alone = graph_of([[0, 1], [0], [0, 2]], 4), graph_of([[1, 3]], 4)
    counts, pairs = Release(0.0), Release(0.0)
    for releases in ([counts], [counts, pairs]):
        found = item_statistics(
            graph, alone, releases, channels=2, generator=torch.Generator().manual_seed(0)
        )
        known = item_counts(graph) + item_counts(alone) + 1
        torch.testing.assert_close(found.priors["counted"], known / known.sum())
        assert (found.directions is None) == (found.factors is None) == (len(releases) == 1)
    noisy = item_statistics(
        graph, alone, [Release(9.0)], channels=2, generator=torch.Generator().manual_seed(0)
    )
    assert noisy.priors["counted"].min() > 0
    assert not torch.allclose(noisy.priors["counted"], known / known.sum(), rtol=0.1)


def test_where_noise_is_all_there_is_no_vector_is_kept() -> None:
    graph = graph_of([[0, 1], [2, 3]], 30)
    noisy = noised(co_occurrence(graph, *all_of(graph)), 50.0, torch.Generator().manual_seed(1))
    one, _ = item_factors(noisy, channels=4, noise=50.0, seed=0)
    other, _ = item_factors(noisy, channels=4, noise=50.0, seed=1)
    assert (one @ other.T).abs().max() < 20  # Random numbers alone, which the seed draws.
    assert not torch.allclose(one, other)


def test_too_many_items(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(item_sums, "MOST_ITEMS", 4)
    graph = graph_of([[0, 1]], 5)
    with pytest.raises(ConfigError, match="pass items_share=0"):
        co_occurrence(graph, *all_of(graph))
