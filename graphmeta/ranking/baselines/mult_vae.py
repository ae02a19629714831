"""Mult-VAE, the variational auto-encoder with a multinomial likelihood, trained on few shots."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import scipy.sparse as sp
import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor

from graphmeta.data.cold_users import Support
from graphmeta.ranking.baselines.checkpoint_training import (
    check_rate,
    check_share,
    train,
    user_batches,
)
from graphmeta.ranking.baselines.matrix_scorer import MatrixScorer, check_at_least, check_positive
from graphmeta.ranking.baselines.training_matrix import TrainingMatrix
from graphmeta.ranking.search_space import Axis, SearchSpace

# Standard deviation of the initial item weights.
INITIAL_SCALE = 0.05


class MultVAE(MatrixScorer):
    """Encodes a few items to a Gaussian code and decodes it to a distribution over all items.

    With x the user's row and s the items shown, `|s| = k`, dropout after the tanh,

        h = tanh(sum_{i in s} W_i / sqrt(k) + b)     (mu, log sigma^2) = A h + a
        z = mu + sigma * noise                       pi = softmax(V^T z + c)
        loss = -sum_i x_i log pi_i + kl_weight * KL(N(mu, sigma^2) || N(0, 1))

    (Liang et al., "Variational autoencoders for collaborative filtering", WWW 2018). What differs:
    the paper shows the encoder a row less half of its items, so it never meets a short one. Here
    each training row is cut to k items, random ones or the first in time, k log-uniform in
    `1..k_max`, while the target stays the whole row. `kl_weight` is constant, weights are averaged
    over the last steps, and c starts at the log-popularity. Scores are
    `V^T mu + c + popularity_weight * log popularity`.

    Fit-time:

    Args:
        channels: Width of h and of the code.
        k_max: Most items that the encoder is shown in training.
        dropout: Share of h that a training step drops.
        kl_weight: The paper's beta.
        num_epochs: Passes over the training users.
        batch_size: Users per step.
        lr: Step size of Adam.
        averaging: Share of the averaged weights that a step keeps.
        seed: Draws weights, batches, items and noise.
        first_in_time: Cut rows to their first items where there are times, not to random ones.

        stop_at: Score-time; take the weights after this share of the training, in fifths.
        popularity_weight: Score-time; how much log-popularity is added. The code of a user with
            few items says too little of it.

    Raises:
        ConfigError: A number is out of its range.
    """

    def __init__(
        self,
        *,
        channels: int = 64,
        k_max: int = 20,
        dropout: float = 0.25,
        kl_weight: float = 0.02,
        num_epochs: int = 30,
        batch_size: int = 100,
        lr: float = 0.01,
        averaging: float = 0.99,
        seed: int = 0,
        first_in_time: bool = False,
        stop_at: float = 1.0,
        popularity_weight: float = 0.0,
    ) -> None:
        check_at_least(
            1, channels=channels, k_max=k_max, num_epochs=num_epochs, batch_size=batch_size
        )
        check_at_least(0, kl_weight=kl_weight)
        check_positive(lr=lr)
        check_rate(dropout=dropout, averaging=averaging)
        check_share(stop_at=stop_at)
        self.channels = channels
        self.k_max = k_max
        self.dropout = dropout
        self.kl_weight = kl_weight
        self.num_epochs = num_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.averaging = averaging
        self.seed = seed
        self.first_in_time = first_in_time
        self.stop_at = stop_at
        self.popularity_weight = popularity_weight

    @classmethod
    def search_space(cls) -> SearchSpace:
        """Return the grid: a few fits, and when to stop and how much popularity without a fit."""
        return SearchSpace(
            cls,
            fit_time={
                "first_in_time": Axis((False, True), start=False, needs_times=True),
                "dropout": Axis((0.0, 0.25, 0.5)),
            },
            score_time={
                "stop_at": Axis((0.2, 0.4, 0.6, 0.8, 1.0)),
                "popularity_weight": Axis((0.0, 0.125, 0.25, 0.5, 1.0), extend="geometric"),
            },
        )

    def _fit(self, matrix: TrainingMatrix) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        parameters = self._initial(matrix, generator)
        batches = user_batches(matrix.n_users, self.batch_size, generator)
        steps = math.ceil(matrix.n_users / self.batch_size) * self.num_epochs
        self._checkpoints = train(
            parameters,
            lambda: self._loss(matrix, parameters, batches, generator),
            num_steps=steps,
            lr=self.lr,
            averaging=self.averaging,
        )

    def _initial(self, matrix: TrainingMatrix, generator: torch.Generator) -> list[Tensor]:
        """Return W, b, A, a, V, c."""
        width, n_items = self.channels, matrix.n_items
        prior = matrix.item_count.clamp(min=1).log()
        weights = [
            torch.randn(n_items, width, generator=generator) * INITIAL_SCALE,
            torch.zeros(width),
            torch.randn(width, 2 * width, generator=generator) / width**0.5,
            torch.zeros(2 * width),
            torch.randn(width, n_items, generator=generator) * INITIAL_SCALE,
            prior - prior.mean(),
        ]
        return [weight.requires_grad_() for weight in weights]

    def _loss(
        self,
        matrix: TrainingMatrix,
        parameters: Sequence[Tensor],
        batches: Iterator[Tensor],
        generator: torch.Generator,
    ) -> Tensor:
        """Return the mean loss of the next batch of users."""
        is_first = self.first_in_time and matrix.is_timed
        rows = (matrix.in_time if is_first else matrix.by_user)[next(batches).numpy()]
        support = _draw_support(rows, self.k_max, generator, is_random=not is_first)
        hidden = _hidden(support, parameters)
        if self.dropout:
            kept = torch.rand(hidden.shape, generator=generator) >= self.dropout
            hidden = hidden * kept / (1 - self.dropout)
        mean, log_variance = (hidden @ parameters[2] + parameters[3]).chunk(2, dim=1)
        noise = torch.randn(mean.shape, generator=generator)
        code = mean + noise * (0.5 * log_variance).exp()
        divergence = 0.5 * (mean.square() + log_variance.exp() - 1 - log_variance).sum(1).mean()
        # With a row as target, cross-entropy is the multinomial likelihood of the row.
        target = torch.from_numpy(rows.toarray())
        likelihood = F.cross_entropy(code @ parameters[4] + parameters[5], target)
        return likelihood + self.kl_weight * divergence

    def _score(self, matrix: TrainingMatrix, support: Support) -> Tensor:
        parameters = self._checkpoints.at(self.stop_at)
        code = _hidden(support.item_index, parameters) @ parameters[2] + parameters[3]
        scores = code[:, : self.channels] @ parameters[4] + parameters[5]
        return scores + self.popularity_weight * matrix.log_popularity


def _hidden(item_index: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """Return h of supports padded with -1."""
    mask = (item_index >= 0).float()
    shown = F.embedding(item_index.clamp(min=0), parameters[0]) * mask.unsqueeze(2)
    size = mask.sum(1, keepdim=True).clamp(min=1)
    return torch.tanh(shown.sum(1) / size.sqrt() + parameters[1])


def _draw_support(
    rows: sp.csr_matrix, k_max: int, generator: torch.Generator, *, is_random: bool = True
) -> Tensor:
    """Draw k items of each row, k log-uniform in `1..k_max`, or all where there are fewer.

    Args:
        rows: The users' items.
        k_max: Most items to draw.
        generator: Draws k, and the items if they are random.
        is_random: Draw random items; otherwise the row's first ones.

    Shapes:
        output: int64, `[n_rows, k_max]`, padded with -1.
    """
    n_rows = rows.shape[0]
    start, item = (torch.from_numpy(part).long() for part in (rows.indptr, rows.indices))
    size = torch.exp(torch.rand(n_rows, generator=generator) * math.log(k_max + 1)).floor()
    row = torch.arange(n_rows).repeat_interleave(start.diff())
    if is_random:
        # Sorted, the keys leave each item in its row and shuffle it there.
        key = row + torch.rand(len(row), generator=generator, dtype=torch.float64)
        item = item[key.argsort()]
    slot = torch.arange(len(row)) - start[row]
    kept = slot < size[row]
    drawn = torch.full((n_rows, k_max), -1)
    drawn[row[kept], slot[kept]] = item[kept]
    return drawn
