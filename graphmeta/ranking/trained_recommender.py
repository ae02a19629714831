"""How a recommender is trained: from a graph and held-out users to weights, a prior and a gate."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Self

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import ColdUsers
from graphmeta.data.warm_split import shown_more
from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.encoders.item_table import ItemStart, start_for
from graphmeta.encoders.weights_drawn_by import weights_drawn_by
from graphmeta.errors import ConfigError, NonFiniteError
from graphmeta.meta.estimate_memory import refuse_out_of_memory
from graphmeta.meta.inverse_propensity import inverse_propensity
from graphmeta.meta.learner import Learner
from graphmeta.meta.meta_training import MetaTrainer, OnNonFinite
from graphmeta.meta.precision import Precision
from graphmeta.meta.relation_learner import relation_learner
from graphmeta.ranking.best_epoch import BestEpoch
from graphmeta.ranking.checkpoint import read_checkpoint, write_checkpoint
from graphmeta.ranking.few_shot_scorer import FewShotScorer
from graphmeta.ranking.fitted_recommender import FittedRecommender
from graphmeta.ranking.item_statistics import ItemStatistics
from graphmeta.ranking.linear_part import RIDGES, Linear, LinearPart, is_small, surest_linear
from graphmeta.ranking.link_weights import link_factors, with_link_factors
from graphmeta.ranking.new_item_scores import NewItemScores
from graphmeta.ranking.parameters import Parameters
from graphmeta.ranking.prior_blend import PriorBlend
from graphmeta.ranking.usable_device import usable_device
from graphmeta.ranking.validation_users import ValidationUsers, adapted_up_to
from graphmeta.tasks.episode import RATES
from graphmeta.tasks.episode_loader import EpisodeLoader
from graphmeta.tasks.episode_sampler import EpisodeSampler

# More interactions than this are too many for all of them to vote for every user.
ALL_VOTE_UP_TO, SAMPLED_VOTERS = 10_000_000, 16
# Voters are listed where a user shares an item with less than this part of the others.
LISTED_BELOW = 0.05


class TrainedRecommender(Parameters, FittedRecommender):
    """Trains by its settings, which are the constructor's arguments of `ColdStartRecommender`."""

    learner: Learner | None
    channels: int
    item_start: ItemStart | None
    num_neighbors: tuple[int, int]
    num_voters: int | None
    num_sampled: int | None
    precision: Precision
    epochs: int
    min_steps: int
    max_steps: int | None
    patience: int
    batch_size: int
    lr: float
    k_max: int
    adapted_share: float
    support_share: float | None
    random_share: float
    shilled_share: float
    new_domain_share: float
    propensity_power: float
    propensity_clip: float
    without: Sequence[str]
    n_shards: int | None
    on_non_finite: OnNonFinite
    device: torch.device | str
    seed: int
    losses: list[float]
    validation_scores: list[float]

    def fit(
        self,
        train: HeteroData,
        validation: ColdUsers | None = None,
        *,
        items: ItemStatistics | None = None,
        checkpoint: str | Path | None = None,
        on_epoch: Callable[[int, int, float], None] | None = None,
    ) -> Self:
        """Meta-train on the users of `train`; `losses` then holds the mean loss per epoch.

        Args:
            train: The training graph.
            validation: Held-out users that choose the epoch and the gate.
            items: What is known of the items from elsewhere, such as `graphmeta.privacy` releases,
                to choose from in place of what the training graph says (`ItemStatistics`).
            checkpoint: File that holds the training state after every epoch. Where it exists,
                training goes on from it, to the same result. Of several processes the first
                reads and writes it.
            on_epoch: Called after each epoch with its number from 1, `epochs` and the loss; in
                every process.

        Raises:
            ConfigError: A number is out of its range, or processes differ in what they were given.
            DataError: No training user has two items, or the checkpoint or `items` do not fit.
            NonFiniteError: Training, or what it leads to, is NaN or infinite.
            DistributedError: A process is gone, or processes hold different weights.
            OutOfMemoryError: Training would need more memory than is free; the message names the
                setting to lower.
            OutputError: The checkpoint cannot be written.
        """
        if items is not None:
            items.refuse_unfit(int(train["item"].num_nodes))
        scorer = self._untrained(train)
        if items is not None:
            scorer = replace(scorer, new_items=None)  # They are known from elsewhere.
            if items.factors is not None:
                scorer.head.table.start_at(*items.factors)
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
            scorer = self._choose(scorer, train, users, first, items)
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

    def rechosen(self, validation: ColdUsers, *, items: ItemStatistics | None = None) -> Self:
        """Return a recommender with the same weights whose additions and gate these users choose.

        That is what `fit` chooses after training, for weights that changed since.

        Args:
            validation: Held-out users.
            items: As for `fit`.

        Raises:
            DataError: The recommender is not fitted, or `items` do not fit.
        """
        users = ValidationUsers(validation, seed=self.seed)
        bare = replace(self.fitted, prior=None, linear=None, gate={})
        if items is not None:
            items.refuse_unfit(len(self.item_ids))
            bare = replace(bare, new_items=None)
        chosen = self._choose(bare, self.train_graph, users, lambda find: find(), items)
        return self._with(chosen)

    def _choose(
        self,
        scorer: FewShotScorer,
        train: HeteroData,
        users: ValidationUsers,
        first: Callable[[Callable[[], Any]], Any],
        items: ItemStatistics | None,
    ) -> FewShotScorer:
        """Return the scorer with prior, linear part and gate as validation users ask for.

        Links count as they ask for.
        """
        if scorer.head.social is not None and "social" not in self.without:
            bare, sizes = scorer.gated(False), [0, *users.sizes]
            factors = first(lambda: link_factors(bare, users.some, sizes, seed=self.seed))
            scorer = with_link_factors(scorer, factors)
        if "prior" not in self.without and not self.propensity_power:
            if items is None:
                prior = PriorBlend.of_graph(train, device=scorer.device)
            else:
                prior = PriorBlend.of_shares(items.priors, device=scorer.device)
            bare, sizes = scorer.gated(False), [0, *users.sizes]
            prior.chosen = first(lambda: prior.choose(bare, users.some, sizes, seed=self.seed))
            scorer = replace(scorer, prior=prior)
        scorer = replace(scorer, linear=self._linear(scorer, train, users, first, items))
        if scorer.learner.is_adaptive:
            scorer = replace(scorer, gate=first(lambda: users.gate(scorer)))
        return scorer

    def _linear(
        self,
        scorer: FewShotScorer,
        train: HeteroData,
        users: ValidationUsers,
        first: Callable[[Callable[[], Any]], Any],
        items: ItemStatistics | None,
    ) -> LinearPart | None:
        """Return the linear part that validation users ask for, if any do.

        Without directions from elsewhere it is that of the training graph for well-known users.
        """
        if "linear" in self.without or self.propensity_power:
            return None
        if items is not None and items.directions is not None:
            part = items.directions.to(scorer.device)
            chosen = first(
                lambda: surest_linear(scorer, users.some, users.sizes, part, seed=self.seed)
            )
            return chosen and part.with_chosen(chosen)
        above = adapted_up_to(self.k_max)
        known = shown_more(users.some, above=above, seed=self.seed)
        if known is None or not is_small(train):
            return None

        def choice() -> Linear | None:
            part = LinearPart.of_graph(train, Linear(RIDGES[0], 1.0, above), device=scorer.device)
            return surest_linear(scorer, known, [known.k_max], part, seed=self.seed)

        chosen = first(choice)
        return chosen and LinearPart.of_graph(train, chosen, device=scorer.device)

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
                k_max=self.k_max,
                seed=self.seed,
                without=self.without,
            ).to(device)
        num_voters = self.num_voters
        if num_voters is None:
            num_voters = voters_for(train, k_max=self.k_max)
        sampler = EpisodeSampler(train, num_neighbors=self.num_neighbors, num_voters=num_voters)
        new_items = None
        if head.content is not None and "content" not in self.without:
            new_items = NewItemScores.of_graph(train, device=device)
        return FewShotScorer(
            learner,
            head,
            sampler,
            batch_size=self.batch_size,
            seed=self.seed,
            k_max=adapted_up_to(self.k_max),
            new_items=new_items,
        )

    def _trainer(self, scorer: FewShotScorer, train: HeteroData, **changed: Any) -> MetaTrainer:
        """Return the training of the scorer; `changed` counts in place of the settings."""
        if self.propensity_power:
            scorer.head.query_weight = inverse_propensity(
                scorer.head.vote.item_degree,
                power=self.propensity_power,
                clip=self.propensity_clip,
            )
        loader = EpisodeLoader(
            train,
            sampler=scorer.sampler,
            batch_size=self.batch_size,
            k_max=self.k_max,
            support_share=self.support_share,
            random_share=self.random_share,
            shilled_share=self.shilled_share,
            new_domain_share=self.new_domain_share,
        )
        settings = {
            "lr": self.lr,
            "adapted_share": self.adapted_share if scorer.learner.is_adaptive else 0.0,
            "num_sampled": self.num_sampled,
            "precision": self.precision,
            "min_steps": self.min_steps,
            "max_steps": self.max_steps,
            "n_shards": self.n_shards,
            "on_non_finite": self.on_non_finite,
            "seed": self.seed,
        }
        trainer = MetaTrainer(scorer.learner, scorer.head, loader, **(settings | changed))
        if self.epochs:
            with contextlib.suppress(NonFiniteError):  # Training itself will tell, and where.
                refuse_out_of_memory(trainer.estimate_memory(), device=scorer.device)
        return trainer

    @property
    def best_epoch(self) -> int:
        """The epoch whose weights were kept, 0 for those before training; the last without one."""
        scores = self.validation_scores
        return scores.index(max(scores)) if scores else len(self.losses)


def voters_for(graph: HeteroData, *, k_max: int) -> int | None:
    """Return how many voters to draw per support item, for `EpisodeSampler`.

    They are 16 above 10 million interactions, or else all: listed where users of `k_max` items
    share one with few others, whom it takes less time to go through than a product with all.
    """
    item = graph[RATES].edge_index[1]
    if item.numel() > ALL_VOTE_UP_TO:
        return SAMPLED_VOTERS
    degree = torch.bincount(item).double()
    sharing = k_max * float(degree.square().sum()) / max(1, item.numel())
    return -1 if sharing < LISTED_BELOW * int(graph["user"].num_nodes) else None


def _read_where_it_exists(checkpoint: str | Path) -> dict[str, Tensor] | None:
    return read_checkpoint(checkpoint) if Path(checkpoint).exists() else None
