"""MAMO, whose memories give each user an initialisation of their own."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from graphmeta.ranking.baselines.episodic_scorer import EpisodicScorer, dense
from graphmeta.ranking.baselines.labelled_episodes import LabelledEpisode, LabelledItems
from graphmeta.ranking.baselines.local_step import local_step
from graphmeta.ranking.baselines.matrix_scorer import check_at_least, check_positive
from graphmeta.ranking.baselines.pair_content import Weights
from graphmeta.ranking.search_space import Axis, SearchSpace

USER_LAYER = ("user_layer", "user_bias")
SHARED = ("item_layer", "item_bias", "layer", "bias", "output", "output_bias")
MEMORIES = ("profiles", "user_layer_gradient", "user_bias_gradient", "preference")
# Spread of the initial preference slots, relative to their common part.
SLOT_NOISE = 0.1


class MAMO(EpisodicScorer):
    """Starts each user's gradient steps from memories of training users with like profiles.

    With `p` the content embeddings, the logit of a pair is

        e_u = relu(P p_u)     e_i = relu(Q p_i)     y = w . relu(R M_u [e_u; e_i])

    (biases left out). A user attends to `num_slots` slots by the profile, and reads a start:

        a_u = softmax(cos(p_u, profiles))     P_u = P - bias_lr * a_u G     M_u = a_u M

    From there P_u, M_u, Q_u, R_u and w_u take `local_steps` steps of size `local_lr` on the
    user's support. P, Q, R, w and the embeddings descend the loss that this leaves on the query,
    and the memories are written: the profiles with p_u, G with the gradient of P_u at the
    start, M with the adapted M_u (Dong, Yuan, Yao, Xu and Zhu, "MAMO: memory-augmented
    meta-optimization for cold-start recommendation", KDD 2020).

    What differs: the paper predicts ratings by squared error; here sampled items are the zeros
    of an implicit support, see `EpisodicScorer`. The paper's write `rate * a_u x + (1 - rate) *
    slots` shrinks slots that share the attention until they vanish; here a slot moves towards x
    by `rate * a_u` of the way, averaged over a batch. Without user features all profiles are
    one, and the memories hold the average user.

    Fit-time:

    Args:
        num_slots: Slots of each memory.
        bias_lr: Size of the step along the remembered gradient.
        write_rate: How far a memory moves towards what is written.
        local_steps: Gradient steps per user.
        local_lr: Their size.
        options: The options of `EpisodicScorer`.

    Raises:
        ConfigError: A number is out of its range.
    """

    def __init__(
        self,
        *,
        num_slots: int = 8,
        bias_lr: float = 1.0,
        write_rate: float = 0.1,
        local_steps: int = 3,
        local_lr: float = 1.0,
        **options: Any,
    ) -> None:
        super().__init__(**options)
        check_at_least(1, num_slots=num_slots)
        check_at_least(0, bias_lr=bias_lr, local_steps=local_steps)
        check_positive(write_rate=write_rate, local_lr=local_lr)
        self.num_slots = num_slots
        self.bias_lr = bias_lr
        self.write_rate = write_rate
        self.local_steps = local_steps
        self.local_lr = local_lr

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Return the grid: four fits, and when to stop without a fit."""
        return cls._space(local_lr=Axis((0.3, 1.0, 3.0), extend="geometric"))

    def _initial(self, generator: torch.Generator) -> dict[str, Tensor]:
        width, hidden = self.channels, self.hidden_channels
        return {
            "user_layer": dense(width, width, generator),
            "user_bias": torch.zeros(1, width),
            "item_layer": dense(width, width, generator),
            "item_bias": torch.zeros(1, width),
            "layer": dense(width, hidden, generator),
            "bias": torch.zeros(1, hidden),
            "output": dense(hidden, 1, generator),
            "output_bias": torch.zeros(1, 1),
        }

    def _memories(self, generator: torch.Generator) -> dict[str, Tensor]:
        slots, width = self.num_slots, self.channels
        preference = dense(2 * width, width, generator)
        noise = torch.randn(slots, 2 * width, width, generator=generator)
        return {
            "profiles": torch.randn(slots, width, generator=generator),
            "user_layer_gradient": torch.zeros(slots, width, width),
            "user_bias_gradient": torch.zeros(slots, 1, width),
            "preference": preference + SLOT_NOISE * preference.std() * noise,
        }

    def _loss(
        self, weights: Weights, episode: LabelledEpisode, generator: torch.Generator
    ) -> Tensor:
        support, query = episode.support, episode.query
        user = self._content.users(weights, episode.user_x, len(query.label))
        # The write below must not change what the backward pass reads.
        read = {**weights, **{name: weights[name].clone() for name in MEMORIES}}
        attention = _attend(user, read["profiles"])
        start = self._start(read, attention)
        shown = self._content.items(weights, support.item_index)
        local, gradient = self._adapt(start, user, shown, support)
        if gradient is not None:
            written = {f"{name}_gradient": gradient[name] for name in USER_LAYER}
            written |= {"profiles": user, "preference": local["preference"]}
            for name, value in written.items():
                self._write(weights[name], attention.detach(), value.detach())
        logit = _decide(local, user, self._content.items(weights, query.item_index))
        return query.cross_entropy(logit).mean()

    def _rank(
        self, weights: Weights, user: Tensor, shown: LabelledItems, catalogue: Tensor
    ) -> Tensor:
        start = self._start(weights, _attend(user, weights["profiles"]))
        item = self._content.items(weights, shown.item_index)
        local, _ = self._adapt(start, user, item, shown)
        return _decide(local, user, catalogue)

    def _start(self, weights: Weights, attention: Tensor) -> dict[str, Tensor]:
        """Return the weights that users start from, `[n_users, *shape]`."""
        start = {n: weights[n].expand(len(attention), -1, -1) for n in (*USER_LAYER, *SHARED)}
        for name in USER_LAYER:
            remembered = _read(weights[f"{name}_gradient"], attention)
            start[name] = start[name] - self.bias_lr * remembered
        return {**start, "preference": _read(weights["preference"], attention)}

    def _adapt(
        self, local: dict[str, Tensor], user: Tensor, item: Tensor, shown: LabelledItems
    ) -> tuple[dict[str, Tensor], dict[str, Tensor] | None]:
        """Return the users' own weights, and the gradient at the start where a step is taken."""
        first = None
        for _ in range(self.local_steps if item.size(1) else 0):
            local, gradient = local_step(
                local,
                lambda at: shown.cross_entropy(_decide(at, user, item)),
                lr=self.local_lr,
            )
            first = first or gradient
        return local, first

    def _write(self, memory: Tensor, attention: Tensor, value: Tensor) -> None:
        """Move each slot towards the users' values, by their attention."""
        share = attention.mean(0).view(-1, *[1] * (memory.dim() - 1))
        wanted = torch.tensordot(attention, value, dims=([0], [0])) / len(attention)
        memory += self.write_rate * (wanted - share * memory)


def _attend(user: Tensor, profiles: Tensor) -> Tensor:
    """Return each user's attention to the slots; `[n_users, n_slots]`."""
    return (F.normalize(user, dim=1) @ F.normalize(profiles, dim=1).T).softmax(1)


def _read(memory: Tensor, attention: Tensor) -> Tensor:
    return torch.tensordot(attention, memory, dims=1)


def _decide(local: Weights, user: Tensor, item: Tensor) -> Tensor:
    """Return the logits of each user's pairs.

    Shapes:
        local: `[n_users, *shape]` for each weight.
        user: `[n_users, c]`.
        item: `[n_users, m, c]`, or `[m, c]` where all users have the same.
        output: `[n_users, m]`.
    """
    of_user = torch.relu(user.unsqueeze(1) @ local["user_layer"] + local["user_bias"])
    of_item = torch.relu(item @ local["item_layer"] + local["item_bias"])
    to_user, to_item = local["preference"].chunk(2, dim=1)
    pair = of_item @ to_item + of_user @ to_user
    hidden = torch.relu(pair @ local["layer"] + local["bias"])
    return (hidden @ local["output"] + local["output_bias"]).squeeze(2)
