"""Training users come with their links, and sometimes with nothing else."""

import torch
from torch_geometric.data import HeteroData

from graphmeta.data.links import TRUSTS
from graphmeta.tasks.episode_loader import EpisodeLoader
from graphmeta.tasks.episode_sampler import EpisodeSampler


def test_training_users_are_known_by_links(planted_graph: HeteroData) -> None:
    sampler = EpisodeSampler(planted_graph)
    plain = EpisodeLoader(planted_graph, sampler=sampler)
    planted_graph[TRUSTS].edge_index = torch.tensor([[0, 0, 3], [4, 8, 7]])
    loader = EpisodeLoader(planted_graph, sampler=sampler)
    assert (plain.support_size(0.05), loader.support_size(0.05)) == (1, 0)
    assert plain.support_size(0.9) == loader.support_size(0.9) > 0
    for k in (0, 2):
        drawn = [
            each.load(torch.tensor([0, 1, 3]), k, in_order=False, generator=_seeded())[0].support
            for each in (loader, plain)
        ]
        assert drawn[0].links is not None
        assert drawn[0].links.tolist() == [[4, 8], [-1, -1], [7, -1]]
        assert drawn[1].links is None
        assert torch.equal(drawn[0].item_index, drawn[1].item_index)


def _seeded() -> torch.Generator:
    return torch.Generator().manual_seed(0)
