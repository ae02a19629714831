"""Episodes against the mini-batches they come from, and against the episode sampler."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap
from torch_geometric.data import HeteroData
from torch_geometric.loader import NodeLoader
from torch_geometric.nn import HeteroConv, SAGEConv

from graphmeta.data.cold_users import Support
from graphmeta.encoders import CatalogueHead, RelationEncoder
from graphmeta.encoders.weights_drawn_by import weights_drawn_by
from graphmeta.errors import DataError
from graphmeta.meta import MAML, RidgeHead, check_learner
from graphmeta.tasks.episode import RATES, REV_RATES, EpisodeBatch
from graphmeta.tasks.episode_sampler import EpisodeSampler
from graphmeta.tasks.episodes_from_batch import episodes_from_batch
from graphmeta.tasks.neighbor_sampler import NeighborSampler
from graphmeta.tasks.relation_features import EDGE_DIM

C = 6


@pytest.fixture
def graph() -> HeteroData:
    """Fourteen users, the last without an edge; the reverse edges come in another order."""
    generator = torch.Generator().manual_seed(3)
    edge_index = (torch.rand(13, 9, generator=generator) < 0.35).nonzero().T.contiguous()
    order = torch.randperm(edge_index.size(1), generator=generator)
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = 14, 9
    data[RATES].edge_index = edge_index
    data[REV_RATES].edge_index = edge_index.flip(0)[:, order]
    return data


def batches(graph: HeteroData, fanout: list[int], size: int = 5) -> list[HeteroData]:
    sampler = NeighborSampler(graph, fanout, disjoint=True)
    return list(NodeLoader(graph, sampler, input_nodes="user", batch_size=size))


class TwoSAGE(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.convs = nn.ModuleList(
            HeteroConv({e: SAGEConv((C, C), C) for e in (RATES, REV_RATES)}) for _ in range(2)
        )

    def forward(
        self, x: dict[str, Tensor], edges: dict[tuple[str, str, str], Tensor]
    ) -> dict[str, Tensor]:
        for conv in self.convs:
            x = {t: h.tanh() for t, h in conv(x, edges).items()}
        return x


def encoder_of(name: str) -> nn.Module:
    with weights_drawn_by(0):
        if name == "SAGE":
            return TwoSAGE()
        encoder = RelationEncoder(
            (["user", "item"], [RATES, REV_RATES]), out_channels=C, num_layers=3
        )
        for parameter in encoder.parameters():  # It starts as a mean.
            nn.init.normal_(parameter, std=0.4)
        return encoder


def tables(graph: HeteroData) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {t: torch.randn(graph[t].num_nodes, C, generator=generator) for t in graph.node_types}


def embedded(encoder: nn.Module, episodes: EpisodeBatch, x: dict[str, Tensor]) -> Tensor:
    """Return the users' embeddings, all episodes at once."""
    index = dict(episodes.node_index_dict)
    index["user"] = torch.cat([episodes.own_user.unsqueeze(1), index["user"][:, 1:]], 1)
    x_dict = {t: x[t][i.clamp(min=0)] * (i >= 0).unsqueeze(-1) for t, i in index.items()}

    def run(x_one: dict[str, Tensor], edges: dict[tuple[str, str, str], Tensor]) -> Tensor:
        out: Tensor = functional_call(encoder, {}, (x_one, edges))["user"][0]
        return out

    return vmap(run)(x_dict, dict(episodes.edge_index_dict))


def with_both_directions(batch: HeteroData) -> HeteroData:
    """Add the reverse of the seeds' edges where it is missing, pair by pair."""
    n = batch["user"].batch_size
    rates, reverse = batch[RATES].edge_index, batch[REV_RATES].edge_index
    out = list(map(tuple, rates.T.tolist()))
    back = [(u, i) for i, u in reverse.T.tolist()]
    more_out = [p for p in back if p[0] < n and p not in out]
    more_back = [p for p in out if p[0] < n and p not in back]
    batch[RATES].edge_index = torch.tensor(out + more_out).view(-1, 2).T
    batch[REV_RATES].edge_index = torch.tensor(back + more_back).view(-1, 2).T.flip(0)
    return batch


@pytest.mark.parametrize("name", ["SAGE", "relation"])
@pytest.mark.parametrize("fanout", [[-1, -1], [-1, -1, -1], [2, 3, 2], [1], [2, 2, 2, 2, 2]])
def test_a_seed_is_embedded_as_in_the_batch(
    graph: HeteroData, name: str, fanout: list[int]
) -> None:
    encoder, x = encoder_of(name), tables(graph)
    for batch in batches(graph, fanout):
        found = embedded(encoder, episodes_from_batch(batch), x)
        whole = with_both_directions(batch)
        x_dict = {t: x[t][whole[t].n_id] for t in x}
        wanted = encoder(x_dict, whole.edge_index_dict)["user"][: whole["user"].batch_size]
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


def test_with_all_neighbours_the_batch_is_used_as_it_is(graph: HeteroData) -> None:
    encoder, x = encoder_of("SAGE"), tables(graph)
    for batch in batches(graph, [-1, -1, -1]):
        x_dict = {t: x[t][batch[t].n_id] for t in x}
        wanted = encoder(x_dict, batch.edge_index_dict)["user"][: batch["user"].batch_size]
        found = embedded(encoder, episodes_from_batch(batch), x)
        torch.testing.assert_close(found, wanted, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("learner", [MAML, RidgeHead])
def test_scores_are_those_of_the_episode_sampler(
    graph: HeteroData, learner: type[MAML] | type[RidgeHead]
) -> None:
    """With all neighbours both hold the same subgraph: support, other users, all their items."""
    adapted, head = learner(encoder_of("relation")).eval(), CatalogueHead(graph, channels=C)
    batch = batches(graph, [-1, -1, -1], size=14)[0]
    found = episodes_from_batch(batch)
    histories = [graph[RATES].edge_index[1, graph[RATES].edge_index[0] == u] for u in range(14)]
    item = nn.utils.rnn.pad_sequence(histories, batch_first=True, padding_value=-1)
    sampler = EpisodeSampler(graph, num_neighbors=(-1, -1))
    wanted = sampler.sample(
        Support(item), generator=torch.Generator().manual_seed(0), own_user=torch.arange(14)
    )
    scores = [adapted.score(e, adapted.adapt(e, head), head) for e in (found, wanted)]
    torch.testing.assert_close(*scores, atol=1e-4, rtol=1e-4)
    assert [set(s) - {-1} for s in found.support.item_index.tolist()] == [
        set(s.tolist()) for s in histories
    ]


def hand_made(**attributes: Tensor) -> HeteroData:
    """Seeds 7 and 3 share a batch; user rows 0 and 1 are the seeds, 2 is a neighbour of seed 7.

    Seed 7: items 40 (both directions), 42 (towards the seed only), 41 (from it only).
    Seed 3: item 41 (both). The neighbour 5 has item 40.
    """
    batch = HeteroData()
    batch["user"].n_id, batch["user"].batch = torch.tensor([7, 3, 5]), torch.tensor([0, 1, 0])
    batch["user"].batch_size = 2
    batch["item"].n_id = torch.tensor([40, 41, 42, 41])
    batch["item"].batch = torch.tensor([0, 1, 0, 0])
    batch[RATES].edge_index = torch.tensor([[2, 0, 1, 0], [0, 0, 1, 3]])
    batch[REV_RATES].edge_index = torch.tensor([[0, 2, 1], [0, 0, 1]])
    for name, value in attributes.items():
        batch[RATES][name], batch[REV_RATES][name] = value[:4], value[4:]
    return batch


def test_an_episode_by_hand() -> None:
    time = torch.tensor([0, 9, 1, 2, 9, 5, 1])
    rating = torch.tensor([1, 4, 3, 5, 4, 2, 3])
    episodes = episodes_from_batch(
        hand_made(time=time, rating=rating, edge_attr=torch.arange(14).view(7, 2))
    )
    assert episodes.support.item_index.tolist() == [[41, 42, 40], [41, -1, -1]]
    assert episodes.support.time is not None
    assert episodes.support.time.tolist() == [[2, 5, 9], [1, 0, 0]]
    assert episodes.support.rating is not None
    assert episodes.support.rating.tolist() == [[5, 2, 4], [3, 0, 0]]
    assert episodes.own_user.tolist() == [7, 3]
    assert episodes.node_index_dict["user"].tolist() == [[-1, 5, -1], [-1, -1, -1]]
    assert episodes.node_index_dict["item"].tolist() == [[41, 42, 40, -1], [41, -1, -1, -1]]
    # Dummies are user 2 and item 3.
    assert episodes.edge_index_dict[RATES].tolist() == [
        [[0, 0, 0, 1], [0, 1, 2, 2]],
        [[0, 2, 2, 2], [0, 3, 3, 3]],
    ]
    assert episodes.edge_index_dict[REV_RATES].tolist() == [
        [[0, 1, 2], [0, 0, 0]],
        [[0, 3, 3], [0, 2, 2]],
    ]
    # Item 42 borrows the features of its reverse edge, and item 41 those of its forward edge.
    assert episodes.edge_attr_dict[RATES][0].tolist() == [[6, 7], [10, 11], [2, 3], [0, 1]]
    assert episodes.edge_attr_dict[REV_RATES][0].tolist() == [[6, 7], [10, 11], [8, 9]]
    assert episodes.edge_attr_dict[REV_RATES][1].tolist() == [[12, 13], [0, 0], [0, 0]]


def test_new_users_have_no_row_in_the_graph() -> None:
    assert episodes_from_batch(hand_made(), is_training=False).own_user.tolist() == [-1, -1]


def test_what_a_batch_lacks_is_neutral() -> None:
    batch = hand_made()
    batch["user"].x = torch.tensor([[1, 2], [3, 4], [5, 6]])
    episodes = episodes_from_batch(batch)
    assert episodes.support.time is None
    assert episodes.support.rating is None
    assert episodes.support.user_x is not None
    assert episodes.support.user_x.tolist() == [[1, 2], [3, 4]]
    for edge_type, x in episodes.edge_attr_dict.items():
        assert x.shape == (2, episodes.edge_index_dict[edge_type].size(2), EDGE_DIM)
        assert not bool(x.any())


def test_one_number_per_edge_is_one_relation_feature() -> None:
    episodes = episodes_from_batch(hand_made(edge_attr=torch.arange(7)))
    assert episodes.edge_attr_dict[RATES][0].tolist() == [[1], [5], [3], [0]]


def test_an_edge_that_comes_twice_is_shown_once() -> None:
    batch = hand_made()
    batch[RATES].edge_index = torch.cat([batch[RATES].edge_index, torch.tensor([[0], [0]])], 1)
    episodes, wanted = episodes_from_batch(batch), episodes_from_batch(hand_made())
    assert torch.equal(episodes.support.item_index, wanted.support.item_index)
    assert torch.equal(episodes.edge_index_dict[RATES], wanted.edge_index_dict[RATES])


def test_learners_keep_their_contract_on_them(graph: HeteroData) -> None:
    head, encoder = CatalogueHead(graph, channels=C), encoder_of("relation")
    for batch in batches(graph, [3, 2, 2], size=7):
        check_learner(MAML(encoder).eval(), episodes_from_batch(batch), head)


def test_nobody_with_an_edge_is_an_empty_support(graph: HeteroData) -> None:
    batch = batches(graph, [2, 2], size=1)[13]
    episodes = episodes_from_batch(batch)
    assert episodes.support.item_index.shape == (1, 0)
    assert episodes.node_index_dict["user"].tolist() == [[-1, -1]]
    assert episodes.edge_index_dict[REV_RATES].shape == (1, 2, 0)
    assert episodes.own_user.tolist() == [13]


def test_bad_input(graph: HeteroData) -> None:
    with pytest.raises(DataError, match="HeteroData batch, got Tensor"):
        episodes_from_batch(torch.zeros(1))  # type: ignore[arg-type]
    joint = next(iter(NodeLoader(graph, NeighborSampler(graph, [2]), input_nodes="user")))
    with pytest.raises(DataError, match="sample with disjoint=True"):
        episodes_from_batch(joint)
    sampler = NeighborSampler(graph, [2, 2], disjoint=True)
    with pytest.raises(DataError, match="seeds of the batch are not users"):
        episodes_from_batch(next(iter(NodeLoader(graph, sampler, input_nodes="item"))))
    batch = hand_made()
    batch[RATES].time = torch.zeros(4)
    with pytest.raises(DataError, match=r"only one of .* has 'time'"):
        episodes_from_batch(batch)
    batch = hand_made()
    batch["item", "has", "genre"].edge_index = torch.zeros(2, 1, dtype=torch.long)
    with pytest.raises(DataError, match="set their fan-outs to 0"):
        episodes_from_batch(batch)
    del batch[REV_RATES]
    with pytest.raises(DataError, match="make the graph with from_pyg"):
        episodes_from_batch(batch)
