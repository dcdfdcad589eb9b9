"""Where an event of a stream stands: its offset, superstep and attempt, and whether it is committed yet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agent_framework import WorkflowEvent, WorkflowEventSource

from ...workflows.exported import exported
from ...workflows.messages import EventRecord
from ..framework.internals import new_event

_ATTRIBUTE = "_agent_framework_temporal_position"


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
class LiveEventsVoid(WorkflowEvent[None]):
    """Says that live events a stream has given do not count: the attempt that told them failed or its worker was lost.

    Those of the next attempt follow, under the same offsets. It is no event of the run: the stream's final response
    leaves out both it and what it voids.

    Args:
        superstep: The superstep that is attempted again.
        attempt: The attempt whose live events are void.
        offsets: Their offsets, ascending.
    """

    def __init__(self, *, superstep: int, attempt: int, offsets: Sequence[int]) -> None:
        template = new_event("live_events_void", origin=WorkflowEventSource.FRAMEWORK, iteration=superstep)
        self.__dict__.update(vars(template))
        self.superstep = superstep
        self.attempt = attempt
        self.offsets = tuple(offsets)


@exported
def position_of(event: WorkflowEvent[Any]) -> EventPosition | None:
    """Return where an event of a durable stream stands; None for one that has no place in the thread's log."""
    return getattr(event, _ATTRIBUTE, None)


def set_position(event: WorkflowEvent[Any], record: EventRecord, *, live: bool) -> None:
    """Note where an event stands."""
    position = EventPosition(offset=record.offset, superstep=record.superstep, attempt=record.attempt, live=live)
    setattr(event, _ATTRIBUTE, position)


def settled(events: Sequence[WorkflowEvent[Any]]) -> list[WorkflowEvent[Any]]:
    """Return the events of a stream as they count in the end: in the order of their offsets, nothing void."""
    kept: list[WorkflowEvent[Any]] = []
    for event in events:
        if isinstance(event, LiveEventsVoid):
            kept = [other for other in kept if not _is_void(position_of(other), event)]
        else:
            kept.append(event)
    positions = [position_of(event) for event in kept]
    if all(position is not None for position in positions):
        kept.sort(key=lambda event: position.offset if (position := position_of(event)) else 0)
    return kept


def _is_void(position: EventPosition | None, notice: LiveEventsVoid) -> bool:
    return (
        position is not None
        and position.live
        and position.attempt == notice.attempt
        and position.offset in notice.offsets
    )
