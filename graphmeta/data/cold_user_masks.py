"""The cold-user split as a PyG transform: masks on the user nodes."""

from __future__ import annotations

import torch
from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from graphmeta.data.bipartite_graph import FORWARD
from graphmeta.data.pyg import EdgeType, from_pyg
from graphmeta.data.split import split_cold_users


class ColdUserMasks(BaseTransform):
    """Marks the training, validation and test users of `split_cold_users` on the graph itself.

    Adds `train_mask`, `val_mask` and `test_mask` to the user nodes. The graph keeps its nodes, its
    numbering and all edges, so that a pipeline of one's own goes on with it; `SupportQueryMasks`
    and `VisibleGraph` then hide what must not be seen. Users whom the split leaves out, as they
    have no edge or too short a history to be evaluated, are in none of the masks.

    The hash is of the user's id in the node store's `id_map`; without one, of the row number.

    Args:
        seed: The split seed.
        k_max: Largest support, as in `split_cold_users`; by rule where it is None.
        edge_type: User type, relation, item type.

    Shapes:
        train_mask, val_mask, test_mask: bool, `[n_users]`.

    Raises:
        DataError: There are no such edges, no training user, or no validation or test user with
            enough history.
        ConfigError: `k_max` is below 1.
    """

    def __init__(
        self, *, seed: int = 0, k_max: int | None = None, edge_type: EdgeType = FORWARD
    ) -> None:
        self.seed = seed
        self.k_max = k_max
        self.edge_type = edge_type

    def forward(self, data: HeteroData) -> HeteroData:
        """Return the graph with the three masks."""
        graph = from_pyg(data, edge_type=self.edge_type)
        split = split_cold_users(graph, seed=self.seed, k_max=self.k_max)
        device = data[self.edge_type].edge_index.device
        for name, ids in (
            ("train_mask", split.train["user"].id_map),
            ("val_mask", split.validation.user_ids),
            ("test_mask", split.test.user_ids),
        ):
            mask = torch.zeros(len(graph["user"].id_map), dtype=torch.bool)
            mask[graph["user"].id_map.to_index(ids.ids)] = True
            data[self.edge_type[0]][name] = mask.to(device)
        return data

    def __repr__(self) -> str:
        # PyG compares it to tell whether a stored data set was made with the same options.
        return (
            f"{type(self).__name__}(seed={self.seed}, k_max={self.k_max}, "
            f"edge_type={self.edge_type})"
        )
