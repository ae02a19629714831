"""MeLU against a plain loop over users and pairs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from graphmeta.data import Support
from graphmeta.errors import ConfigError
from graphmeta.ranking.baselines.melu import MeLU

OPTIONS = {"channels": 3, "hidden_channels": 5, "num_epochs": 1, "n_negatives": 2}


def logit(local: list[Tensor], user: Tensor, item: Tensor) -> Tensor:
    first, bias_1, second, bias_2, last, bias_3 = local
    hidden = torch.relu(torch.cat([user, item]) @ first + bias_1[0])
    return (torch.relu(hidden @ second + bias_2[0]) @ last + bias_3[0])[0]


@pytest.mark.parametrize("local_steps", [0, 1, 3])
def test_scores_by_hand(local_steps: int, planted_graph: HeteroData) -> None:
    model = MeLU(**OPTIONS, local_steps=local_steps, local_lr=0.5).fit(planted_graph)
    support = Support(torch.tensor([[3, 8], [5, -1]]))
    found = model.score(support)
    weights = dict(zip(model._names, model._checkpoints.at(1.0), strict=True))
    shown = model._episodes.label(support)
    for row in range(2):
        local = [torch.cat([weights["by_user"], weights["by_item"]])]
        local += [weights[n] for n in ("bias_1", "layer_2", "bias_2", "output", "output_bias")]
        user, items = weights["user"], weights["item"]
        for _ in range(local_steps):
            local = [w.detach().requires_grad_() for w in local]
            losses = [
                nn.functional.binary_cross_entropy_with_logits(logit(local, user, items[i]), label)
                for i, label, held in zip(
                    shown.item_index[row], shown.label[row], shown.mask[row], strict=True
                )
                if held
            ]
            gradients = torch.autograd.grad(torch.stack(losses).mean(), local)
            scale = min(1.0, 1 / float(sum(g.square().sum() for g in gradients)) ** 0.5)
            local = [w - 0.5 * scale * g for w, g in zip(local, gradients, strict=True)]
        wanted = torch.stack([logit(local, user, item) for item in items]).detach()
        torch.testing.assert_close(found[row], wanted, atol=1e-5, rtol=1e-4)


def test_the_outer_gradient_is_the_true_one(planted_graph: HeteroData) -> None:
    model = MeLU(**OPTIONS, local_lr=0.3).fit(planted_graph)
    weights = dict(zip(model._names, model._checkpoints.at(1.0), strict=True))
    weights = {name: weight.double().requires_grad_() for name, weight in weights.items()}
    episode = model._episodes.draw(torch.tensor([0, 4]), torch.Generator().manual_seed(5))
    assert bool(episode.support.mask.any())

    def outer(layer: Tensor, item: Tensor) -> Tensor:
        changed = {**weights, "layer_2": layer, "item": item}
        return model._loss(changed, episode, torch.Generator())

    start = tuple(weights[n].detach().clone().requires_grad_() for n in ("layer_2", "item"))
    assert torch.autograd.gradcheck(outer, start)


def test_bad_options() -> None:
    with pytest.raises(ConfigError, match="local_steps=-1"):
        MeLU(local_steps=-1)
    with pytest.raises(ConfigError, match="local_lr"):
        MeLU(local_lr=0.0)
