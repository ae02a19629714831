"""The recommender that a user holds: fit once, then rank for users never seen."""

from __future__ import annotations

import contextlib
import copy
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import ColdUsers, Support
from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.encoders.item_table import STARTS, ItemStart, start_for
from graphmeta.encoders.weights_drawn_by import weights_drawn_by
from graphmeta.errors import ConfigError, DataError, NonFiniteError, UnknownIdError
from graphmeta.meta.data_parallel import refuse_wrapped
from graphmeta.meta.estimate_memory import estimate_memory, refuse_out_of_memory
from graphmeta.meta.learner import Learner
from graphmeta.meta.meta_training import MetaTrainer, OnNonFinite
from graphmeta.meta.relation_learner import relation_learner
from graphmeta.ranking.best_epoch import BestEpoch
from graphmeta.ranking.candidates import of_each_user
from graphmeta.ranking.checkpoint import read_checkpoint, write_checkpoint
from graphmeta.ranking.evaluate import evaluate
from graphmeta.ranking.prior_blend import Blend, PriorBlend
from graphmeta.ranking.usable_device import usable_device
from graphmeta.tasks.episode_sampler import EpisodeSampler

# Validation users scored after each epoch; enough to tell epochs apart.
MAX_VALIDATION_USERS = 500


class ColdStartRecommender:
    """Ranks the whole catalogue for a new user from the few items the user has shown.

    `fit` meta-trains the learner on the training users. `score` and `recommend` sample the
    subgraph around a new user's items, adapt the encoder's weights on those items, and
    score every item; nothing is retrained and nothing of the user is kept.

    With validation users, `fit` keeps the weights of the best epoch (mean NDCG@10 over support
    sizes, unadapted) and stops after `patience` epochs without a better one. Then, for each
    support size, it adds a prior to the scores where that surely raised the validation users'
    NDCG@10 (`PriorBlend`; `blend` holds the choice), and adapts new users only if that raised it:
    `gate` holds the choice. Without them all epochs count, nothing is added and every user is
    adapted.

    Where `torch.distributed` is initialised, as under `torchrun`, `fit` trains data-parallel:
    every process calls it alike and ends with the same weights and gate (`MetaTrainer`).

    Args:
        learner: Adapts an encoder; its encoder reads and returns `channels` wide features. By
            default `relation_learner`: MAML over a `RelationEncoder`.
        channels: Width of the item embeddings.
        item_start: Where they start (`ItemTable`); None for "random" below 50 users a channel,
            where adapting then changes little, and "spectral" from there on.
        num_neighbors: Users drawn per support item, then items drawn per such user.
        num_voters: Users drawn per support item whose items are voted for; None for all who share
            an item. Scoring then costs the same however many training users there are.
        epochs: Most epochs of training (`MetaTrainer`).
        min_steps: Least outer steps of an epoch; users of small sets are visited again for it.
        patience: Epochs without a better validation figure before training stops.
        batch_size: Users per outer step, and per block when scoring.
        lr: Step size of the outer optimiser.
        k_max: Largest support drawn in training.
        adapted_share: Share of the training batches that train through adaptation.
        support_share: None trains on few shots, as new users will show them. A number trains as
            an auto-encoder is trained, on that share of a user's items, up to `k_max`.
        without: Parts of the score to leave out (`CatalogueHead`); without "prior" none is added
            after training either.
        n_shards: Parts of a batch that training runs one by one or on as many processes; None
            for one per process. It changes the draws, the number of processes does not.
        on_non_finite: Whether an outer step whose loss or gradient is NaN or infinite ends the
            training or is left out.
        device: Where `fit` puts the learner, and where it trains and scores. Subgraphs are
            sampled on the CPU.
        seed: Draws weights, episodes and neighbours.

    Raises:
        ConfigError: `learner` is an encoder that no learner wraps or is wrapped itself
            (`refuse_wrapped`), `device` is not there, or a number is out of range.
    """

    def __init__(
        self,
        learner: Learner | None = None,
        *,
        channels: int = 64,
        item_start: ItemStart | None = None,
        num_neighbors: tuple[int, int] = (4, 4),
        num_voters: int | None = None,
        epochs: int = 20,
        min_steps: int = 50,
        patience: int = 3,
        batch_size: int = 64,
        lr: float = 3e-3,
        k_max: int = 10,
        adapted_share: float = 0.5,
        support_share: float | None = None,
        without: Sequence[str] = (),
        n_shards: int | None = None,
        on_non_finite: OnNonFinite = "raise",
        device: torch.device | str = "cpu",
        seed: int = 0,
    ) -> None:
        if isinstance(learner, nn.Module):
            refuse_wrapped(learner)
        if learner is not None and not isinstance(learner, Learner):
            name = type(learner).__name__
            raise ConfigError(f"learner is a {name}; wrap the encoder, as in MAML({name}(...))")
        if epochs < 0 or patience < 1:
            raise ConfigError(
                f"epochs={epochs} must be 0 or more and patience={patience} at least 1"
            )
        if item_start not in (None, *STARTS):
            raise ConfigError(f"item_start={item_start!r} must be one of {tuple(STARTS)} or None")
        self.learner = learner
        self.channels = channels
        self.item_start = item_start
        self.num_neighbors = num_neighbors
        self.num_voters = num_voters
        self.epochs = epochs
        self.min_steps = min_steps
        self.patience = patience
        self.batch_size = batch_size
        self.lr = lr
        self.k_max = k_max
        self.adapted_share = adapted_share
        self.support_share = support_share
        self.without = tuple(without)
        self.n_shards = n_shards
        self.on_non_finite: OnNonFinite = on_non_finite
        self.device = usable_device(device)
        self.seed = seed
        self.losses: list[float] = []
        self.validation_scores: list[float] = []
        self.gate: dict[int, bool] = {}
        self._head: CatalogueHead | None = None
        self._prior: PriorBlend | None = None

    def fit(
        self,
        train: HeteroData,
        validation: ColdUsers | None = None,
        *,
        checkpoint: str | Path | None = None,
        on_epoch: Callable[[int, int, float], None] | None = None,
    ) -> Self:
        """Meta-train on the users of `train`; `losses` then holds the mean loss per epoch.

        Args:
            train: The training graph.
            validation: Held-out users that choose the epoch and the gate.
            checkpoint: File that holds the training state after every epoch. Where it exists,
                training goes on from it, to the same result. Of several processes the first
                reads and writes it.
            on_epoch: Called after each epoch with its number from 1, `epochs` and the loss; in
                every process.

        Raises:
            ConfigError: A number is out of its range, or processes differ in what they were given.
            DataError: No training user has two items, or the checkpoint does not fit.
            NonFiniteError: Training, or what it leads to, is NaN or infinite.
            DistributedError: A process is gone, or processes hold different weights.
            OutOfMemoryError: Training would need more memory than is free; the message names the
                setting to lower.
            OutputError: The checkpoint cannot be written.
        """
        trainer = self._prepare(train)
        n_validation = None if validation is None else len(validation)
        trainer.group.refuse_other_settings(
            {
                "epochs": self.epochs,
                "patience": self.patience,
                "validation users": n_validation,
                "a checkpoint": checkpoint is not None,
            }
        )
        first = trainer.group.from_first
        best = BestEpoch(self.patience)
        if checkpoint is not None:
            state = first(lambda: _read_where_it_exists(checkpoint))
            if state is not None:
                best.restore(trainer, state)
        self.gate, self._prior = {}, None
        unadapted = self.unadapted()
        some = None if validation is None else _some(validation, self.seed)
        if some is not None and not best.figures:
            # The untrained start may be best.
            best.note(trainer, first(lambda: self._figure(unadapted, some)))
        while len(trainer.losses) < self.epochs and not best.is_over:
            loss = trainer.run_epoch()
            if some is not None:
                best.note(trainer, first(lambda: self._figure(unadapted, some)))
            if checkpoint is not None:
                first(lambda: write_checkpoint(checkpoint, best.state(trainer)))
            if on_epoch is not None:
                on_epoch(len(trainer.losses), self.epochs, loss)
        best.load_best(trainer)
        self.losses, self.validation_scores = trainer.losses, best.figures
        if some is not None and "prior" not in self.without:
            prior = PriorBlend(train, device=self.device)
            sizes = [0, *self._sizes(some)]
            prior.chosen = first(lambda: prior.choose(unadapted, some, sizes, seed=self.seed))
            self._prior = prior
        if validation is not None and trainer.learner.is_adaptive:
            self.gate = first(lambda: self._choose_gate(validation))
        return self

    def _prepare(self, train: HeteroData) -> MetaTrainer:
        """Make head, sampler and, where there is none, the learner; return their trainer."""
        if self.learner is None:
            self.learner = relation_learner(
                train.metadata(), channels=self.channels, seed=self.seed
            )
        self.learner.to(self.device)
        with weights_drawn_by(self.seed):
            head = CatalogueHead(
                train,
                channels=self.channels,
                item_start=self.item_start or start_for(train, channels=self.channels),
                seed=self.seed,
                without=self.without,
            ).to(self.device)
        self._head, self._item_ids = head, train["item"].id_map
        self._sampler = EpisodeSampler(
            train, num_neighbors=self.num_neighbors, num_voters=self.num_voters
        )
        trainer = MetaTrainer(
            self.learner,
            head,
            train,
            sampler=self._sampler,
            batch_size=self.batch_size,
            lr=self.lr,
            k_max=self.k_max,
            adapted_share=self.adapted_share if self.learner.is_adaptive else 0.0,
            support_share=self.support_share,
            min_steps=self.min_steps,
            n_shards=self.n_shards,
            on_non_finite=self.on_non_finite,
            seed=self.seed,
        )
        if self.epochs:
            self._refuse_out_of_memory(trainer, train)
        return trainer

    def _refuse_out_of_memory(self, trainer: MetaTrainer, train: HeteroData) -> None:
        with contextlib.suppress(NonFiniteError):  # Training itself will tell, and where.
            estimate = estimate_memory(
                trainer.learner,
                trainer.head,
                train,
                sampler=trainer.sampler,
                batch_size=self.batch_size,
                k_max=self.k_max,
                n_shards=trainer.n_shards,
            )
            refuse_out_of_memory(estimate, device=self.device)

    @property
    def blend(self) -> dict[int, Blend]:
        """What validation users added to the scores, by support size."""
        return {} if self._prior is None else dict(self._prior.chosen)

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights were kept, 0 for those before training; the last without one."""
        scores = self.validation_scores
        return scores.index(max(scores)) if scores else len(self.losses)

    def _figure(self, scorer: ColdStartRecommender, users: ColdUsers) -> float:
        """Return the mean NDCG@10 over support sizes."""
        report = evaluate(scorer, users, k=self._sizes(users), seed=self.seed)
        return float(report.per_user["ndcg@10"].mean())

    def _sizes(self, users: ColdUsers) -> list[int]:
        return [k for k in (1, 3, 5, 10) if k <= users.k_max]

    def _choose_gate(self, validation: ColdUsers) -> dict[int, bool]:
        """Return for each support size whether adapting raised validation NDCG@10."""
        fewest = 1 if self.learner is None else self.learner.min_support
        sizes = [k for k in self._sizes(validation) if k >= fewest]
        if not sizes:
            return {}
        figures = [
            evaluate(scorer, validation, k=sizes, seed=self.seed)
            .per_user.groupby("k")["ndcg@10"]
            .mean()
            for scorer in (self.adapted(), self.unadapted())
        ]
        return {k: bool(figures[0][k] > figures[1][k]) for k in sizes}

    def adapted(self) -> ColdStartRecommender:
        """Return a scorer with the same weights that adapts every user."""
        return self._gated(True)

    def unadapted(self) -> ColdStartRecommender:
        """Return a scorer with the same weights that adapts no user."""
        return self._gated(False)

    def _gated(self, is_adapted: bool) -> ColdStartRecommender:
        other = copy.copy(self)
        other.gate = {0: is_adapted}
        return other

    def is_adapted(self, k: int) -> bool:
        """Return whether users with `k` interactions are adapted: the nearest choice at hand."""
        if not self.gate:
            return True
        return self.gate[min(self.gate, key=lambda size: (abs(size - k), size))]

    @torch.no_grad()
    def score(self, support: Support, *, candidates: Tensor | None = None) -> Tensor:
        """Return each user's score of every item, or of some candidates.

        Users of one call may share random draws; the same support and seed give the same scores.

        Args:
            support: What the users have shown.
            candidates: Catalogue rows to score, the same for all users or each user's own.

        Shapes:
            candidates: int64, `[m]` or `[n_users, m]`.
            output: float32, `[n_users, n_items]` or `[n_users, m]`, on `device`.

        Raises:
            DataError: The recommender is not fitted, a support item is unknown, or a candidate is
                not in the catalogue.
        """
        if self._head is None or self.learner is None:
            raise DataError("the recommender is not fitted; call fit(train) first")
        if candidates is not None:
            candidates = of_each_user(candidates, len(support), len(self._item_ids)).to(self.device)
        self.learner.eval()
        scores = []
        for start in range(0, len(support), self.batch_size):
            block = support[slice(start, start + self.batch_size)].to("cpu")
            generator = torch.Generator().manual_seed(self.seed)
            episodes = self._sampler.sample(block, generator=generator).to(self.device)
            size = block.item_index.size(1)
            if self.is_adapted(size):
                fast = self.learner.adapt(episodes, self._head)
            else:
                fast = self.learner.shared_weights(len(episodes))
            found = self.learner.score(episodes, fast, self._head)
            if self._prior is not None and (added := self._prior.of(size)) is not None:
                found = found + added
            if candidates is not None:
                found = found.gather(1, candidates[start : start + self.batch_size])
            scores.append(found)
        return torch.cat(scores)

    def recommend(
        self, history: Iterable[Any], *, k: int = 10, user_x: Tensor | None = None
    ) -> list[tuple[Any, float]]:
        """Return the `k` best items for one new user, best first, less the history.

        Args:
            history: Ids of the items that the user interacted with, oldest first; may be empty.
            k: How many items to return.
            user_x: The user's features where known, as `x` of the training graph's users.

        Shapes:
            user_x: float32, `[n_features]`.

        Raises:
            UnknownIdError: An id is not in the catalogue.
            ConfigError: `k` is not positive, or exceeds the items left to recommend.
            DataError: The recommender is not fitted, or `user_x` does not fit the training graph.
        """
        if self._head is None:
            raise DataError("the recommender is not fitted; call fit(train) first")
        try:
            item = self._item_ids.to_index(list(dict.fromkeys(history)))
        except UnknownIdError as error:
            raise UnknownIdError(f"history: {error}") from error
        left = len(self._item_ids) - len(item)
        if not 1 <= k <= left:
            raise ConfigError(f"k={k} is outside 1..{left}, the items left to recommend; change k")
        if user_x is not None:
            known = self._head.table.user_x
            width = 0 if known is None else known.size(1)
            if user_x.shape != (width,):
                raise DataError(
                    f"user_x has shape {list(user_x.shape)}, but training users have {width} "
                    "features; give a vector of that length, or leave user_x out"
                )
            user_x = user_x.float().unsqueeze(0)
        scores = self.score(Support(item.unsqueeze(0), user_x=user_x))[0].cpu()
        scores[item] = -torch.inf
        best = scores.topk(k)
        ids = self._item_ids.to_ids(best.indices).tolist()
        return list(zip(ids, best.values.tolist(), strict=True))


def _read_where_it_exists(checkpoint: str | Path) -> dict[str, Tensor] | None:
    return read_checkpoint(checkpoint) if Path(checkpoint).exists() else None


def _some(users: ColdUsers, seed: int) -> ColdUsers:
    generator = torch.Generator().manual_seed(seed)
    return users.select(torch.randperm(len(users), generator=generator)[:MAX_VALIDATION_USERS])
