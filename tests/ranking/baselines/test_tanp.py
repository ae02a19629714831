"""TaNP against a plain loop over users and pairs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence
from torch_geometric.data import HeteroData

from graphmeta.data import Support
from graphmeta.errors import ConfigError
from graphmeta.ranking.baselines.tanp import TaNP

OPTIONS = {"channels": 3, "hidden_channels": 5, "num_epochs": 1, "num_clusters": 4}


def test_scores_by_hand(planted_graph: HeteroData) -> None:
    model = TaNP(**OPTIONS).fit(planted_graph)
    support = Support(torch.tensor([[3, 8], [5, -1]]))
    found = model.score(support)
    w = dict(zip(model._names, model._checkpoints.at(1.0), strict=True))
    shown = model._episodes.label(support)

    def encoded(name: str, row: int) -> Tensor:
        parts = []
        for i, label, held in zip(
            shown.item_index[row], shown.label[row], shown.mask[row], strict=True
        ):
            if held:
                pair = torch.cat([w["user"], w["item"][i], label.view(1)])
                hidden = torch.relu(pair @ w[f"{name}_1"] + w[f"{name}_bias_1"])
                parts.append(hidden @ w[f"{name}_2"] + w[f"{name}_bias_2"])
        return torch.stack(parts).mean(0)

    for row in range(2):
        hidden = torch.relu(encoded("code", row) @ w["code_hidden"] + w["code_hidden_bias"])
        code, task = hidden @ w["mean"] + w["mean_bias"], encoded("task", row)
        near = torch.stack([1 / (1 + (task - c).square().sum()) for c in w["clusters"]])
        task = task + (near / near.sum()) @ w["clusters"]
        for i in (0, 7, 99):
            x = w["user"] @ w["by_user"] + w["item"][i] @ w["by_item"] + code @ w["by_code"]
            x = x + w["bias_1"]
            for layer in (1, 2):
                gamma = 1 + torch.tanh(task @ w[f"gamma_{layer}"])
                x = torch.relu(gamma * x + torch.tanh(task @ w[f"beta_{layer}"]))
                if layer == 1:
                    x = x @ w["layer_2"] + w["bias_2"]
            wanted = (x @ w["output"] + w["output_bias"])[0]
            torch.testing.assert_close(found[row, i], wanted, atol=1e-5, rtol=1e-4)


def test_the_divergence_is_that_of_gaussians(planted_graph: HeteroData) -> None:
    losses = []
    for weight in (0.0, 2.0):
        model = TaNP(**OPTIONS, kl_weight=weight, cluster_weight=0.0).fit(planted_graph)
        if not losses:
            w = dict(zip(model._names, model._checkpoints.at(1.0), strict=True))
        episode = model._episodes.draw(torch.tensor([0, 4]), torch.Generator().manual_seed(5))
        losses.append(model._loss(w, episode, torch.Generator().manual_seed(6)))
    from graphmeta.ranking.baselines.tanp import _code

    user = w["user"].expand(2, -1)
    shown, asked = (w["item"][part.item_index] for part in (episode.support, episode.query))
    whole = episode.support.with_others(episode.query)
    prior_mean, prior_scale = _code(w, user, shown, episode.support)
    mean, scale = _code(w, user, torch.cat([shown, asked], 1), whole)
    wanted = kl_divergence(Normal(mean, scale.exp()), Normal(prior_mean, prior_scale.exp()))
    torch.testing.assert_close(losses[1] - losses[0], 2.0 * wanted.sum(1).mean())


def test_bad_options() -> None:
    with pytest.raises(ConfigError, match="num_clusters=0"):
        TaNP(num_clusters=0)
    with pytest.raises(ConfigError, match="kl_weight"):
        TaNP(kl_weight=-1.0)
