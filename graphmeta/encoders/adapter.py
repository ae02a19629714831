"""Bottleneck adapters after any encoder: few numbers that a few edges can set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from graphmeta.errors import ConfigError, EncoderError
from graphmeta.tasks.episode import EdgeType


class Adapter(nn.Module):
    """A residual bottleneck, `x + U GELU(D x)`, that starts as the identity.

    Args:
        channels: Width in and out.
        bottleneck: Width between.
    """

    def __init__(self, channels: int, bottleneck: int) -> None:
        super().__init__()
        self.down = nn.Linear(channels, bottleneck)
        self.up = nn.Linear(bottleneck, channels)
        nn.init.zeros_(self.up.weight)
        nn.init.zeros_(self.up.bias)

    def forward(self, x: Tensor) -> Tensor:
        """Return the adapted embeddings; float32, as wide as `x`."""
        adapted: Tensor = x + self.up(nn.functional.gelu(self.down(x)))
        return adapted


class WithAdapters(nn.Module):
    """An encoder whose embeddings pass through an adapter for each node type.

    Houlsby et al., "Parameter-efficient transfer learning for NLP", ICML 2019: a pretrained
    network is tuned to a task by small bottlenecks added to it, which start as the identity.
    They sit in every layer there; here after the last one, as the encoder may be any module.

    Args:
        encoder: Any module with `forward(x_dict, edge_index_dict) -> {type: Tensor}`.
        channels: Width of its embeddings.
        bottleneck: Width of the bottlenecks.
        node_types: Types that get an adapter; embeddings of others are passed on as they are.

    Attributes:
        edge_dim: The encoder's; tells learners that `forward` takes relation features.
        trims_to_user: The encoder's; tells learners that `forward` takes a `support_size`.

    Raises:
        ConfigError: A width is not positive, or there is no node type.
    """

    def __init__(
        self,
        encoder: nn.Module,
        *,
        channels: int,
        bottleneck: int = 8,
        node_types: Sequence[str] = ("user", "item"),
    ) -> None:
        super().__init__()
        for name, value in (("channels", channels), ("bottleneck", bottleneck)):
            if value < 1:
                raise ConfigError(f"{name}={value} must be at least 1")
        if not node_types:
            raise ConfigError("node_types is empty; name the types that get an adapter")
        self.encoder = encoder
        self.channels = channels
        self.adapters = nn.ModuleDict({t: Adapter(channels, bottleneck) for t in node_types})
        self.edge_dim = int(getattr(encoder, "edge_dim", 0) or 0)
        self.trims_to_user = bool(getattr(encoder, "trims_to_user", False))

    def forward(
        self,
        x_dict: Mapping[str, Tensor],
        edge_index_dict: Mapping[EdgeType, Tensor],
        edge_attr_dict: Mapping[EdgeType, Tensor] | None = None,
        **options: Any,
    ) -> dict[str, Tensor]:
        """Return the encoder's embeddings, adapted.

        Args:
            x_dict: Node features.
            edge_index_dict: Edges.
            edge_attr_dict: Relation features, for an encoder that takes them.
            options: Whatever else the encoder takes, such as `support_size`.

        Shapes:
            output: float32, `[n_nodes_of_type, channels]`.

        Raises:
            EncoderError: The embeddings are not `channels` wide.
        """
        features = () if edge_attr_dict is None else (edge_attr_dict,)
        out = dict(self.encoder(x_dict, edge_index_dict, *features, **options))
        for node_type, adapter in self.adapters.items():
            if node_type not in out:  # An encoder that trims leaves out all but the user.
                continue
            if out[node_type].size(-1) != self.channels:
                raise EncoderError(
                    f"{type(self.encoder).__name__} embeds a {node_type} in "
                    f"{out[node_type].size(-1)} numbers, not in channels={self.channels}; give "
                    "the width of its output"
                )
            out[node_type] = adapter(out[node_type])
        return out
