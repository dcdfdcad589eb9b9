"""Which policy an executor's failure falls under, and the time its invocations have."""

from __future__ import annotations

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Collection, Iterator
from dataclasses import dataclass
from datetime import timedelta

from ..workflows.messages import ExecutorRule, RunOptions, SuperstepInput
from .progress import watched

_DEFAULTS = RunOptions()


@dataclass(frozen=True, slots=True)
class RetryRule:
    """How often a superstep is tried after an executor has failed, and the waits between."""

    max_attempts: int = _DEFAULTS.max_attempts
    initial_interval: float = _DEFAULTS.retry_initial_interval
    backoff: float = _DEFAULTS.retry_backoff
    maximum_interval: float = _DEFAULTS.retry_maximum_interval

    def wait(self, failures: int) -> timedelta:
        """Return the wait after so many failed attempts."""
        # 2 to the 1000 and more are no floats.
        seconds = self.initial_interval * self.backoff ** min(failures - 1, 100)
        return timedelta(seconds=min(seconds, max(self.maximum_interval, self.initial_interval)))


def retry_rule(step: SuperstepInput, executor_id: str | None) -> RetryRule:
    """Return what holds for an executor: its own rule, then the run's, then the defaults."""
    run = step.retry or ExecutorRule()
    own = (step.executors or {}).get(executor_id or "", run)

    def first(name: str, default: float) -> float:
        found = (getattr(own, name), getattr(run, name), default)
        return next(value for value in found if value is not None)

    return RetryRule(
        max_attempts=own.max_attempts or step.max_attempts,
        initial_interval=first("retry_initial_interval", _DEFAULTS.retry_initial_interval),
        backoff=first("retry_backoff", _DEFAULTS.retry_backoff),
        maximum_interval=first("retry_maximum_interval", _DEFAULTS.retry_maximum_interval),
    )


@dataclass(slots=True, eq=False)
class _Running:
    """An invocation with a limit."""

    executor_id: str
    end: float
    """When it will have taken too long."""
    idle: float | None
    """Seconds that it may show no progress."""
    idle_end: float
    """When it will have shown none for too long."""

    @property
    def first_end(self) -> float:
        return min(self.end, self.idle_end)


@dataclass(frozen=True, slots=True)
class Overdue:
    """What took too long."""

    executor_id: str | None
    """None for the superstep as a whole."""
    seconds: float
    """Its limit."""
    idle: bool = False
    """Whether the limit is that of a time without progress."""

    @property
    def text(self) -> str:
        """What is said of it in an error."""
        who = f"Executor {self.executor_id!r}" if self.executor_id is not None else "The superstep"
        if not self.idle:
            return f"{who} took longer than {self.seconds:g} seconds."
        return (
            f"{who} has shown no progress for {self.seconds:g} seconds, its `idle_timeout`: no event, no model or "
            "tool call that started or ended, and no part of a model's response."
        )


class ExecutorTimeouts:
    """Ends a superstep when it, or one invocation in it, has taken its time, or shows no progress.

    Args:
        step: Has the limits.
        elsewhere: Executors that run on task queues of their own, which keep their limits: a wait for a worker does not
            count.
    """

    def __init__(self, step: SuperstepInput, elsewhere: Collection[str] = ()) -> None:
        self._elsewhere = elsewhere
        self._whole = step.timeout
        rules = (step.executors or {}).items()
        self._limits = {executor_id: rule.timeout for executor_id, rule in rules if rule.timeout is not None}
        self._idle_limits = {name: rule.idle_timeout for name, rule in rules if rule.idle_timeout is not None}
        self._idle_limit = step.idle_timeout
        self._open: list[_Running] = []
        self._timeout: asyncio.Timeout | None = None
        self._end: float | None = None
        self._clock = asyncio.get_running_loop().time
        self._behind = time.monotonic() - self._clock()  # Not every loop goes by the same clock.

    @property
    def has_limits(self) -> bool:
        """Whether single executors have a limit."""
        return bool(self._limits or self._idle_limits) or self._idle_limit is not None

    def ends_at(self) -> float | None:
        """Return when the body will have taken too long, by `time.monotonic()`; may be called from any thread."""
        end = self._timeout.when() if self._timeout is not None else None
        return None if end is None else end + self._behind

    @property
    def expired(self) -> bool:
        """Whether the body has taken too long, itself or one invocation in it."""
        return self._timeout is not None and self._timeout.expired()

    @contextlib.asynccontextmanager
    async def limited(self) -> AsyncIterator[None]:
        """Limit the body.

        Raises:
            TimeoutError: When it took longer.
        """
        async with asyncio.timeout(self._whole) as self._timeout:
            self._end = self._timeout.when()
            yield

    @contextlib.contextmanager
    def invocation(self, executor_id: str) -> Iterator[None]:
        """Limit one invocation of an executor, which the body is."""
        limit, idle = self._limits.get(executor_id), self._idle_limits.get(executor_id, self._idle_limit)
        if (limit is None and idle is None) or self._timeout is None or executor_id in self._elsewhere:
            yield
            return
        now = self._clock()
        end, idle_end = (math.inf if seconds is None else now + seconds for seconds in (limit, idle))
        running = _Running(executor_id, end, idle, idle_end)
        self._open.append(running)
        self._reschedule(self._timeout)
        watching = contextlib.nullcontext() if idle is None else watched(lambda: self._progressed(running))
        try:
            with watching:
                yield
        finally:
            if not self._timeout.expired():  # Else it stays, to say who took too long.
                self._open.remove(running)
                self._reschedule(self._timeout)

    def told(self, executor_id: str | None) -> None:
        """Note an event of an executor: its invocations go on."""
        for running in self._open:
            if running.executor_id == executor_id:
                self._progressed(running)

    def _progressed(self, running: _Running) -> None:
        if running.idle is None or self._timeout is None or self._timeout.expired():
            return
        first = running.idle_end <= running.end
        running.idle_end = self._clock() + running.idle
        if first and running in self._open:
            self._reschedule(self._timeout)

    def _reschedule(self, timeout: asyncio.Timeout) -> None:
        if not timeout.expired():
            ends = [running.first_end for running in self._open] + ([] if self._end is None else [self._end])
            timeout.reschedule(min(ends, default=None))

    def overdue(self) -> Overdue:
        """Return what took too long; it may be asked from any thread."""
        now = time.monotonic() - self._behind
        for running in [*self._open]:
            if running.end <= now:
                return Overdue(running.executor_id, self._limits[running.executor_id])
            if running.idle is not None and running.idle_end <= now:
                return Overdue(running.executor_id, running.idle, idle=True)
        return Overdue(None, self._whole or 0.0)
