"""Item embeddings that are both the subgraph's node inputs and the catalogue's scores."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch_geometric.data import HeteroData

from graphmeta.errors import ConfigError
from graphmeta.tasks.episode import RATES, EpisodeBatch


class ItemTable(nn.Module):
    """Turns node numbers into encoder inputs, and user embeddings into catalogue scores.

    Item j enters the encoder as `E_j` plus a linear map of its features; users enter as
    one learnt vector plus a linear map of theirs, never as a row of their own. The score
    of item j for a user embedding z is `z . E_j / sqrt(c) + b_j`, and `b` starts at the
    log of the item's popularity, so that a user without a signal is served the popular.

    Args:
        graph: The training graph, with `x` on its nodes where there are features.
        channels: Width of the embeddings; the encoder's width in and out.
        seed: Draws the initial embeddings.

    Raises:
        ConfigError: `channels` is not positive.
    """

    user_x: Tensor | None
    item_x: Tensor | None

    def __init__(self, graph: HeteroData, *, channels: int, seed: int = 0) -> None:
        super().__init__()
        if channels < 1:
            raise ConfigError(f"channels={channels} must be at least 1")
        generator = torch.Generator().manual_seed(seed)
        num_items = int(graph["item"].num_nodes)
        start = torch.randn(num_items, channels, generator=generator)
        # Small enough that an untrained table ranks by popularity.
        self.embedding = nn.Parameter(0.3 * start)
        popularity = torch.bincount(graph[RATES].edge_index[1], minlength=num_items)
        self.bias = nn.Parameter((popularity + 1.0).log() - (popularity.sum() + num_items).log())
        self.user_vector = nn.Parameter(torch.zeros(channels))
        features = {t: graph[t].x if "x" in graph[t] else None for t in ("user", "item")}
        self.maps = nn.ModuleDict(
            {t: nn.Linear(x.size(1), channels) for t, x in features.items() if x is not None}
        )
        for parameter in self.maps.parameters():
            nn.init.zeros_(parameter)
        self.register_buffer("user_x", features["user"], persistent=False)
        self.register_buffer("item_x", features["item"], persistent=False)

    def forward(self, episodes: EpisodeBatch) -> dict[str, Tensor]:
        """Return the encoder's `x_dict` for every episode.

        Shapes:
            output: float32, `[n_episodes, n_nodes_of_type, channels]`; padding is zero.
        """
        user_index = episodes.node_index_dict["user"]
        item_index = episodes.node_index_dict["item"]
        item = self.embedding[item_index.clamp(min=0)]
        user = self.user_vector.expand(*user_index.shape, -1)
        if self.item_x is not None:
            item = item + self.maps["item"](self.item_x[item_index.clamp(min=0)])
        if self.user_x is not None:
            x = self.user_x[user_index.clamp(min=0)]
            own = episodes.support.user_x
            first = torch.zeros_like(x[:, 0]) if own is None else own
            user = user + self.maps["user"](torch.cat([first.unsqueeze(1), x[:, 1:]], dim=1))
        known = user_index >= 0
        known[:, 0] = True
        return {"user": user * known.unsqueeze(-1), "item": item * (item_index >= 0).unsqueeze(-1)}

    def score(self, z: Float[Tensor, "n_users c"]) -> Float[Tensor, "n_users n_items"]:
        """Return the score of every catalogue item for user embeddings `z`."""
        return z @ self.embedding.T * z.size(1) ** -0.5 + self.bias
