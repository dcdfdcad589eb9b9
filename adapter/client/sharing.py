"""What the readers of one process share, so that many who follow the same run cost the server as much as one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Generic, TypeVar
from weakref import WeakKeyDictionary, WeakValueDictionary

from temporalio.client import Client

_T = TypeVar("_T")


class Shared(Generic[_T]):
    """Things by what they are about, each for as long as somebody holds it.

    Only clients of one connection share: another may have other rights.
    """

    def __init__(self) -> None:
        self._of: WeakKeyDictionary[Any, WeakValueDictionary[Hashable, _T]] = WeakKeyDictionary()

    def find(self, client: Client, *about: Hashable) -> _T | None:
        """Return what there is, for this event loop."""
        found = self._of.get(client.workflow_service)
        return None if found is None else found.get(self._key(client, about))

    def put(self, made: _T, client: Client, *about: Hashable) -> _T:
        """Share something from now on; returns it."""
        self._of.setdefault(client.workflow_service, WeakValueDictionary())[self._key(client, about)] = made
        return made

    @staticmethod
    def _key(client: Client, about: tuple[Hashable, ...]) -> Hashable:
        return (id(asyncio.get_running_loop()), client.namespace, *about)


class SharedCall(Generic[_T]):
    """A call of the server that is made once for all who wait for it at the same time.

    Args:
        call: Makes it.
    """

    def __init__(self, call: Callable[[], Awaitable[_T]]) -> None:
        self._call = call
        self._running: asyncio.Task[_T] | None = None
        self._waiting = 0

    async def result(self) -> _T:
        """Make the call, or wait for the one that is being made. It is given up when nobody waits for it any more.

        Raises:
            Exception: What the call raises, to each who waits.
        """
        if self._running is None or self._running.done():
            self._running, self._waiting = asyncio.ensure_future(self._call()), 0
        running = self._running
        self._waiting += 1
        try:
            return await asyncio.shield(running)
        finally:
            if running is self._running:
                self._waiting -= 1
                if not self._waiting and not running.done():
                    running.cancel()
                    self._running = None
