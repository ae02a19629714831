"""TaNP, a neural process whose decoder is modulated by the task."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphmeta.ranking.baselines.episodic_scorer import EpisodicScorer, dense
from graphmeta.ranking.baselines.labelled_episodes import LabelledEpisode, LabelledItems
from graphmeta.ranking.baselines.matrix_scorer import check_at_least
from graphmeta.ranking.baselines.pair_content import Weights
from graphmeta.ranking.search_space import Axis, SearchSpace


class TaNP(EpisodicScorer):
    """Maps a support to a latent code and a task embedding, and decodes pairs with both.

    With S the labelled support, `s_j = [p_u; p_j; y_j]`, MLPs of one hidden layer h and m, and
    a pool of task clusters `a_1 .. a_C`,

        r = mean_S h(s_j)     q(z | S) = N(mu(r), sigma(r)^2)
        o = mean_S m(s_j)     c_l ~ (1 + |o - a_l|^2)^-1     o' = o + sum_l c_l a_l
        x_1 = relu(gamma_1 * (D_1 [p_u; p_i; z]) + beta_1)     gamma_l = 1 + tanh(G_l o')
        x_2 = relu(gamma_2 * (D_2 x_1) + beta_2)               beta_l = tanh(B_l o')

    and the logit of the pair is linear in x_2 (Lin et al., "Task-adaptive neural process for
    user cold-start recommendation", WWW 2021; of its two decoders the one with plain FiLM). It
    is trained on the query's loss with z drawn from `q(z | support and query)`, plus
    `kl_weight * KL(q(z | support and query) || q(z | support))`, plus `cluster_weight` times
    the divergence of the assignments c from their sharpened form (Xie, Girshick and Farhadi,
    ICML 2016). A new user takes no gradient step, and z is the mean of `q(z | S)`.

    What differs: the paper predicts ratings by squared error; here sampled items are the zeros
    of an implicit support, see `EpisodicScorer`. The 1 in gamma, absent from the paper, leaves
    the decoder as it is where `o'` is small, as for a user with an empty support.

    Fit-time:

    Args:
        num_clusters: Size of the pool.
        kl_weight: Weight of the divergence between the two codes.
        cluster_weight: Weight of the sharpening.
        options: The options of `EpisodicScorer`.

    Raises:
        ConfigError: A number is out of its range.
    """

    def __init__(
        self,
        *,
        num_clusters: int = 10,
        kl_weight: float = 0.01,
        cluster_weight: float = 0.01,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        check_at_least(1, num_clusters=num_clusters)
        check_at_least(0, kl_weight=kl_weight, cluster_weight=cluster_weight)
        self.num_clusters = num_clusters
        self.kl_weight = kl_weight
        self.cluster_weight = cluster_weight

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Return the grid: four fits, and when to stop without a fit."""
        return cls._space(kl_weight=Axis((0.001, 0.01, 0.1), extend="geometric"))

    def _initial(self, generator: torch.Generator) -> dict[str, Tensor]:
        width, hidden = self.channels, self.hidden_channels
        weights = {}
        for name in ("code", "task"):
            weights[f"{name}_1"] = dense(2 * width + 1, hidden, generator)
            weights[f"{name}_bias_1"] = torch.zeros(hidden)
            weights[f"{name}_2"] = dense(hidden, width, generator)
            weights[f"{name}_bias_2"] = torch.zeros(width)
        for name, n_in in (("code_hidden", width), ("mean", width), ("log_scale", width)):
            weights[name] = dense(n_in, width, generator)
            weights[f"{name}_bias"] = torch.full((width,), -2.0 if name == "log_scale" else 0.0)
        weights["clusters"] = torch.randn(self.num_clusters, width, generator=generator)
        for layer in (1, 2):
            for name in ("gamma", "beta"):
                weights[f"{name}_{layer}"] = dense(width, hidden, generator)
        for name in ("by_user", "by_item", "by_code"):
            weights[name] = dense(width, hidden, generator, fan_in=3 * width)
        weights |= {
            "bias_1": torch.zeros(hidden),
            "layer_2": dense(hidden, hidden, generator),
            "bias_2": torch.zeros(hidden),
            "output": dense(hidden, 1, generator),
            "output_bias": torch.zeros(1),
        }
        return weights

    def _loss(
        self, weights: Weights, episode: LabelledEpisode, generator: torch.Generator
    ) -> Tensor:
        support, query = episode.support, episode.query
        user = self._content.users(weights, episode.user_x, len(query.label))
        shown, asked = (self._content.items(weights, part.item_index) for part in (support, query))
        prior_mean, prior_log_scale = _code(weights, user, shown, support)
        whole = support.with_others(query)
        mean, log_scale = _code(weights, user, torch.cat([shown, asked], dim=1), whole)
        noise = torch.randn(mean.shape, generator=generator)
        task = _encode(weights, "task", user, shown, support)
        assigned = _assign(task, weights["clusters"])
        code = mean + noise * log_scale.exp()
        logit = _decode(weights, user, asked, code, task + assigned @ weights["clusters"])
        ratio = (2 * (log_scale - prior_log_scale)).exp()
        distance = (mean - prior_mean).square() * (-2 * prior_log_scale).exp()
        divergence = 0.5 * (ratio + distance - 1 - ratio.log()).sum(1)
        return (
            query.cross_entropy(logit).mean()
            + self.kl_weight * divergence.mean()
            + self.cluster_weight * _sharpening(assigned)
        )

    def _rank(
        self, weights: Weights, user: Tensor, shown: LabelledItems, catalogue: Tensor
    ) -> Tensor:
        item = self._content.items(weights, shown.item_index)
        code, _ = _code(weights, user, item, shown)
        task = _encode(weights, "task", user, item, shown)
        task = task + _assign(task, weights["clusters"]) @ weights["clusters"]
        return _decode(weights, user, catalogue, code, task)


def _encode(weights: Weights, name: str, user: Tensor, item: Tensor, of: LabelledItems) -> Tensor:
    """Return the mean of an MLP over labelled pairs, 0 where there is none; `[n_users, c]`."""
    user = user.unsqueeze(1).expand(-1, item.size(1), -1)
    pair = torch.cat([user, item, of.label.unsqueeze(2)], dim=2)
    hidden = torch.relu(pair @ weights[f"{name}_1"] + weights[f"{name}_bias_1"])
    return of.mean(hidden @ weights[f"{name}_2"] + weights[f"{name}_bias_2"])


def _code(weights: Weights, user: Tensor, item: Tensor, of: LabelledItems) -> tuple[Tensor, Tensor]:
    """Return mean and log standard deviation of q(z); both `[n_users, c]`."""
    r = _encode(weights, "code", user, item, of)
    hidden = torch.relu(r @ weights["code_hidden"] + weights["code_hidden_bias"])
    mean = hidden @ weights["mean"] + weights["mean_bias"]
    return mean, hidden @ weights["log_scale"] + weights["log_scale_bias"]


def _assign(task: Tensor, clusters: Tensor) -> Tensor:
    """Return each task's soft cluster assignment by Student's t; `[n_users, n_clusters]`."""
    distance = (task.unsqueeze(1) - clusters).square().sum(2)
    nearness = 1 / (1 + distance)
    return nearness / nearness.sum(1, keepdim=True)


def _sharpening(assigned: Tensor) -> Tensor:
    """Return KL(t || c) with the target t ~ c^2 / (cluster's share of the batch), a constant."""
    target = (assigned.square() / assigned.sum(0)).detach()
    target = target / target.sum(1, keepdim=True)
    return (target * (target.log() - assigned.log())).sum(1).mean()


def _decode(weights: Weights, user: Tensor, item: Tensor, code: Tensor, task: Tensor) -> Tensor:
    """Return the logits of each user's pairs.

    Shapes:
        item: `[n_users, m, c]`, or `[m, c]` where all users have the same.
        output: `[n_users, m]`.
    """
    of_user = user @ weights["by_user"] + code @ weights["by_code"] + weights["bias_1"]
    hidden = item @ weights["by_item"] + of_user.unsqueeze(1)
    hidden = _modulate(weights, 1, hidden, task)
    hidden = _modulate(weights, 2, hidden @ weights["layer_2"] + weights["bias_2"], task)
    return (hidden @ weights["output"] + weights["output_bias"]).squeeze(2)


def _modulate(weights: Weights, layer: int, hidden: Tensor, task: Tensor) -> Tensor:
    gamma, beta = (torch.tanh(task @ weights[f"{name}_{layer}"]) for name in ("gamma", "beta"))
    return torch.relu((1 + gamma).unsqueeze(1) * hidden + beta.unsqueeze(1))
