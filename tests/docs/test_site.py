"""The documentation's site has every page."""

from __future__ import annotations

from typing import Any

import yaml

from tests.docs._pages import ROOT


def _pages(entry: Any) -> set[str]:
    if isinstance(entry, str):
        return {entry}
    entries = entry.values() if isinstance(entry, dict) else entry
    return set().union(*(_pages(item) for item in entries))


def test_every_page_is_in_the_navigation() -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert _pages(config["nav"]) == {"index.md", *(path.name for path in (ROOT / "docs").glob("*.md"))}


def test_ci_builds_the_site() -> None:
    assert " docs " in (ROOT / ".ci" / "run").read_text()
    assert "\nstrict: true\n" in (ROOT / "mkdocs.yml").read_text()
