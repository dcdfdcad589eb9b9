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
from ._unreadable import Readable

PACKED_SIGNAL = "agent-framework-signals"
"""Name of the signal that stands for all that came together, as the worker hands them over."""
SIGNAL_NAME = "agent-framework-signal"
"""Metadata of the payload before the arguments of each of them: its name."""
ARGUMENTS = "agent-framework-arguments"
"""Metadata of the same payload: how many arguments follow."""

TASK_BYTES = 3_000_000
"""Of signals that one workflow task reads; the rest waits for a timer. The smallest answers are read at this size in
half a second."""
SIGNAL_COST = 200
"""Bytes that a signal counts beside its own."""
PUT_OFF_SECONDS = 0.05


def pack(signals: Sequence[tuple[str, Sequence[Payload]]]) -> list[Payload]:
    """Return signals that came together as the arguments of one, `PACKED_SIGNAL`."""
    packed: list[Payload] = []
    for name, arguments in signals:
        head = Payload(metadata={SIGNAL_NAME: name.encode(), ARGUMENTS: b"%d" % len(arguments)})
        packed.append(head)
        packed.extend(arguments)
    return packed


def unpack(name: str, arguments: Sequence[RawValue]) -> Iterator[tuple[str, Sequence[RawValue]]]:
    """Yield the signals that `pack` has put together; a worker that does not hands over each by itself."""
    if name != PACKED_SIGNAL:
        yield name, arguments
        return
    index = 0
    while index < len(arguments):
        metadata = arguments[index].payload.metadata
        count = metadata.get(ARGUMENTS, b"")
        if SIGNAL_NAME not in metadata or not count.isdigit():
            return  # A worker that does not pack was sent this by somebody.
        end = index + 1 + int(count)
        yield metadata[SIGNAL_NAME].decode(), arguments[index + 1 : end]
        index = end


class _Arrival(NamedTuple):
    name: str
    arguments: Sequence[RawValue]
    cost: int
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
        self._put_off: deque[_Arrival] = deque()
        self._reading: asyncio.Task[None] | None = None
        self._task = -1
        self._left = 0

    @property
    def are_read(self) -> bool:
        """Whether nothing is put off, so that the run may end or continue as new."""
        return not self._put_off

    def signal(self, name: str, arguments: Sequence[RawValue], *, busy: Callable[[], bool]) -> None:
        """Take a signal, whatever it is.

        Args:
            name: Its name.
            arguments: As they came.
            busy: Whether requests may still be asked, when it is read.

        Raises:
            RuntimeError: When it cannot be read now, but was before; see `Readable`.
        """
        size = self._growth.signalled(arguments)
        if self._pause.signal(name):
            return
        reason = self._readable.why_not(arguments)
        if self._readable.is_exhausted:
            self._growth.exhausted()
        if reason is not None or name not in SIGNALS:
            self._requests.refuse(name, reason, busy=busy())
            return
        cost = SIGNAL_COST + (size if size <= MAX_SIGNAL_BYTES else 0)
        arrival = _Arrival(name, arguments, cost, workflow.now().isoformat())
        if self._put_off or not self._may_read(arrival):
            self._put_off.append(arrival)
            if self._reading is None:
                self._reading = asyncio.create_task(self._read_on(busy))
            return
        self._read(arrival, busy)

    def _may_read(self, arrival: _Arrival) -> bool:
        task = workflow.info().get_current_history_length()  # It names the workflow task, in a replay too.
        if task != self._task:
            self._task, self._left = task, TASK_BYTES
        if self._left <= 0:
            return False
        self._left -= arrival.cost
        return True

    def _read(self, arrival: _Arrival, busy: Callable[[], bool]) -> None:
        self._requests.signal(arrival.name, arrival.arguments, busy=busy(), at=arrival.at)

    async def _read_on(self, busy: Callable[[], bool]) -> None:
        while self._put_off:
            await asyncio.sleep(PUT_OFF_SECONDS)
            while self._put_off and self._may_read(self._put_off[0]):
                self._read(self._put_off.popleft(), busy)
        self._reading = None
