"""Where a reader of a thread's events stands, as an SSE id: it reads on from there, in the middle of a superstep too.

`12` is after the event at offset 12. `12.2.15-40,43` is after that one, and after the live events at 15 to 40 and 43 of
the second attempt of the superstep that was running: they count if that attempt is committed, and are taken back else.
`@` and a run's id behind it say where the reader has them from, so that a reset of that run is noticed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from agent_framework import WorkflowEvent

from ..client.event_position import EventPosition, LiveEventsDiscarded, position_of
from .problems import ProblemError

_ID = re.compile(
    r"(-1|\d{1,15})(?:\.(\d{1,9})\.(\d{1,15}(?:-\d{1,15})?(?:,\d{1,15}(?:-\d{1,15})?)*))?(?:@([0-9a-f-]{1,40}))?",
    re.ASCII,
)
_MAX_ID = 8_000
_MAX_OFFSETS = 200_000


class Place:
    """Where a reader stands.

    Args:
        base: Everything up to this offset was given.
        attempt: Of the live events that were given beyond.
        given: Their offsets, as ranges, ascending and apart.
        run_id: The run that the last event was of; None where the reader does not say.
    """

    def __init__(
        self,
        base: int,
        attempt: int | None = None,
        given: list[tuple[int, int]] | None = None,
        run_id: str | None = None,
    ) -> None:
        self.base: int = base
        self.run_id = run_id
        self._attempt = attempt
        self._given = given or []
        self._resumed = bool(given)
        """Whether the live events were given by a stream before this one."""

    @classmethod
    def parse(cls, text: str) -> Place:
        """Read an id.

        Raises:
            ProblemError: When it is none of ours.
        """
        found = _ID.fullmatch(text) if len(text) <= _MAX_ID else None
        if found is None:
            raise ProblemError(
                400, "bad-event-id", f"{text[:60]!r} is not the id of an event: send the last `id` unchanged."
            )
        base = int(found[1])
        if found[2] is None:
            return cls(base, run_id=found[4])
        ranges: list[tuple[int, int]] = []
        last = base
        for part in found[3].split(","):
            low, _, high = part.partition("-")
            pair = (int(low), int(high or low))
            if not last < pair[0] <= pair[1]:
                raise ProblemError(400, "bad-event-id", "The offsets of an id must ascend.")
            ranges.append(pair)
            last = pair[1]
        if sum(high - low + 1 for low, high in ranges) > _MAX_OFFSETS:
            raise ProblemError(400, "bad-event-id", "The id has too many offsets.")
        return cls(base, int(found[2]), ranges, found[4])

    def __str__(self) -> str:
        run = "" if self.run_id is None else f"@{self.run_id}"
        if not self._given:
            return f"{self.base}{run}"
        ranges = ",".join(str(low) if low == high else f"{low}-{high}" for low, high in self._given)
        return f"{self.base}.{self._attempt}.{ranges}{run}"

    @property
    def is_short(self) -> bool:
        """Whether the id is one that can be read back; else the reader goes on from the one before."""
        return len(self._given) <= 200

    def reset(self, last: int) -> LiveEventsDiscarded | None:
        """Go back to an offset, as the run was reset; returns what takes back the events beyond that were given."""
        offsets = [*range(last + 1, min(self.base, last + _MAX_OFFSETS) + 1), *self._offsets()]
        self.base, self._given, self._resumed = min(self.base, last), [], False
        return LiveEventsDiscarded(superstep=0, attempt=None, offsets=offsets) if offsets else None

    def take(self, event: WorkflowEvent[Any]) -> Iterator[WorkflowEvent[Any]]:
        """Move on by an event of a stream after `base`; yields what is new to the reader."""
        if isinstance(event, LiveEventsDiscarded):
            yield self._discarded(event)
            return
        position = position_of(event)
        if position is None:
            return  # Told again at each beginning or end of a stream: it has no place of its own.
        yield from self._moved(event, position)

    def _moved(self, event: WorkflowEvent[Any], position: EventPosition) -> Iterator[WorkflowEvent[Any]]:
        offset = position.offset
        if self._given and position.attempt != self._attempt:
            if self._resumed:
                yield self._void(position.superstep)
            else:  # The stream itself takes back what is lost: so their superstep was committed before this one began.
                self.base, self._given = self._given[-1][1], []
        known = offset <= self.base or any(low <= offset <= high for low, high in self._given)
        if position.live:
            if self._resumed and known:
                self._resumed = False  # The stream takes them back itself from now on.
            if not known:
                self._attempt = position.attempt
                self._add(offset)
        elif offset > self.base:
            self.base = offset
            self._given = [(max(low, offset + 1), high) for low, high in self._given if high > offset]
        self._resumed = self._resumed and bool(self._given)
        if not known:
            yield event

    def _add(self, offset: int) -> None:
        if self._given and self._given[-1][1] == offset - 1:
            self._given[-1] = (self._given[-1][0], offset)
        elif self._given and offset < self._given[-1][1]:
            self._given = sorted([*self._given, (offset, offset)])
        else:
            self._given.append((offset, offset))

    def _void(self, superstep: int | None) -> LiveEventsDiscarded:
        attempt, offsets = self._attempt, self._offsets()
        self._given, self._resumed = [], False
        return LiveEventsDiscarded(superstep=superstep or 0, attempt=attempt, offsets=offsets)

    def _discarded(self, notice: LiveEventsDiscarded) -> LiveEventsDiscarded:
        if self._resumed:
            offsets = sorted({*notice.offsets, *self._offsets()})
        else:
            offsets = list(notice.offsets)
            # What was given before these is of a superstep that was committed.
            self.base = max([self.base, *(offset for offset in self._offsets() if offset < offsets[0])])
        self._given, self._resumed = [], False
        if notice.attempt is None:
            self.base = min(self.base, offsets[0] - 1)
        return LiveEventsDiscarded(superstep=notice.superstep, attempt=notice.attempt, offsets=offsets)

    def _offsets(self) -> list[int]:
        return [offset for low, high in self._given for offset in range(low, high + 1)]
