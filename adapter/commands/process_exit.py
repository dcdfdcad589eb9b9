"""How a command that used a Temporal client ends its process."""

from __future__ import annotations

import atexit
import os
import sys
from typing import NoReturn


def exit_process(code: int) -> NoReturn:
    """End this process at once, after the exit handlers and with all output written.

    The SDK's threads go on while the interpreter is taken down, and one that has just handed over a result then aborts
    the process ("PyGILState_Release: thread state must be current"): under load one exit in seven soon after a call.
    """
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)
