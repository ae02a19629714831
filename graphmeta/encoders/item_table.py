"""Item embeddings that are both the subgraph's node inputs and the catalogue's scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
import scipy.sparse as sp
import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.nn.utils import skip_init
from torch_geometric.data import HeteroData

from graphmeta.data.spectrum import right_singular
from graphmeta.errors import ConfigError, DataError
from graphmeta.tasks.episode import RATES, EpisodeBatch

ItemStart = Literal["spectral", "random"]
RANDOM_SCALE = 0.1
# Fewer users than this per channel shape the leading singular vectors one by one.
USERS_PER_CHANNEL = 50
# The spectrum of more edges takes longer than the epochs that it saves.
SPECTRAL_UP_TO = 20_000_000


class ItemTable(nn.Module):
    """Turns node numbers into encoder inputs, and user embeddings into catalogue scores.

    Item j enters the encoder as `E_j` plus a linear map of its features; users enter as
    one learnt vector plus a linear map of theirs, never as a row of their own. The score of
    item j for a user embedding z is `z . F_j / sqrt(c)`.

    With V the leading right singular vectors of the interactions normalised on both sides
    and D the item degrees, `E` starts at `D^-1/2 V` and `F` at `D^1/2 V` (each scaled to unit
    mean square): the mean of a user's items in E, times F, is then the ideal low-pass graph
    filter of Shen et al., CIKM 2021, which training improves. Vectors of few users hold each one's
    own row, which that user's training episodes then read off and new users do not have: there
    `E` and `F` had better start from small random numbers (`start_for`).

    Args:
        graph: The training graph, with `x` on its nodes where there are features.
        channels: Width of the embeddings; the encoder's width in and out.
        start: Where `E` and `F` start.
        seed: Draws the random numbers, and what the spectrum of few items cannot fill.

    Raises:
        ConfigError: `channels` is not positive.
    """

    user_x: Tensor | None
    item_x: Tensor | None

    def __init__(
        self,
        graph: HeteroData,
        *,
        channels: int,
        start: ItemStart = "spectral",
        seed: int = 0,
    ) -> None:
        super().__init__()
        if channels < 1:
            raise ConfigError(f"channels={channels} must be at least 1")
        embedding, output = STARTS[start](graph, channels, seed)
        self.embedding, self.output = nn.Parameter(embedding), nn.Parameter(output)
        self.user_vector = nn.Parameter(torch.zeros(channels))
        features = {t: graph[t].x if "x" in graph[t] else None for t in ("user", "item")}
        # Not drawn, as they start at zero: PyTorch would draw from the caller's generator.
        self.maps = nn.ModuleDict(
            {
                t: skip_init(nn.Linear, x.size(1), channels)
                for t, x in features.items()
                if x is not None
            }
        )
        for parameter in self.maps.parameters():
            nn.init.zeros_(parameter)
        self.register_buffer("user_x", features["user"], persistent=False)
        self.register_buffer("item_x", features["item"], persistent=False)

    @property
    def channels(self) -> int:
        """Width of the embeddings."""
        return int(self.embedding.size(1))

    @torch.no_grad()
    def start_at(self, embedding: Tensor, output: Tensor) -> None:
        """Let training begin from these embeddings.

        Shapes:
            embedding, output: float32, `[n_items, channels]`.

        Raises:
            DataError: They have another shape.
        """
        for name, value in (("embedding", embedding), ("output", output)):
            own = getattr(self, name)
            if value.shape != own.shape:
                raise DataError(
                    f"the items' {name} has shape {list(value.shape)}; expected "
                    f"{list(own.shape)}, items by channels"
                )
            own.copy_(value)

    def forward(self, episodes: EpisodeBatch) -> dict[str, Tensor]:
        """Return the encoder's `x_dict` for every episode.

        Shapes:
            output: float32, `[n_episodes, n_nodes_of_type, channels]`; padding is zero.
        """
        user_index = episodes.node_index_dict["user"]
        item_index = episodes.node_index_dict["item"]
        # Not `embedding[...]`: threads add up the gradient of that in any order.
        item = nn.functional.embedding(item_index.clamp(min=0), self.embedding)
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

    def score(
        self, z: Float[Tensor, "n_users c"], items: Int[Tensor, " m"] | None = None
    ) -> Float[Tensor, "n_users m"]:
        """Return the product of user embeddings with every catalogue item, or with some."""
        return (z * self.channels**-0.5) @ self.output_of(items).T

    def output_of(self, items: Int[Tensor, " m"] | None) -> Float[Tensor, "m c"]:
        """Return F of some items, or of the catalogue."""
        # Not `output[...]`: threads add up the gradient of that in any order.
        return self.output if items is None else nn.functional.embedding(items, self.output)


def start_for(graph: HeteroData, *, channels: int) -> ItemStart:
    """Return the start for a graph: random below 50 users a channel and above 20 million edges."""
    has_users = int(graph["user"].num_nodes) >= USERS_PER_CHANNEL * channels
    is_quick = graph[RATES].edge_index.size(1) <= SPECTRAL_UP_TO
    return "spectral" if has_users and is_quick else "random"


def _spectral_start(graph: HeteroData, channels: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return E and F, `[n_items, channels]`, whose product is a graph filter."""
    user, item = graph[RATES].edge_index.numpy()
    shape = (int(graph["user"].num_nodes), int(graph["item"].num_nodes))
    user_degree, item_degree = (
        np.maximum(np.bincount(ends, minlength=n), 1)
        for ends, n in zip((user, item), shape, strict=True)
    )
    weight = (user_degree[user] * item_degree[item]) ** -0.5
    matrix = sp.csr_matrix((weight.astype(np.float32), (user, item)), shape=shape)
    vectors = torch.zeros(shape[1], channels)
    if matrix.nnz:
        found = right_singular(matrix, min(channels, min(shape)))[1]
        vectors[:, : found.size(1)] = found
    missing = channels - int((vectors.abs().sum(0) > 0).sum())
    if missing:
        generator = torch.Generator().manual_seed(seed)
        noise = torch.randn(shape[1], missing, generator=generator)
        noise *= torch.from_numpy(np.bincount(item, minlength=shape[1]) > 0).unsqueeze(1)
        vectors[:, channels - missing :] = 0.1 * noise * shape[1] ** -0.5
    root_degree = torch.from_numpy(item_degree).float().sqrt().unsqueeze(1)
    return _unit(vectors / root_degree), _unit(vectors * root_degree)


def _random_start(graph: HeteroData, channels: int, seed: int) -> tuple[Tensor, Tensor]:
    """Return E and F, `[n_items, channels]`, of small random numbers."""
    generator = torch.Generator().manual_seed(seed)
    n_items = int(graph["item"].num_nodes)
    has_users = graph[RATES].edge_index[1].bincount(minlength=n_items) > 0
    embedding, output = (
        RANDOM_SCALE * torch.randn(n_items, channels, generator=generator) for _ in range(2)
    )
    return embedding * has_users.unsqueeze(1), output * has_users.unsqueeze(1)


def _unit(rows: Tensor) -> Tensor:
    return rows / rows.square().mean().sqrt().clamp(min=1e-12)


STARTS: Mapping[str, Callable[[HeteroData, int, int], tuple[Tensor, Tensor]]] = {
    "spectral": _spectral_start,
    "random": _random_start,
}
