import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch_geometric.data import Data, HeteroData
from torch_geometric.loader import LinkLoader, NodeLoader
from torch_geometric.sampler import EdgeSamplerInput, NodeSamplerInput

from graphmeta.data.id_map import IdMap
from graphmeta.errors import ConfigError, DataError
from graphmeta.tasks.neighbor_sampler import NeighborSampler

RATES, REV = ("user", "rates", "item"), ("item", "rev_rates", "user")


def make_graph(*, num_users=12, num_items=9, num_edges=50, seed=0):
    draw = torch.Generator().manual_seed(seed)
    flat = torch.randperm(num_users * num_items, generator=draw)[:num_edges]
    edge_index = torch.stack([flat // num_items, flat % num_items])
    graph = HeteroData()
    graph["user"].num_nodes = num_users
    graph["item"].num_nodes = num_items
    graph["user"].id_map = IdMap(range(num_users))
    graph["item"].x = torch.randn(num_items, 3, generator=draw)
    graph[RATES].edge_index = edge_index
    graph[REV].edge_index = edge_index.flip(0)
    time = torch.randint(100, (edge_index.size(1),), generator=draw).double()
    graph[RATES].time = graph[REV].time = time
    return graph


def from_nodes(sampler, node, *, node_type="user", time=None):
    return sampler.sample_from_nodes(NodeSamplerInput(None, node, time, node_type))


def check_edges(graph, out):
    for edge_type, edge in out.edge.items():
        src = out.node[edge_type[0]][out.row[edge_type]]
        dst = out.node[edge_type[-1]][out.col[edge_type]]
        assert torch.equal(graph[edge_type].edge_index[:, edge], torch.stack([src, dst]))


def same(a, b):
    return all(torch.equal(a.edge[t], b.edge[t]) for t in a.edge) and all(
        torch.equal(a.node[t], b.node[t]) for t in a.node
    )


def test_two_hops_by_hand():
    graph = HeteroData()
    graph["user"].num_nodes, graph["item"].num_nodes = 3, 3
    graph[RATES].edge_index = torch.tensor([[0, 1, 1, 2], [0, 0, 1, 2]])
    graph[REV].edge_index = graph[RATES].edge_index.flip(0)
    out = from_nodes(NeighborSampler(graph, [-1, -1]), torch.tensor([0]))
    assert out.node["user"].tolist() == [0, 1]
    assert out.node["item"].tolist() == [0]
    assert out.edge[REV].tolist() == [0]  # hop 1: item 0 sends to user 0
    assert out.edge[RATES].tolist() == [0, 1]  # hop 2: users 0 and 1 send to item 0
    assert out.num_sampled_nodes == {"user": [1, 0, 1], "item": [0, 1, 0]}
    assert out.num_sampled_edges == {RATES: [0, 2], REV: [1, 0]}
    assert out.batch is None


@settings(max_examples=50, deadline=None)
@given(st.data())
def test_every_sample_is_a_subgraph_within_its_fanouts(data):
    num_edges = data.draw(st.integers(0, 60))
    graph = make_graph(num_edges=num_edges, seed=data.draw(st.integers(0, 1000)))
    fanout = data.draw(st.lists(st.integers(-1, 4), min_size=1, max_size=3))
    disjoint = data.draw(st.booleans())
    is_timed = disjoint and data.draw(st.booleans())
    sampler = NeighborSampler(
        graph, fanout, disjoint=disjoint, time_attr="time" if is_timed else None
    )
    seeds = torch.tensor(data.draw(st.lists(st.integers(0, 11), min_size=1, max_size=5)))
    time = torch.full((len(seeds),), 50.0).double() if is_timed else None
    out = from_nodes(sampler, seeds, time=time)
    check_edges(graph, out)
    assert torch.equal(out.node["user"][: len(seeds)], seeds)
    for edge_type, edge in out.edge.items():
        if -1 not in fanout and edge.numel():
            assert int(out.col[edge_type].bincount().max()) <= max(fanout)
        assert sum(out.num_sampled_edges[edge_type]) == edge.numel()
        if is_timed:
            assert bool((graph[edge_type].time[edge] <= 50).all())
        if disjoint:
            src_batch = out.batch[edge_type[0]][out.row[edge_type]]
            assert torch.equal(src_batch, out.batch[edge_type[-1]][out.col[edge_type]])
    for node_type, node in out.node.items():
        assert sum(out.num_sampled_nodes[node_type]) == node.numel()
        key = node if out.batch is None else out.batch[node_type] * 100 + node
        if disjoint or len(set(seeds.tolist())) == len(seeds):
            assert key.unique().numel() == key.numel()


def test_a_full_sample_reaches_the_whole_component():
    graph = make_graph(num_edges=100)
    out = from_nodes(NeighborSampler(graph, [-1] * 4), torch.tensor([3]))
    assert out.node["user"].sort().values.tolist() == list(range(12))
    assert out.edge[REV].unique().numel() == out.edge[REV].numel() == 100


def test_a_sample_depends_on_seed_epoch_and_batch_only():
    graph = make_graph()
    seeds = torch.arange(6)
    first, again = NeighborSampler(graph, [2, 2], seed=5), NeighborSampler(graph, [2, 2], seed=5)
    out = from_nodes(first, seeds)
    from_nodes(again, torch.arange(3))
    state = torch.get_rng_state()
    assert same(out, from_nodes(again, seeds))
    assert torch.equal(state, torch.get_rng_state())
    assert not same(out, from_nodes(NeighborSampler(graph, [2, 2], seed=6), seeds))
    again.set_epoch(1)
    assert not same(out, from_nodes(again, seeds))
    again.set_epoch(0)
    assert same(out, from_nodes(again, seeds))


def test_neighbours_are_drawn_uniformly():
    graph = make_graph(num_users=1, num_items=9, num_edges=9)
    sampler = NeighborSampler(graph, [3], disjoint=True, seed=3)
    out = from_nodes(sampler, torch.zeros(6000, dtype=torch.long))
    assert chisquare(out.node["item"].bincount(minlength=9).numpy()).pvalue > 0.001


def test_each_seed_sees_its_own_past():
    graph = make_graph()
    sampler = NeighborSampler(graph, [-1, -1], disjoint=True, time_attr="time")
    time = torch.tensor([20.0, 80.0, 20.0]).double()
    out = from_nodes(sampler, torch.tensor([1, 1, 2]), time=time)
    for edge_type, edge in out.edge.items():
        owner = out.batch[edge_type[-1]][out.col[edge_type]]
        assert bool((graph[edge_type].time[edge] <= time[owner]).all())
    first_hop = out.edge[REV][: out.num_sampled_edges[REV][0]]
    expected = sum(
        int(((graph[REV].edge_index[1] == user) & (graph[REV].time <= until)).sum())
        for user, until in ((1, 20), (1, 80), (2, 20))
    )
    assert first_hop.numel() == expected


@pytest.mark.parametrize("disjoint", [False, True])
def test_node_loader_takes_it(disjoint):
    graph = make_graph()
    sampler = NeighborSampler(graph, {RATES: [3, 2], REV: [4, 2]}, disjoint=disjoint)
    loader = NodeLoader(graph, sampler, input_nodes="user", batch_size=5)
    seen = []
    for batch in loader:
        seen += batch["user"].n_id[: batch["user"].batch_size].tolist()
        assert torch.equal(batch["item"].x, graph["item"].x[batch["item"].n_id])
        for edge_type in (RATES, REV):
            src, dst = batch[edge_type].edge_index
            e_id = batch[edge_type].e_id
            ends = torch.stack([batch[edge_type[0]].n_id[src], batch[edge_type[-1]].n_id[dst]])
            assert torch.equal(graph[edge_type].edge_index[:, e_id], ends)
            assert torch.equal(batch[edge_type].time, graph[edge_type].time[e_id])
        assert ("batch" in batch["user"]) == disjoint
    assert seen == list(range(12))


def test_node_loader_passes_times_and_agrees_over_workers():
    graph = make_graph()
    sampler = NeighborSampler(graph, [2, 2], disjoint=True, time_attr="time")
    loaders = [
        NodeLoader(
            graph,
            sampler,
            input_nodes="user",
            input_time=torch.full((12,), 60.0).double(),
            batch_size=4,
            num_workers=num_workers,
        )
        for num_workers in (0, 2)
    ]
    for alone, shared in zip(*loaders, strict=True):
        assert torch.equal(alone[REV].e_id, shared[REV].e_id)
        assert bool((alone[REV].time <= 60).all())


@pytest.mark.parametrize("disjoint", [False, True])
@pytest.mark.parametrize("mode", [None, "binary", "triplet"])
def test_link_loader_takes_it(mode, disjoint):
    graph = make_graph()
    sampler = NeighborSampler(graph, [2, 2], disjoint=disjoint)
    loader = LinkLoader(
        graph,
        sampler,
        edge_label_index=RATES,
        neg_sampling=None if mode is None else {"mode": mode, "amount": 2},
        batch_size=16,
    )
    links = []
    for batch in loader:
        num_pos = batch[RATES].input_id.numel()
        if mode == "triplet":
            src, dst = batch["user"].src_index, batch["item"].dst_pos_index
            assert batch["item"].dst_neg_index.shape == (num_pos, 2)
            assert int(batch["item"].dst_neg_index.max()) < batch["item"].num_nodes
        else:
            src, dst = batch[RATES].edge_label_index[:, :num_pos]
            if mode == "binary":
                assert batch[RATES].edge_label.tolist() == [1] * num_pos + [0] * 2 * num_pos
        links.append(torch.stack([batch["user"].n_id[src], batch["item"].n_id[dst]]))
        if disjoint:
            assert batch["user"].batch[src].tolist() == list(range(num_pos))
            assert batch["item"].batch[dst].tolist() == list(range(num_pos))
    assert torch.equal(torch.cat(links, dim=1), graph[RATES].edge_index)


@pytest.mark.parametrize("mode", ["binary", "triplet"])
def test_link_times_hide_the_link_and_all_that_is_newer(mode):
    graph = make_graph()
    sampler = NeighborSampler(graph, [-1, -1], disjoint=True, time_attr="time")
    loader = LinkLoader(
        graph,
        sampler,
        edge_label_index=(RATES, graph[RATES].edge_index),
        edge_label_time=graph[RATES].time - 1,
        neg_sampling={"mode": mode, "amount": 1},
        batch_size=10,
    )
    for batch in loader:
        until = graph[RATES].time[batch[RATES].input_id] - 1
        for edge_type in (RATES, REV):
            link = batch[edge_type[-1]].batch[batch[edge_type].edge_index[1]]
            assert bool((batch[edge_type].time <= until[link]).all())


def test_links_within_one_node_type():
    graph = HeteroData()
    graph["a"].num_nodes = 4
    graph["a", "to", "a"].edge_index = torch.tensor([[0, 1, 2], [1, 2, 3]])
    inputs = EdgeSamplerInput(
        None, torch.tensor([2, 0]), torch.tensor([3, 2]), input_type=("a", "to", "a")
    )
    out = NeighborSampler(graph, [-1]).sample_from_edges(inputs)
    check_edges(graph, out)
    assert out.node["a"][out.metadata[1]].tolist() == [[2, 0], [3, 2]]


def test_bad_options_fail_at_construction():
    graph = make_graph()
    with pytest.raises(ConfigError, match="a HeteroData or a store, got Data"):
        NeighborSampler(Data(), [2])
    with pytest.raises(ConfigError, match="seed as an int"):
        NeighborSampler(graph, [2], seed=None)
    with pytest.raises(ConfigError, match="disjoint=True"):
        NeighborSampler(graph, [2], time_attr="time")
    with pytest.raises(ConfigError, match="list of integers"):
        NeighborSampler(graph, [-3])
    with pytest.raises(ConfigError, match="has no 'when'"):
        NeighborSampler(graph, [2], disjoint=True, time_attr="when")
    graph[RATES].edge_index = graph[RATES].edge_index + 9
    with pytest.raises(DataError, match="set num_nodes"):
        NeighborSampler(graph, [2])


def test_bad_seeds_are_refused():
    graph = make_graph()
    plain = NeighborSampler(graph, [2])
    timed = NeighborSampler(graph, [2], disjoint=True, time_attr="time")
    seeds = torch.tensor([0])
    with pytest.raises(DataError, match="0 to 12, but there are 12"):
        from_nodes(plain, torch.tensor([0, 12]))
    with pytest.raises(DataError, match="no nodes of type 'film'"):
        from_nodes(plain, seeds, node_type="film")
    with pytest.raises(ConfigError, match="no time_attr"):
        from_nodes(plain, seeds, time=torch.zeros(1))
    with pytest.raises(DataError, match="pass input_time="):
        from_nodes(timed, seeds)
    with pytest.raises(DataError, match="round"):
        from_nodes(timed, seeds, time=torch.zeros(1))
