"""Keeps out of the tests what disturbs them on a busy machine: garbage collection, and a limit of 2 seconds.

CPython before 3.11.8 and 3.12.2 counts in one place, for the whole process, how deep the tree is that `ast.parse`
makes (python/cpython#106905). Garbage that is collected meanwhile may run Python code, which lets other threads run or
formats a traceback; if that parses too, the count is wrong and the parse fails: "SystemError: AST constructor recursion
depth mismatch". pytest parses wherever it rewrites assertions or shows a failure, so now and then that ended a session.
"""

from __future__ import annotations

import ast
import functools
import gc
import sys
import threading
from typing import Any

from temporalio.worker import _workflow

_parse: Any = ast.parse
_one_at_a_time = threading.RLock()


@functools.wraps(_parse)
def _undisturbed_parse(*arguments: Any, **options: Any) -> Any:
    with _one_at_a_time:
        enabled = gc.isenabled()
        gc.disable()
        try:
            return _parse(*arguments, **options)
        finally:
            if enabled:
                gc.enable()


def mend_parsing() -> None:
    """Replace `ast.parse` by one that nothing disturbs, where Python needs that."""
    if sys.version_info < (3, 11, 8) or (3, 12) <= sys.version_info < (3, 12, 2):
        ast.parse = _undisturbed_parse


def keep_what_is_there() -> None:
    """Look no more for garbage in what there is by now: modules and tests, which stay, and are most of all objects."""
    gc.freeze()
    gc.enable()


def give_workflow_tasks_time() -> None:
    """Let workflow tasks take longer than the SDK's 2 seconds, which pass where many processes share a processor.

    That they take little is tested by the CPU they use, in `tests/requests/test_bounded.py`.
    """
    kind: Any = _workflow._WorkflowWorker
    init = kind.__init__

    @functools.wraps(init)
    def patient(self: Any, **options: Any) -> None:
        init(self, **options)
        if self._deadlock_timeout_seconds is not None:
            self._deadlock_timeout_seconds = 30

    kind.__init__ = patient
