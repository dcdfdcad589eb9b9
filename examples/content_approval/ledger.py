"""The same workflow with a ledger: each executor notes when it begins and ends, in a file that outlives its process.

The demo's worker hosts this one when it is going to be killed. A ledger shows what Temporal's history cannot: the
invocations of a worker that did not live to report them.
"""

from __future__ import annotations

import functools
import json
import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

from agent_framework import Executor, Workflow

from . import workflow

LEDGER_VARIABLE = "CONTENT_APPROVAL_LEDGER"


@dataclass(frozen=True)
class Entry:
    """One line of the ledger."""

    executor: str
    phase: Literal["begun", "ended"]
    pid: int


def content_approval() -> Workflow:
    """Build the workflow; its executors write to the file that CONTENT_APPROVAL_LEDGER names."""
    path = Path(os.environ[LEDGER_VARIABLE])
    built = workflow.content_approval()
    for executor in built.executors.values():
        _watch(executor, path)
    return built


def read(path: Path) -> list[Entry]:
    """Return the entries so far, in the order in which they were written."""
    if not path.exists():
        return []
    return [Entry(**json.loads(line)) for line in path.read_text().splitlines()]


def _watch(executor: Executor, path: Path) -> None:
    execute: Callable[..., Awaitable[None]] = executor.execute

    @functools.wraps(execute)
    async def watched(*arguments: object, **options: object) -> None:
        with _noted(executor.id, path):
            await execute(*arguments, **options)

    # Executors of every kind are called through this method, those that run agents too.
    executor.execute = watched  # type: ignore[method-assign]


@contextmanager
def _noted(executor: str, path: Path) -> Iterator[None]:
    _append(Entry(executor, "begun", os.getpid()), path)
    yield
    # Not in a `finally`: only what was carried through has ended.
    _append(Entry(executor, "ended", os.getpid()), path)


def _append(entry: Entry, path: Path) -> None:
    line = f"{json.dumps(asdict(entry))}\n".encode()
    # One write of a short line in append mode: two workers never tear each other's, and SIGKILL cannot halve it.
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    try:
        os.write(descriptor, line)
    finally:
        os.close(descriptor)
