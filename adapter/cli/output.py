"""Where a command writes: a terminal, a pipe, or a program that reads JSON."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any, NoReturn

from rich.console import Console
from rich.table import Table
from rich.text import Text

from .text import plain

_LABEL_WIDTH = 14
_WIDE = 400


class _Console(Console):
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
        self.console = _Console(highlight=False, markup=False, emoji=False, quiet=as_json)

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
            sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=None if line else 2, default=str) + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            silence()
            raise

    def line(self, text: str = "", *, style: str = "") -> None:
        """Write a line for a person; a long one stays whole, so that it can be copied."""
        self.console.print(Text(plain(text), style=style), soft_wrap=True)

    def wrapped(self, text: str, *, style: str = "") -> None:
        """Write prose for a person, wrapped to the terminal."""
        self.console.print(Text(plain(text), style=style))

    def heading(self, text: str) -> None:
        """Begin a section."""
        self.console.print()
        self.line(text, style="bold")

    def facts(self, facts: Iterable[tuple[str, str]]) -> None:
        """Write labelled facts; those that are empty are left out."""
        for label, fact in facts:
            if fact:
                text = Text(f"{label.ljust(_LABEL_WIDTH)} ", style="dim")
                text.append(plain(fact), style="default")
                self.console.print(text, soft_wrap=True)

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], *, keep: bool = False) -> None:
        """Write a table.

        Args:
            columns: Their headings.
            rows: Their cells.
            keep: Whether the last column is for copying, so that nothing is cut or wrapped.
        """
        table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
        for column in columns:
            # A cell for copying may reach over the edge; the terminal wraps it, and rich would cut it.
            table.add_column(Text(column, style="dim"), no_wrap=bool(keep), overflow="ignore" if keep else "fold")
        for row in rows:
            table.add_row(*(Text(plain(cell)) for cell in row))
        self.console.print(table, width=_WIDE if keep else None, soft_wrap=bool(keep), crop=False)
