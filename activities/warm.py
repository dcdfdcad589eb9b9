"""Warm workflow instances between supersteps, so that the next one on the same worker restores nothing."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, TypeAlias

from agent_framework import ResponseStream, Workflow, WorkflowEvent, WorkflowRunResult

from ..adapter.lru import BoundedCache
from .cache import CheckpointKey
from .capturing_storage import CapturingStorage
from .resources import Resources

Stream: TypeAlias = ResponseStream[WorkflowEvent[Any], WorkflowRunResult]

_OBJECTS_PER_BYTE = 3
"""A checkpoint's objects take about this many times its pickled size (measured on conversations)."""
_INSTANCE_BYTES = 64 * 1024
_OPEN_SECONDS = 30.0
"""How long an instance is kept for the next superstep that holds a resource open, such as a server's process."""


@dataclass
class WarmInstance:
    """A workflow instance that holds exactly one checkpoint.

    Its framework run may still be open, suspended where it yielded `superstep_completed`: the next superstep then only
    goes on reading. It belongs to one thread and one superstep at a time.
    """

    workflow: Workflow
    capture: CapturingStorage
    raw: bytes | None = None
    """The checkpoint it holds, which the next one is stored as a patch against; None for an instance just built."""
    stream: Stream | None = None
    resources: Resources | None = None
    """What it holds open; None for an instance that is not the worker's own."""

    @property
    def is_open(self) -> bool:
        """Whether it holds a resource open."""
        return self.resources is not None and self.resources.is_open

    async def drop(self) -> None:
        """End it for good, with what it holds open."""
        await self.close()
        if self.resources is not None:
            await self.resources.leave()

    async def close(self) -> None:
        """End the framework's run, if it is open."""
        stream, self.stream = self.stream, None
        if stream is not None:
            await stream.close()


class WarmInstances:
    """Warm instances by the checkpoint they hold, least recently kept dropped first.

    It only saves time: whatever is not here is restored from its checkpoint. A warm one is taken out to be used, so
    that nothing else can use it, and put back under its next checkpoint's key.

    Args:
        max_bytes: Bound on the estimated size of all instances; 0 switches it off.
    """

    def __init__(self, max_bytes: int) -> None:
        self._runs: BoundedCache[CheckpointKey, WarmInstance] = BoundedCache(max_bytes, self._dropped)
        self._closing: set[asyncio.Task[None]] = set()
        self._expiries: dict[CheckpointKey, asyncio.TimerHandle] = {}

    def holds(self, key: CheckpointKey) -> bool:
        """Tell whether there is an instance that holds a checkpoint."""
        return key in self._runs

    def take(self, key: CheckpointKey, *, open_run: bool) -> WarmInstance | None:
        """Take the instance that holds a checkpoint.

        Args:
            key: The checkpoint.
            open_run: Whether its framework run is to go on; else it must be over, so that a new one can begin.
        """
        found = self._runs.get(key)
        if found is None or (found.stream is not None) is not open_run:
            return None
        self._forget_expiry(key)
        return self._runs.take(key)

    def keep(self, key: CheckpointKey, warm: WarmInstance) -> None:
        """Keep an instance under the key of the checkpoint it now holds."""
        self._runs.put(key, warm, _INSTANCE_BYTES + _OBJECTS_PER_BYTE * len(warm.raw or b""))
        if warm.is_open and key in self._runs:  # Another worker may run the next superstep.
            loop = asyncio.get_running_loop()
            self._expiries[key] = loop.call_later(_OPEN_SECONDS, self._runs.drop, key)

    def end(self, warm: WarmInstance) -> None:
        """End an instance that is not kept, in the background."""
        if warm.stream is not None or (warm.resources is not None and warm.resources.any):
            task = asyncio.get_running_loop().create_task(warm.drop())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close all of them."""
        self._runs.clear()
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _dropped(self, key: CheckpointKey, warm: WarmInstance) -> None:
        self._forget_expiry(key)
        self.end(warm)

    def _forget_expiry(self, key: CheckpointKey) -> None:
        expiry = self._expiries.pop(key, None)
        if expiry is not None:
            expiry.cancel()
