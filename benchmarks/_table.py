"""Plain tables, and goals beside what was measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass
class Table:
    """One table of results.

    Args:
        title: What was measured.
        columns: Column heads.
    """

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[Any, ...]] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, *cells: Any) -> None:
        """Add a row."""
        self.rows.append(cells)

    def note(self, text: str) -> None:
        """Add a line below the table."""
        self.notes.append(text)

    def goal(self, what: str, measured: float, at_most: float) -> None:
        """Add a line that says whether a goal is met."""
        verdict = "met" if measured <= at_most else "MISSED"
        self.note(f"goal: {what} at most {_text(at_most)}: {_text(measured)}, {verdict}")

    def goal_at_least(self, what: str, measured: float, at_least: float) -> None:
        """Add a line that says whether a goal is met that more is better for."""
        verdict = "met" if measured >= at_least else "MISSED"
        self.note(f"goal: {what} at least {_text(at_least)}: {_text(measured)}, {verdict}")

    def as_json(self) -> dict[str, Any]:
        """Return the table as plain data."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [self.columns, *(tuple(_text(cell) for cell in row) for row in self.rows)]
        widths = [max(len(line[column]) for line in lines) for column in range(len(self.columns))]
        text = [self.title, _line(lines[0], widths), "  ".join("-" * width for width in widths)]
        text += [_line(line, widths) for line in lines[1:]]
        return "\n".join([*text, *self.notes])


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = (
        cell.ljust(width) if number == 0 else cell.rjust(width)
        for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join([first, *others]).rstrip()


def _text(cell: Any) -> str:
    if isinstance(cell, bool) or not isinstance(cell, int | float):
        return str(cell)
    return f"{cell:,}" if isinstance(cell, int) else f"{cell:,.2f}"
