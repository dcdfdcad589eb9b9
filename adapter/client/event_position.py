"""Where an event of a stream stands: its offset, superstep and attempt, and whether it is committed yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent_framework import WorkflowEvent, WorkflowEventSource

from ...workflows.exported import exported
from ...workflows.messages import Calls, LoggedEvent
from ..framework.internals import new_event

_ATTRIBUTE = "_agent_framework_temporal_position"
_CALLS = "_agent_framework_temporal_calls"


@exported
@dataclass(frozen=True, slots=True, kw_only=True)
class EventPosition:
    """Where an event stands in its thread."""

    offset: int
    """Counts a thread's events from 0; the same for whoever reads it, whenever."""
    superstep: int | None
    """0 before the first."""
    attempt: int | None
    """Attempt of the superstep, from 1."""
    live: bool
    """Given while its superstep was still running: void if that attempt does not commit."""


@exported
class LiveEventsDiscarded(WorkflowEvent[None]):
    """Says that events a stream has given do not count.

    The attempt that told them live failed or its worker was lost; or an operator has reset the run to before them. What
    happens instead follows, under the same offsets. It is no event of the run: the stream's final response leaves out
    both it and what it voids.

    Args:
        superstep: The superstep that is attempted again.
        attempt: The attempt whose live events are void; None where the run was reset, and all events at these offsets
            are.
        offsets: Their offsets, ascending.
    """

    def __init__(self, *, superstep: int, attempt: int | None, offsets: Sequence[int]) -> None:
        template = new_event("live_events_discarded", origin=WorkflowEventSource.FRAMEWORK, iteration=superstep)
        self.__dict__.update(vars(template))
        self.superstep = superstep
        self.attempt = attempt
        self.offsets: tuple[int, ...] = tuple(offsets)


@exported
def position_of(event: WorkflowEvent[Any]) -> EventPosition | None:
    """Return where an event of a durable stream stands; None for one that has no place in the thread's log."""
    return getattr(event, _ATTRIBUTE, None)


def calls_of(event: WorkflowEvent[Any]) -> Calls | None:
    """Return what the attempt had called that an event is of: a live one, by then; else the last of its superstep."""
    return getattr(event, _CALLS, None)


def set_position(event: WorkflowEvent[Any], record: LoggedEvent, *, live: bool, calls: Calls | None = None) -> None:
    """Note where an event stands, and what its attempt has called."""
    position = EventPosition(offset=record.offset, superstep=record.superstep, attempt=record.attempt, live=live)
    setattr(event, _ATTRIBUTE, position)
    if calls is not None:
        setattr(event, _CALLS, calls)


def without_void(events: Sequence[WorkflowEvent[Any]]) -> list[WorkflowEvent[Any]]:
    """Return the events of a stream as they count in the end: in the order of their offsets, nothing void."""
    kept: list[WorkflowEvent[Any]] = []
    for event in events:
        if isinstance(event, LiveEventsDiscarded):
            kept = [other for other in kept if not _is_void(position_of(other), event)]
        else:
            kept.append(event)
    positions = [position_of(event) for event in kept]
    if all(position is not None for position in positions):
        kept.sort(key=lambda event: position.offset if (position := position_of(event)) else 0)
    return kept


def _is_void(position: EventPosition | None, notice: LiveEventsDiscarded) -> bool:
    if position is None or position.offset not in notice.offsets:
        return False
    return notice.attempt is None or (position.live and position.attempt == notice.attempt)
