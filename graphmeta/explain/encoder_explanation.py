"""PyG's own explainers on the encoder that ranks a user."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch_geometric.explain import Explainer, HeteroExplanation
from torch_geometric.explain.algorithm import ExplainerAlgorithm

from graphmeta.errors import DataError
from graphmeta.meta.learner import FastWeights
from graphmeta.ranking import ColdStartRecommender


def explain_encoder(
    model: ColdStartRecommender,
    history: Iterable[Any],
    item: Any,
    algorithm: ExplainerAlgorithm,
    **options: Any,
) -> HeteroExplanation:
    """Return what an algorithm of `torch_geometric.explain` says of the encoder, for one item.

    What is explained is the product of the user's embedding, by the encoder with the user's own
    weights, and the item's: the part of the score that the encoder makes. Its subgraph is sampled,
    as for `recommend`; edges between padding have no effect.

    Args:
        model: A fitted recommender.
        history: What the user has shown, as for `recommend`; at least one item.
        item: The id of the item.
        algorithm: Such as `GNNExplainer()`.
        options: Whatever else `Explainer` takes, such as `node_mask_type`.

    Returns:
        The explanation; `node_id` of each node type holds the caller's ids, None for the user and
        for padding.

    Raises:
        DataError: The history is empty.
        UnknownIdError: An id is not in the catalogue.
    """
    scorer = model.fitted
    row = int(model.item_ids.to_index([item]))
    support = model.recommend(history, 1).support
    if not support.item_index.size(1):
        raise DataError("history is empty; the encoder reads what a user has shown")
    episodes = scorer.episodes(support)
    with torch.no_grad():
        fast = {name: weight[0] for name, weight in scorer.fast_weights(episodes).items()}
        x_dict = {t: x[0] for t, x in scorer.head.x_dict(episodes).items()}
    product = _Product(scorer.learner.encoder, fast, scorer.head.table.output[row].detach())
    explainer = Explainer(
        product,
        algorithm,
        explanation_type="model",
        model_config={"mode": "regression", "task_level": "graph", "return_type": "raw"},
        **{"edge_mask_type": "object", **options},
    )
    edges = {t: index[0] for t, index in episodes.edge_index_dict.items()}
    features = {t: x[0] for t, x in episodes.edge_attr_dict.items()}
    found = explainer(x_dict, edges, edge_attr_dict=features)
    for node_type, index in episodes.node_index_dict.items():
        ids = model.train_graph[node_type].id_map.to_ids(index[0].clamp(min=0)).tolist()
        known = (index[0] >= 0).tolist()
        found[node_type].node_id = [i if k else None for i, k in zip(ids, known, strict=True)]
    return found


class _Product(nn.Module):
    """An encoder with a user's weights, up to the product with one item."""

    def __init__(self, encoder: nn.Module, fast: FastWeights, output: Tensor) -> None:
        super().__init__()
        self.encoder, self.fast, self.output = encoder, fast, output

    def forward(
        self,
        x_dict: dict[str, Tensor],
        edge_index_dict: dict[Any, Tensor],
        edge_attr_dict: dict[Any, Tensor],
    ) -> Tensor:
        features = (edge_attr_dict,) if getattr(self.encoder, "edge_dim", 0) else ()
        out = functional_call(self.encoder, self.fast, (x_dict, edge_index_dict, *features))
        return (out["user"][:1] @ self.output).view(1, 1)
