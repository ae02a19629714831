"""Labels, masks and negatives of pointwise episodes."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import HeteroData

from graphmeta.data import Support
from graphmeta.errors import DataError
from graphmeta.ranking.baselines.labelled_episodes import LabelledEpisodes, LabelledItems
from graphmeta.tasks.episode import RATES


def episodes_of(graph: HeteroData, **options: int) -> LabelledEpisodes:
    chosen = {"k_max": 4, "query_size": 5, "n_negatives": 3, "seed": 0, **options}
    return LabelledEpisodes(graph, **chosen)


def test_means_by_hand() -> None:
    items = LabelledItems(
        torch.zeros(2, 3, dtype=torch.long),
        torch.tensor([[1.0, 0.0, 1.0], [1.0, 1.0, 1.0]]),
        torch.tensor([[True, True, False], [False, False, False]]),
    )
    values = torch.tensor([[1.0, 3.0, 99.0], [5.0, 5.0, 5.0]])
    assert items.mean(values).tolist() == [2.0, 0.0]
    assert items.mean(values.unsqueeze(2)).flatten().tolist() == [2.0, 0.0]
    loss = items.cross_entropy(torch.tensor([[0.5, -1.0, 9.0], [1.0, 1.0, 1.0]]))
    wanted = (torch.tensor(-0.5).exp().log1p() + torch.tensor(-1.0).exp().log1p()) / 2
    assert loss[0].item() == pytest.approx(wanted.item())
    assert loss[1].item() == 0.0


def test_a_draw_splits_rows_and_adds_negatives(planted_graph: HeteroData) -> None:
    rows = torch.zeros(200, 100, dtype=torch.bool)
    rows[tuple(planted_graph[RATES].edge_index)] = True
    episodes = episodes_of(planted_graph)
    generator, sizes = torch.Generator().manual_seed(0), set()
    users = episodes.users[:20]
    for _ in range(20):
        episode = episodes.draw(users, generator)
        for row, user in enumerate(users):
            parts = []
            for part in (episode.support, episode.query):
                held = part.mask[row]
                item, label = part.item_index[row][held], part.label[row][held]
                assert len(item.unique()) == len(item)
                assert torch.equal(rows[user, item], label > 0)
                n_own = int(label.sum())
                assert len(item) - n_own == 3 * n_own
                parts.append(set(item[label > 0].tolist()))
            assert not parts[0] & parts[1]
            assert 1 <= len(parts[1]) <= 5
            sizes.add(len(parts[0]))
    assert sizes == {0, 1, 2, 3, 4}


def test_a_new_users_negatives_depend_on_the_set_alone(planted_graph: HeteroData) -> None:
    episodes = episodes_of(planted_graph)
    batch = episodes.label(Support(torch.tensor([[3, 7, 11], [5, -1, -1], [-1, -1, -1]])))
    alone = episodes.label(Support(torch.tensor([[11, 3, 7]])))
    found = [set(part.item_index[0][part.mask[0]].tolist()) for part in (batch, alone)]
    assert found[0] == found[1]
    assert len(found[0]) == 3 + 9
    assert int(batch.mask[1].sum()) == 1 + 3
    assert not bool(batch.mask[2].any())
    for row in range(2):
        label = batch.label[row][batch.mask[row]]
        assert label.sum() == (3 if row == 0 else 1)


def test_whole_episodes_join(planted_graph: HeteroData) -> None:
    episodes = episodes_of(planted_graph)
    episode = episodes.draw(episodes.users[:4], torch.Generator().manual_seed(3))
    whole = episode.support.with_others(episode.query)
    assert torch.equal(whole.mask.sum(1), episode.support.mask.sum(1) + episode.query.mask.sum(1))


def test_no_user_with_two_items(planted_graph: HeteroData) -> None:
    planted_graph[RATES].edge_index = torch.tensor([[0, 1], [0, 1]])
    del planted_graph[RATES].time, planted_graph[RATES].rating
    with pytest.raises(DataError, match="two items"):
        episodes_of(planted_graph)
