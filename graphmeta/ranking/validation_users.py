"""What held-out users say of a model in training: how good it is, and whom to adapt."""

from __future__ import annotations

import torch

from graphmeta.data.cold_users import ColdUsers
from graphmeta.ranking.evaluate import evaluate
from graphmeta.ranking.few_shot_scorer import FewShotScorer

SIZES = (1, 3, 5, 10)
# Users scored after each epoch; enough to tell epochs apart.
MAX_USERS = 500
# Standard errors of a gain that is sure. With one, a gain of 4 users among 64 opened the gate.
SURE = 2.0


def adapted_up_to(k_max: int) -> int:
    """Return the largest support that is adapted to, of a model trained up to `k_max`.

    That is no more than validation users are asked about.
    """
    return min(k_max, SIZES[-1])


class ValidationUsers:
    """Scores a model on held-out users.

    Args:
        users: The users.
        seed: Draws those scored after each epoch, and breaks ties.
    """

    def __init__(self, users: ColdUsers, *, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.all = users
        self.some = users.select(torch.randperm(len(users), generator=generator)[:MAX_USERS])
        self.sizes = [k for k in SIZES if k <= users.k_max]
        self.seed = seed

    def figure(self, scorer: FewShotScorer) -> float:
        """Return some users' mean NDCG@10 over support sizes."""
        report = evaluate(scorer, self.some, k=self.sizes, seed=self.seed)
        return float(report.per_user["ndcg@10"].mean())

    def gate(self, scorer: FewShotScorer) -> dict[int, bool]:
        """Return for each support size whether adapting surely pays.

        It does where it raises all users' mean NDCG@10 by more than two standard errors of that
        gain: an inner step costs time, and a gain by chance would not come again. Sizes too small
        to adapt on are left out.
        """
        sizes = [k for k in self.sizes if k >= scorer.learner.min_support]
        if not sizes:
            return {}
        adapted, unadapted = (
            evaluate(gated, self.all, k=sizes, seed=self.seed).per_user.set_index(["k", "user"])
            for gated in (scorer.gated(True), scorer.gated(False))
        )
        gain = (adapted["ndcg@10"] - unadapted["ndcg@10"]).groupby("k")
        mean, error = gain.mean(), gain.sem()
        return {k: bool(mean[k] > SURE * error[k]) for k in sizes}
