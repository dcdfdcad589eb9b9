"""The resources of an instance: entered when an executor first needs them, left when the instance is dropped.

One task enters and leaves them, as anyio's cancel scopes want it.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from agent_framework import Executor, Workflow

from ..adapter._resources import SharedResources, is_connected, kind_of
from ._containment import escaped

_LOGGER = logging.getLogger("agent_framework_temporal.worker")
LEAVE_SECONDS = 10.0
"""How long leaving one resource may take."""


class Resources:
    """What one instance of a workflow holds open by itself.

    Args:
        workflow: The instance.
        shared: What it shares with others, which is not left with it.
    """

    def __init__(self, workflow: Workflow, shared: SharedResources) -> None:
        self._shared = shared
        self._own = shared.own_of(workflow)
        self._entered: set[int] = set()
        self._requests: asyncio.Queue[tuple[Any, asyncio.Future[None]] | None] = asyncio.Queue()
        self._owner: asyncio.Task[None] | None = None

    @property
    def is_open(self) -> bool:
        """Whether something is entered or connected, a process of its own perhaps."""
        return bool(self._entered) or any(map(is_connected, self._all()))

    @property
    def any(self) -> bool:
        """Whether there is anything to leave."""
        return self._owner is not None or any(True for _ in self._all())

    def _all(self) -> Iterable[Any]:
        return {id(resource): resource for held in self._own.values() for resource in held}.values()

    async def enter(self, executor: Executor) -> None:
        """Enter what an executor holds and nobody has entered yet.

        Raises:
            Exception: What a resource raises.
        """
        for resource in self._own.get(id(executor), ()):
            if kind_of(resource) != "context" or id(resource) in self._entered:
                continue
            if self._owner is None:
                self._owner = asyncio.create_task(self._own_them())
            entered: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._requests.put_nowait((resource, entered))
            await entered

    async def leave(self) -> None:
        """Leave everything; what cannot be left is logged."""
        if self._owner is None:
            await self._leave_connected()
        else:
            self._requests.put_nowait(None)
            await self._owner
        for resource in self._all():
            kind = kind_of(resource)
            if kind in ("aclose", "close"):
                await left(resource, getattr(resource, kind))

    async def _own_them(self) -> None:
        async with contextlib.AsyncExitStack() as stack:
            while (request := await self._requests.get()) is not None:
                resource, entered = request
                try:
                    await resource.__aenter__()
                except BaseException as error:
                    if not entered.done():
                        entered.set_exception(error if isinstance(error, Exception) else escaped(error))
                    if isinstance(error, asyncio.CancelledError) and _is_cancelled():
                        raise
                    continue
                self._entered.add(id(resource))
                stack.push_async_callback(left, resource, functools.partial(resource.__aexit__, None, None, None))
                if not entered.done():
                    entered.set_result(None)
            await self._leave_connected()
        self._entered.clear()

    async def _leave_connected(self) -> None:
        for resource in reversed([*self._all()]):
            shares = kind_of(resource) == "agent" and any(tool in self._shared for tool in resource.mcp_tools)
            if is_connected(resource) or (kind_of(resource) == "agent" and not shares):
                await left(resource, resource.close)


def _is_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


async def left(resource: Any, leave: Callable[[], Awaitable[Any]]) -> None:
    """Leave a resource, in its time; what it raises is logged."""
    try:
        async with asyncio.timeout(LEAVE_SECONDS):
            await leave()
    except BaseException as error:  # Code of others; the rest is left all the same.
        if isinstance(error, asyncio.CancelledError) and _is_cancelled():
            raise
        _LOGGER.warning("%s could not be closed: %s", type(resource).__name__, escaped(error))


async def leave_shared(shared: Iterable[SharedResources]) -> None:
    """Close what the agents of a worker have connected of what their modules hold."""
    for resources in shared:
        for resource in resources.used():
            await left(resource, resource.close)
