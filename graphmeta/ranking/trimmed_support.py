"""A support without columns that nobody needs."""

from __future__ import annotations

from dataclasses import fields

from graphmeta.data.cold_users import OF_USER, Support


def trimmed(support: Support) -> Support:
    """Return the support without columns that are padding for all."""
    shown = support.mask.any(0)
    if bool(shown.all()):
        return support
    columns = {
        field.name: value if value is None or field.name in OF_USER else value[:, shown]
        for field in fields(support)
        for value in [getattr(support, field.name)]
    }
    return Support(**columns)
