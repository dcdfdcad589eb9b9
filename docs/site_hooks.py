"""Hooks of the documentation's site: the README as its first page, and links out of the pages to files beside them."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).resolve().parents[1]
_LINK = re.compile(r"(!?)\[([^\]]+)\]\(([^)\s]+)\)")


def _name_package() -> None:
    """Give the package its name: it lives in the root of the repository."""
    package = ROOT / ".site" / "agent_framework_temporal"
    package.mkdir(parents=True, exist_ok=True)
    own = ("__init__.py", "__init__.pyi", "worker.py", "adapter", "activities", "workflows")
    for name, target in {**{name: ROOT / name for name in own}, "testing": ROOT / "adapter" / "testing"}.items():
        link = package / name
        if not link.is_symlink():
            link.symlink_to(target)


_name_package()  # Before any plugin looks for it.


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Make the README the first page."""
    files.append(File.generated(config, "index.md", content=(ROOT / "README.md").read_text(encoding="utf-8")))
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Mend links: those to pages lead to pages, those to other files of the repository are no links here."""
    own = ROOT if page.file.src_uri == "index.md" else ROOT / "docs"

    def mended(found: re.Match[str]) -> str:
        image, text, target = found.groups()
        if target.startswith(("http", "#", "mailto:")):
            return found[0]
        path, _, anchor = target.partition("#")
        full = (own / path).resolve()
        if full == ROOT / "README.md":
            path = "index.md"
        elif full.is_relative_to(ROOT / "docs"):
            path = full.relative_to(ROOT / "docs").as_posix()
        else:
            return text
        return f"{image}[{text}]({path}{'#' if anchor else ''}{anchor})"

    return _LINK.sub(mended, markdown)
