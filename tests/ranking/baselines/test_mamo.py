"""MAMO's memories: what is read, what is written, and the steps from there."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from graphmeta.data import Support
from graphmeta.errors import ConfigError
from graphmeta.ranking.baselines.mamo import MAMO, MEMORIES, SHARED, USER_LAYER

OPTIONS = {"channels": 3, "hidden_channels": 5, "num_slots": 2, "num_epochs": 1}


def logit(at: dict[str, Tensor], user: Tensor, item: Tensor) -> Tensor:
    pair = torch.cat(
        [
            torch.relu(user @ at["user_layer"] + at["user_bias"][0]),
            torch.relu(item @ at["item_layer"] + at["item_bias"][0]),
        ]
    )
    hidden = torch.relu(pair @ at["preference"] @ at["layer"] + at["bias"][0])
    return (hidden @ at["output"] + at["output_bias"][0])[0]


def test_scores_by_hand(planted_graph: HeteroData) -> None:
    planted_graph["user"].x = torch.randn(200, 2, generator=torch.Generator().manual_seed(0))
    model = MAMO(**OPTIONS, local_steps=1, local_lr=0.5, bias_lr=0.7).fit(planted_graph)
    x = torch.tensor([[1.0, -2.0], [-1.0, 0.5]])
    support = Support(torch.tensor([[3, 8], [5, -1]]), user_x=x)
    found = model.score(support)
    w = dict(zip(model._names, model._checkpoints.at(1.0), strict=True))
    assert bool((w["user_layer_gradient"] != 0).any())  # Training wrote the memories.
    shown = model._episodes.label(support)
    mean_x = planted_graph["user"].x.mean(0)
    for row in range(2):
        user = w["user"] + (x[row] - mean_x) @ w["user_x"]
        cosine = torch.stack([torch.cosine_similarity(user, p, dim=0) for p in w["profiles"]])
        attention = cosine.softmax(0)
        at = {name: w[name] for name in (*USER_LAYER, *SHARED)}
        for name in USER_LAYER:
            memory = w[f"{name}_gradient"]
            at[name] = at[name] - 0.7 * sum(a * m for a, m in zip(attention, memory, strict=True))
        at["preference"] = sum(a * m for a, m in zip(attention, w["preference"], strict=True))
        at = {name: value.detach().requires_grad_() for name, value in at.items()}
        losses = [
            nn.functional.binary_cross_entropy_with_logits(logit(at, user, w["item"][i]), label)
            for i, label, held in zip(
                shown.item_index[row], shown.label[row], shown.mask[row], strict=True
            )
            if held
        ]
        gradients = torch.autograd.grad(torch.stack(losses).mean(), list(at.values()))
        scale = min(1.0, 1 / float(sum(g.square().sum() for g in gradients)) ** 0.5)
        own = {n: v - 0.5 * scale * g for (n, v), g in zip(at.items(), gradients, strict=True)}
        wanted = torch.stack([logit(own, user, item) for item in w["item"]]).detach()
        torch.testing.assert_close(found[row], wanted, atol=1e-5, rtol=1e-4)


def test_a_slot_moves_by_its_attention_towards_what_is_written() -> None:
    model = MAMO(**OPTIONS, write_rate=0.5)
    memory = torch.tensor([[0.0, 0.0], [8.0, 8.0]])
    attention = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    model._write(memory, attention, torch.tensor([[2.0, 0.0], [4.0, 4.0]]))
    assert memory.tolist() == [[1.5, 1.0], [8.0, 8.0]]


def test_scoring_writes_nothing(planted_graph: HeteroData) -> None:
    model = MAMO(**OPTIONS).fit(planted_graph)
    before = [w.clone() for w in model._checkpoints.at(1.0)]
    model.score(Support(torch.tensor([[3, 8]])))
    assert all(torch.equal(a, b) for a, b in zip(before, model._checkpoints.at(1.0), strict=True))
    assert set(MEMORIES) <= set(model._names)


def test_bad_options() -> None:
    with pytest.raises(ConfigError, match="num_slots=0"):
        MAMO(num_slots=0)
    with pytest.raises(ConfigError, match="write_rate"):
        MAMO(write_rate=0.0)
