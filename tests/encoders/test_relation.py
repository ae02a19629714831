"""The relation encoder: a hand-computed message, invariances, errors."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from graphmeta.encoders import RelationConv, RelationEncoder
from graphmeta.errors import ConfigError, EncoderError

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
