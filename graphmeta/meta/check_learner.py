"""A contract that any learner must keep, for the tests of learners of your own."""

from __future__ import annotations

import torch
from torch import Tensor

from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.errors import ProtocolError
from graphmeta.meta.learner import Learner
from graphmeta.tasks.episode import EpisodeBatch

TOLERANCE = 1e-4


def check_learner(learner: Learner, episodes: EpisodeBatch, head: CatalogueHead) -> None:
    """Check that a learner adapts each user on that user's edges and on nothing else.

    1. Adapting and scoring leave the shared weights as they were.
    2. A user gets the same scores alone as in a batch.
    3. A user with fewer edges than `min_support` is scored with the shared weights.
    4. If `is_adaptive`, some user with enough edges is not.
    5. Scores are finite, and the same again on the same episodes.
    6. Some items have the scores that they have in the catalogue, as sampled training asks.

    Args:
        learner: In evaluation mode.
        episodes: Users with supports of several sizes, some below `min_support`.
        head: The head of the same graph.

    Raises:
        ProtocolError: A rule is broken; the message says which and where.
    """
    before = {name: value.clone() for name, value in learner.state_dict().items()}
    with torch.no_grad():
        adapted = _adapted_scores(learner, episodes, head)
        again = _adapted_scores(learner, episodes, head)
        shared = learner.score(episodes, learner.shared_weights(len(episodes)), head)
        items = torch.arange(0, adapted.size(1), 2, device=adapted.device)
        some = learner.score(episodes, learner.adapt(episodes, head), head, items)
        alone = torch.cat(
            [
                _adapted_scores(learner, episodes[slice(row, row + 1)], head)
                for row in range(len(episodes))
            ]
        )
    name = type(learner).__name__
    if not bool(adapted.isfinite().all()):
        raise ProtocolError(f"{name} gives scores that are not finite")
    changed = [n for n, value in learner.state_dict().items() if not torch.equal(before[n], value)]
    if changed:
        raise ProtocolError(f"{name} changed the shared weights {changed[:3]} by adapting")
    if not torch.equal(adapted, again):
        raise ProtocolError(f"{name} scores the same episodes differently a second time")
    _refuse_difference(adapted, alone, f"{name} scores a user differently alone than in a batch")
    _refuse_difference(
        some, adapted[:, items], f"{name} scores some items otherwise than in the catalogue"
    )
    size = episodes.support.size
    few = size < learner.min_support
    _refuse_difference(
        torch.where(few.unsqueeze(1), adapted, shared),
        shared,
        f"{name} adapts a user with fewer than min_support={learner.min_support} edges",
    )
    if learner.is_adaptive and bool((~few).any()) and torch.equal(adapted[~few], shared[~few]):
        raise ProtocolError(f"{name} says is_adaptive but scores every user as the shared weights")


def _adapted_scores(learner: Learner, episodes: EpisodeBatch, head: CatalogueHead) -> Tensor:
    return learner.score(episodes, learner.adapt(episodes, head), head)


def _refuse_difference(a: Tensor, b: Tensor, message: str) -> None:
    gap = (a - b).abs().amax(1)
    if bool((gap > TOLERANCE).any()):
        row = int(gap.argmax())
        raise ProtocolError(f"{message} (row {row}: scores {float(gap[row]):.2g} apart)")
