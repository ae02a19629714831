"""The relation encoder: a hand-computed message, invariances, errors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from graphmeta.data import from_frame, planted_interactions
from graphmeta.data.cold_users import Support
from graphmeta.encoders import RelationConv, RelationEncoder
from graphmeta.encoders.weights_drawn_by import weights_drawn_by
from graphmeta.errors import ConfigError, EncoderError
from graphmeta.tasks.episode_sampler import EpisodeSampler
from graphmeta.tasks.relation_features import EDGE_DIM

RATES, REV = ("user", "rates", "item"), ("item", "rev_rates", "user")
METADATA = (["user", "item"], [RATES, REV])


def inputs() -> tuple[dict[str, Tensor], dict[tuple[str, str, str], Tensor]]:
    generator = torch.Generator().manual_seed(0)
    x_dict = {t: torch.randn(n, 4, generator=generator) for t, n in (("user", 3), ("item", 5))}
    edge_index = torch.tensor([[0, 0, 1, 2, 2], [0, 1, 1, 2, 3]])
    return x_dict, {RATES: edge_index, REV: edge_index.flip(0)}


def test_conv_by_hand() -> None:
    conv = RelationConv(2, edge_dim=1)
    with torch.no_grad():
        conv.source.weight.copy_(torch.eye(2))
        conv.target.weight.zero_()
        conv.target.bias.zero_()
        conv.edge.weight.copy_(torch.tensor([[1.0], [0.0]]))
        conv.attention.copy_(torch.tensor([1.0, 0.0]))
    x = (torch.tensor([[1.0, 5.0], [0.0, 7.0]]), torch.zeros(2, 2))
    edge_attr = torch.tensor([[0.0], [3.0]])
    out = conv(x, torch.tensor([[0, 1], [0, 0]]), edge_attr)
    # Messages (1, 5) and (3, 7) with logits 1 and 3; the second target hears nothing.
    a = torch.tensor([1.0, 3.0]).softmax(0)
    wanted = torch.stack(
        [a[0] * torch.tensor([1.0, 5.0]) + a[1] * torch.tensor([3.0, 7.0]), torch.zeros(2)]
    )
    torch.testing.assert_close(out, wanted)


def test_renumbering_the_items_renumbers_the_output() -> None:
    encoder = RelationEncoder(METADATA, in_channels=4, out_channels=6)
    x_dict, edges = inputs()
    order = torch.tensor([3, 0, 4, 1, 2])
    new_number = order.argsort()
    moved = torch.stack([edges[RATES][0], new_number[edges[RATES][1]]])
    out = encoder(x_dict, edges)
    again = encoder(
        {"user": x_dict["user"], "item": x_dict["item"][order]}, {RATES: moved, REV: moved.flip(0)}
    )
    torch.testing.assert_close(again["user"], out["user"])
    torch.testing.assert_close(again["item"], out["item"][order])


def test_three_layers_reach_the_items_of_the_other_users_and_two_do_not() -> None:
    x_dict, edges = inputs()
    x_dict = {t: x.requires_grad_() for t, x in x_dict.items()}
    for num_layers, reached in ((2, {0, 1}), (3, {0, 1})):
        encoder = RelationEncoder(METADATA, in_channels=4, out_channels=6, num_layers=num_layers)
        out = encoder(x_dict, edges)["user"][1].sum()
        gradient = torch.autograd.grad(out, x_dict["item"])[0]
        got = set((gradient.abs().sum(1) > 1e-9).nonzero().flatten().tolist())
        # User 1 rates item 1, whose other user 0 rates item 0 as well.
        assert got == (reached if num_layers == 3 else {1})


def test_relation_features_matter_and_are_required() -> None:
    encoder = RelationEncoder(METADATA, in_channels=4, out_channels=6, edge_dim=2)
    x_dict, edges = inputs()
    with torch.no_grad():
        for conv in encoder.layers[0].convs.values():
            conv.edge.weight.fill_(1.0)  # They start at zero, where features say nothing.
    attr = {e: torch.zeros(5, 2) for e in edges}
    out = encoder(x_dict, edges, attr)["user"]
    attr[REV] = attr[REV].index_fill(0, torch.tensor([0]), 2.0)
    changed = encoder(x_dict, edges, attr)["user"]
    assert not torch.allclose(out[0], changed[0])
    torch.testing.assert_close(out[2], changed[2])
    with pytest.raises(EncoderError, match="0 relation features but edge_dim=2"):
        encoder(x_dict, edges)


def test_bad_input() -> None:
    with pytest.raises(ConfigError, match="out_channels=0"):
        RelationEncoder(METADATA, out_channels=0)
    with pytest.raises(ConfigError, match="edge_dim=-1"):
        RelationEncoder(METADATA, out_channels=4, edge_dim=-1)
    with pytest.raises(ConfigError, match="no edge type"):
        RelationEncoder((["user"], []), out_channels=4)
    encoder = RelationEncoder(METADATA, out_channels=4)
    x_dict, edges = inputs()
    with pytest.raises(EncoderError, match="'tag' is not in the metadata"):
        encoder({**x_dict, "tag": torch.zeros(1, 4)}, edges)
    with pytest.raises(EncoderError, match="is not in the metadata"):
        encoder(x_dict, {("user", "likes", "item"): edges[RATES]})


@pytest.mark.parametrize("num_layers", [1, 2, 3, 4])
@pytest.mark.parametrize("k", [0, 1, 3])
def test_the_users_embedding_alone_is_the_same(num_layers: int, k: int) -> None:
    with weights_drawn_by(0):
        encoder = RelationEncoder(
            METADATA, out_channels=4, num_layers=num_layers, edge_dim=EDGE_DIM
        )
        for parameter in encoder.parameters():
            nn.init.normal_(parameter, std=0.3)
    graph = from_frame(planted_interactions(30, 20, per_user=6), time="time")
    shown = torch.tensor([[0, 1, 2], [3, 4, -1], [5, -1, -1]])[:, :k]
    episodes = EpisodeSampler(graph, num_neighbors=(3, 3)).sample(
        Support(shown), generator=torch.Generator().manual_seed(0)
    )
    assert k == 0 or int((episodes.node_index_dict["user"] >= 0).sum()) > 6
    for row in range(3):
        x_dict = {
            t: torch.randn(index.size(1), 4, generator=torch.Generator().manual_seed(row))
            for t, index in episodes.node_index_dict.items()
        }
        edges = {e: x[row] for e, x in episodes.edge_index_dict.items()}
        attr = {e: x[row] for e, x in episodes.edge_attr_dict.items()}
        whole = encoder(x_dict, edges, attr)["user"][:1]
        alone = encoder(x_dict, edges, attr, support_size=k)
        assert list(alone) == ["user"]
        torch.testing.assert_close(alone["user"], whole)
    # With edges of another type the distances are not known: nothing is left out.
    social = ("user", "trusts", "user")
    third = RelationEncoder((METADATA[0], [*METADATA[1], social]), out_channels=4)
    plain = {**edges, social: torch.tensor([[1], [0]])}
    torch.testing.assert_close(
        third(x_dict, plain, support_size=k)["user"], third(x_dict, plain)["user"][:1]
    )
