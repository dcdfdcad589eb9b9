"""Where a command writes: a terminal, a pipe, or a program that reads JSON."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.table import Table
from rich.text import Text

from ...workflows.display import json_text, terminal_line, terminal_text

GUTTER = "│ "
"""Begins each line of what people and models have written: none of them can pass for a line of the command."""
_LABEL_WIDTH = 14


class _Console(Console):
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """See base class. Whoever forgets to make data visible prints it harmless all the same."""
        for segment in super().render(renderable, options):
            yield segment if segment.control else Segment(terminal_text(segment.text), segment.style)

    def on_broken_pipe(self) -> NoReturn:
        """See base class, which would end the process in the middle of a call.

        Raises:
            BrokenPipeError: Always.
        """
        silence()
        raise BrokenPipeError


def silence() -> None:
    """Write to nothing from now on: else the interpreter complains once more when it flushes what nobody reads."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Output:
    """Standard output of a command.

    Args:
        as_json: Whether a program reads it: JSON only, one object a line where a command streams.
    """

    def __init__(self, *, as_json: bool) -> None:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="replace")  # A pipe in an ASCII locale must not end a command.
        self.as_json = as_json
        self.console: _Console = _Console(highlight=False, markup=False, emoji=False, quiet=as_json)

    @property
    def is_terminal(self) -> bool:
        """Whether a person looks at this as it happens."""
        return self.console.is_terminal and not self.as_json

    def json(self, value: Any, *, line: bool = False) -> None:
        """Write a value for a program; does nothing for a person.

        Args:
            value: JSON data.
            line: Whether it is one of many, each a line.
        """
        if not self.as_json:
            return
        try:
            ascii_only = "utf" not in (sys.stdout.encoding or "").lower()
            sys.stdout.write(json_text(value, indent=None if line else 2, ascii_only=ascii_only) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            silence()
            raise

    def line(self, text: str = "", *, style: str = "") -> None:
        """Write a line for a person; a long one stays whole, so that it can be copied."""
        self.console.print(Text(terminal_line(text), style=style), soft_wrap=True)

    def wrapped(self, text: str, *, style: str = "") -> None:
        """Write prose of the command's own for a person, wrapped to the terminal."""
        self.console.print(Text(terminal_line(text), style=style))

    def quoted(self, text: str, *, style: str = "") -> None:
        """Write what a person, a model or a program has written, behind a gutter, wrapped to the terminal."""
        width = max(20, self.console.width - len(GUTTER))
        for line in Text(terminal_text(text), style=style).wrap(self.console, width):
            line.rstrip()
            self.console.print(Text.assemble((GUTTER, "dim"), line), soft_wrap=True)

    def heading(self, text: str) -> None:
        """Begin a section."""
        self.console.print()
        self.line(text, style="bold")

    def facts(self, facts: Iterable[tuple[str, str]]) -> None:
        """Write labelled facts; those that are empty are left out."""
        for label, fact in facts:
            if fact:
                text = Text(f"{label.ljust(_LABEL_WIDTH)} ", style="dim")
                text.append(terminal_line(fact), style="default")
                self.console.print(text, soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], *, keep: bool = False) -> None:
        """Write a table.

        Args:
            columns: Their headings.
            rows: Their cells.
            keep: Whether the last column is for copying, so that nothing is cut or wrapped.
        """
        cells = [[Text(terminal_line(cell)) for cell in row] for row in rows]
        if keep:
            self._lines(columns, cells)
            return
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
        for column in columns:
            table.add_column(Text(column, style="dim"), overflow="fold")
        for row in cells:
            table.add_row(*row)
        self.console.print(table, crop=False)

    def _lines(self, columns: Sequence[str], cells: Sequence[Sequence[Text]]) -> None:
        """Write a line for each row, however long: the terminal wraps it, and rich would cut what is for copying."""
        widths = [
            max([cell_len(column), *(row[index].cell_len for row in cells)]) for index, column in enumerate(columns)
        ]
        for row in ([Text(column, style="dim") for column in columns], *cells):
            line = Text(" ").join(
                Text.assemble(cell, " " * (width - cell.cell_len)) for cell, width in zip(row, widths, strict=True)
            )
            line.rstrip()
            self.console.print(line, soft_wrap=True)
