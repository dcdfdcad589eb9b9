"""The documentation's site has every page and every exported name, nothing private, and no link that leads nowhere."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import agent_framework_temporal
import agent_framework_temporal.testing
import pytest
import yaml

from tests.docs._pages import ROOT

_OUTSIDE_DOCS = {"index.md", "security.md", "contributing.md", "changelog.md"}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)]
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    built = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=110)
    assert built.returncode == 0, built.stderr
    assert "WARNING" not in built.stderr
    return folder


class _Page(HTMLParser):
    """Links and anchors of a page."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.feed(path.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        if values.get("id"):
            self.ids.add(str(values["id"]))
        link = values.get("href") if tag == "a" else values.get("src") if tag == "img" else None
        if link:
            self.links.append(link)


def _pages(entry: Any) -> set[str]:
    if isinstance(entry, str):
        return {entry}
    entries = entry.values() if isinstance(entry, dict) else entry
    return set().union(*(_pages(item) for item in entries))


def test_every_page_is_in_the_navigation() -> None:
    config = yaml.safe_load((ROOT / "mkdocs.yml").read_text())
    assert _pages(config["nav"]) == _OUTSIDE_DOCS | {path.name for path in (ROOT / "docs").glob("*.md")}


def test_ci_builds_the_site() -> None:
    assert " docs " in (ROOT / ".ci" / "run").read_text()
    assert "\nstrict: true\n" in (ROOT / "mkdocs.yml").read_text()
    # What is not logged is not counted: with --quiet nothing is strict.
    assert re.findall(r"mkdocs build.*", (ROOT / "Makefile").read_text()) == ["mkdocs build"]


def test_the_reference_shows_what_is_exported_and_nothing_private(site: Path) -> None:
    packages = (agent_framework_temporal.testing, agent_framework_temporal)
    exported = {f"{package.__name__}.{name}" for package in packages for name in package.__all__}
    text = (site / "reference" / "index.html").read_text()
    headings = re.findall(r'<h[2-6] id="(agent_framework_temporal\.[^"]+)" class="doc', text)
    owners = {
        next((name for name in exported if f"{heading}.".startswith(f"{name}.")), heading) for heading in headings
    }
    assert owners == exported
    assert len(headings) == len(set(headings))
    assert [heading for heading in headings if re.search(r"\._", heading)] == []
    assert [heading for heading in headings if re.search(r"\.(adapter|activities|workflows)\.", heading)] == []
    bases = [re.sub(r"<[^>]+>", "", found) for found in re.findall(r"Bases:.*?</p>", text, re.DOTALL)]
    assert [base for base in bases if re.search(r"\b_", base)] == []


def test_signatures_are_readable(site: Path) -> None:
    """Formatted over lines where they are long, and types lead to what they are."""
    text = (site / "reference" / "index.html").read_text()
    signatures = re.findall(r'<div class="doc-signature highlight">.*?</div>', text, re.DOTALL)
    lines = [line for found in signatures for line in unescape(re.sub(r"<[^>]+>", "", found)).splitlines()]
    assert len(signatures) > 100
    assert [line for line in lines if len(line) > 100] == []
    assert any("autorefs-internal" in found and "DurableOptions" in found for found in signatures)


def test_nothing_of_the_build_is_in_it(site: Path) -> None:
    names = {path.name for path in site.rglob("*") if path.is_file() or path.name == "__pycache__"}
    assert [name for name in names if name == "__pycache__" or Path(name).suffix in {".py", ".pyc", ".md"}] == []


def test_every_link_leads_somewhere_on_the_site(site: Path) -> None:
    pages = {path: _Page(path) for path in site.rglob("index.html")}
    lost: list[str] = []
    for path, page in pages.items():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            target = target / "index.html" if target.is_dir() else target
            if not target.is_file() or (parts.fragment and unquote(parts.fragment) not in pages[target].ids):
                lost.append(f"{path.relative_to(site)}: {link}")
    assert lost == []


@pytest.mark.parametrize("name", ["examples/placement", "examples/answering/answer.sh", "deploy/kubernetes", "LICENSE"])
def test_examples_and_manifests_are_shown(site: Path, name: str) -> None:
    """With the text of each file, so that a link to one leads there, whatever the address of the repository."""
    text = (site / "files" / name / "index.html").read_text()
    path = ROOT / name
    for file in [path] if path.is_file() else [file for file in path.iterdir() if file.suffix in {".py", ".yaml"}]:
        words = re.findall(r"\w{6,}", file.read_text())[:1]
        assert all(word in text for word in words), file
