"""When a reader asks the server for what is new in a run: as seldom as its caller does not notice.

Each new event of a run ends a wait for one, and a superstep's come in three portions: its outcome, then the workflow's
task, then what that has decided, a moment later. A reader that waits for each pays three requests a superstep.
"""

from __future__ import annotations

import math
import time
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable
from statistics import median

from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent

_OUTCOMES = frozenset(
    {
        EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
        EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED,
        EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT,
    }
)
_BETWEEN = _OUTCOMES | {EventType.EVENT_TYPE_WORKFLOW_TASK_SCHEDULED}
"""After these the workflow's task has yet to be started."""

_FIRST = 0.015
"""Seconds until a first superstep is looked for: a worker takes the run up meanwhile."""
_SETTLE = 0.004
"""Seconds a worker takes for a workflow task, about: what it decides is read with its beginning."""
_QUICK, _QUICK_TELLING = 0.6, 0.3
"""Seconds up to which a superstep's end is awaited here, by how long those before it took, and not on the server; less
where executors say something meanwhile, of which nothing is heard before it is known which superstep runs."""
_MOST_LATE = 0.05
"""Seconds that an outcome may have been there by then, of a superstep that took as long as most."""
_TOGETHER, _TOGETHER_TELLING = 0.6, 0.1
"""Seconds up to which a superstep may be read together with the next one, as above."""
_BUDGET = 0.95
"""Requests that a superstep is worth; the rest is for the beginning and the end of the call."""
_LEAST_SPENT, _MOST_SPENT = -1.0, 6.0
"""Requests less the budget: what was saved or spent long ago does not count."""
_LEAST_LOOK, _MOST_LOOK, _MOST_LOOK_TELLING = 0.06, 0.6, 0.25
_SLOW = 1.0
"""Seconds from which a superstep is slow anyway, so that it is looked at early."""
_WORTH = 2.0
"""Seconds from which a superstep is worth a request of its own, though nothing is given before the end."""


class Pace(ABC):
    """When to ask for more. It is told what has come, and whether the workflow goes on to another superstep."""

    ends_only = False
    """Whether the caller is given nothing before the run is over or waits."""

    def __init__(self) -> None:
        self.goes_on: bool = True
        """Whether another superstep follows the last one."""
        self.tells = False
        """Whether executors have said something while they ran."""
        self._last: int | None = None
        """Type of the last event."""
        self._fresh = False
        self._took: deque[float] = deque(maxlen=8)
        """Seconds from one outcome to the next, of the latest."""
        self._ran: deque[float] = deque(maxlen=8)
        """Seconds of that which their executors and nothing else took, about."""
        self._outcomes = 0
        self._begun_at: float | None = None
        self._outcome_at: float | None = None
        """When the last outcome came about, by the server's clock."""

    def enter(self, *, fresh: bool) -> None:
        """Begin with a run; a fresh one was only just started."""
        self._last, self._fresh, self.goes_on = None, fresh, True

    def came(self, events: Iterable[HistoryEvent]) -> None:
        """Take note of what a request has brought."""
        for event in events:
            self._last = event.event_type
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_STARTED:
                self._begun_at = event.event_time.ToNanoseconds() / 1e9
            elif event.event_type in _OUTCOMES:
                at = event.event_time.ToNanoseconds() / 1e9
                self._outcomes += 1
                if self._outcome_at is not None:
                    self._took.append(at - self._outcome_at)
                if self._begun_at is not None:
                    self._ran.append(at - self._begun_at)
                self._outcome_at = at

    @property
    def _typical(self) -> float:
        """Seconds that a superstep takes; 0 where that is not known yet."""
        return median(self._took) if self._took else 0.0

    def _after_task(self) -> float:
        """Return the seconds from an outcome until the workflow's task is over, and the superstep hardly ever."""
        return self._typical / 4 if self._typical < _SLOW else _LEAST_LOOK

    @property
    def _is_within_superstep(self) -> bool:
        """Whether nothing comes but the outcome of a superstep."""
        return self._last not in _BETWEEN and self._last != EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED

    @abstractmethod
    def pause(self) -> float:
        """Return the seconds until the next request."""

    def first_look(self) -> float:
        """Return the seconds until a superstep counts as running long, so that its live events are looked at."""
        return _LEAST_LOOK


class StreamPace(Pace):
    """Of a reader that gives events as they are committed: one request a superstep while these are quick.

    It waits for about as long as the last supersteps took, and reads an outcome with all that was before it. Where it
    comes too early it goes on waiting on the server, which tells it at once. Its budget is a request a superstep; what
    it has spent beyond that it saves by reading two supersteps together.
    """

    def __init__(self) -> None:
        super().__init__()
        self._over_budget = _LEAST_SPENT
        self._clock = math.inf
        """This process's clock less the server's, by the outcome that has come with the least delay."""
        self._missed = False
        """Whether the last request was too early for an outcome."""

    def came(self, events: Iterable[HistoryEvent]) -> None:
        """Take note of what a request has brought."""
        before = self._outcomes
        super().came(events)
        brought = self._outcomes - before
        self._missed = not brought
        self._over_budget = max(_LEAST_SPENT, min(self._over_budget + 1 - brought * _BUDGET, _MOST_SPENT))
        if brought and self._outcome_at is not None:
            self._clock = min(self._clock, time.monotonic() - self._outcome_at)

    def pause(self) -> float:
        """Return the seconds until the next request."""
        if self._last is None:
            return _FIRST if self._fresh else 0.0
        typical = self._typical
        if not self.goes_on:
            return _SETTLE
        if self._last == EventType.EVENT_TYPE_WORKFLOW_TASK_STARTED and self._missed:
            return max(_SETTLE, min(typical / 10, 0.03))
        if self._is_within_superstep:
            return 0.0
        if not self._took or self._outcome_at is None:
            return _FIRST
        if typical > (_QUICK_TELLING if self.tells else _QUICK):
            return self._after_task()
        most = sorted(self._took)[int(len(self._took) * 0.7)]
        expected = min(most, 1.5 * typical, typical + _MOST_LATE) + 0.001
        if self._over_budget > 0.5 and typical <= (_TOGETHER_TELLING if self.tells else _TOGETHER):
            expected += typical
        return max(0.0, self._outcome_at + self._clock + expected - time.monotonic())

    def first_look(self) -> float:
        """Return the seconds until a superstep counts as running long, so that its live events are looked at."""
        typical, most = self._typical, _MOST_LOOK_TELLING if self.tells else _MOST_LOOK
        return _LEAST_LOOK if typical > _SLOW else min(max(1.5 * typical, _LEAST_LOOK), most)


class RunPace(Pace):
    """Of a reader whose caller is given everything at the end: the server tells when the run is over.

    It looks, ever less often, whether the run has stopped without being over, or nobody takes it up. Where executors
    take long it is told at the end of each superstep, so that the caller's handle moves on; in a long run that asks
    nothing only at first.

    Args:
        may_wait: Whether the run may stop and stay open, as it asks or pauses: then it looks four times a second.
    """

    ends_only = True

    def __init__(self, *, may_wait: bool) -> None:
        super().__init__()
        self._may_wait = may_wait
        self._pause, self._factor, self._longest = (0.05, 2.0, 0.25) if may_wait else (1.0, 4.0, 10.0)
        self._spare = 20
        """Requests that may be made for slow supersteps."""

    def pause(self) -> float:
        """Return the seconds until the next request."""
        if self._last is None and not self._fresh:
            return 0.0
        if not self.goes_on:
            return _SETTLE
        if self._is_slow and (self._may_wait or self._spare):
            self._spare -= not self._may_wait
            return 0.0 if self._is_within_superstep else self._after_task()
        pause, self._pause = self._pause, min(self._factor * self._pause, self._longest)
        return pause

    @property
    def _is_slow(self) -> bool:
        """Whether it is the executors that take long, and not all else because there is much to do."""
        typical = self._typical
        return typical > _WORTH and median(self._ran) > 0.7 * typical
