"""What meta-learners of (user, item) pairs share: content embeddings, training and ranking."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import Literal, Self, get_args

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.errors import ConfigError, DataError
from graphmeta.ranking.baselines.checkpoint_training import (
    check_rate,
    check_share,
    train,
    user_batches,
)
from graphmeta.ranking.baselines.labelled_episodes import (
    LabelledEpisode,
    LabelledEpisodes,
    LabelledItems,
)
from graphmeta.ranking.baselines.matrix_scorer import check_at_least, check_positive
from graphmeta.ranking.baselines.pair_content import (
    ItemStart,
    PairContent,
    Weights,
    check_item_start,
)
from graphmeta.ranking.baselines.rated_episodes import RatedEpisodes
from graphmeta.ranking.baselines.training_matrix import TrainingMatrix
from graphmeta.ranking.search_space import Axis, SearchSpace

# Floats of one hidden layer, over users and the catalogue, that scoring holds at once.
FLOATS_AT_ONCE = 2**23
Labels = Literal["sampled", "ratings"]


class EpisodicScorer(ABC):
    """A meta-learner that tells a user's items from others, pair by pair, and so ranks them all.

    Subclasses give the logit of a pair from its `PairContent` and the user's labelled support.
    They are trained on the binary cross-entropy of the query; `LabelledEpisodes` says what is
    drawn, or `RatedEpisodes` where ratings are the labels. A user with an empty support is ranked
    by the model as it is before adaptation.

    Fit-time:

    Args:
        channels: Width of the embeddings.
        hidden_channels: Width of the hidden layers.
        item_start: Where item embeddings start, "random" or, beyond the papers, "spectral".
        labels: What is told apart: items of a user from "sampled" ones, or as in the papers items
            by their "ratings", which supports then have.
        k_max: Largest support in training.
        query_size: Most items of a user in a training query.
        n_negatives: Sampled items for each item of a user, in support and query.
        num_epochs: Passes over the training users.
        batch_size: Users per step.
        lr: Step size of Adam.
        averaging: Share of the averaged weights that a step keeps.
        seed: Draws weights, batches, episodes and negatives.

        stop_at: Score-time; take the weights after this share of the training, in fifths.

    Attributes:
        losses: Mean training loss of each epoch.

    Raises:
        ConfigError: A number is out of its range.
    """

    _matrix: TrainingMatrix | None = None

    def __init__(
        self,
        *,
        channels: int = 32,
        hidden_channels: int = 64,
        item_start: ItemStart = "random",
        labels: Labels = "sampled",
        k_max: int = 10,
        query_size: int = 20,
        n_negatives: int = 4,
        num_epochs: int = 30,
        batch_size: int = 32,
        lr: float = 0.005,
        averaging: float = 0.99,
        seed: int = 0,
        stop_at: float = 1.0,
    ) -> None:
        check_at_least(
            1,
            channels=channels,
            hidden_channels=hidden_channels,
            k_max=k_max,
            query_size=query_size,
            n_negatives=n_negatives,
            num_epochs=num_epochs,
            batch_size=batch_size,
        )
        check_positive(lr=lr)
        check_rate(averaging=averaging)
        check_share(stop_at=stop_at)
        check_item_start(item_start)
        if labels not in get_args(Labels):
            raise ConfigError(f"labels={labels!r} must be one of {get_args(Labels)}")
        self.channels = channels
        self.hidden_channels = hidden_channels
        self.item_start = item_start
        self.labels = labels
        self.k_max = k_max
        self.query_size = query_size
        self.n_negatives = n_negatives
        self.num_epochs = num_epochs
        self.batch_size = batch_size
        self.lr = lr
        self.averaging = averaging
        self.seed = seed
        self.stop_at = stop_at
        self.losses: list[float] = []

    def fit(self, train: HeteroData) -> Self:
        """Learn from the training graph.

        Raises:
            DataError: The graph has no edge, or no user with two items; or it has no ratings, or
                equal ones, where they are the labels.
            NonFiniteError: A loss is NaN or infinite.
        """
        self._matrix = TrainingMatrix(train)
        self._content = PairContent(train, channels=self.channels, item_start=self.item_start)
        self._episodes = self._episodes_of(train)
        self._train()
        return self

    @torch.no_grad()
    def score(self, support: Support) -> Tensor:
        """Return every item's score for each user.

        Shapes:
            output: float32, `[n_users, n_items]`.

        Raises:
            DataError: The scorer is not fitted, a support item is not in the catalogue, the users
                have another number of features than the training users, or the support has no
                ratings where they are the labels.
        """
        if self._matrix is None:
            raise DataError(f"{type(self).__name__} is not fitted; call fit(train) first")
        self._matrix.check(support)
        weights = dict(zip(self._names, self._checkpoints.at(self.stop_at), strict=True))
        catalogue = self._content.items(weights)
        size = max(1, FLOATS_AT_ONCE // (len(catalogue) * self.hidden_channels))
        scores = torch.empty(len(support), len(catalogue))
        for start in range(0, len(support), size):
            block = support[slice(start, start + size)]
            user = self._content.users(weights, block.user_x, len(block))
            shown = self._episodes.label(block)
            scores[start : start + size] = self._rank(weights, user, shown, catalogue)
        return scores

    @classmethod
    def _space(cls, **fit_time: Axis) -> SearchSpace:
        """Return a grid of these axes, both item starts, and when to stop without a fit."""
        return SearchSpace(
            cls,
            fit_time={**fit_time, "item_start": Axis(get_args(ItemStart), start="random")},
            score_time={"stop_at": Axis((0.2, 0.4, 0.6, 0.8, 1.0))},
        )

    def _episodes_of(self, train: HeteroData) -> LabelledEpisodes | RatedEpisodes:
        if self.labels == "ratings":
            return RatedEpisodes(train, k_max=self.k_max, query_size=self.query_size)
        return LabelledEpisodes(
            train,
            k_max=self.k_max,
            query_size=self.query_size,
            n_negatives=self.n_negatives,
            seed=self.seed,
        )

    def _train(self) -> None:
        generator = torch.Generator().manual_seed(self.seed)
        initial = {**self._content.initial(generator), **self._initial(generator)}
        weights = {name: weight.requires_grad_() for name, weight in initial.items()}
        weights |= self._memories(generator)
        users = self._episodes.users
        batches = user_batches(len(users), self.batch_size, generator)
        losses: list[float] = []

        def loss() -> Tensor:
            episode = self._episodes.draw(users[next(batches)], generator)
            value = self._loss(weights, episode, generator)
            losses.append(value.item())
            return value

        steps = math.ceil(len(users) / self.batch_size)
        self._names = tuple(weights)
        self._checkpoints = train(
            list(weights.values()),
            loss,
            num_steps=steps * self.num_epochs,
            lr=self.lr,
            averaging=self.averaging,
        )
        self.losses = torch.tensor(losses).view(self.num_epochs, steps).mean(1).tolist()

    def _memories(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Return state that training writes itself, without gradients."""
        return {}

    @abstractmethod
    def _initial(self, generator: torch.Generator) -> dict[str, Tensor]:
        """Return the initial weights beyond the content embeddings."""

    @abstractmethod
    def _loss(
        self, weights: Weights, episode: LabelledEpisode, generator: torch.Generator
    ) -> Tensor:
        """Return the loss of a batch of training users."""

    @abstractmethod
    def _rank(
        self, weights: Weights, user: Tensor, shown: LabelledItems, catalogue: Tensor
    ) -> Tensor:
        """Return every item's score for each new user.

        Shapes:
            user: float32, `[n_users, channels]`.
            catalogue: float32, `[n_items, channels]`.
            output: float32, `[n_users, n_items]`.
        """


def dense(
    n_in: int, n_out: int, generator: torch.Generator, *, fan_in: int | None = None
) -> Tensor:
    """Draw the weights of a layer that rectified units follow (He et al., ICCV 2015).

    Shapes:
        output: float32, `[n_in, n_out]`.
    """
    return torch.randn(n_in, n_out, generator=generator) * (2 / (fan_in or n_in)) ** 0.5
