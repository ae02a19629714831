"""Which items to show next, given what is believed."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor

from graphmeta.errors import ConfigError
from graphmeta.explore.posterior import Posterior


class Policy(ABC):
    """A way of choosing the next items.

    Args:
        strength: How much it explores; the class says in which range. 0 is not at all.

    Raises:
        ConfigError: `strength` is outside its range.
    """

    name: ClassVar[str]
    most: ClassVar[float] = math.inf
    usual: ClassVar[float] = 0.0

    def __init__(self, strength: float | None = None) -> None:
        self.strength = self.usual if strength is None else float(strength)
        if not 0 <= self.strength <= self.most or math.isinf(self.strength):
            most = f"at most {self.most:g}" if self.most < math.inf else "finite"
            raise ConfigError(f"strength={strength} of {self.name} must be 0 or more, {most}")

    @abstractmethod
    def worth(self, posterior: Posterior, generator: torch.Generator) -> Tensor:
        """Return how much each item is worth showing; float32, `[n_users, n_items]`."""

    def slate(
        self, posterior: Posterior, is_shown: Tensor, n: int, generator: torch.Generator
    ) -> Tensor:
        """Return n items for each user that were not shown before, the best first.

        Shapes:
            is_shown: bool, `[n_users, n_items]`; what may not be shown.
            output: int64, `[n_users, n]`.
        """
        return self.worth(posterior, generator).masked_fill(is_shown, -torch.inf).topk(n).indices


class _Unexploring(Policy):
    """One whose strength can only be 0."""

    most = 0.0


class Greedy(_Unexploring):
    """The model's best items, as `recommend` ranks them; refusals only take items away."""

    name = "greedy"

    def worth(self, posterior: Posterior, generator: torch.Generator) -> Tensor:
        """Return the model's scores."""
        return posterior.offset


class Corrected(_Unexploring):
    """The items that are best on average after the answers: greedy, but refusals are heard."""

    name = "corrected"

    def worth(self, posterior: Posterior, generator: torch.Generator) -> Tensor:
        """Return the expected logits."""
        return posterior.mean


class Popularity(_Unexploring):
    """The most popular items, for everybody the same.

    Args:
        item_count: Training users of each item, int64, `[n_items]`.
    """

    name = "popularity"

    def __init__(self, item_count: Tensor) -> None:
        super().__init__()
        self.item_count = item_count

    def worth(self, posterior: Posterior, generator: torch.Generator) -> Tensor:
        """Return the counts."""
        return self.item_count.float().expand(len(posterior), -1)


class EpsilonGreedy(Policy):
    """Mostly the best on average, in each place with probability `strength` (0 to 1) any item."""

    name, most, usual = "epsilon-greedy", 1.0, 0.02

    def worth(self, posterior: Posterior, generator: torch.Generator) -> Tensor:
        """Return the expected logits."""
        return posterior.mean

    def slate(
        self, posterior: Posterior, is_shown: Tensor, n: int, generator: torch.Generator
    ) -> Tensor:
        """Return n items for each user, those at random in the places drawn for them."""
        best = super().slate(posterior, is_shown, n, generator)
        # Those that stay may not be drawn as well.
        is_random = torch.rand(best.shape, generator=generator) < self.strength
        kept = is_shown.scatter(1, best, ~is_random | is_shown.gather(1, best))
        key = torch.rand(is_shown.shape, generator=generator).masked_fill(kept, -1.0)
        drawn = key.topk(n).indices.gather(1, (is_random.cumsum(1) - 1).clamp(min=0))
        return torch.where(is_random, drawn, best)


class Thompson(Policy):
    """The best items of a world drawn from the posterior, its spread times `strength` (0 to 3).

    One draw serves a slate. 1 is Thompson's own rule, which matches the chance of showing an item
    to that of its being the best (Agrawal and Goyal, "Thompson sampling for contextual bandits with
    linear payoffs", ICML 2013; Russo et al., "A tutorial on Thompson sampling", 2018); less is
    often better in short sessions (Chapelle and Li, NIPS 2011).
    """

    name, most, usual = "thompson", 3.0, 0.1

    def worth(self, posterior: Posterior, generator: torch.Generator) -> Tensor:
        """Return the logits of the draw."""
        return posterior.logits(posterior.draw(generator, scale=self.strength))


class UCB(Policy):
    """The items with the highest mean plus `strength` (0 to 30) standard deviations of its logit.

    The optimist's rule of LinUCB (Li et al., "A contextual-bandit approach to personalized news
    article recommendation", WWW 2010). What all items share of the uncertainty is left out: the
    ranking does not depend on it.
    """

    name, most, usual = "ucb", 30.0, 3.0

    def worth(self, posterior: Posterior, generator: torch.Generator) -> Tensor:
        """Return the upper bounds."""
        return posterior.mean + self.strength * posterior.taste_std


EXPLORING = {kind.name: kind for kind in (EpsilonGreedy, Thompson, UCB)}
