import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

from graphmeta.errors import ConfigError, DataError
from graphmeta.tasks.csr import CSR, narrow, sample_neighbors


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_rows_by_hand():
    csr = CSR.from_edge_index(torch.tensor([[2, 0, 2, 0], [5, 6, 7, 8]]), num_rows=4)
    assert csr.indptr.tolist() == [0, 2, 2, 4, 4]
    assert csr.index.tolist() == [6, 8, 5, 7]
    assert csr.edge_id.tolist() == [1, 3, 0, 2]
    assert (csr.num_rows, csr.num_edges) == (4, 4)


def test_edges_are_grouped_by_either_end_in_their_own_order():
    edge_index = torch.tensor([[5, 1, 5, 0, 1], [2, 0, 2, 0, 2]])  # Two edges join 5 and 2.
    csr = CSR.from_edge_index(edge_index, num_rows=3, end=1)
    assert csr.indptr.tolist() == [0, 2, 2, 5]
    assert csr.index.tolist() == [1, 0, 5, 5, 1]
    assert csr.edge_id.tolist() == [1, 3, 0, 2, 4]
    flipped = CSR.from_edge_index(edge_index.flip(0), num_rows=3)
    for part in ("indptr", "index", "edge_id"):
        assert torch.equal(getattr(csr, part), getattr(flipped, part))
    time = torch.tensor([4.0, 3.0, 2.0, 1.0, 0.0])
    timed = CSR.from_edge_index(edge_index, num_rows=3, time=time, end=1)
    assert timed.index.tolist() == [0, 1, 1, 5, 5]
    with pytest.raises(DataError, match="names rows 0 to 5, but there are 3 rows"):
        CSR.from_edge_index(edge_index, num_rows=3, end=0)


def test_numbers_are_narrow_where_they_fit():
    csr = CSR.from_edge_index(torch.tensor([[1, 0], [3, 4]]), num_rows=2)
    assert csr.index.dtype == csr.edge_id.dtype == torch.int32
    large = torch.tensor([0, 2**31])
    assert narrow(large) is large
    assert narrow(large - 1).dtype == torch.int32
    drawn = sample_neighbors(csr, torch.tensor([1, 0]), -1)
    assert [part.dtype for part in drawn] == [torch.int64] * 3


def test_rows_are_sorted_by_time():
    time = torch.tensor([3.0, 9.0, 1.0, 2.0], dtype=torch.float64)
    csr = CSR.from_edge_index(torch.tensor([[2, 0, 2, 0], [5, 6, 7, 8]]), num_rows=3, time=time)
    assert csr.time.tolist() == [2.0, 9.0, 1.0, 3.0]
    assert csr.index.tolist() == [8, 6, 7, 5]


def test_all_neighbours_by_hand():
    csr = CSR.from_edge_index(torch.tensor([[2, 0, 2, 0], [5, 6, 7, 8]]), num_rows=4)
    seeds = torch.tensor([2, 1, 0, 2])
    position, neighbour, edge_id = sample_neighbors(csr, seeds, -1, generator=None)
    assert position.tolist() == [0, 0, 2, 2, 3, 3]
    assert neighbour.tolist() == [5, 7, 6, 8, 5, 7]
    assert edge_id.tolist() == [0, 2, 1, 3, 0, 2]


def test_edges_at_the_seed_time_are_seen_and_newer_ones_are_not():
    time = torch.tensor([1.0, 2.0, 3.0, 4.0], dtype=torch.float64)
    csr = CSR.from_edge_index(
        torch.tensor([[0, 0, 0, 1], [0, 1, 2, 3]]), num_rows=3, time=time.flip(0)
    )
    seeds = torch.tensor([0, 0, 0, 1, 2])
    before = torch.tensor([3, 1, 99, 1, 5])
    position, neighbour, _ = sample_neighbors(csr, seeds, -1, generator=None, before=before)
    assert position.tolist() == [0, 0, 2, 2, 2, 3]
    assert neighbour.tolist() == [2, 1, 2, 1, 0, 3]


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_draws_are_distinct_edges_of_the_seed(data):
    num_rows = data.draw(st.integers(1, 6))
    num_edges = data.draw(st.integers(0, 40))
    fanout = data.draw(st.integers(-1, 8))
    draw = generator(data.draw(st.integers(0, 2**31)))
    edge_index = torch.randint(num_rows, (2, num_edges), generator=draw)
    time = torch.randint(10, (num_edges,), generator=draw)
    seeds = torch.randint(num_rows, (7,), generator=draw)
    before = torch.randint(10, (7,), generator=draw)
    csr = CSR.from_edge_index(edge_index, num_rows=num_rows, time=time)
    position, neighbour, edge_id = sample_neighbors(
        csr, seeds, fanout, generator=draw, before=before
    )
    assert torch.equal(edge_index[0, edge_id], seeds[position])
    assert torch.equal(edge_index[1, edge_id], neighbour)
    assert bool((time[edge_id] <= before[position]).all())
    assert bool((position.diff() >= 0).all())
    for i, seed in enumerate(seeds.tolist()):
        drawn = edge_id[position == i].tolist()
        allowed = int(((edge_index[0] == seed) & (time <= before[i])).sum())
        assert len(drawn) == len(set(drawn))
        assert len(drawn) == (allowed if fanout == -1 else min(fanout, allowed))


@pytest.mark.parametrize(("degree", "fanout"), [(6, 2), (5, 4), (7, 1)])
def test_every_subset_is_equally_likely(degree, fanout):
    csr = CSR.from_edge_index(
        torch.stack([torch.zeros(degree, dtype=torch.long), torch.arange(degree)]), num_rows=1
    )
    n_draws = 20_000
    seeds = torch.zeros(n_draws, dtype=torch.long)
    _, neighbour, _ = sample_neighbors(csr, seeds, fanout, generator=generator(1))
    subset = (2 ** neighbour.view(n_draws, fanout)).sum(dim=1)
    _, count = subset.unique(return_counts=True)
    assert count.numel() == torch.combinations(torch.arange(degree), fanout).size(0)
    assert chisquare(count.numpy()).pvalue > 0.001


def test_a_hub_costs_no_more_than_its_fanout():
    degree = 2_000_000
    csr = CSR.from_edge_index(
        torch.stack([torch.zeros(degree, dtype=torch.long), torch.arange(degree)]), num_rows=1
    )
    seeds = torch.zeros(20_000, dtype=torch.long)  # 4e10 slots if a row were ever expanded
    position, neighbour, _ = sample_neighbors(csr, seeds, 5, generator=generator())
    assert position.bincount().unique().tolist() == [5]
    assert 0.49 < float(neighbour.double().mean()) / degree < 0.51


def test_same_seed_same_draw():
    csr = CSR.from_edge_index(torch.randint(5, (2, 200), generator=generator()), num_rows=5)
    draws = [
        sample_neighbors(csr, torch.arange(5), 3, generator=generator(seed)) for seed in (7, 7, 8)
    ]
    assert all(torch.equal(a, b) for a, b in zip(draws[0], draws[1], strict=True))
    assert not torch.equal(draws[0][2], draws[2][2])


def test_bad_edges_are_refused():
    with pytest.raises(DataError, match="int64"):
        CSR.from_edge_index(torch.zeros(2, 3), num_rows=1)
    with pytest.raises(DataError, match="rows 0 to 4"):
        CSR.from_edge_index(torch.tensor([[0, 4], [0, 0]]), num_rows=4)
    with pytest.raises(DataError, match="one time for each of 2"):
        CSR.from_edge_index(torch.tensor([[0, 1], [0, 0]]), num_rows=2, time=torch.zeros(3))
    with pytest.raises(DataError, match="NaN"):
        CSR.from_edge_index(torch.tensor([[0], [0]]), num_rows=1, time=torch.tensor([float("nan")]))


def test_bad_draws_are_refused():
    edge_index = torch.tensor([[0, 0], [1, 2]])
    csr = CSR.from_edge_index(edge_index, num_rows=1)
    timed = CSR.from_edge_index(edge_index, num_rows=1, time=torch.zeros(2, dtype=torch.float64))
    seeds = torch.tensor([0])
    with pytest.raises(ConfigError, match="got -2"):
        sample_neighbors(csr, seeds, -2, generator=None)
    with pytest.raises(ConfigError, match="Generator"):
        sample_neighbors(csr, seeds, 1, generator=None)
    with pytest.raises(DataError, match="carry no time"):
        sample_neighbors(csr, seeds, -1, generator=None, before=torch.zeros(1))
    with pytest.raises(DataError, match="round"):
        sample_neighbors(timed, seeds, -1, generator=None, before=torch.zeros(1))
    with pytest.raises(DataError, match="each of 1 seeds"):
        sample_neighbors(timed, seeds, -1, generator=None, before=torch.zeros(2))
    with pytest.raises(DataError, match="NaN"):
        sample_neighbors(
            timed, seeds, -1, generator=None, before=torch.full((1,), torch.nan).double()
        )


def test_with_a_seed_a_row_draws_alike_beside_any_others():
    edge_index = torch.stack([torch.arange(3).repeat_interleave(20), torch.arange(60)])
    csr = CSR.from_edge_index(edge_index, num_rows=3)
    together = sample_neighbors(csr, torch.tensor([2, 0, 2]), 4, seed=5)[1].view(3, 4)
    alone = sample_neighbors(csr, torch.tensor([2]), 4, seed=5)[1]
    assert torch.equal(together[0], together[2])
    assert torch.equal(together[0], alone)
    assert len(set(alone.tolist())) == 4
    assert not torch.equal(alone, sample_neighbors(csr, torch.tensor([2]), 4, seed=6)[1])
