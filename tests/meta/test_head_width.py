"""The head's width is the learner's, or the error says what to pass."""

from __future__ import annotations

import pytest

from graphmeta.encoders import CatalogueHead
from graphmeta.errors import ConfigError
from graphmeta.meta.head_width import refuse_other_width


def test_another_width_is_refused(head: CatalogueHead) -> None:
    refuse_other_width(head, head.table.channels)
    with pytest.raises(ConfigError, match=r"channels=7, .* are 6 wide; pass channels=6"):
        refuse_other_width(head, 7)
