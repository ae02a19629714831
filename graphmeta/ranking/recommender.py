"""The recommender that a user holds: fit once, then rank for users never seen."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import ColdUsers
from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.encoders.item_table import STARTS, ItemStart, start_for
from graphmeta.encoders.weights_drawn_by import weights_drawn_by
from graphmeta.errors import ConfigError, DataError, NonFiniteError
from graphmeta.meta.data_parallel import refuse_wrapped
from graphmeta.meta.estimate_memory import estimate_memory, refuse_out_of_memory
from graphmeta.meta.inverse_propensity import inverse_propensity
from graphmeta.meta.learner import Learner
from graphmeta.meta.meta_training import MetaTrainer, OnNonFinite
from graphmeta.meta.relation_learner import relation_learner
from graphmeta.ranking.best_epoch import BestEpoch
from graphmeta.ranking.bundle import read_bundle, write_bundle
from graphmeta.ranking.checkpoint import read_checkpoint, write_checkpoint
from graphmeta.ranking.few_shot_scorer import FewShotScorer
from graphmeta.ranking.fitted_recommender import FittedRecommender
from graphmeta.ranking.parameters import Parameters
from graphmeta.ranking.prior_blend import PriorBlend
from graphmeta.ranking.saved_recommender import from_bundle, to_bundle
from graphmeta.ranking.usable_device import usable_device
from graphmeta.ranking.validation_users import ValidationUsers
from graphmeta.tasks.episode_sampler import EpisodeSampler


class ColdStartRecommender(Parameters, FittedRecommender):
    """Ranks the whole catalogue for a new user from the few items the user has shown.

    `fit` meta-trains the learner on the training users. `score` and `recommend` sample the
    subgraph around a new user's items, adapt the encoder's weights on those items, and
    score every item; nothing is retrained and nothing of the user is kept.

    With validation users, `fit` keeps the weights of the best epoch (mean NDCG@10 over support
    sizes, unadapted) and stops after `patience` epochs without a better one. Then, for each
    support size, it adds a prior to the scores where that surely raised the validation users'
    NDCG@10 (`PriorBlend`; `blend` holds the choice), and adapts new users only if that surely
    raised it: `gate` holds the choice. Without them all epochs count, nothing is added and every
    user is adapted.

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
        random_share: Share of the training batches whose users show random items rather than
            their first in time. Raise it, to .5 say, where new users will answer questions
            instead (`graphmeta.ask`). Without effect where interactions have no times.
        shilled_share: Share of the training batches, 0 to 1, in which each support holds a click
            that its user never made (`EpisodeLoader`), against accidental and malicious clicks;
            0 for none.
        new_domain_share: Share of the training batches, 0 to 1, whose users are known in other
            domains and new in one, where the training graph has domains (`data.with_domains`).
        propensity_power: From 0 to 1. Training weighs a query item by its inverse propensity, the
            item's popularity to this power (`inverse_propensity`), so that little known items
            count for more, and adds no prior after training, which would make up for it; 0 for
            all alike.
        propensity_clip: The least propensity, above 0: no item counts for more than 1 / clip of
            the best known one.
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
        random_share: float = 0.0,
        shilled_share: float = 0.0,
        new_domain_share: float = 0.0,
        propensity_power: float = 0.0,
        propensity_clip: float = 0.1,
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
        self.random_share = random_share
        self.shilled_share = shilled_share
        self.new_domain_share = new_domain_share
        self.propensity_power = propensity_power
        self.propensity_clip = propensity_clip
        self.without = without
        self.n_shards = n_shards
        self.on_non_finite: OnNonFinite = on_non_finite
        usable_device(device)
        self.device = device
        self.seed = seed
        self.losses: list[float] = []
        self.validation_scores: list[float] = []
        self._fitted = self._train = self._item_table = None

    def fit(
        self,
        train: HeteroData,
        validation: ColdUsers | None = None,
        *,
        item_factors: tuple[Tensor, Tensor] | None = None,
        checkpoint: str | Path | None = None,
        on_epoch: Callable[[int, int, float], None] | None = None,
    ) -> Self:
        """Meta-train on the users of `train`; `losses` then holds the mean loss per epoch.

        Args:
            train: The training graph.
            validation: Held-out users that choose the epoch and the gate.
            item_factors: Where `ItemTable.embedding` and `output` start, in place of
                `item_start`, as `graphmeta.privacy` releases them.
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
        scorer = self._untrained(train)
        if item_factors is not None:
            scorer.head.table.start_at(*item_factors)
        trainer = self._trainer(scorer, train)
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
        users = None if validation is None else ValidationUsers(validation, seed=self.seed)
        unadapted = scorer.gated(False)
        best = BestEpoch(self.patience)
        if checkpoint is not None:
            state = first(lambda: _read_where_it_exists(checkpoint))
            if state is not None:
                best.restore(trainer, state)
        if users is not None and not best.figures:
            # The untrained start may be best.
            best.note(trainer, first(lambda: users.figure(unadapted)))
        while len(trainer.losses) < self.epochs and not best.is_over:
            loss = trainer.run_epoch()
            if users is not None:
                best.note(trainer, first(lambda: users.figure(unadapted)))
            if checkpoint is not None:
                first(lambda: write_checkpoint(checkpoint, best.state(trainer)))
            if on_epoch is not None:
                on_epoch(len(trainer.losses), self.epochs, loss)
        best.load_best(trainer)
        if users is not None:
            scorer = self._choose(scorer, train, users, first)
        self.losses, self.validation_scores = trainer.losses, best.figures
        self._fitted, self._train, self._item_table = scorer, train, None
        return self

    def fine_tuned(
        self,
        newer: HeteroData,
        *,
        n_steps: int = 20,
        lr: float | None = None,
        users: Iterable[Any] | None = None,
    ) -> Self:
        """Return a recommender on a newer graph after a few outer steps from these weights.

        It is `refreshed` first; gate and blend stay as they are. This one is not changed.

        Args:
            newer: All interactions that count now, built as the training graph was.
            n_steps: Outer steps, of `batch_size` users each; 0 is `refreshed`.
            lr: Step size of the outer optimiser; None for that of `fit`.
            users: Ids of the only users to learn from, such as those who came since; None for all.

        Raises:
            ConfigError: A number is out of its range.
            DataError: As `refreshed` raises it, or none of the users has two items.
            UnknownIdError: A user is not in the newer graph.
            NonFiniteError: A loss or a gradient is NaN or infinite.
        """
        if n_steps < 0:
            raise ConfigError(f"n_steps={n_steps} must be 0 or more")
        other = self.refreshed(newer)
        if n_steps:
            trainer = other._trainer(
                other.fitted,
                newer,
                lr=self.lr if lr is None else lr,
                min_steps=n_steps,
                max_steps=n_steps,
                users=None if users is None else newer["user"].id_map.to_index(users),
            )
            trainer.run_epoch()
        return other

    def rechosen(self, validation: ColdUsers) -> Self:
        """Return a recommender with the same weights whose prior and gate these users choose.

        For weights that changed after `fit`.

        Args:
            validation: Held-out users.

        Raises:
            DataError: The recommender is not fitted.
        """
        users = ValidationUsers(validation, seed=self.seed)
        bare = replace(self.fitted, prior=None, gate={})
        return self._with(self._choose(bare, self.train_graph, users, lambda find: find()))

    def _choose(
        self,
        scorer: FewShotScorer,
        train: HeteroData,
        users: ValidationUsers,
        first: Callable[[Callable[[], Any]], Any],
    ) -> FewShotScorer:
        """Return the scorer with the prior and the gate that validation users ask for."""
        if "prior" not in self.without and not self.propensity_power:
            prior = PriorBlend.of_graph(train, device=scorer.device)
            bare, sizes = scorer.gated(False), [0, *users.sizes]
            prior.chosen = first(lambda: prior.choose(bare, users.some, sizes, seed=self.seed))
            scorer = replace(scorer, prior=prior)
        if scorer.learner.is_adaptive:
            scorer = replace(scorer, gate=first(lambda: users.gate(scorer)))
        return scorer

    def _untrained(self, train: HeteroData) -> FewShotScorer:
        """Return what is to be trained: the learner, or the default one, and a new head."""
        device = usable_device(self.device)
        learner = self.learner or relation_learner(
            train.metadata(), channels=self.channels, seed=self.seed
        )
        learner.to(device)
        with weights_drawn_by(self.seed):
            head = CatalogueHead(
                train,
                channels=self.channels,
                item_start=self.item_start or start_for(train, channels=self.channels),
                seed=self.seed,
                without=self.without,
            ).to(device)
        sampler = EpisodeSampler(
            train, num_neighbors=self.num_neighbors, num_voters=self.num_voters
        )
        return FewShotScorer(learner, head, sampler, batch_size=self.batch_size, seed=self.seed)

    def _trainer(self, scorer: FewShotScorer, train: HeteroData, **changed: Any) -> MetaTrainer:
        """Return the training of the scorer; `changed` counts in place of the settings."""
        if self.propensity_power:
            scorer.head.query_weight = inverse_propensity(
                scorer.head.vote.item_degree,
                power=self.propensity_power,
                clip=self.propensity_clip,
            )
        settings = {
            "batch_size": self.batch_size,
            "lr": self.lr,
            "k_max": self.k_max,
            "adapted_share": self.adapted_share if scorer.learner.is_adaptive else 0.0,
            "support_share": self.support_share,
            "random_share": self.random_share,
            "shilled_share": self.shilled_share,
            "new_domain_share": self.new_domain_share,
            "min_steps": self.min_steps,
            "n_shards": self.n_shards,
            "on_non_finite": self.on_non_finite,
            "seed": self.seed,
        }
        trainer = MetaTrainer(
            scorer.learner, scorer.head, train, sampler=scorer.sampler, **(settings | changed)
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
            refuse_out_of_memory(estimate, device=trainer.head.bias.device)

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights were kept, 0 for those before training; the last without one."""
        scores = self.validation_scores
        return scores.index(max(scores)) if scores else len(self.losses)

    def save(self, path: str | Path) -> None:
        """Write the trained model to one file, which `load` reads: whole, or not at all.

        The file holds weights, settings, the catalogue's ids, what `describe_items` was given and
        the training graph, whose users (without their ids) vote for items. It holds tensors, text
        and numbers only; reading it executes nothing.

        Args:
            path: The file, by custom with the suffix `.gm`.

        Raises:
            DataError: The recommender is not fitted, or the ids, the item table or the graph
                cannot be saved.
            OutputError: The file cannot be written; an older one is as it was.
        """
        settings = {n: v for n, v in self.get_params().items() if n not in ("learner", "device")}
        write_bundle(
            path,
            to_bundle(
                self.fitted,
                self.train_graph,
                settings,
                is_default=self.learner is None,
                item_table=self._item_table,
            ),
        )

    @classmethod
    def load(
        cls,
        path: str | Path,
        *,
        learner: Learner | None = None,
        device: torch.device | str = "cpu",
    ) -> Self:
        """Return the recommender that `save` wrote; it scores as it did.

        Args:
            path: The file.
            learner: Where the model was fitted with a learner of the caller's: one built like it,
                whose weights are then replaced by the saved ones.
            device: Where to score.

        Raises:
            DataNotFoundError: There is no such file.
            DataError: The file is damaged, of a later format, or does not fit the learner.
            ConfigError: A learner is needed and there is none, or the other way round.
        """
        bundle = read_bundle(path)
        saved = bundle.config["settings"]
        later = [name for name in saved if name not in cls._names()]
        if later:
            raise DataError(
                f"{path} was saved with the setting {later[0]!r}, which this release does not "
                "know; upgrade graphmeta"
            )
        # JSON knows lists alone.
        settings: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in saved.items()
        }
        model = cls(learner, device=device, **settings)
        model._fitted, model._train, model._item_table = from_bundle(
            bundle, learner=learner, device=usable_device(device)
        )
        return model


def _read_where_it_exists(checkpoint: str | Path) -> dict[str, Tensor] | None:
    return read_checkpoint(checkpoint) if Path(checkpoint).exists() else None
