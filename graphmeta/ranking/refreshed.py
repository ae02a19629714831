"""A trained model on a newer graph: nothing is learnt, but all that is read from edges is new."""

from __future__ import annotations

import copy
from dataclasses import replace

import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.encoders.weights_drawn_by import weights_drawn_by
from graphmeta.errors import DataError
from graphmeta.ranking.few_shot_scorer import FewShotScorer
from graphmeta.ranking.new_item_scores import NewItemScores
from graphmeta.tasks.episode import RATES
from graphmeta.tasks.episode_sampler import EpisodeSampler

# What the head has a row of for every item.
ITEM_ROWS = ("bias", "table.embedding", "table.output")


def refreshed_scorer(scorer: FewShotScorer, old: HeteroData, newer: HeteroData) -> FewShotScorer:
    """Return a scorer with the same weights that reads a newer graph.

    Votes, popularity, degrees, sampled neighbours and the priors are the newer graph's. Rows of
    items go along by external id. An item that is new gets the mean row of the items that its
    users also have, and where no user has a known one the mean row of all. Items that are gone are
    left behind. Items without interactions are scored by the newer graph's features
    (`NewItemScores`). The linear part knows no new items: it is the old graph's.

    Args:
        scorer: The trained model; left as it is.
        old: The graph that it reads.
        newer: The graph to read.

    Raises:
        DataError: The newer graph has other node or edge types, other features, has times or
            ratings where the old one has none or the other way round, or has no item in common.
    """
    _refuse_another_kind(old, newer)
    row = old["item"].id_map.find(newer["item"].id_map.ids)
    if not bool((row >= 0).any()):
        raise DataError(
            "the newer graph has no item in common with the one the model was trained on; check "
            f"the type of its item ids ({old['item'].id_map.ids.dtype} in training, now "
            f"{newer['item'].id_map.ids.dtype}), or fit a new model"
        )
    head = _head(scorer, newer, row)
    sampler = EpisodeSampler(
        newer,
        num_neighbors=scorer.sampler.num_neighbors,
        num_voters=scorer.sampler.num_voters,
    )
    at = row.to(scorer.device)
    prior = None if scorer.prior is None else scorer.prior.carried(newer, at)
    linear = None if scorer.linear is None else scorer.linear.carried(at)
    new_items = scorer.new_items
    if new_items is not None:
        new_items = NewItemScores.of_graph(newer, device=scorer.device)
    return replace(
        scorer,
        learner=copy.deepcopy(scorer.learner),
        head=head,
        sampler=sampler,
        prior=prior,
        linear=linear,
        new_items=new_items,
    )


def _head(scorer: FewShotScorer, newer: HeteroData, row: Tensor) -> CatalogueHead:
    """Return the head of the newer graph with the old weights; `row` is -1 for new items."""
    known = scorer.head
    with weights_drawn_by(scorer.seed):
        head = CatalogueHead(
            newer,
            channels=known.table.channels,
            item_start="random",  # The numbers are about to be replaced.
            k_max=known.k_max,
            seed=scorer.seed,
        ).to(scorer.device)
    head.pruned_above = known.pruned_above
    row = row.to(scorer.device)
    weights = dict(known.state_dict())
    for name in ITEM_ROWS:
        weights[name] = _carried(weights[name], row, head)
    head.load_state_dict(weights)
    trains = {name: parameter.requires_grad for name, parameter in known.named_parameters()}
    for name, parameter in head.named_parameters():
        parameter.requires_grad_(trains[name])  # Parts that were left out stay left out.
    return head.train(known.training)


@torch.no_grad()
def _carried(old: Tensor, row: Tensor, head: CatalogueHead) -> Tensor:
    """Return the rows of the newer catalogue's items; new ones look like what goes with them.

    Shapes:
        old: `[n_old_items]` or `[n_old_items, c]`.
        row: int64, `[n_items]`, the row in `old` or -1.
        output: `[n_items]` or `[n_items, c]`.
    """
    rows = old.view(len(old), -1)
    is_known = (row >= 0).float()
    kept = rows[row.clamp(min=0)] * is_known.unsqueeze(1)
    # Over the users of an item, the mean over the items that each of them has.
    along = torch.cat([kept.T, is_known.unsqueeze(0)])
    matrix = head.vote.interactions
    of_users = matrix.to_users(along)
    has_known = (of_users[-1] > 0).float()
    of_users = torch.cat([of_users[:-1] / of_users[-1].clamp(min=1), has_known.unsqueeze(0)])
    of_items = matrix.to_items(of_users)
    near = (of_items[:-1] / of_items[-1].clamp(min=1)).T
    near = near.where((of_items[-1] > 0).unsqueeze(1), rows.mean(0))
    return kept.where(is_known.bool().unsqueeze(1), near).view(len(row), *old.shape[1:])


def _refuse_another_kind(old: HeteroData, newer: HeteroData) -> None:
    if old.metadata() != newer.metadata():
        raise DataError(
            f"the newer graph has the types {newer.metadata()}, the model was trained on "
            f"{old.metadata()}; build it the same way, or fit a new model"
        )
    for node in ("user", "item"):
        widths = [g[node].x.size(1) if "x" in g[node] else 0 for g in (old, newer)]
        if widths[0] != widths[1] or old[node].get("x_names") != newer[node].get("x_names"):
            raise DataError(
                f"{node}s of the newer graph have {widths[1]} features and those of training "
                f"{widths[0]}, or others; encode them by the columns of the training graph"
            )
    for name in ("time", "rating"):
        had, has = (name in graph[RATES] for graph in (old, newer))
        if had != has:
            raise DataError(
                f"the training graph's interactions have {'' if had else 'no '}{name}s and the "
                f"newer graph's have {'some' if has else 'none'}; build it the same way"
            )
