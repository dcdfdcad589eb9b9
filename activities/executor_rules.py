"""Which policy an executor's failure falls under, and the time its invocations have."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from datetime import timedelta

from ..workflows.messages import ExecutorRule, RunOptions, SuperstepInput

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


class ExecutorTimeouts:
    """Ends a superstep when it, or one invocation in it, has taken its time.

    Args:
        step: Has the limits.
    """

    def __init__(self, step: SuperstepInput) -> None:
        self._whole = step.timeout
        rules = (step.executors or {}).items()
        self._limits = {executor_id: rule.timeout for executor_id, rule in rules if rule.timeout is not None}
        self._open: list[tuple[str, float]] = []
        self._timeout: asyncio.Timeout | None = None
        self._end: float | None = None
        self._clock = asyncio.get_running_loop().time
        self._behind = time.monotonic() - self._clock()  # Not every loop goes by the same clock.

    @property
    def has_limits(self) -> bool:
        """Whether single executors have a limit."""
        return bool(self._limits)

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
        limit = self._limits.get(executor_id)
        if limit is None or self._timeout is None:
            yield
            return
        entry = (executor_id, self._clock() + limit)
        self._open.append(entry)
        self._reschedule(self._timeout)
        try:
            yield
        finally:
            if not self._timeout.expired():  # Else it stays, to say who took too long.
                self._open.remove(entry)
                self._reschedule(self._timeout)

    def _reschedule(self, timeout: asyncio.Timeout) -> None:
        if not timeout.expired():
            ends = [when for _, when in self._open] + ([] if self._end is None else [self._end])
            timeout.reschedule(min(ends, default=None))

    def overdue(self) -> tuple[str | None, float]:
        """Return which executor took too long, None for the superstep as a whole, and its limit in seconds.

        It may be asked from any thread.
        """
        now = time.monotonic() - self._behind
        late = [executor_id for executor_id, when in [*self._open] if when <= now]
        return (late[0], self._limits[late[0]]) if late else (None, self._whole or 0.0)
