"""Encoders: `forward(x_dict, edge_index_dict) -> {type: Tensor}` is the whole contract."""

from graphmeta.encoders.adapter import WithAdapters
from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.encoders.content_vote import ContentVote
from graphmeta.encoders.item_table import ItemTable
from graphmeta.encoders.neighbor_vote import NeighborVote
from graphmeta.encoders.relation import RelationConv, RelationEncoder
from graphmeta.encoders.resting_head import RestingHead
from graphmeta.encoders.vote import Vote

__all__ = [
    "CatalogueHead",
    "ContentVote",
    "ItemTable",
    "NeighborVote",
    "RelationConv",
    "RelationEncoder",
    "RestingHead",
    "Vote",
    "WithAdapters",
]
