"""What a recommendation would be without one of the user's interactions."""

from __future__ import annotations

from dataclasses import dataclass, fields

import torch
from torch import Tensor

from graphmeta.data.cold_users import OF_USER, Support
from graphmeta.ranking.few_shot_scorer import FewShotScorer


@dataclass(frozen=True)
class LeftOut:
    """The effects of a user's interactions on some items.

    Shapes:
        effect: float32, `[k, n_items]`; how much more of the softmax over the catalogue an item
            has with the interaction than without it, as a difference of logarithms.
        rank: int64, `[1, n_items]`; the items' ranks, from 1.
        rank_without: int64, `[k, n_items]`.
    """

    effect: Tensor
    rank: Tensor
    rank_without: Tensor


def left_out(scorer: FewShotScorer, support: Support, items: Tensor) -> LeftOut:
    """Return the effects of each interaction, the user adapted and ranked anew without it.

    Args:
        scorer: Scores the catalogue.
        support: What one user has shown, at least one item.
        items: Rows of the items in question.

    Shapes:
        items: int64, `[n_items]`.
    """
    with_all = _log_share(scorer.score(support), support)
    without = _log_share(scorer.score(leave_one_out(support)), support)
    return LeftOut(
        (with_all - without)[:, items].cpu(), _ranks(with_all, items), _ranks(without, items)
    )


def leave_one_out(support: Support) -> Support:
    """Return one user's support without each of its k interactions in turn; k users."""
    k = support.item_index.size(1)
    kept = torch.arange(k).expand(k, k)[~torch.eye(k, dtype=torch.bool)].view(k, k - 1)
    columns: dict[str, Tensor] = {}
    for name in (field.name for field in fields(Support)):
        value = getattr(support, name)
        if value is not None:
            columns[name] = value.expand(k, -1) if name in OF_USER else value[0][kept]
    return Support(**columns)


def _log_share(scores: Tensor, support: Support) -> Tensor:
    """Return the log-softmax over the items that the user has not shown."""
    shown = support.item_index.to(scores.device).expand(len(scores), -1)
    return scores.scatter(1, shown, -torch.inf).log_softmax(1)


def _ranks(scores: Tensor, items: Tensor) -> Tensor:
    each = [(scores > scores[:, item, None]).sum(1) + 1 for item in items.tolist()]
    return torch.stack(each, dim=1).cpu()
