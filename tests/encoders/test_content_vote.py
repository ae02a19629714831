"""The features' vote by hand."""

from __future__ import annotations

import torch
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.encoders import ContentVote
from graphmeta.tasks.episode import RATES, EpisodeBatch
from graphmeta.tasks.episode_sampler import EpisodeSampler

# Items 0 and 1 share a feature, as do 1, 2 and 3; the last two columns have no vote.
ITEM_X = torch.tensor(
    [[1, 0, 0.5, 0], [1, 1, 0.0, 0], [0, 1, 0.2, 0], [0, 1, 0.0, 1], [0, 0, 0.0, 0]]
)
POPULARITY = torch.tensor([[0.4, 0.3, 0.1, 0.1, 0.1]])
Z = torch.tensor([[1.0, 0.0]])


def episodes_of(items: list[int], own: int = -1) -> EpisodeBatch:
    graph = HeteroData()
    graph["user"].num_nodes, graph["item"].num_nodes = 2, 5
    graph[RATES].edge_index = torch.tensor([[0, 0, 1], [0, 1, 2]])
    support, generator = Support(torch.tensor([items])), torch.Generator().manual_seed(0)
    return EpisodeSampler(graph, num_voters=1).sample(
        support, generator=generator, own_user=torch.tensor([own])
    )


def test_vote_by_hand() -> None:
    vote, embedding = ContentVote(ITEM_X), torch.randn(5, 2)
    found = vote(Z, episodes_of([0, 1]), embedding, POPULARITY)[0].exp()
    at = {name: value.item() for name, value in vote.curve(torch.tensor([2])).items()}
    rows = ITEM_X[:, :2].T
    mean = (rows @ embedding) / rows.sum(1, keepdim=True)
    smooth = rows.sum(1) + vote.log_smoothing.exp()
    logit = (
        at["overlap"] * torch.tensor([2.0, 1.0]).log()
        - at["degree"] * smooth.log()
        + at["taste"] * torch.cosine_similarity(Z, mean)
    )
    votes = logit.softmax(0) @ rows
    share = torch.tensor(at["prior"]).sigmoid()
    wanted = (1 - share) * votes / votes.sum() + share * POPULARITY[0]
    torch.testing.assert_close(found, wanted)


def test_a_training_user_is_no_voter_of_that_number() -> None:
    vote, embedding = ContentVote(ITEM_X), torch.randn(5, 2)
    new, training = (vote(Z, episodes_of([0, 1], own), embedding, POPULARITY) for own in (-1, 0))
    torch.testing.assert_close(new, training)


def test_without_a_feature_in_common_the_popularity_is_served() -> None:
    found = ContentVote(ITEM_X)(Z, episodes_of([4, -1]), torch.randn(5, 2), POPULARITY)
    torch.testing.assert_close(found.exp(), POPULARITY)
    without = ContentVote(torch.zeros(5, 1))(Z, episodes_of([0, 1]), torch.randn(5, 2), POPULARITY)
    torch.testing.assert_close(without.exp(), POPULARITY)
