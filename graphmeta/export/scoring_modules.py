"""The scoring path of a recommender as two modules of plain tensors."""

from __future__ import annotations

import copy
from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.func import functional_call

from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.encoders.resting_head import RestingHead
from graphmeta.encoders.vote import Vote
from graphmeta.export.named_inputs import episodes_of, fast_of
from graphmeta.export.padded_products import PaddedProducts, RaggedRows
from graphmeta.ranking.few_shot_scorer import FewShotScorer
from graphmeta.ranking.new_item_scores import NewItemScores


class UserEncoder(nn.Module):
    """From one user's subgraph and weights to the user's embedding.

    Of one user, since `vmap` fixes the number of users when it is traced.

    Args:
        scorer: The trained model.
        names: The names of the inputs, without the axis of users.
    """

    def __init__(self, scorer: FewShotScorer, names: Sequence[str]) -> None:
        super().__init__()
        self.encoder, self.table = scorer.learner.encoder, scorer.head.table
        self.names = names

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the embedding; `[c]`."""
        named = {name: x.unsqueeze(0) for name, x in zip(self.names, inputs, strict=True)}
        episodes = episodes_of(named)
        arguments = [self.table(episodes), episodes.edge_index_dict]
        if getattr(self.encoder, "edge_dim", 0):
            arguments.append(episodes.edge_attr_dict)
        of_user = tuple({name: x[0] for name, x in part.items()} for part in arguments)
        weights = {name: weight[0] for name, weight in fast_of(named).items()}
        z: Tensor = functional_call(self.encoder, weights, of_user)["user"][0]
        return z


class CatalogueScores(nn.Module):
    """From the embeddings of a batch of users to the scores of the catalogue.

    Args:
        scorer: The trained model.
        names: The names of the inputs; the first are the embeddings.
    """

    def __init__(self, scorer: FewShotScorer, names: Sequence[str]) -> None:
        super().__init__()
        self.names = names
        self.head = NewUserHead(scorer.head, samples_voters=scorer.sampler.num_voters is not None)
        self.features = scorer.head.features
        self.added = AddedBySize(scorer)
        self.linear = scorer.linear
        self.new_items = _PlainNewItems.of(scorer.new_items) if scorer.new_items else None

    def forward(self, *inputs: Tensor) -> Tensor:
        """Return the scores; `[n_users, n_items]`."""
        z, named = inputs[0], dict(zip(self.names[1:], inputs[1:], strict=True))
        episodes = episodes_of(named)
        scores = self.head(z, episodes)
        if self.features is not None:
            is_known = ~named["user_x"].isnan().any(1, keepdim=True)
            scores = scores + self.features(episodes) * is_known
        added: Tensor = self.added(episodes.support.size)
        if self.linear is not None:
            added = added + self.linear(episodes.support)
        scores = scores + added
        return scores if self.new_items is None else self.new_items(scores)


class NewUserHead(RestingHead):
    """A `RestingHead` whose votes take operations that ONNX has.

    Args:
        head: The trained head.
        samples_voters: Whether users come with sampled voters.
    """

    def __init__(self, head: CatalogueHead, *, samples_voters: bool) -> None:
        nobody = torch.full((1,), -1, device=head.bias.device)
        popularity = head.vote.popularity(nobody)[0]
        super().__init__(head.table, head.votes(), popularity, head.curve, head.bias)
        self._votes = {
            name: _plain(vote, samples_voters=samples_voters and name == "vote")
            for name, vote in self._votes.items()
        }

    def _add_ballots(
        self, scores: Tensor, vote: Vote, attention: Tensor, voters: Tensor, weight: Tensor
    ) -> None:
        n, n_items = scores.shape
        row, item, ballot = vote.ballots(attention, voters)
        # Not `index_add`, whose ONNX threads overwrite each other where an item comes again.
        votes = ballot.new_zeros(n * n_items).scatter_add(0, row * n_items + item, ballot)
        scores.addcmul_((votes.view(n, n_items) * self._rarity).log1p(), weight)


class _PlainNewItems(NewItemScores):
    """A `NewItemScores` of operations that ONNX has."""

    @classmethod
    def of(cls, known: NewItemScores) -> _PlainNewItems:
        return cls(known.new, known.like, known.weight)

    def mean_of_like(self, values: Tensor) -> Tensor:
        return (values[:, self.like] * self.weight).sum(2)


class AddedBySize(nn.Module):
    """What the model adds to the scores of users of any support size, side by side.

    Args:
        scorer: The trained model.
    """

    def __init__(self, scorer: FewShotScorer) -> None:
        super().__init__()
        # Every size beyond the largest chosen one has that one's choice.
        largest = 0 if scorer.prior is None else max(scorer.prior.chosen, default=0)
        added = [scorer.added(size) for size in range(largest + 1)]
        nothing = torch.zeros_like(scorer.head.bias)
        rows = torch.stack([nothing if row is None else row for row in added])
        distinct, choice = rows.unique(dim=0, return_inverse=True)
        self.register_buffer("distinct", distinct)
        self.register_buffer("choice", choice)

    distinct: Tensor
    choice: Tensor

    def forward(self, size: Tensor) -> Tensor:
        """Return what is added; `[n_users, n_items]`."""
        return self.distinct[self.choice[size.clamp(max=len(self.choice) - 1)]]


def _plain(vote: Vote, *, samples_voters: bool) -> Vote:
    plain = copy.deepcopy(vote)
    matrix = vote.interactions
    # Of the same use, though not of the same class.
    plain._modules["interactions"] = (
        RaggedRows(matrix) if samples_voters else PaddedProducts(matrix)
    )
    return plain
