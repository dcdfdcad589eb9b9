"""The pages, and the code blocks in them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
README = ROOT / "README.md"
PAGES = (README, ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md")))

_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_REASON = re.compile(r"<!-- not executed: (.+?) -->\s*\Z")
_THREAD = re.compile(r'"essay-([\w-]+)"')
"""Threads of a page: on the tests' one server each page has its own."""
_FILE = re.compile(r"# (\w+\.py)\n")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str
    reason: str | None
    """Why it is not executed, from the HTML comment above it."""

    @property
    def file(self) -> str | None:
        """Name of the file it shows, from the comment in its first line."""
        named = _FILE.match(self.text)
        return named[1] if named else None

    @property
    def is_tests(self) -> bool:
        """Whether it is a file that pytest collects."""
        return self.file is not None and self.file.startswith("test_")

    @property
    def source(self) -> str:
        """The text, at the line of the page where it stands, so that a traceback leads there."""
        return "\n" * self.line + _THREAD.sub(f'"{self.page.stem}-\\1"', self.text)


def blocks(page: Path, *languages: str) -> Iterator[Block]:
    """Yield the blocks of a page in the given languages, in their order."""
    text = page.read_text()
    for match in _FENCE.finditer(text):
        before = text[: match.start()]
        reason = _REASON.search(before)
        if match[1] in languages:
            yield Block(page, before.count("\n") + 1, match[1], match[2], reason[1] if reason else None)


def write_files(folder: Path, *, replace: dict[str, str]) -> list[str]:
    """Write the files the README shows into a folder; returns their names."""
    names: list[str] = []
    for block in blocks(README, "python"):
        if block.file is not None:
            text = block.text
            for old, new in replace.items():
                text = text.replace(old, new)
            (folder / block.file).write_text(text)
            names.append(block.file)
    return names
