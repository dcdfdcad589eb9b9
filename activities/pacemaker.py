"""A worker's thread that beats for its running supersteps, and says who keeps the event loop from doing so.

An executor that calls `time.sleep`, `requests` or pandas, or that stands in a debugger, blocks the event loop: nothing
else of the worker runs meanwhile, and a heartbeat from the loop would not be sent, so that the server took the worker
for lost and ran the superstep again beside the first. The thread dies with its process, so a lost worker is noticed as
ever. It cannot run while code in C holds the interpreter's lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import timedelta

from temporalio.api.common.v1 import Payload
from temporalio.worker import Worker

from ..adapter.temporal.sdk import ActivityStart, HeartbeatRecorder, heartbeat_recorder, watch_activities
from ..workflows.messages import INVOCATION_ACTIVITY, SUPERSTEP_ACTIVITY
from .containment import Place, place_running_in

_LOGGER = logging.getLogger("agent_framework_temporal.worker")
_TICK = 0.25
"""Seconds between two looks at the loop, while supersteps run; each wakes it once."""
_BLOCKED = 1.0
"""Seconds without an answer after which a loop counts as blocked, at the least."""
_ON_ITS_WAY = 0.2
"""Seconds that a heartbeat may take to the server where others take none to speak of."""
_SHORT_THROTTLE = 0.1
"""Seconds that the SDK may hold a heartbeat back and a write can wait for."""
_FED = 3
"""After so many intervals the SDK is given a heartbeat even where others are written past it: its core gives up an
activity that it hears nothing of for as long as the timeout, which is four of them."""
_OVERDUE = 2.0
"""Seconds after its end that a superstep in a blocked loop is given, as the loop could end it yet."""


def beat_interval(timeout: timedelta | None) -> float:
    """Return the seconds between two heartbeats of an activity with this heartbeat timeout."""
    return timeout.total_seconds() / 4 if timeout else 5.0


@dataclass(eq=False)
class Pulse:
    """The heartbeats of one superstep that a worker has been given, until what it ends with is reported.

    A codec may take long to decode its input, and to encode its outcome: both are done by the SDK, before and after.

    Args:
        task_token: Of its activity.
        interval: Seconds between two of them.
        details: Of the next heartbeat.
        workflow_name: Name of the framework workflow.
        task: The activity's own; None before its code runs.
        ends_at: Returns when it will have taken too long, by `time.monotonic()`; None for never.
        last_words: Returns the details of the last heartbeat of one that has.
    """

    task_token: bytes
    interval: float
    details: Sequence[Payload] = ()
    workflow_name: str = ""
    task: asyncio.Task[object] | None = None
    ends_at: Callable[[], float | None] = field(default=lambda: None)
    last_words: Callable[[Place | None], Sequence[Payload] | None] = field(default=lambda _: None)
    beaten: float = field(default_factory=time.monotonic)
    begun: float = field(default_factory=time.monotonic)
    sent: float = -math.inf
    """When the SDK was last given a heartbeat to send; an attempt begins with none."""
    given_up: bool = False


class Pacemaker:
    """Beats for the supersteps of one worker from a thread, which runs while there are any.

    Args:
        record: Records a heartbeat from any thread.
        loop: The worker's event loop.
        throttle: Seconds for which the SDK may hold a heartbeat back.
    """

    def __init__(self, record: HeartbeatRecorder, loop: asyncio.AbstractEventLoop, throttle: float = 0.0) -> None:
        self._record = record
        self._throttle = throttle
        self._loop = loop
        self._loop_thread = threading.get_ident()
        self._condition = threading.Condition()
        self._pulses: dict[bytes, Pulse] = {}
        self._thread: threading.Thread | None = None
        self._waits = math.inf
        """Seconds for which the thread waits, at most: without end where there is nothing to beat for."""
        self._closed = False
        self._asked: float | None = None
        """When the loop was asked whether it runs, until it has answered."""
        self._looked = 0.0
        self._suspect: asyncio.Task[object] | None = None
        self._suspected = 0.0
        self._warned: set[tuple[str | None, str | None]] = set()
        self._said: list[tuple[int, str]] = []

    def begun(self, task_token: bytes, start: ActivityStart) -> None:
        """Beat for an activity from now on, if it is a superstep; the first time after its interval.

        Until its code runs it says what the attempt before had said last, as the server has it.
        """
        if start.activity_type in (SUPERSTEP_ACTIVITY, INVOCATION_ACTIVITY):
            timeout = start.heartbeat_timeout.ToTimedelta() if start.HasField("heartbeat_timeout") else None
            self.add(Pulse(task_token, beat_interval(timeout), list(start.heartbeat_details)))

    def ended(self, task_token: bytes) -> None:
        """Beat no more for an activity; nothing of it is sent once this has returned."""
        with self._condition:
            self._pulses.pop(task_token, None)

    def pulse(self, task_token: bytes) -> Pulse | None:
        """Return the pulse of an activity that has begun."""
        return self._pulses.get(task_token)

    def add(self, pulse: Pulse) -> None:
        """Beat for a superstep from now on; the first time after its interval."""
        with self._condition:
            self._pulses[pulse.task_token] = pulse
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="agent-framework-pacemaker", daemon=True)
                # Debuggers that stop every thread at a breakpoint leave such a one alone.
                vars(self._thread).update(pydev_do_not_trace=True, is_pydev_daemon_thread=True)
                self._thread.start()
            if pulse.interval / 2 < self._waits:  # Else it looks soon enough, and waking it takes a while.
                self._condition.notify()

    def beat(self, pulse: Pulse, details: Sequence[Payload]) -> None:
        """Beat for a superstep at once, and with these details from now on."""
        with self._condition:
            pulse.details = details
            if not pulse.given_up:
                self._send(pulse, time.monotonic())

    def written(self, pulse: Pulse) -> None:
        """Note that a heartbeat was written past the SDK."""
        with self._condition:
            pulse.beaten = time.monotonic()

    def sending_for(self, pulse: Pulse, round_trip: float) -> float:
        """Return for how many seconds more a heartbeat through the SDK may be on its way.

        It is of before, perhaps, and would replace one that was written past it since.

        Args:
            pulse: Whose.
            round_trip: Seconds that another one has just taken.
        """
        longest = max(_ON_ITS_WAY, 5 * round_trip) + min(self._throttle, _SHORT_THROTTLE)
        return pulse.sent + longest - time.monotonic()

    def refresh(self, pulse: Pulse, details: Sequence[Payload]) -> None:
        """Give the SDK what is about to be written past it, where it may hold back for long what it has."""
        with self._condition:
            pulse.details = details
            if self._throttle > _SHORT_THROTTLE and pulse.sent > -math.inf:
                self._give(pulse)

    def close(self) -> None:
        """End the thread."""
        with self._condition:
            self._closed = True
            self._condition.notify()
        if self._thread is not None:
            self._thread.join()

    def _send(self, pulse: Pulse, now: float) -> None:
        pulse.beaten = pulse.sent = now
        self._give(pulse)

    def _give(self, pulse: Pulse) -> None:
        try:
            self._record(pulse.task_token, pulse.details)
        except Exception:
            _LOGGER.warning("A heartbeat of workflow %r was not recorded", pulse.workflow_name, exc_info=True)

    def _run(self) -> None:
        while True:
            with self._condition:
                if not self._pulses and not self._closed:
                    self._asked = self._suspect = None
                    self._waits = math.inf
                    self._condition.wait()
                    self._looked = time.monotonic()
                if not self._closed:  # It may have been while there was nothing to beat for.
                    self._waits = min([_TICK, *(pulse.interval / 2 for pulse in self._pulses.values())])
                    self._condition.wait(self._waits)
                if self._closed:
                    return
                if not self._pulses:
                    continue
                now = time.monotonic()
                blocked = self._look(now)
                for pulse in self._pulses.values():
                    self._keep(pulse, now, blocked)
                said, self._said = self._said, []
            for level, text in said:  # Outside of the lock, which the loop takes too.
                _LOGGER.log(level, "%s", text)

    def _keep(self, pulse: Pulse, now: float, blocked: float) -> None:
        """Beat for a superstep if it is time to."""
        if pulse.given_up or (pulse.task is None and blocked >= max(_BLOCKED, 4 * pulse.interval)):
            return  # What has not begun in a blocked loop is for another worker.
        end = pulse.ends_at()
        if end is not None and now > end + _OVERDUE and blocked >= _BLOCKED:
            # The loop cannot end it. Without heartbeats the server does, and has it tried again elsewhere.
            place = place_running_in(self._loop)
            pulse.given_up = True
            pulse.details = pulse.last_words(place) or pulse.details
            self._send(pulse, now)
            text = (
                f"A superstep of workflow {pulse.workflow_name!r} has taken too long and cannot be stopped because "
                f"{_who(place)} blocks the event loop. It is abandoned and retried by another worker."
            )
            self._said.append((logging.ERROR, text))
        elif now - pulse.beaten >= pulse.interval or now - max(pulse.sent, pulse.begun) >= _FED * pulse.interval:
            self._send(pulse, now)

    def _look(self, now: float) -> float:
        """Return for how long the loop has not answered, and warn once of each executor that it waits for."""
        before, self._looked = self._looked, now
        if self._asked is None:
            self._suspect = None
            self._asked = now
            with contextlib.suppress(RuntimeError):  # The loop is closed.
                self._loop.call_soon_threadsafe(self._answer)
            return 0.0
        running = asyncio.current_task(self._loop)
        if running is not self._suspect:
            self._suspect, self._suspected = running, max(before, self._asked)
        lasted = now - self._suspected
        if running is not None and lasted >= max(_BLOCKED, min(pulse.interval for pulse in self._pulses.values())):
            self._warn(running, lasted)
        return now - self._asked

    def _answer(self) -> None:
        self._asked = None

    def _warn(self, running: asyncio.Task[object], lasted: float) -> None:
        place = place_running_in(self._loop)
        name = place.scope.workflow_name if place is not None else None
        for pulse in self._pulses.values():
            if place is None and pulse.task is running:  # The superstep's own task: a hook, a condition.
                name = pulse.workflow_name
        executor = place.executor_id if place is not None else None
        if (name, executor) in self._warned:
            return
        self._warned.add((name, executor))
        who = f"Executor {executor!r}" if executor is not None else "A superstep" if name else "A task"
        of = f" of workflow {name!r}" if name else " that is no superstep's"
        frame = sys._current_frames().get(self._loop_thread)
        where = f" It is at {frame.f_code.co_filename}:{frame.f_lineno}, in {frame.f_code.co_name}." if frame else ""
        text = (
            f"{who}{of} has blocked the event loop for {lasted:.1f} s: use `asyncio.to_thread`. Other runs of this "
            f"worker are stuck meanwhile.{where}"
        )
        self._said.append((logging.WARNING, text))


def _who(place: Place | None) -> str:
    return f"executor {place.executor_id!r}" if place is not None and place.executor_id is not None else "something"


_pacemaker: ContextVar[Pacemaker | None] = ContextVar("agent_framework_temporal_pacemaker", default=None)


def current_pacemaker() -> Pacemaker | None:
    """Return the pacemaker of the worker that runs the calling activity; None where its SDK has no way for one."""
    return _pacemaker.get()


@contextlib.contextmanager
def pacing(worker: Worker) -> Iterator[None]:
    """Give the activities of a worker, which is run by the body, a pacemaker."""
    record = heartbeat_recorder(worker)
    if record is None:
        yield
        return
    throttle = worker.config(active_config=True)["max_heartbeat_throttle_interval"]
    pacemaker = Pacemaker(record, asyncio.get_running_loop(), throttle.total_seconds())
    watch_activities(worker, pacemaker.begun, pacemaker.ended)
    token = _pacemaker.set(pacemaker)
    try:
        yield
    finally:
        _pacemaker.reset(token)
        pacemaker.close()
