"""How little a user's next interaction was expected, by what the user had shown before it."""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from graphmeta.data.cold_users import Support
from graphmeta.ranking.scorer import Scorer

# Rankings held at once.
BLOCK = 64


def surprise_of(scorer: Scorer, history: Support, *, start: int = 0) -> Tensor:
    """Return the rank percentile of each interaction in the ranking made before it.

    0 is the item that ranked first of all that the user had not shown, 1 the one that ranked last,
    and 0.5 is to be expected where the history says nothing. The last digits of scores, which
    differ in scale from support size to support size, do not matter.

    Args:
        scorer: A fitted model.
        history: One user's interactions, oldest first.
        start: Place of the first interaction to judge, by those before it.

    Shapes:
        output: float32, `[n - start]` for a history of n interactions.
    """
    item = history.item_index[0]
    places = torch.arange(start, len(item))
    if not len(places):
        return torch.empty(0)
    return torch.cat([_percentiles(scorer, history, some) for some in places.split(BLOCK)])


def _percentiles(scorer: Scorer, history: Support, places: Tensor) -> Tensor:
    item = history.item_index[0]
    history = history.at(slice(0, int(places[-1])))  # Beyond it all is padding.
    known = torch.arange(history.item_index.size(1)) < places.unsqueeze(1)
    before = history[torch.zeros(len(places), dtype=torch.long)]
    before = replace(before, item_index=before.item_index.where(known, -1))
    scores = scorer.score(before).detach().cpu()
    row, column = known.nonzero().unbind(1)
    scores[row, item[column]] = torch.nan  # Shown already: neither above nor below.
    mine = scores.gather(1, item[places].unsqueeze(1))
    above = (scores > mine).sum(1) + ((scores == mine).sum(1) - 1) / 2
    others = (~scores.isnan()).sum(1) - 1
    return above / others.clamp(min=1)
