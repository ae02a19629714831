"""Every package with public names has a page of the reference, and no page is of nothing."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_every_public_package_has_its_page() -> None:
    packages = {place.parent.name for place in (ROOT / "graphmeta").glob("*/__init__.py")}
    public = {name for name in packages if hasattr(import_module(f"graphmeta.{name}"), "__all__")}
    pages = {page.stem: page.read_text() for page in (ROOT / "docs" / "reference").glob("*.md")}
    assert pages == {name: f"# graphmeta.{name}\n\n::: graphmeta.{name}\n" for name in public}
