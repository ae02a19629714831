"""A trained model: its weights and choices, what it was trained on, and how it scores."""

from __future__ import annotations

import copy
import math
from dataclasses import replace
from typing import Self

import pandas as pd
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.data.id_map import IdMap
from graphmeta.errors import ConfigError, DataError
from graphmeta.ranking.few_shot_scorer import FewShotScorer
from graphmeta.ranking.item_filters import aligned_table
from graphmeta.ranking.linear_part import Linear
from graphmeta.ranking.prior_blend import Blend
from graphmeta.ranking.refreshed import refreshed_scorer
from graphmeta.ranking.reranker import Reranker, refuse_unfit
from graphmeta.ranking.user_state import fingerprint
from graphmeta.tasks.episode import RATES


class FittedModel:
    """Scores users never seen by rows of the catalogue; it does not change.

    A subclass sets the model and the graph that it was trained on.
    """

    _fitted: FewShotScorer | None = None
    _train: HeteroData | None = None
    _item_table: pd.DataFrame | None = None
    # Of which model, and what: weights are not hashed twice.
    _printed: tuple[FewShotScorer, str] | None = None
    # Of which graph, and what: nor are interactions sorted twice.
    _votes_printed: tuple[HeteroData, str] | None = None

    @property
    def fitted(self) -> FewShotScorer:
        """The trained model.

        Raises:
            DataError: The recommender is not fitted.
        """
        if self._fitted is None:
            raise DataError("the recommender is not fitted; call fit(train) first, or load one")
        return self._fitted

    @property
    def gate(self) -> dict[int, bool]:
        """Whether validation users gained by adapting, by support size; empty without them."""
        return {} if self._fitted is None else dict(self._fitted.gate)

    @property
    def blend(self) -> dict[int, Blend]:
        """What validation users added to the scores, by support size."""
        prior = None if self._fitted is None else self._fitted.prior
        return {} if prior is None else dict(prior.chosen)

    @property
    def linear(self) -> Linear | None:
        """The linear part that well-known validation users asked for, see `LinearPart`."""
        part = None if self._fitted is None else self._fitted.linear
        return None if part is None else part.chosen

    def adapted(self) -> Self:
        """Return a recommender with the same weights that adapts every user."""
        return self._gated(True)

    def unadapted(self) -> Self:
        """Return a recommender with the same weights that adapts no user."""
        return self._gated(False)

    def with_niche(self, niche: float) -> Self:
        """Return a recommender with the same weights for less known items, or better known ones.

        Args:
            niche: How much of the logarithm of an item's popularity is taken from its score. 0 is
                the ranking as trained; at 1 the popularity of an item no longer speaks for it
                (its score is then near the pointwise mutual information with the history); below 0
                it speaks more. From -1, popular, to 2, niche, is what lists are sensible in.

        Raises:
            ConfigError: `niche` is no finite number.
        """
        if not math.isfinite(niche):
            raise ConfigError(f"niche={niche} must be a finite number, such as 0.5")
        return self._with(replace(self.fitted, niche=float(niche)))

    def with_half_life(self, half_life: float | None) -> Self:
        """Return a recommender with the same weights to which older interactions count for less.

        The latest item of a history has weight 1, and each that came so many items before it half
        of that. It weighs the votes of the history's items and their part in MAML's inner loss;
        what the encoder makes of their times is as it was learnt. `adapt` and `update` honour it.
        `save` leaves it out, as it does the choice of `with_niche`.

        Args:
            half_life: Later interactions after which one counts half; None where all count alike.
                From 2, where little but the latest counts, to 100.

        Raises:
            ConfigError: `half_life` is not above 0.
        """
        if half_life is not None and not half_life > 0:
            raise ConfigError(f"half_life={half_life} must be above 0, such as 10, or None")
        return self._with(replace(self.fitted, half_life=half_life))

    def with_reranker(self, reranker: Reranker | None) -> Self:
        """Return a recommender with the same weights whose best items are ordered anew.

        `recommend`, `recommend_table` and `evaluate` honour it, for states too; `score` does not
        change, and the scores of a ranking, which are the model's, no longer fall with the rank.
        `save` leaves it out, as it does the choice of `with_niche`.

        Args:
            reranker: Such as those of `graphmeta.rerank`; None for the order of the scores.

        Raises:
            ConfigError: `reranker` is none, or made for another catalogue.
        """
        if reranker is not None:
            refuse_unfit(reranker, len(self.item_ids))
        return self._with(replace(self.fitted, reranker=reranker))

    @property
    def reranker(self) -> Reranker | None:
        """What orders the best items anew, see `with_reranker`."""
        return None if self._fitted is None else self._fitted.reranker

    def refreshed(self, newer: HeteroData) -> Self:
        """Return a recommender with the same weights on a newer graph; nothing is trained.

        Votes, popularity, item degrees and sampled neighbours are then read from the newer graph,
        new items are ranked and those that are gone are not. Gate and blend stay. What
        `describe_items` was given is forgotten, and so is the choice of `with_reranker`.

        Args:
            newer: All interactions that count now, built as the training graph was. Of its users
                there is nothing to carry over; items are known by their ids.

        Raises:
            DataError: The recommender is not fitted; or the newer graph has other node or edge
                types or features, lacks the times or ratings of the training graph, or has no
                item in common with it.
        """
        scorer = replace(self.fitted, reranker=None)
        other = self._with(refreshed_scorer(scorer, self.train_graph, newer))
        other._train, other._item_table = newer, None
        return other

    def _gated(self, is_adapted: bool) -> Self:
        return self._with(self.fitted.gated(is_adapted))

    def _with(self, scorer: FewShotScorer) -> Self:
        other = copy.copy(self)
        other._fitted = scorer
        return other

    def is_adapted(self, k: int) -> bool:
        """Return whether users with `k` interactions are adapted: the nearest choice of the gate.

        Whoever has shown more than ten items, or than the setting `k_max`, is not.
        """
        return self.fitted.is_adapted(k)

    def score(self, support: Support, *, candidates: Tensor | None = None) -> Tensor:
        """Return each user's score of every item, or of some candidates.

        A user's neighbours are drawn by the seed and the items alone: who else is in the batch
        makes no difference beyond rounding.

        Args:
            support: What the users have shown.
            candidates: Catalogue rows to score, the same for all users or each user's own.

        Shapes:
            candidates: int64, `[m]` or `[n_users, m]`.
            output: float32, `[n_users, n_items]` or `[n_users, m]`, on `device`.

        Raises:
            DataError: The recommender is not fitted, a support item is unknown, or a candidate is
                not in the catalogue.
        """
        return self.fitted.score(support, candidates=candidates)

    @property
    def train_graph(self) -> HeteroData:
        """The graph that the model was trained or refreshed on; a loaded one has no ids of users.

        Raises:
            DataError: The recommender is not fitted.
        """
        if self._train is None:
            raise DataError("the recommender is not fitted; call fit(train) first, or load one")
        return self._train

    @property
    def item_ids(self) -> IdMap:
        """The catalogue's ids.

        Raises:
            DataError: The recommender is not fitted.
        """
        ids: IdMap = self.train_graph["item"].id_map
        return ids

    @property
    def fingerprint(self) -> str:
        """Digest of the weights, the choices and the graph, by which a state knows its model.

        The order of the interactions makes no difference. Who is `refreshed` has another one as
        soon as the newer graph has another interaction.

        Raises:
            DataError: The recommender is not fitted.
        """
        scorer = self.fitted
        if self._printed is None or self._printed[0] is not scorer:
            about = {
                "items": pd.util.hash_array(self.item_ids.ids).tolist(),
                "gate": sorted(scorer.gate.items()),
                "seed": scorer.seed,
                "blend": sorted(self.blend.items()),
                "linear": self.linear,
                "votes": self._votes_digest(),
            }
            if scorer.head.social is not None:  # A state's links are rows of users.
                users = self.train_graph["user"].id_map.ids
                about["users"] = pd.util.hash_array(users).tolist()
            if scorer.half_life is not None:  # Own weights are then others.
                about["half_life"] = scorer.half_life
            groups = [dict(scorer.learner.state_dict()), dict(scorer.head.state_dict())]
            if scorer.linear is not None:
                groups.append(dict(scorer.linear.state_dict()))
            self._printed = scorer, fingerprint(groups, about)
        return self._printed[1]

    def _votes_digest(self) -> str:
        train = self.train_graph
        if self._votes_printed is None or self._votes_printed[0] is not train:
            self._votes_printed = train, fingerprint([_votes(train)], {})
        return self._votes_printed[1]

    def describe_items(self, items: pd.DataFrame, *, item: str = "item") -> Self:
        """Keep what is known of the items, such as titles, for `filters` and pages; return self.

        It has no part in the ranking. `save` writes it along; `fit` forgets it.

        Args:
            items: A row per item.
            item: Column with item ids.

        Raises:
            DataError: The recommender is not fitted, there is no such column or no other one, an
                id comes twice, or none is in the catalogue.
        """
        self._item_table = aligned_table(items, self.item_ids, item=item)
        return self

    @property
    def item_table(self) -> pd.DataFrame | None:
        """What `describe_items` was given, a row per item of the catalogue in its order."""
        return None if self._item_table is None else self._item_table.copy()


def _votes(train: HeteroData) -> dict[str, Tensor]:
    """Return what is read from the training graph's interactions, in an order of its own.

    Shapes:
        output: `[n_edges]` each.
    """
    edges = train[RATES]
    pair = edges.edge_index[0].long() * train["item"].num_nodes + edges.edge_index[1]
    pair, order = pair.sort(stable=True)
    votes = {name: edges[name][order] for name in ("rating", "time") if name in edges}
    return {"pair": pair, **votes}
