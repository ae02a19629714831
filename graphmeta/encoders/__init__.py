"""Encoders: `forward(x_dict, edge_index_dict) -> {type: Tensor}` is the whole contract."""

from graphmeta.encoders.item_table import ItemTable
from graphmeta.encoders.relation import RelationConv, RelationEncoder

__all__ = ["ItemTable", "RelationConv", "RelationEncoder"]
