"""Signals as they arrive: counted, refused or taken at once, and what is too much for one workflow task put off.

A workflow task has two seconds, and one that follows a worker's outage may bring all that the server keeps of a run:
10,000 signals, 50 MB. What is done for each is little, and for all of a task it is bounded.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from ._growth import Growth
from ._pause import Pause
from ._requests import Requests
from ._signals import MAX_SIGNAL_BYTES, SIGNALS
from ._unreadable import Readable, unreadable

PACKED_SIGNAL = "agent-framework-signals"
"""Name of the signal that stands for all that came together, as the worker hands them over."""
SIGNAL_NAME = "agent-framework-signal"
"""Metadata of the payload before the arguments of each of them: its name."""
ARGUMENTS = "agent-framework-arguments"
"""Metadata of the same payload: how many arguments follow."""
BYTES = "agent-framework-bytes"
"""Metadata of the same payload: what they take, as they were sent."""

TASK_BYTES = 3_000_000
"""Of signals that one workflow task reads; the rest waits for a timer. The smallest answers are read at this size in
half a second."""
SIGNAL_COST = 200
"""Bytes that a signal counts beside its own."""
PUT_OFF_SECONDS = 0.05


def pack(signals: Sequence[tuple[str, Sequence[Payload]]]) -> list[Payload]:
    """Return signals that came together as the arguments of one, `PACKED_SIGNAL`; what is too large is left out."""
    packed: list[Payload] = []
    for name, arguments in signals:
        size = sum(argument.ByteSize() for argument in arguments)
        kept = arguments if size <= MAX_SIGNAL_BYTES else [unreadable(f"it takes {size:,} bytes", lasting=True)]
        metadata = {SIGNAL_NAME: name.encode(), ARGUMENTS: b"%d" % len(kept), BYTES: b"%d" % size}
        packed.append(Payload(metadata=metadata))
        packed.extend(kept)
    return packed


class Signal(NamedTuple):
    """One that came: its name, its arguments and what they took as they were sent."""

    name: str
    arguments: Sequence[RawValue]
    size: int


def unpack(name: str, arguments: Sequence[RawValue]) -> Iterator[Signal]:
    """Yield the signals that `pack` has put together; a worker that does not hands over each by itself."""
    if name != PACKED_SIGNAL:
        yield Signal(name, arguments, sum(argument.payload.ByteSize() for argument in arguments))
        return
    index = 0
    while index < len(arguments):
        metadata = arguments[index].payload.metadata
        count, size = metadata.get(ARGUMENTS, b""), metadata.get(BYTES, b"")
        if SIGNAL_NAME not in metadata or not count.isdigit() or not size.isdigit():
            return  # A worker that does not pack was sent this by somebody.
        end = index + 1 + int(count)
        yield Signal(metadata[SIGNAL_NAME].decode(), arguments[index + 1 : end], int(size))
        index = end


class _PutOff(NamedTuple):
    signal: Signal
    at: str


class Arrivals:
    """Takes signals.

    Args:
        requests: Takes those that are answers or cancellations, and tells of what is refused.
        pause: Takes `retry`.
        growth: Counts them.
    """

    def __init__(self, requests: Requests, pause: Pause, growth: Growth) -> None:
        self._requests = requests
        self._pause = pause
        self._growth = growth
        self._readable = Readable()
        self._put_off: deque[_PutOff] = deque()
        self._reading: asyncio.Task[None] | None = None
        self._task = -1
        self._left = 0

    @property
    def are_read(self) -> bool:
        """Whether nothing is put off, so that the run may end or continue as new."""
        return not self._put_off

    def take(self, signal: Signal, *, busy: Callable[[], bool]) -> None:
        """Take a signal, whatever it is.

        Args:
            signal: As it came.
            busy: Whether requests may still be asked, when it is read.

        Raises:
            RuntimeError: When it cannot be read now, but was before; see `Readable`.
        """
        self._growth.signalled(signal.size)
        if self._pause.signal(signal.name):
            return
        reason = self._readable.why_not(signal.arguments)
        if self._readable.is_exhausted:
            self._growth.exhausted()
        if reason is not None or signal.name not in SIGNALS:
            self._requests.refuse(signal.name, reason, busy=busy())
            return
        at = workflow.now().isoformat()
        if self._put_off or not self._may_read(signal):
            self._put_off.append(_PutOff(_alone(signal), at))
            if self._reading is None:
                self._reading = asyncio.create_task(self._read_on(busy))
            return
        self._requests.signal(signal.name, signal.arguments, busy=busy(), at=at)

    def _may_read(self, signal: Signal) -> bool:
        task = workflow.info().get_current_history_length()  # It names the workflow task, in a replay too.
        if task != self._task:
            self._task, self._left = task, TASK_BYTES
        if self._left <= 0:
            return False
        self._left -= SIGNAL_COST + signal.size
        return True

    async def _read_on(self, busy: Callable[[], bool]) -> None:
        while self._put_off:
            await asyncio.sleep(PUT_OFF_SECONDS)
            while self._put_off and self._may_read(self._put_off[0].signal):
                signal, at = self._put_off.popleft()
                self._requests.signal(signal.name, signal.arguments, busy=busy(), at=at)
        self._reading = None


def _alone(signal: Signal) -> Signal:
    """Copy a signal out of the workflow task it came with, all of which would be kept in memory with it."""
    arguments: list[RawValue] = []
    for argument in signal.arguments:
        payload = Payload()
        payload.CopyFrom(argument.payload)
        arguments.append(RawValue(payload))
    return signal._replace(arguments=arguments)
