"""What became of each block."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tests.docs._pages import ROOT, Block

_VARIES = re.compile(
    r"^id: \S+|\"live\":\w+|\d{4}-\d\d-\d\d[T ][\d:.]+\S*|\d+:\d\d|\s+"
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}(?:\.[0-9a-f]+)?"
)
"""Ids, times, and where events come live: that depends on how long a superstep takes."""


@dataclass
class Report:
    """What became of the blocks of a page.

    Args:
        page: Its name.
    """

    page: str
    done: int = 0
    left_out: dict[str, list[str]] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)

    def leave_out(self, block: Block, reason: str) -> None:
        """Note a block, or a line of it, that was not done."""
        self.left_out.setdefault(reason, []).append(where(block))

    def fail(self, block: Block, why: str) -> None:
        """Note a failure."""
        self.failures.append(f"{where(block)}: {why}")

    def __str__(self) -> str:
        left_out = sum(map(len, self.left_out.values()))
        lines = [f"{self.page:28} {'FAILED' if self.failures else 'ok':8} {self.done} done, {left_out} left out"]
        lines += [f"    left out, {reason}: {', '.join(places)}" for reason, places in self.left_out.items()]
        lines += [f"    FAILED {failure}".replace("\n", "\n      ") for failure in self.failures]
        return "\n".join(lines)


def where(block: Block) -> str:
    """Return where a block stands."""
    name = block.page.relative_to(ROOT) if block.page.is_relative_to(ROOT) else block.page.name
    return f"{name}:{block.line}"


def check_shown(shown: str, written: str) -> None:
    """Compare the output that a page shows with what a command has written.

    Raises:
        AssertionError: When lines of it were not written.
    """
    absent = missing(shown, written)
    if absent:
        raise AssertionError("\n".join([written, "--- does not have these lines of what is shown:", *absent]))


def missing(shown: str, written: str) -> list[str]:
    """Return the lines of a shown output that a command has not written; ids, times, widths and what is `...` vary."""
    found = {_same(line) for line in written.splitlines()}
    return [line for line in shown.splitlines() if not any(map(_pattern(line).fullmatch, found)) and _same(line)]


def _pattern(line: str) -> re.Pattern[str]:
    return re.compile(".*".join(re.escape(part.strip()) for part in _same(line).split("...")))


def _same(line: str) -> str:
    return _VARIES.sub(" ", line).strip()
