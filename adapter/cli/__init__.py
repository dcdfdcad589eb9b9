"""The command line, `agent-framework-temporal`; needs the extra `cli`."""

from __future__ import annotations

import sys
from typing import NoReturn

from ..commands.exit_codes import BAD_USAGE
from ..commands.process_exit import exit_process

_EXTRA = frozenset({"typer", "rich", "watchfiles"})


def command() -> NoReturn:
    """Run the command line and exit; the console script `agent-framework-temporal`."""
    try:
        from .app import main
    except ModuleNotFoundError as error:
        if error.name not in _EXTRA:
            raise
        sys.stderr.write(
            f"agent-framework-temporal: there is no module {error.name!r}. Install the command line with "
            "`pip install 'agent-framework-temporal[cli]'`.\n"
        )
        exit_process(BAD_USAGE)
    exit_process(main())
