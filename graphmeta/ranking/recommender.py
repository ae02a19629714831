"""The recommender that a user holds: fit once, then rank for users never seen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Self

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.data.id_map import IdMap
from graphmeta.encoders.item_table import ItemTable
from graphmeta.errors import ConfigError, DataError, UnknownIdError
from graphmeta.meta.maml import MAML
from graphmeta.meta.meta_training import meta_train
from graphmeta.tasks.episode_sampler import EpisodeSampler


class ColdStartRecommender:
    """Ranks the whole catalogue for a new user from the few items the user has shown.

    `fit` meta-trains the learner on the training users. `score` and `recommend` sample the
    subgraph around a new user's items, adapt the encoder's weights on those items, and
    score every item; nothing is retrained and nothing of the user is kept.

    Args:
        learner: Adapts an encoder; its encoder reads and returns `channels` wide features.
        channels: Width of the item embeddings.
        num_neighbors: Users drawn per support item, then items drawn per such user.
        epochs: Passes over the training users.
        batch_size: Users per outer step, and per block when scoring.
        lr: Step size of the outer optimiser.
        k_max: Largest support drawn in training.
        is_adapted: Score with each user's own weights; otherwise with the shared ones.
        seed: Draws embeddings, episodes and neighbours.

    Raises:
        ConfigError: `learner` is an encoder that no learner wraps.
    """

    def __init__(
        self,
        learner: MAML,
        *,
        channels: int = 64,
        num_neighbors: tuple[int, int] = (8, 4),
        epochs: int = 20,
        batch_size: int = 64,
        lr: float = 3e-3,
        k_max: int = 10,
        is_adapted: bool = True,
        seed: int = 0,
    ) -> None:
        if not isinstance(learner, MAML):
            name = type(learner).__name__
            raise ConfigError(f"learner is a {name}; wrap the encoder, as in MAML({name}(...))")
        self.learner = learner
        self.channels = channels
        self.num_neighbors = num_neighbors
        self.epochs = epochs
        self.batch_size = batch_size
        self.lr = lr
        self.k_max = k_max
        self.is_adapted = is_adapted
        self.seed = seed
        self.losses: list[float] = []
        self._table: ItemTable | None = None

    def fit(self, train: HeteroData) -> Self:
        """Meta-train on the users of `train`; `losses` then holds the mean loss per epoch.

        Raises:
            ConfigError: A number is out of its range.
            DataError: No training user has two items.
        """
        table = ItemTable(train, channels=self.channels, seed=self.seed)
        sampler = EpisodeSampler(train, num_neighbors=self.num_neighbors)
        self.losses = list(
            meta_train(
                self.learner,
                table,
                train,
                sampler=sampler,
                epochs=self.epochs,
                batch_size=self.batch_size,
                lr=self.lr,
                k_max=self.k_max,
                seed=self.seed,
            )
        )
        self._table, self._sampler = table, sampler
        self._item_ids: IdMap = train["item"].id_map
        return self

    @torch.no_grad()
    def score(self, support: Support) -> Tensor:
        """Return every item's score for each user.

        Users of one call may share random draws; the same support and seed give the same scores.

        Shapes:
            output: float32, `[n_users, n_items]`.

        Raises:
            DataError: The recommender is not fitted, or a support item is unknown.
        """
        if self._table is None:
            raise DataError("the recommender is not fitted; call fit(train) first")
        self.learner.eval()
        scores = []
        for start in range(0, len(support), self.batch_size):
            block = support[slice(start, start + self.batch_size)]
            generator = torch.Generator().manual_seed(self.seed)
            episodes = self._sampler.sample(block, generator=generator)
            if self.is_adapted:
                fast = self.learner.adapt(episodes, self._table)
            else:
                fast = self.learner.shared_weights(len(episodes))
            scores.append(self.learner.score(episodes, fast, self._table))
        return torch.cat(scores)

    def recommend(self, history: Iterable[Any], *, k: int = 10) -> list[tuple[Any, float]]:
        """Return the `k` best items for one new user, best first, less the history.

        Args:
            history: Ids of the items that the user interacted with, oldest first; may be empty.
            k: How many items to return.

        Raises:
            UnknownIdError: An id is not in the catalogue.
            ConfigError: `k` is not positive, or exceeds the items left to recommend.
            DataError: The recommender is not fitted.
        """
        if self._table is None:
            raise DataError("the recommender is not fitted; call fit(train) first")
        try:
            item = self._item_ids.to_index(list(dict.fromkeys(history)))
        except UnknownIdError as error:
            raise UnknownIdError(f"history: {error}") from error
        left = len(self._item_ids) - len(item)
        if not 1 <= k <= left:
            raise ConfigError(f"k={k} is outside 1..{left}, the items left to recommend; change k")
        scores = self.score(Support(item.unsqueeze(0)))[0]
        scores[item] = -torch.inf
        best = scores.topk(k)
        ids = self._item_ids.to_ids(best.indices).tolist()
        return list(zip(ids, best.values.tolist(), strict=True))
