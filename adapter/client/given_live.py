"""Which live events of the running superstep a stream has given: they count once it is committed, or are taken back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from agent_framework import WorkflowEvent

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
        yield from self.void(read.attempt)
        for offset, event in read.events:
            if offset > after:
                self._attempts[offset] = read.attempt
                position = position_of(event)
                self._superstep = (position and position.superstep) or self._superstep
                yield event

    def void(self, attempt: int) -> Iterator[WorkflowEvent[Any]]:
        """Yield what takes back the events that were given of another attempt than this one, if any were."""
        offsets = sorted(offset for offset, given in self._attempts.items() if given != attempt)
        if offsets:
            yield LiveEventsDiscarded(superstep=self._superstep, attempt=self._attempts[offsets[0]], offsets=offsets)
            self._attempts.clear()

    def void_all(self, committed: range) -> LiveEventsDiscarded:
        """Return what takes back all events that were given, with committed ones at these offsets: of a run reset."""
        offsets = sorted({*committed, *self._attempts})
        self._attempts.clear()
        return LiveEventsDiscarded(superstep=self._superstep, attempt=None, offsets=offsets)

    def take(self) -> frozenset[int]:
        """Return the offsets that were given, and forget them: the superstep's outcome is there."""
        given = frozenset(self._attempts)
        self._attempts.clear()
        return given
