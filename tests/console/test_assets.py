"""The files of the page: they are what the source builds to, small, and nothing that a strict policy would refuse."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

_PAGE = Path(__file__).parents[2] / "adapter" / "http" / "page"
_ASSETS = _PAGE.with_name("assets")
_BUILT = ("console.js", "console-style.css", "index.html", "icon.svg", "LICENSES.txt")


def test_what_is_checked_in_is_of_this_source() -> None:
    """By its digest, as Node is not needed to use or to test the console; `make console-assets` builds it."""
    files = ["package-lock.json", "build.mjs", *(f"src/{path.name}" for path in (_PAGE / "src").iterdir())]
    digest = hashlib.sha256()
    for name in sorted(files):
        digest.update(f"{name}\0".encode() + (_PAGE / name).read_bytes() + b"\0")
    wanted = f"/* source: {digest.hexdigest()} */"
    for name in ("console.js", "console-style.css"):
        first = (_ASSETS / name).read_text("utf-8").partition("\n")[0]
        assert first == wanted, f"{name} is of another source: run `make console-assets`"


@pytest.mark.skipif(not (_PAGE / "node_modules").exists() or shutil.which("node") is None, reason="no node here")
def test_the_source_builds_to_it(tmp_path: Path) -> None:
    subprocess.run(["node", "build.mjs", str(tmp_path)], cwd=_PAGE, check=True, timeout=60)
    for name in _BUILT:
        assert (tmp_path / name).read_bytes() == (_ASSETS / name).read_bytes(), name


def test_they_are_small_and_run_no_text() -> None:
    assert sum(path.stat().st_size for path in _ASSETS.iterdir()) < 1_000_000
    script = (_ASSETS / "console.js").read_text("utf-8")
    assert not re.search(r"\beval\(|new Function\b|document\.write|insertAdjacentHTML|outerHTML", script)
    assert not re.search(r"https?://(?!www\.w3\.org|json-schema\.org|localhost)[\w.]+/\S+\.(js|css|woff2?)\b", script)
    page = (_ASSETS / "index.html").read_text("utf-8")
    assert "<style" not in page and " style=" not in page and not re.search(r"<script[^>]*>[^<]", page)
    for source in (_PAGE / "src").glob("*.ts*"):
        assert "dangerouslySetInnerHTML" not in source.read_text("utf-8"), source.name


def test_dark_is_dark_by_choice_as_by_the_system() -> None:
    style = (_PAGE / "src" / "style.css").read_text("utf-8")
    blocks = re.findall(r"color-scheme: dark;(.*?)\}", style, re.DOTALL)
    assert len(blocks) == 2
    assert len({re.sub(r"\s+", " ", block) for block in blocks}) == 1
