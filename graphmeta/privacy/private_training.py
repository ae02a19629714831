"""Meta-training on users whose data no released model may depend on by much."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import ColdUsers
from graphmeta.errors import ConfigError
from graphmeta.meta.private_gradient import refuse_unclippable
from graphmeta.privacy.accounting import Release, epsilon_of, noise_for
from graphmeta.privacy.item_sums import item_releases
from graphmeta.privacy.open_users import refuse_unlike
from graphmeta.privacy.private_items import item_statistics
from graphmeta.privacy.private_steps import PrivateSteps
from graphmeta.privacy.secret_generator import secret_generator
from graphmeta.ranking.item_statistics import ItemStatistics
from graphmeta.ranking.recommender import ColdStartRecommender
from graphmeta.ranking.validation_users import ValidationUsers

# Private users for each unit of noise in the spectrum of the item pairs; with fewer its directions
# drown. Below what epsilon 2 comes to on ml-1m, above epsilon 1: experiments/results/privacy.md.
USERS_PER_NOISE = 20


@dataclass(frozen=True)
class PrivateModel:
    """A recommender that learnt from private users, and what it tells about one of them at most.

    Args:
        model: The recommender; its graph holds open users alone.
        releases: The noisy sums that it was made from.
        delta: The delta of the budget.
        kept_steps: True where the model holds the weights of the private steps, False where open
            validation users were served better without.
    """

    model: ColdStartRecommender
    releases: tuple[Release, ...]
    delta: float
    kept_steps: bool

    @property
    def epsilon(self) -> float:
        """What was spent, kept or not."""
        return epsilon_of(self.releases, self.delta)


@dataclass(frozen=True)
class PrivateTraining:
    """User-level differential privacy for meta-training: one user is one unit.

    Users are of two kinds. *Open* users have consented: their rows make the message-passing graph,
    the votes and the popularity, and a saved model holds them. *Private* users are in no graph.
    They are heard in sums over users only, to which Gaussian noise is added before anything else
    reads them:

    1. How well items are known, and how often the best known come together (`item_statistics`).
       The counts are a prior, and the pairs a linear part, that scores get as open validation
       users ask for; embeddings start from the pairs where these are served better for it. With
       few users for the noise the pairs are left out, and the steps have their budget.
    2. In each of `n_steps` steps the outer gradients, through the adaptation of each user, by the
       weights that users adapt from; each gradient is clipped to the norm `clip`, and a step hears
       each user with the same chance (Poisson sampling; DP-SGD, Abadi et al., CCS 2016).

    In between the model is trained on the open users, which costs nothing. The model that comes
    out is (`epsilon`, `delta`)-differentially private for the private users, who are added or
    removed: with one of them more or less, whatever is done with it, any outcome is at most
    `e^epsilon` times as likely, plus `delta`. Fitting again on the same users adds up, and so does
    choosing settings by what they lead to.

    Nothing is promised to open or validation users, of the number of private users or of the list
    of items. The noise is that of PyTorch's generator in single precision, which does for honest
    use; it is no cryptographic one (Mironov, CCS 2012).

    Args:
        epsilon: The budget, above 0; infinite trains alike without clipping and noise.
        delta: The chance that the bound fails; well below 1 / private users.
        items_share: Share of epsilon for what is told of items, 0 to 1; 0 leaves it out and 1
            takes no private steps. The pairs are left out as well where there are fewer private
            users than `20 noise sqrt(2 items)`.
        clip: Largest norm of a user's gradient, above 0.
        batch_size: Users that a step hears on average.
        n_steps: Private steps; 0 for none.
        lr: Step size of Adam.
        noise_seed: Draws noise and users, 0 or more. None draws it from the system. Who knows it
            can take the noise off: give one in experiments only.

    Raises:
        ConfigError: A number is out of its range.
    """

    epsilon: float = 8.0
    delta: float = 1e-5
    items_share: float = 0.8
    clip: float = 0.1
    batch_size: int = 192
    n_steps: int = 20
    lr: float = 1e-2
    noise_seed: int | None = None

    def __post_init__(self) -> None:
        if not self.epsilon > 0 or not 0 < self.delta < 1 or not self.clip > 0 or not self.lr > 0:
            raise ConfigError(
                f"epsilon={self.epsilon}, clip={self.clip} and lr={self.lr} must be above 0, "
                f"delta={self.delta} above 0 and below 1"
            )
        if not 0 <= self.items_share <= 1 or self.n_steps < 0 or self.batch_size < 1:
            raise ConfigError(
                f"items_share={self.items_share} must be in 0..1, n_steps={self.n_steps} 0 or "
                f"more and batch_size={self.batch_size} at least 1"
            )
        if self.noise_seed is not None and self.noise_seed < 0:
            raise ConfigError(f"noise_seed={self.noise_seed} must be 0 or more, or None")

    def fit(
        self,
        recommender: ColdStartRecommender,
        open_graph: HeteroData,
        private: HeteroData,
        validation: ColdUsers | None = None,
    ) -> PrivateModel:
        """Fit a recommender on open users, and on private ones under noise.

        It cannot be continued: one that was broken off starts again, with noise of its own, and as
        nobody saw what the first came to the budget is that of one.

        Args:
            recommender: Fitted in place.
            open_graph: The graph of the open users, see `part_users`.
            private: That of the private users; nothing of it stays in the model.
            validation: Open held-out users, who choose the epoch, what is made of the items,
                whether the private steps are kept, the prior and the gate.

        Raises:
            ConfigError: Nothing is left of the budget for the steps, the learner's gradient cannot
                be clipped by user, processes train along, or there are too many items.
            DataError: The graphs have not the same items, or share a user.
            MissingExtraError: Opacus is not installed.
        """
        refuse_unlike(open_graph, private)
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            raise ConfigError(
                "private training runs in one process: each would add noise of its own; start it "
                "without torchrun"
            )
        if self.n_steps and recommender.learner is not None:
            refuse_unclippable(recommender.learner)
        generator = secret_generator(self.noise_seed)
        items, steps = self._releases(private)
        known = None
        if items:
            known = item_statistics(
                private,
                open_graph,
                items,
                channels=recommender.channels,
                generator=generator,
                seed=recommender.seed,
            )
        _fit_from(known, recommender, open_graph, validation)
        if steps is None:
            return PrivateModel(recommender, items, self.delta, False)
        model, is_kept = self._stepped(recommender, private, validation, steps, known, generator)
        return PrivateModel(model, (*items, steps), self.delta, is_kept)

    def _releases(self, private: HeteroData) -> tuple[tuple[Release, ...], Release | None]:
        """Return what is released of items and of gradients, with noise that spends the budget."""
        n_users, n_items = int(private["user"].num_nodes), int(private["item"].num_nodes)
        has_steps = self.n_steps > 0 and self.items_share < 1
        items: tuple[Release, ...] = ()
        if self.items_share:
            noise = noise_for((self.items_share if has_steps else 1.0) * self.epsilon, self.delta)
            items = item_releases(noise)
            # Of public numbers: what the counts say must not decide how the budget is shared.
            if has_steps and n_users < USERS_PER_NOISE * noise * math.sqrt(2 * n_items):
                items = items[:1]
        if not has_steps:
            return items, None
        rate = min(1.0, self.batch_size / n_users)
        noise = noise_for(
            self.epsilon, self.delta, sampling_rate=rate, n_times=self.n_steps, before=items
        )
        return items, Release(noise, rate, self.n_steps)

    def _stepped(
        self,
        recommender: ColdStartRecommender,
        private: HeteroData,
        validation: ColdUsers | None,
        release: Release,
        known: ItemStatistics | None,
        generator: torch.Generator,
    ) -> tuple[ColdStartRecommender, bool]:
        """Return the recommender after the private steps, or as it was where that is better."""
        scorer = recommender.fitted
        steps = PrivateSteps(
            scorer,
            recommender.train_graph,
            private,
            clip=self.clip if math.isfinite(self.epsilon) else math.inf,
            release=release,
            lr=self.lr,
            adapted_share=recommender.adapted_share if scorer.learner.is_adaptive else 0.0,
            k_max=recommender.k_max,
        )
        if validation is None:
            steps.run(generator)
            return recommender, True
        users = ValidationUsers(validation, seed=recommender.seed)
        before, kept = users.figure(scorer.gated(False)), steps.weights()
        steps.run(generator)
        if users.figure(scorer.gated(False)) < before:
            steps.load_weights(kept)
            return recommender, False
        return recommender.rechosen(validation, items=known), True


def _fit_from(
    known: ItemStatistics | None,
    recommender: ColdStartRecommender,
    open_graph: HeteroData,
    validation: ColdUsers | None,
) -> None:
    """Fit on open users; from embeddings of what is known where they are served better for it.

    Neither of the two trainings costs anything of the budget.
    """
    other = copy.deepcopy(recommender)
    recommender.fit(open_graph, validation, items=known)
    if known is None or known.factors is None or validation is None:
        return
    other.fit(open_graph, validation, items=known._replace(factors=None))
    users = ValidationUsers(validation, seed=recommender.seed)
    found, without = (users.figure(model.fitted.gated(False)) for model in (recommender, other))
    if without > found:
        vars(recommender).update(vars(other))
