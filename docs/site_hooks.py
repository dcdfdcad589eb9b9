"""Hooks of the documentation's site: they lay its pages out, so that every link of theirs leads somewhere on it.

The pages in docs/ link to files beside them, as a reader of the repository expects. The site has the README as its
first page, SECURITY.md and its like as pages, and a page for each other file or folder that is linked to. `write_pages`
needs nothing of MkDocs, so that another generator can build what it writes.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from mkdocs.config.defaults import MkDocsConfig

ROOT = Path(__file__).resolve().parents[1]
PAGES = {
    "README.md": "index.md",
    "SECURITY.md": "security.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
}
"""Pages that are not in docs/: their files, and what they are called on the site."""

_FENCE = re.compile(r"(^```.*?^```$)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(!?)\[([^\]]+)\]\(([^)\s]+)\)")
_LANGUAGES = {".py": "python", ".sh": "sh", ".mjs": "js", ".yml": "yaml", ".yaml": "yaml", ".json": "json"}
_laid_out: list[str] = []


def repository() -> str | None:
    """Return the address of the repository, from the one place where it is set: `project.urls` of pyproject.toml."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    address: str | None = project.get("urls", {}).get("Repository")
    return address


def write_pages(folder: Path) -> None:
    """Write all pages of the site, and the images, into a folder.

    Args:
        folder: Where to; it is made where it is not there.
    """
    shutil.copytree(ROOT / "docs" / "images", folder / "images")
    shown: set[Path] = set()
    for file in [*(ROOT / name for name in PAGES), *sorted((ROOT / "docs").glob("*.md"))]:
        page = PAGES.get(file.name, file.name) if file.parent == ROOT else file.name
        (folder / page).write_text(
            _mended(file.read_text(encoding="utf-8"), file.parent, page, shown), encoding="utf-8"
        )
    while missing := [path for path in sorted(shown) if not (folder / _page_of(path)).exists()]:
        for path in missing:
            page = _page_of(path)
            (folder / page).parent.mkdir(parents=True, exist_ok=True)
            (folder / page).write_text(_source_page(path, page, shown), encoding="utf-8")


def _page_of(path: Path) -> str:
    """Return the page of the site that shows a file or folder of the repository."""
    relative = path.relative_to(ROOT)
    if relative.as_posix() in PAGES:
        return PAGES[relative.as_posix()]
    if relative.parts[0] == "docs":
        return relative.relative_to("docs").as_posix()
    # A folder is shown with what is in it, so its README's page is its own.
    return f"files/{(relative.parent if relative.name == 'README.md' else relative).as_posix()}.md"


def _mended(text: str, own: Path, page: str, shown: set[Path]) -> str:
    """Have the links of a text lead to pages of the site; notes those that show what is no page yet."""

    def mended(found: re.Match[str]) -> str:
        image, words, target = found.groups()
        if target.startswith(("http", "#", "mailto:")):
            return found[0]
        path, _, anchor = target.partition("#")
        full = (own / path).resolve()
        there = _page_of(full)
        if there.startswith("files/"):
            shown.add(full.parent if full.name == "README.md" else full)
        relative = os.path.relpath(there, Path(page).parent)
        return f"{image}[{words}]({relative}{'#' if anchor else ''}{anchor})"

    # Code that looks like a link is code.
    parts = _FENCE.split(text)
    return "".join(part if index % 2 else _LINK.sub(mended, part) for index, part in enumerate(parts))


def _source_page(path: Path, page: str, shown: set[Path]) -> str:
    """Return the page that shows a file, or a folder with its README and all its files."""
    name = path.relative_to(ROOT).as_posix()
    parts = ["---\nsearch:\n  exclude: true\n---\n"]
    readme = path / "README.md"
    if readme.exists():
        parts.append(_mended(readme.read_text(encoding="utf-8"), path, page, shown))
    else:
        parts.append(f"# {name}\n")
    if (address := repository()) is not None:
        parts.append(f"[{name} in the repository]({address}/blob/main/{name})\n")
    for file in [path] if path.is_file() else _files_of(path):
        title = f"## `{file.relative_to(path).as_posix()}`\n" if path.is_dir() else ""
        text = file.read_text(encoding="utf-8").rstrip()
        parts.append(f"{title}\n````{_LANGUAGES.get(file.suffix, 'text')}\n{text}\n````\n")
    return "\n".join(parts)


def _files_of(folder: Path) -> list[Path]:
    """Return the files of a folder that have something to read."""
    files = [path for path in folder.rglob("*") if path.is_file() and path.name != "README.md"]
    return sorted(path for path in files if "__pycache__" not in path.parts and path.stat().st_size)


def _name_package() -> None:
    """Give the package its name: it lives in the root of the repository."""
    package = ROOT / ".site" / "agent_framework_temporal"
    package.mkdir(parents=True, exist_ok=True)
    own = ("__init__.py", "__init__.pyi", "worker.py", "adapter", "activities", "workflows")
    for name, target in {**{name: ROOT / name for name in own}, "testing": ROOT / "adapter" / "testing"}.items():
        with contextlib.suppress(FileExistsError):
            (package / name).symlink_to(target)


_name_package()  # Before any plugin looks for it.


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Have the site built of the pages as they are laid out."""
    _laid_out.append(tempfile.mkdtemp(prefix="agent-framework-temporal-docs-"))
    write_pages(Path(_laid_out[-1]))
    config.docs_dir = _laid_out[-1]
    if (address := repository()) is not None:
        config.repo_url = address
        config.repo_name = address.removeprefix("https://github.com/")
    return config


def on_serve(server: Any, **_: Any) -> Any:
    """Build anew when a page changes."""
    for path in (ROOT / "docs", *(ROOT / name for name in PAGES)):
        server.watch(str(path))
    return server


def on_shutdown() -> None:
    """Leave nothing behind."""
    for folder in _laid_out:
        shutil.rmtree(folder, ignore_errors=True)
