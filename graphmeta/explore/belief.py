"""What a fitted model believes of one user's next answers, and how sure of it it may be."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor
from torch.nn.functional import normalize
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.errors import ConfigError
from graphmeta.explore.laplace import laplace
from graphmeta.explore.posterior import Posterior
from graphmeta.ranking.few_shot_scorer import FewShotScorer


@dataclass(frozen=True)
class Scales:
    """From the model's scores to chances, and how far users are from what the model says.

    Args:
        level: Added to the logarithm of an item's share; with slope 1 its exponential is the number
            of items that a user is expected to take of the whole catalogue.
        slope: How much the logarithm of the share counts, above 0.
        taste: How far, in logits, a user's liking of an item is from what the model says; one
            standard deviation, 0 or more.
        activity: How far, in logits, users are from each other in how readily they take anything;
            one standard deviation, 0 or more. It has no part in the ranking.

    Raises:
        ConfigError: A number is outside its range.
    """

    level: float
    slope: float = 1.0
    taste: float = 1.0
    activity: float = 1.0

    def __post_init__(self) -> None:
        numbers = {field.name: getattr(self, field.name) for field in fields(self)}
        if not all(math.isfinite(number) for number in numbers.values()):
            raise ConfigError(f"{self} must hold finite numbers")
        if self.slope <= 0 or min(self.taste, self.activity) < 0:
            raise ConfigError(f"{self} must have a slope above 0, taste and activity 0 or more")

    @staticmethod
    def guess(train: HeteroData) -> Scales:
        """Return what is said without validation users: the training users' mean, and ones."""
        n_taken = train["user", "rates", "item"].edge_index.size(1)
        return Scales(level=math.log(max(n_taken, 1) / max(int(train["user"].num_nodes), 1)))


class Belief:
    """Turns a fitted model's scores and a session's answers into a posterior of every item's logit.

    The model's scores are the logits of a softmax over the catalogue. With `share_i` item i's part
    of it, a user who is shown the item takes it with

        P(take_i) = sigmoid(level + slope log share_i + taste x_i . w + activity v),

    where `x_i` is the direction of the item's output embedding, and `w` and `v` are the user's own
    and standard normal before the first answer: the model is right on average, and every item is
    about as uncertain. What was shown and taken or refused makes them narrower and moves them
    (`laplace`): refused items pull down what is like them, which the model, that reads only what
    was taken, cannot learn. While nothing was answered, the mean ranks as the model does.

    Args:
        scorer: The fitted model, as `ColdStartRecommender.fitted`.
        scales: As `fit_scales` chooses them, or `Scales.guess` of the training graph.
    """

    def __init__(self, scorer: FewShotScorer, scales: Scales) -> None:
        self.scorer, self.scales = scorer, scales
        self.directions = normalize(scorer.head.table.output.detach(), dim=1).cpu()

    @property
    def features(self) -> Tensor:
        """What a standard normal vector of the user is multiplied by; `[n_items, c + 1]`."""
        one = torch.ones(len(self.directions), 1)
        return torch.cat([self.scales.taste * self.directions, self.scales.activity * one], dim=1)

    def log_share(self, support: Support) -> Tensor:
        """Return the logarithm of each item's share of the model's softmax.

        Shapes:
            output: float32, `[n_users, n_items]`, on the processor.
        """
        return self.scorer.score(support).log_softmax(1).cpu()

    def posterior(self, log_share: Tensor, shown: Tensor, is_taken: Tensor) -> Posterior:
        """Return what is believed after some answers.

        Args:
            log_share: Of `log_share`, for what the users have taken.
            shown: Rows of the items that were shown, or known from the start; -1 is padding.
            is_taken: Whether the user took each.

        Shapes:
            log_share: float32, `[n_users, n_items]`.
            shown: int64, `[n_users, m]`.
            is_taken: bool, `[n_users, m]`.
        """
        offset = self.scales.level + self.scales.slope * log_share
        mask, item = shown >= 0, shown.clamp(min=0)
        features = self.features
        found = laplace(offset.gather(1, item), features[item], is_taken, mask)
        return Posterior(offset, features, *found)
