"""MeLU, whose decision layers take gradient steps on a new user's items."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphmeta.ranking.baselines.episodic_scorer import EpisodicScorer, dense
from graphmeta.ranking.baselines.labelled_episodes import LabelledEpisode, LabelledItems
from graphmeta.ranking.baselines.local_step import local_step
from graphmeta.ranking.baselines.matrix_scorer import check_at_least, check_positive
from graphmeta.ranking.baselines.pair_content import Weights
from graphmeta.ranking.search_space import Axis, SearchSpace

LOCAL = ("by_user", "by_item", "bias_1", "layer_2", "bias_2", "output", "output_bias")


class MeLU(EpisodicScorer):
    """Adapts the layers that decide on a pair to each user, and leaves the embeddings alone.

    With `p` the content embeddings of user and item, the logit of a pair is

        h = relu(A [p_u; p_i] + a)     h' = relu(B h + b)     y = w . h' + c

    and a user's own `theta = (A, a, B, b, w, c)` is, `local_steps` times from the shared one,

        theta_u <- theta_u - local_lr * grad L_u(theta_u)

    with `L_u` the loss on the user's support. The shared theta and the embeddings descend the
    loss that theta_u leaves on the query, through the local steps (Lee, Im, Jang, Cho and Chung,
    "MeLU: meta-learned user preference estimator for cold-start recommendation", KDD 2019).

    What differs: the paper fits ratings by squared error; here the support is implicit, and
    sampled items are its zeros under the cross-entropy. The paper's items are known by their
    content alone. See `EpisodicScorer` for both.

    Fit-time:

    Args:
        local_steps: Gradient steps per user.
        local_lr: Their size.
        options: The options of `EpisodicScorer`.

    Raises:
        ConfigError: A number is out of its range.
    """

    def __init__(self, *, local_steps: int = 3, local_lr: float = 1.0, **options: Any) -> None:
        super().__init__(**options)
        check_at_least(0, local_steps=local_steps)
        check_positive(local_lr=local_lr)
        self.local_steps = local_steps
        self.local_lr = local_lr

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Return the grid: four fits, and when to stop without a fit."""
        return cls._space(local_lr=Axis((0.3, 1.0, 3.0), extend="geometric"))

    def _initial(self, generator: torch.Generator) -> dict[str, Tensor]:
        width, hidden = self.channels, self.hidden_channels
        return {
            "by_user": dense(width, hidden, generator, fan_in=2 * width),
            "by_item": dense(width, hidden, generator, fan_in=2 * width),
            "bias_1": torch.zeros(1, hidden),
            "layer_2": dense(hidden, hidden, generator),
            "bias_2": torch.zeros(1, hidden),
            "output": dense(hidden, 1, generator),
            "output_bias": torch.zeros(1, 1),
        }

    def _loss(
        self, weights: Weights, episode: LabelledEpisode, generator: torch.Generator
    ) -> Tensor:
        support, query = episode.support, episode.query
        user = self._content.users(weights, episode.user_x, len(query.label))
        local = self._adapt(
            weights, user, self._content.items(weights, support.item_index), support
        )
        logit = _decide(local, user, self._content.items(weights, query.item_index))
        return query.cross_entropy(logit).mean()

    def _rank(
        self, weights: Weights, user: Tensor, shown: LabelledItems, catalogue: Tensor
    ) -> Tensor:
        local = self._adapt(weights, user, self._content.items(weights, shown.item_index), shown)
        return _decide(local, user, catalogue)

    def _adapt(
        self, weights: Weights, user: Tensor, item: Tensor, shown: LabelledItems
    ) -> dict[str, Tensor]:
        """Return each user's own decision layers, `[n_users, *shape]`."""
        local = {name: weights[name].expand(len(user), -1, -1) for name in LOCAL}
        for _ in range(self.local_steps if item.size(1) else 0):
            local, _ = local_step(
                local,
                lambda at: shown.cross_entropy(_decide(at, user, item)),
                lr=self.local_lr,
            )
        return local


def _decide(local: Weights, user: Tensor, item: Tensor) -> Tensor:
    """Return the logits of each user's pairs.

    Shapes:
        local: `[n_users, *shape]` for each weight.
        user: `[n_users, c]`.
        item: `[n_users, m, c]`, or `[m, c]` where all users have the same.
        output: `[n_users, m]`.
    """
    of_user = user.unsqueeze(1) @ local["by_user"] + local["bias_1"]
    hidden = torch.relu(item @ local["by_item"] + of_user)
    hidden = torch.relu(hidden @ local["layer_2"] + local["bias_2"])
    return (hidden @ local["output"] + local["output_bias"]).squeeze(2)
