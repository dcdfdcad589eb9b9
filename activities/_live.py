"""Live workflow instances between supersteps, so that the next one on the same worker restores nothing."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, TypeAlias

from agent_framework import ResponseStream, Workflow, WorkflowEvent, WorkflowRunResult

from ._capture import Capture
from ._resources import Resources

Stream: TypeAlias = ResponseStream[WorkflowEvent[Any], WorkflowRunResult]

_OBJECTS_PER_BYTE = 3
"""A checkpoint's objects take about this many times its pickled size (measured on conversations)."""
_INSTANCE_BYTES = 64 * 1024
_OPEN_SECONDS = 30.0
"""How long an instance is kept for the next superstep that holds a resource open, such as a server's process."""


@dataclass
class LiveRun:
    """A workflow instance that holds exactly one checkpoint.

    Its framework run may still be open, suspended where it yielded `superstep_completed`: the next superstep then only
    goes on reading. It belongs to one thread and one superstep at a time.
    """

    workflow: Workflow
    capture: Capture
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


class LiveRuns:
    """Live runs by the id of the checkpoint they hold, least recently kept dropped first.

    It only saves time: whatever is not here is restored from its checkpoint. A live run is taken out to be used, so
    that nothing else can use it, and put back under its next checkpoint's id.

    Args:
        max_bytes: Bound on the estimated size of all instances; 0 switches it off.
    """

    def __init__(self, max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._runs: OrderedDict[str, tuple[LiveRun, int]] = OrderedDict()
        self._bytes = 0
        self._closing: set[asyncio.Task[None]] = set()
        self._expiries: dict[str, asyncio.TimerHandle] = {}

    def take(self, checkpoint_id: str, *, open_run: bool) -> LiveRun | None:
        """Take the instance that holds a checkpoint.

        Args:
            checkpoint_id: The checkpoint.
            open_run: Whether its framework run is to go on; else it must be over, so that a new one can begin.
        """
        found = self._runs.get(checkpoint_id)
        if found is None or (found[0].stream is not None) is not open_run:
            return None
        self._remove(checkpoint_id)
        return found[0]

    def keep(self, checkpoint_id: str, live: LiveRun) -> None:
        """Keep an instance under the id of the checkpoint it now holds."""
        size = _INSTANCE_BYTES + _OBJECTS_PER_BYTE * len(live.raw or b"")
        self._drop(checkpoint_id)
        self._runs[checkpoint_id] = (live, size)
        self._bytes += size
        if live.is_open:  # Another worker may run the next superstep.
            loop = asyncio.get_running_loop()
            self._expiries[checkpoint_id] = loop.call_later(_OPEN_SECONDS, self._drop, checkpoint_id)
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._runs)))

    def end(self, live: LiveRun) -> None:
        """End an instance that is not kept, in the background."""
        if live.stream is not None or (live.resources is not None and live.resources.any):
            task = asyncio.get_running_loop().create_task(live.drop())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    async def close(self) -> None:
        """Close all of them."""
        while self._runs:
            self._drop(next(iter(self._runs)))
        await asyncio.gather(*self._closing, return_exceptions=True)

    def _drop(self, checkpoint_id: str) -> None:
        live = self._remove(checkpoint_id)
        if live is not None:
            self.end(live)

    def _remove(self, checkpoint_id: str) -> LiveRun | None:
        expiry = self._expiries.pop(checkpoint_id, None)
        if expiry is not None:
            expiry.cancel()
        live, size = self._runs.pop(checkpoint_id, (None, 0))
        self._bytes -= size
        return live
