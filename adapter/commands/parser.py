"""The parser of the commands that need no more than the standard library."""

from __future__ import annotations

import argparse
from typing import NoReturn

from ...workflows.display import terminal_line


class CommandParser(argparse.ArgumentParser):
    """Repeats what is wrong on a command line so that it can do nothing on the terminal."""

    def error(self, message: str) -> NoReturn:
        """See base class."""
        super().error(terminal_line(message))
