"""Signals as they arrive: counted, read in order, and what is too much for one workflow task put off to the next.

A workflow task has two seconds of a clock that runs on while other processes have the processor. One that follows an
outage or a flood brings all that the server keeps of a run: 10,000 signals, 50 MB. The worker hands them over as one,
and only so many are looked at in a task as take little time.
"""

from __future__ import annotations

import asyncio
import itertools
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.bridge.proto.workflow_activation import WorkflowActivationJob
from temporalio.common import RawValue

from ..growth import Growth
from ..pause import Pause
from ..unreadable import Readable
from .requests import Requests
from .signals import MAX_SIGNAL_BYTES, SIGNALS

PACKED_SIGNAL = "agent-framework-signals"
"""Name of the signal that stands for all that came together, as the worker hands them over."""
TASK_COST = 2_000_000
"""What a workflow task reads: so many bytes, where each signal counts more than it has."""
SIGNAL_COST = 1_000
PUT_OFF_SECONDS = 0.05
"""After so long the next workflow task reads on."""

_handed_over: dict[bytes, Sequence[WorkflowActivationJob]] = {}
_keys = itertools.count()


def hand_over(jobs: Sequence[WorkflowActivationJob]) -> Payload:
    """Return what stands for signals that came together: they are up to 50 MB, and not copied.

    The one who hands them over forgets them when the workflow task is over: `forget`.
    """
    key = b"%d" % next(_keys)
    _handed_over[key] = jobs
    return Payload(data=key)


def forget(payload: Payload) -> None:
    """Forget what was handed over, whether or not a workflow has taken it."""
    _handed_over.pop(payload.data, None)


@dataclass(slots=True)
class Together:
    """Signals that came together, and which of them is the next to be read."""

    jobs: Sequence[WorkflowActivationJob]
    at: str
    next: int = 0


def taken_over(name: str, arguments: Sequence[RawValue]) -> Sequence[WorkflowActivationJob]:
    """Return the signals that a worker has handed over or, of one that does not, the one there is."""
    if name == PACKED_SIGNAL and arguments:
        # As a worker hands over every signal so, nobody can send this one.
        return _handed_over.pop(arguments[0].payload.data)
    job = WorkflowActivationJob()
    job.signal_workflow.signal_name = name
    job.signal_workflow.input.extend(argument.payload for argument in arguments)
    return [job]


class Arrivals:
    """Takes signals.

    Args:
        requests: Takes those that are answers or cancellations, and tells of what is refused.
        pause: Takes `retry`.
        growth: Counts them.
        busy: Whether requests may still be asked.
    """

    def __init__(self, requests: Requests, pause: Pause, growth: Growth, busy: Callable[[], bool]) -> None:
        self._requests = requests
        self._pause = pause
        self._growth = growth
        self._busy = busy
        self._readable = Readable()
        self._unread: deque[Together] = deque()
        self._reading: asyncio.Task[None] | None = None
        self._task = -1
        self._left = 0

    @property
    def are_read(self) -> bool:
        """Whether nothing is put off, so that the run may continue as new."""
        return not self._unread

    def take(self, name: str, arguments: Sequence[RawValue]) -> None:
        """Take a signal, or many that came together, whatever they are.

        Raises:
            RuntimeError: When one cannot be read now, but was before; see `Readable`.
        """
        jobs = taken_over(name, arguments)
        self._growth.signalled(len(jobs), sum(job.ByteSize() for job in jobs))
        self._unread.append(Together(jobs, workflow.now().isoformat()))
        self._read()
        if self._unread and self._reading is None:
            self._reading = asyncio.create_task(self._read_on())

    def _read(self) -> None:
        while self._unread:
            together = self._unread[0]
            if together.next == len(together.jobs):
                self._unread.popleft()
                continue
            job = together.jobs[together.next]
            size = job.ByteSize()
            too_large = size > MAX_SIGNAL_BYTES
            if not self._may_read(0 if too_large else size):
                return
            together.next += 1
            signal = job.signal_workflow
            arguments = [RawValue(payload) for payload in signal.input]
            reason = f"it takes {size:,} bytes, over {MAX_SIGNAL_BYTES:,}" if too_large else None
            self._read_one(signal.signal_name, arguments, reason, together.at)

    def _may_read(self, size: int) -> bool:
        task = workflow.info().get_current_history_length()  # It names the workflow task, in a replay too.
        if task != self._task:
            self._task, self._left = task, TASK_COST
        if self._left <= 0:
            return False
        self._left -= SIGNAL_COST + size
        return True

    def _read_one(self, name: str, arguments: Sequence[RawValue], reason: str | None, at: str) -> None:
        if self._pause.signal(name):
            return
        reason = reason or self._readable.why_not(arguments)
        if self._readable.is_exhausted:
            self._growth.exhausted()
        if reason is not None or name not in SIGNALS:
            self._requests.refuse(name, reason, busy=self._busy())
        else:
            self._requests.signal(name, arguments, busy=self._busy(), at=at)

    async def _read_on(self) -> None:
        while self._unread:
            await asyncio.sleep(PUT_OFF_SECONDS)
            self._read()
        self._reading = None
