"""Which executors of the running superstep run elsewhere: what the journal's wrapper of an invocation asks."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Protocol

from agent_framework import Executor, Workflow

from ...adapter.framework.internals import Execute


class Places(Protocol):
    """Runs the invocations of executors elsewhere."""

    def is_elsewhere(self, executor: Executor) -> bool:
        """Tell whether an executor runs elsewhere."""

    async def invoke(self, executor: Executor, message: Any, sources: list[str], state: Any, context: Any) -> None:
        """Have one invocation run there, and do here what it has done."""


_places: ContextVar[Places | None] = ContextVar("agent_framework_temporal_places", default=None)


@contextmanager
def placing(places: Places | None) -> Iterator[None]:
    """Let executors that the body runs be run where they are placed."""
    token = _places.set(places)
    try:
        yield
    finally:
        _places.reset(token)


def placed(workflow: Workflow, executor: Executor, execute: Execute) -> Execute:
    """Return what runs an executor: itself, or what has it run elsewhere. Those of sub-workflows run where these do."""
    places = _places.get()
    if places is None or workflow.executors.get(executor.id) is not executor or not places.is_elsewhere(executor):
        return execute
    return functools.partial(places.invoke, executor)
