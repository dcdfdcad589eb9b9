"""Live workflow instances between supersteps, so that the next one on the same worker restores nothing."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any, TypeAlias

from agent_framework import ResponseStream, Workflow, WorkflowEvent, WorkflowRunResult

from .capture import Capture

Stream: TypeAlias = ResponseStream[WorkflowEvent[Any], WorkflowRunResult]

_OBJECTS_PER_BYTE = 3
"""A checkpoint's objects take about this many times its pickled size (measured on conversations)."""
_INSTANCE_BYTES = 64 * 1024


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
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._runs)))

    async def close(self) -> None:
        """Close all of them."""
        while self._runs:
            self._drop(next(iter(self._runs)))
        await asyncio.gather(*self._closing)

    def _drop(self, checkpoint_id: str) -> None:
        live = self._remove(checkpoint_id)
        if live is not None and live.stream is not None:
            task = asyncio.get_running_loop().create_task(live.close())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _remove(self, checkpoint_id: str) -> LiveRun | None:
        live, size = self._runs.pop(checkpoint_id, (None, 0))
        self._bytes -= size
        return live
