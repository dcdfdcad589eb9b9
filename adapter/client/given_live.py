"""Which live events of the running superstep a stream has given: they count once it is committed, or are taken back."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from typing import Any

from agent_framework import WorkflowEvent

from ...workflows.messages import SuperstepFailure, SuperstepResult
from .event_position import LiveEventsDiscarded, position_of
from .live_reader import LiveEventsRead


class GivenLive:
    """The live events that were given of one superstep, whatever becomes of them."""

    def __init__(self) -> None:
        self._attempts: dict[int, int] = {}
        """Offset -> attempt of what was given."""
        self._superstep = 0

    def give(self, read: LiveEventsRead, after: int) -> Iterator[WorkflowEvent[Any]]:
        """Yield what a look has found after an offset; first, what takes back the events of another attempt."""
        yield from self._take_back(
            offset for offset, given in self._attempts.items() if given != read.attempt and offset >= read.finished
        )
        for offset, event in read.events:
            if offset > after:
                self._attempts[offset] = read.attempt
                position = position_of(event)
                self._superstep = (position and position.superstep) or self._superstep
                yield event

    def void(self, outcome: SuperstepResult | SuperstepFailure) -> Iterator[WorkflowEvent[Any]]:
        """Yield what takes back the events that were given and are none of an outcome, if any were.

        Those of a burst may be of several attempts. What it has left of a superstep that has failed, another activity
        tells of; of one that was cut off nobody does.
        """
        attempts = {record.offset: record.attempt for record in outcome.events}
        cut = isinstance(outcome, SuperstepResult) and outcome.begun != "failed"
        end = max(attempts, default=-1) if cut else math.inf
        yield from self._take_back(
            offset
            for offset, given in self._attempts.items()
            if (attempts.get(offset) or outcome.attempt) != given or offset > end
        )

    def _take_back(self, void: Iterable[int]) -> Iterator[WorkflowEvent[Any]]:
        offsets = sorted(void)
        by_attempt: dict[int, list[int]] = {}
        for offset in offsets:
            by_attempt.setdefault(self._attempts.pop(offset), []).append(offset)
        for attempt, found in by_attempt.items():
            yield LiveEventsDiscarded(superstep=self._superstep, attempt=attempt, offsets=found)

    def void_all(self, committed: range) -> LiveEventsDiscarded:
        """Return what takes back all events that were given, with committed ones at these offsets: of a run reset."""
        offsets = sorted({*committed, *self._attempts})
        self._attempts.clear()
        return LiveEventsDiscarded(superstep=self._superstep, attempt=None, offsets=offsets)

    def take(self, outcome: SuperstepResult | SuperstepFailure) -> frozenset[int]:
        """Return the offsets that were given of an outcome, and forget them: it is there."""
        given = frozenset(self._attempts)
        begun = isinstance(outcome, SuperstepResult) and outcome.begun == "failed"
        end = max((record.offset for record in outcome.events), default=-1)
        self._attempts = {offset: attempt for offset, attempt in self._attempts.items() if begun and offset > end}
        return given
