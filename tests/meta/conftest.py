"""A small graph, its head, and episodes of three, two, one and no edge."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch_geometric.data import HeteroData

from graphmeta.data.cold_users import Support
from graphmeta.encoders import CatalogueHead, RelationEncoder
from graphmeta.encoders.weights_drawn_by import weights_drawn_by
from graphmeta.tasks.episode import RATES, REV_RATES, EpisodeBatch
from graphmeta.tasks.episode_sampler import EpisodeSampler
from graphmeta.tasks.relation_features import EDGE_DIM

CHANNELS = 6


@pytest.fixture
def graph() -> HeteroData:
    generator = torch.Generator().manual_seed(3)
    edge_index = (torch.rand(12, 9, generator=generator) < 0.4).nonzero().T.contiguous()
    data = HeteroData()
    data["user"].num_nodes, data["item"].num_nodes = 12, 9
    data[RATES].edge_index, data[REV_RATES].edge_index = edge_index, edge_index.flip(0)
    return data


@pytest.fixture
def head(graph: HeteroData) -> CatalogueHead:
    return CatalogueHead(graph, channels=CHANNELS)


@pytest.fixture
def episodes(graph: HeteroData) -> EpisodeBatch:
    support = Support(torch.tensor([[0, 1, 2], [3, 4, -1], [5, -1, -1], [-1, -1, -1]]))
    sampler = EpisodeSampler(graph, num_neighbors=(2, 2))
    return sampler.sample(support, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def encoder() -> nn.Module:
    with weights_drawn_by(0):
        encoder = RelationEncoder(
            (["user", "item"], [RATES, REV_RATES]),
            out_channels=CHANNELS,
            num_layers=2,
            edge_dim=EDGE_DIM,
        )
        for layer in encoder.layers:
            for conv in layer.convs.values():  # They start at zero.
                nn.init.normal_(conv.edge.weight)
    return encoder


@pytest.fixture
def double(graph: HeteroData, episodes: EpisodeBatch) -> tuple[EpisodeBatch, CatalogueHead]:
    """Episodes and head in double precision, for `gradcheck`."""
    head = CatalogueHead(graph, channels=CHANNELS).double().requires_grad_(False)
    attr = {e: x.double() for e, x in episodes.edge_attr_dict.items()}
    return replace(episodes, edge_attr_dict=attr), head
