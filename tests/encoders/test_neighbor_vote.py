"""The vote against UserKNN by hand, and what it must not see."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.encoders import NeighborVote
from graphmeta.tasks.episode import RATES, EpisodeBatch
from graphmeta.tasks.episode_sampler import EpisodeSampler

ROWS = torch.tensor([[1, 1, 0, 0, 1], [1, 0, 1, 0, 0], [0, 1, 1, 1, 0], [0, 0, 0, 1, 1]])
Z = torch.tensor([[1.0, 0.0], [0.0, 1.0]])


def graph_of(rows: Tensor = ROWS) -> HeteroData:
    graph = HeteroData()
    graph["user"].num_nodes, graph["item"].num_nodes = rows.shape
    graph[RATES].edge_index = rows.nonzero().T.contiguous()
    return graph


def episodes_of(items: list[list[int]], own: list[int] | None = None) -> EpisodeBatch:
    own_user = None if own is None else torch.tensor(own)
    generator = torch.Generator().manual_seed(0)
    sampler = EpisodeSampler(graph_of())
    return sampler.sample(Support(torch.tensor(items)), generator=generator, own_user=own_user)


def embedding() -> Tensor:
    return torch.randn(5, 2, generator=torch.Generator().manual_seed(1))


def voted(vote: NeighborVote, z: Tensor, episodes: EpisodeBatch) -> tuple[Tensor, Tensor]:
    """Return the logarithms of the vote and of the popularity."""
    popularity = vote.popularity(episodes.own_user)
    return vote(z, episodes, embedding(), popularity), popularity.log()


def by_hand(vote: NeighborVote, z: Tensor, shown: list[int], rows: Tensor) -> Tensor:
    size = torch.tensor([len(shown)])
    at = {name: value.item() for name, value in vote.curve(size).items()}
    log_degree = ROWS.sum(0).float().log1p()
    rarity = (-at["rarity"] * (log_degree - log_degree.mean())).exp()
    logits = []
    for row in rows.float():
        overlap = sum(row[i] * rarity[i] for i in shown)
        taste = torch.cosine_similarity(z, (row @ embedding()) / row.sum(), dim=0)
        smooth = row.sum() + vote.log_smoothing.exp()
        logits.append(
            at["overlap"] * overlap.log() - at["degree"] * smooth.log() + at["taste"] * taste
        )
    votes = torch.stack(logits).softmax(0) @ rows.float()
    popularity = ROWS.sum(0) + 1.0
    share = torch.tensor(at["prior"]).sigmoid()
    return (1 - share) * votes / votes.sum() + share * popularity / popularity.sum()


def test_vote_by_hand() -> None:
    vote = NeighborVote(graph_of())
    found, popular = voted(vote, Z, episodes_of([[0, 1], [3, -1]]))
    torch.testing.assert_close(found[0].exp(), by_hand(vote, Z[0], [0, 1], ROWS[:3]))
    torch.testing.assert_close(found[1].exp(), by_hand(vote, Z[1], [3], ROWS[2:]))
    torch.testing.assert_close(popular.exp(), torch.tensor([[3.0, 3, 3, 3, 3]]) / 15)


def test_the_own_user_neither_votes_nor_counts() -> None:
    without = ROWS.clone()
    without[0] = 0
    seen, popular = voted(NeighborVote(graph_of()), Z, episodes_of([[0, 1], [3, 2]], [0, -1]))
    vote = NeighborVote(graph_of())
    episodes = episodes_of([[0, 1], [3, 2]], [0, -1])
    attention = vote.attention(episodes, vote.closeness(Z, embedding()))
    assert attention[0].tolist()[0] == 0.0
    assert attention[0].sum().item() == pytest.approx(1.0)
    torch.testing.assert_close(popular[0].exp(), (without.sum(0) + 1.0) / (without.sum() + 5))
    torch.testing.assert_close(popular[1].exp(), (ROWS.sum(0) + 1.0) / (ROWS.sum() + 5))
    assert seen.isfinite().all()


def test_a_user_whom_nobody_shares_an_item_with_is_served_popularity() -> None:
    vote = NeighborVote(graph_of())
    found, popular = voted(vote, Z, episodes_of([[-1, -1], [0, -1]]))
    torch.testing.assert_close(found[0], popular[0])
    assert not torch.allclose(found[1], popular[0])


def test_renumbering_the_users_changes_nothing() -> None:
    episodes = episodes_of([[0, 1], [3, 2]])
    first = voted(NeighborVote(graph_of()), Z, episodes)
    second = voted(NeighborVote(graph_of(ROWS[[2, 0, 3, 1]])), Z, episodes)
    torch.testing.assert_close(first[0], second[0])


def sampled(items: list[list[int]], voters: list[list[int]], own: list[int]) -> EpisodeBatch:
    return replace(episodes_of(items, own), voters=torch.tensor(voters))


def test_all_voters_sampled_are_all_voters() -> None:
    vote, items, own = NeighborVote(graph_of()), [[0, 1], [3, -1]], [0, -1]
    exact = voted(vote, Z, episodes_of(items, own))
    # In any order, with padding, and with one who shares nothing.
    found = voted(vote, Z, sampled(items, [[2, 1, -1], [0, 3, 2]], own))
    for one, other in zip(exact, found, strict=True):
        torch.testing.assert_close(one, other)


def test_some_voters_vote_as_if_there_were_no_others() -> None:
    vote = NeighborVote(graph_of())
    found, _ = voted(vote, Z, sampled([[0, 1], [3, -1]], [[0, -1], [-1, -1]], [-1, -1]))
    torch.testing.assert_close(found[0].exp(), by_hand(vote, Z[0], [0, 1], ROWS[:1]))
    torch.testing.assert_close(found[1], vote.popularity(torch.tensor([-1]))[0].log())


def test_the_gradient_is_that_of_all_voters() -> None:
    gradients = []
    for voters in (None, torch.tensor([[0, 1, 2], [2, 3, -1]])):
        vote, z = NeighborVote(graph_of()), Z.clone().requires_grad_()
        episodes = replace(episodes_of([[0, 1], [3, -1]]), voters=voters)
        voted(vote, z, episodes)[0][:, 4].sum().backward()
        gradients.append([z.grad, *(p.grad for p in vote.parameters())])
    assert sum(bool((g != 0).any()) for g in gradients[0]) == 6  # All items are equally rare.
    for one, other in zip(*gradients, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("own", [[-1, -1, -1], [-1, 0, 3]])
def test_popularity_at_some_items_is_that_of_the_row(
    planted_graph: HeteroData, own: list[int]
) -> None:
    vote, own_user = NeighborVote(planted_graph), torch.tensor(own)
    item = torch.randint(100, (3, 40), generator=torch.Generator().manual_seed(0))
    wanted = vote.popularity(own_user).expand(3, -1).gather(1, item)
    torch.testing.assert_close(vote.popularity_at(own_user, item), wanted)
    shared = vote.popularity_at(own_user, item[:1]).expand(3, -1)
    rows = vote.popularity(own_user).expand(3, -1)[:, item[0]]
    torch.testing.assert_close(shared, rows)
