"""Signals as they arrive: counted, read in order, and what is too much for one workflow task put off to the next.

A workflow task has two seconds of a clock that runs on while other processes have the processor. One that follows an
outage or a flood brings all that the server keeps of a run: 10,000 signals, 50 MB. The worker hands them over as one,
and only so many are looked at in a task as take little time.
"""

from __future__ import annotations

import asyncio
import itertools
import threading
from collections import OrderedDict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.bridge.proto.workflow_activation import WorkflowActivationJob
from temporalio.common import RawValue

from .. import limits
from ..history_budget import HistoryBudget
from ..pause import Pause
from ..unreadable import Readable
from .requests import Requests
from .signals import SIGNALS

PACKED_SIGNAL = "agent-framework-signals"
"""Name of the signal that stands for all that came together, as the worker hands them over."""
MAX_HELD_BYTES = 128 * 1024 * 1024
"""Of signals that are put off, in all runs of a worker. A run that the server has ended may stay in the worker's cache
with what it did not come to read; a run whose signals were dropped for others is replayed, and has them again."""


class _Held:
    """Signals that are handed over or put off, by key; the oldest of those put off go when they are too many."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._keys = itertools.count()
        self._jobs: OrderedDict[int, Sequence[WorkflowActivationJob]] = OrderedDict()
        self._sizes: dict[int, int] = {}
        self._bytes = 0

    def put(self, jobs: Sequence[WorkflowActivationJob], size: int = 0) -> int:
        with self._lock:
            key = next(self._keys)
            self._jobs[key] = jobs
            self._sizes[key] = size
            self._bytes += size
            while self._bytes > MAX_HELD_BYTES:
                self._remove(next(found for found, weight in self._sizes.items() if weight))
            return key

    def get(self, key: int) -> Sequence[WorkflowActivationJob] | None:
        with self._lock:
            return self._jobs.get(key)

    def pop(self, key: int) -> Sequence[WorkflowActivationJob] | None:
        with self._lock:
            found = self._jobs.get(key)
            self._remove(key)
            return found

    def _remove(self, key: int) -> None:
        self._jobs.pop(key, None)
        self._bytes -= self._sizes.pop(key, 0)


_held = _Held()


def hand_over(jobs: Sequence[WorkflowActivationJob]) -> Payload:
    """Return what stands for signals that came together: they are up to 50 MB, and not copied.

    The one who hands them over forgets them when the workflow task is over: `forget`.
    """
    return Payload(data=b"%d" % _held.put(jobs))


def forget(payload: Payload) -> None:
    """Forget what was handed over, whether or not a workflow has taken it."""
    _held.pop(int(payload.data))


def taken_over(name: str, arguments: Sequence[RawValue]) -> Sequence[WorkflowActivationJob]:
    """Return the signals that a worker has handed over or, of one that does not, the one there is."""
    if name == PACKED_SIGNAL and arguments:
        # As a worker hands over every signal so, nobody can send this one.
        return _held.pop(int(arguments[0].payload.data)) or ()
    job = WorkflowActivationJob()
    job.signal_workflow.signal_name = name
    job.signal_workflow.input.extend(argument.payload for argument in arguments)
    return [job]


@dataclass(slots=True)
class _PutOff:
    """Signals that came together and are not all read."""

    key: int
    at: str
    next: int
    """Index of the first that is not."""


class Arrivals:
    """Takes signals.

    Args:
        requests: Takes those that are answers or cancellations, and tells of what is refused.
        pause: Takes `retry`.
        budget: Counts them.
        busy: Whether requests may still be asked.
        steering: Takes those that steer the run; tells whether one was for it.
    """

    def __init__(
        self,
        requests: Requests,
        pause: Pause,
        budget: HistoryBudget,
        busy: Callable[[], bool],
        steering: Callable[[str, Sequence[RawValue], str], bool],
    ) -> None:
        self._requests = requests
        self._pause = pause
        self._budget = budget
        self._busy = busy
        self._steering = steering
        self._readable = Readable()
        self._put_off: deque[_PutOff] = deque()
        self._reading = False
        self._task = -1
        self._left = 0

    @property
    def are_read(self) -> bool:
        """Whether nothing is put off, so that the run may continue as new."""
        return not self._put_off

    async def take(self, name: str, arguments: Sequence[RawValue]) -> None:
        """Take a signal, or many that came together, whatever they are; lasts until all that was put off is read.

        Raises:
            RuntimeError: When one cannot be read now, but was before; see `Readable`.
        """
        jobs = taken_over(name, arguments)
        size = sum(job.ByteSize() for job in jobs)
        self._budget.signalled(len(jobs), size)
        at = workflow.now().isoformat()
        read = 0 if self._put_off else self._read(jobs, 0, at)
        if read < len(jobs):
            self._put_off.append(_PutOff(_held.put(jobs, size), at, read))
        if not self._reading:
            await self._read_on()

    async def _read_on(self) -> None:
        # In a signal's handler, as only what that raises fails the workflow task.
        self._reading = True
        while self._put_off:
            await asyncio.sleep(limits.PUT_OFF_SECONDS)
            while self._put_off:
                first = self._put_off[0]
                jobs = _held.get(first.key)
                if jobs is None:
                    raise RuntimeError("Signals were dropped from memory before they were read; they are replayed.")
                first.next = self._read(jobs, first.next, first.at)
                if first.next < len(jobs):
                    break
                _held.pop(self._put_off.popleft().key)
        self._reading = False

    def _read(self, jobs: Sequence[WorkflowActivationJob], start: int, at: str) -> int:
        """Read signals while this workflow task has time for them; returns the index of the next."""
        for index in range(start, len(jobs)):
            job = jobs[index]
            size = job.ByteSize()
            reason = (
                f"it takes {size:,} bytes, over {limits.MAX_SIGNAL_BYTES:,}" if size > limits.MAX_SIGNAL_BYTES else None
            )
            if not self._may_read(0 if reason is not None else size):
                return index
            signal = job.signal_workflow
            self._read_one(signal.signal_name, [RawValue(payload) for payload in signal.input], reason, at)
        return len(jobs)

    def _may_read(self, size: int) -> bool:
        task = workflow.info().get_current_history_length()  # It names the workflow task, in a replay too.
        if task != self._task:
            self._task, self._left = task, limits.TASK_COST
        if self._left <= 0:
            return False
        self._left -= limits.SIGNAL_COST + int(size * limits.BYTE_COST)
        return True

    def _read_one(self, name: str, arguments: Sequence[RawValue], reason: str | None, at: str) -> None:
        if self._pause.signal(name):
            return
        reason = reason or self._readable.why_not(arguments)
        if self._readable.is_exhausted:
            self._budget.exhausted()
        if reason is None and self._steering(name, arguments, at):
            return
        if reason is not None or name not in SIGNALS:
            self._requests.refuse(name, reason, busy=self._busy())
        else:
            self._left -= limits.ANSWER_COST * self._requests.signal(name, arguments, busy=self._busy(), at=at)
