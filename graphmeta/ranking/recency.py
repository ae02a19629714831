"""Older interactions count for less."""

from __future__ import annotations

from dataclasses import replace

from graphmeta.data.cold_users import Support


def faded(support: Support, half_life: float) -> Support:
    """Return the support with weights that halve with every `half_life` later interactions.

    The latest interaction has weight 1, the one before it `0.5 ** (1 / half_life)`. Age is counted
    in interactions, not in days: users of whom much is known at once age as others do, and
    interactions need no times.

    Args:
        support: What the users have shown, oldest first.
        half_life: In interactions, above 0.
    """
    mask = support.mask.float()
    later = mask.flip(1).cumsum(1).flip(1) - mask
    return replace(support, weight=0.5 ** (later / half_life) * mask)
