"""The parser of the commands that need no more than the standard library."""

from __future__ import annotations

import argparse
from typing import Any, NoReturn

from ...workflows.display import terminal_line
from .completion import SHELLS, CompletionAction, Flag


class CommandParser(argparse.ArgumentParser):
    """A parser whose flags can be completed; it repeats what is wrong so that it can do nothing on the terminal."""

    def __init__(self, **options: Any) -> None:
        self.flags: list[Flag] = []
        """What can be completed."""
        super().__init__(**options)

    def add_completion(self) -> None:
        """Add the flags that complete the others; called last, so that help shows them last."""
        for flag, text in (
            ("--install-completion", "install completion for your shell, and exit"),
            ("--show-completion", "show the completion script, and exit"),
        ):
            self.add_argument(flag, action=CompletionAction, nargs="?", choices=SHELLS, metavar="SHELL", help=text)

    def add_argument(self, *names: Any, **options: Any) -> argparse.Action:
        """See base class."""
        action: argparse.Action = super().add_argument(*names, **options)
        if action.option_strings:
            self.flags.append(Flag.of(action))
        return action

    def error(self, message: str) -> NoReturn:
        """See base class."""
        super().error(terminal_line(message))
