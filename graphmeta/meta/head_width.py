"""A learner's own maps must be as wide as the head's embeddings."""

from __future__ import annotations

from graphmeta.encoders.catalogue_head import CatalogueHead
from graphmeta.errors import ConfigError


def refuse_other_width(head: CatalogueHead, channels: int) -> None:
    """Check that the head's embeddings are `channels` wide.

    Raises:
        ConfigError: They are not.
    """
    width = head.table.channels
    if width != channels:
        raise ConfigError(
            f"channels={channels}, but the head's embeddings are {width} wide; pass "
            f"channels={width}"
        )
