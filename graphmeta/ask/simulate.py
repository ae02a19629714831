"""Interviews with users whose answers are known."""

from __future__ import annotations

import pandas as pd
import torch
from torch import Tensor

from graphmeta.ask.questions import Answers, Questions
from graphmeta.data.cold_users import ColdUsers, Support
from graphmeta.errors import ConfigError, DataError
from graphmeta.ranking.few_shot_scorer import FewShotScorer
from graphmeta.ranking.metrics import ranking_metrics
from graphmeta.ranking.top_k import top_k

# Users with fewer items on either side can say or be served too little to count.
FEWEST = 5
N_BEST = 20


def simulate_interviews(
    scorer: FewShotScorer,
    questions: Questions,
    users: ColdUsers,
    *,
    n_questions: int,
    seed: int = 0,
) -> pd.DataFrame:
    """Interview held-out users, and rank for them after every question.

    A random half of a user's items are those that the user says yes to, and no answer to anything
    else; the other half is what rankings are judged by, after any number of questions and for all
    ways of asking the same. What was said yes to is the history that the recommender sees.

    Args:
        scorer: Ranks.
        questions: Chooses the questions.
        users: The users; those with fewer than five items in a half are left out.
        n_questions: How many to ask each.
        seed: Draws the halves, and breaks ties.

    Returns:
        Columns user, n_asked (from 0), n_known and the metrics of `ranking_metrics`.

    Raises:
        ConfigError: `n_questions` is negative.
        DataError: No user has enough items.
    """
    if n_questions < 0:
        raise ConfigError(f"n_questions={n_questions} must be 0 or more")
    says, query, kept = _halves(users, questions.n_items, seed)
    if not len(kept):
        raise DataError(f"no user has {FEWEST} items to answer with and {FEWEST} to be judged by")
    answers, parts = Answers.none(len(kept), questions.n_items), []
    for n_asked in range(n_questions + 1):
        found = _metrics(scorer, answers.known, says, query, seed)
        columns = {"user": users.user_ids.select(kept).ids, "n_asked": n_asked}
        columns["n_known"] = answers.known.sum(1).numpy()
        parts.append(pd.DataFrame({**columns, **found}))
        if n_asked < n_questions:
            question = questions.next(answers)[:, 0]
            answers = answers.to(question, says.gather(1, question.unsqueeze(1)).squeeze(1))
    return pd.concat(parts, ignore_index=True)


def _halves(users: ColdUsers, n_items: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return what users say yes to, what they are judged by, and the rows of the users."""
    items = users.first.to_dense(n_items) > 0
    owner = torch.arange(len(users)).repeat_interleave(users.query_ptr.diff())
    items[owner, users.query_index] = True
    side = torch.rand(items.shape, generator=torch.Generator().manual_seed(seed)) < 0.5
    says, query = items & side, items & ~side
    kept = ((says.sum(1) >= FEWEST) & (query.sum(1) >= FEWEST)).nonzero().flatten()
    return says[kept], query[kept], kept


def _metrics(
    scorer: FewShotScorer, known: Tensor, says: Tensor, query: Tensor, seed: int
) -> dict[str, Tensor]:
    scores, n_known = torch.empty(known.shape), known.sum(1)
    for size in n_known.unique().tolist():  # The gate and the prior are of a support size.
        rows = (n_known == size).nonzero().flatten()
        item = known[rows].nonzero()[:, 1].view(len(rows), size)
        scores[rows] = scorer.score(Support(item)).cpu()
    # No item that the user could have said yes to is judged, whoever asked about it.
    exclude = says.int().topk(int(says.sum(1).max()), dim=1)
    exclude_index = exclude.indices.where(exclude.values > 0, -1)
    n_best = min(N_BEST, query.size(1) - exclude_index.size(1))
    generator = torch.Generator().manual_seed(seed)
    best = top_k(scores, exclude_index, k=n_best, generator=generator)
    return ranking_metrics(query.gather(1, best), query.sum(1))
