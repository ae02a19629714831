"""The recommender that a user holds: fit once, then rank for users never seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import torch
from torch import nn

from graphmeta.encoders.item_table import STARTS, ItemStart
from graphmeta.errors import ConfigError, DataError
from graphmeta.meta.data_parallel import refuse_wrapped
from graphmeta.meta.learner import Learner
from graphmeta.meta.meta_training import OnNonFinite
from graphmeta.meta.precision import Precision, computing_in
from graphmeta.ranking.bundle import read_bundle, write_bundle
from graphmeta.ranking.parameters import plain
from graphmeta.ranking.saved_recommender import from_bundle, read_whole, to_bundle
from graphmeta.ranking.trained_recommender import TrainedRecommender
from graphmeta.ranking.usable_device import usable_device


class ColdStartRecommender(TrainedRecommender):
    """Ranks the whole catalogue for a new user from the few items the user has shown.

    `fit` meta-trains the learner on the training users. `score` and `recommend` sample the
    subgraph around a new user's items, adapt the encoder's weights on those items, and
    score every item; nothing is retrained and nothing of the user is kept.

    With validation users, `fit` keeps the weights of the best epoch (mean NDCG@10 over support
    sizes, unadapted) and stops after `patience` epochs without a better one. Then, for each
    support size, it adds a prior to the scores where that surely raised the validation users'
    NDCG@10 (`PriorBlend`; `blend` holds the choice), and adapts new users only if that surely
    raised it: `gate` holds the choice. Without them all epochs count, nothing is added and every
    user is adapted. A user who has shown more than ten items, or than `k_max`, never is; to the
    scores of such users `fit` adds those of a linear model of items, where that surely helped
    validation users who show most of their items (`LinearPart`; `linear` holds the choice).

    Where the training graph has links between users (`data.with_links`), new users are known by
    theirs as well (`SocialVote`); validation users then say how much links count (`link_factors`).

    Where `torch.distributed` is initialised, as under `torchrun`, `fit` trains data-parallel:
    every process calls it alike and ends with the same weights and gate (`MetaTrainer`).

    Args:
        learner: Adapts an encoder; its encoder reads and returns `channels` wide features. By
            default `relation_learner`: MAML over a `RelationEncoder`.
        channels: Width of the item embeddings.
        item_start: Where they start (`ItemTable`); None for "random" below 50 users a channel,
            where adapting then changes little, and above 20 million interactions, whose spectrum
            takes long; "spectral" between.
        num_neighbors: Users drawn per support item, then items drawn per such user.
        num_voters: Users drawn per support item whose items are voted for: training and scoring
            then cost the same however many training users there are. -1 for all who share an
            item. None for all as well, up to 10 million interactions, and 16 above.
        num_sampled: Items that training draws for every outer step, by popularity, to stand for
            the catalogue in its softmax; 0 for the whole catalogue, None for the whole up to
            50,000 items and 4,096 draws above.
        precision: What training computes losses in: "bfloat16" for mixed precision, for GPUs with
            units for it (`computing_in`). Scores are computed in float32.
        epochs: Most epochs of training (`MetaTrainer`).
        min_steps: Least outer steps of an epoch; users of small sets are visited again for it.
        max_steps: Most outer steps of an epoch, so that training on millions of users looks at
            validation users now and then; None for as many as its users make.
        patience: Epochs without a better validation figure before training stops.
        batch_size: Users per outer step, and per block when scoring.
        lr: Step size of the outer optimiser.
        k_max: Largest support drawn in training, log-uniformly. 100 serves users who have shown
            many items somewhat better, and takes more epochs: raise `patience` with it.
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
            (`refuse_wrapped`), `device` or `precision` is not there, or a number is out of range.
    """

    def __init__(
        self,
        learner: Learner | None = None,
        *,
        channels: int = 64,
        item_start: ItemStart | None = None,
        num_neighbors: tuple[int, int] = (4, 4),
        num_voters: int | None = None,
        num_sampled: int | None = None,
        precision: Precision = "float32",
        epochs: int = 20,
        min_steps: int = 50,
        max_steps: int | None = None,
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
        self.num_sampled = num_sampled
        self.precision = precision
        self.epochs = epochs
        self.min_steps = min_steps
        self.max_steps = max_steps
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
        self.on_non_finite = on_non_finite
        computing_in(precision, device=usable_device(device))
        self.device = device
        self.seed = seed
        for name, value in [*vars(self).items()]:  # Searches hand out NumPy's numbers.
            setattr(self, name, plain(value))
        self.losses = []
        self.validation_scores = []
        self._fitted = self._train = self._item_table = None

    def save(self, path: str | Path) -> None:
        """Write the trained model to one file, which `load` reads: whole, or not at all.

        The file holds weights, settings, the catalogue's ids, what `describe_items` was given and
        the training graph, whose users vote for items: without their ids, unless there are links
        between them. It holds tensors, text and numbers only; reading it executes nothing.

        Args:
            path: The file, by custom with the suffix `.gm`.

        Raises:
            DataError: The recommender is not fitted, or the ids, the item table or the graph
                cannot be saved.
            OutputError: The file cannot be written; an older one is as it was.
        """
        settings = {n: v for n, v in self.get_params().items() if n not in ("learner", "device")}
        settings["num_voters"] = self.fitted.sampler.num_voters  # Of the graph it was fitted on.
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
            DataError: The file is damaged, lacks a part, is of a later format, or does not fit the
                learner.
            ConfigError: A learner is needed and there is none, or the other way round.
        """
        bundle = read_bundle(path)
        with read_whole(path):
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
