"""The framework's events to event records and back."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from agent_framework import WorkflowErrorDetails, WorkflowEvent, WorkflowEventSource, WorkflowRunState

from ...workflows.messages import ErrorDetails, EventRecord, PendingRequest
from ..framework.catalog import loaded_class, type_key, type_name
from ..framework.internals import event_types, new_event
from ..framework.values import json_schema, preview
from .pickling import Nested

_Named = TypeVar("_Named", WorkflowEventSource, WorkflowRunState)
_SCALARS = (str, int, float, bool)
_ALWAYS_READABLE = frozenset({"output", "request_info", "warning", "error"})
"""Event types whose data a client without Python types needs; others repeat messages and are kept small."""
_PREVIEW_BYTES = 1024
_UPDATES_BYTES = 64 * 1024
"""Readable data of agents' streamed updates in one superstep; the rest is in the frame, and in the final output."""
_MAX_TEXT = 64 * 1024
"""Message and traceback of an error."""


class RecordWriter:
    """Turns a superstep's events into records, and collects their typed data for the frame.

    Args:
        offset: Offset of the first record.
        attempt: Attempt of the activity, from 1.
    """

    def __init__(self, *, offset: int, attempt: int) -> None:
        self._offset = offset
        self._attempt = attempt
        self._updates_left = _UPDATES_BYTES
        self.records: list[EventRecord] = []
        self.payloads: list[Any] = []

    def add(self, event: WorkflowEvent[Any], superstep: int | None) -> None:
        """Append the record of `event`."""
        record = EventRecord(
            offset=self._offset + len(self.records),
            type=event.type,
            superstep=superstep,
            attempt=self._attempt,
            at=_now(),
            origin=event.origin.value,
            executor_id=event.executor_id,
            iteration=event.iteration,
            state=event.state.value if event.state is not None else None,
        )
        if type(event) is not WorkflowEvent:
            record.event_class = type_key(type(event))
        if event.details is not None:
            record.details = _details(event.details)
        if event.type == "request_info":
            self._add_request(event, record)
        elif event.data is not None and event.data is not event.details:
            self._add_data(event, record)
        self.records.append(record)

    def _add_request(self, event: WorkflowEvent[Any], record: EventRecord) -> None:
        request_type, response_type = event_types(event)
        record.request_id = event.request_id
        record.source_executor_id = event.source_executor_id
        record.request_type = type_name(request_type)
        record.response_type = type_name(response_type)
        record.data, _ = preview(event.data)
        record.data_type = type_key(type(event.data))
        record.payload = self._keep((event.data, request_type, response_type))

    def _add_data(self, event: WorkflowEvent[Any], record: EventRecord) -> None:
        record.data_type = type_key(type(event.data))
        sent = event.type == "executor_completed" and type(event.data) is list
        if event.type not in _ALWAYS_READABLE and _is_longer(event.data, _PREVIEW_BYTES):
            # Making JSON of a conversation, to find it too long, takes longer than most of the rest.
            record.payload = self._keep(event.data, record, several=sent)
            return
        data, size = preview(event.data)
        if record.data_type.endswith(":AgentResponseUpdate"):
            self._add_update(event.data, record, data, size)
            return
        scalar = type(event.data) in _SCALARS and data == event.data  # Not so NaN, nor text that JSON cannot hold.
        readable = event.type in _ALWAYS_READABLE or size <= _PREVIEW_BYTES
        if readable:
            record.data = data
        if not (scalar and readable):
            record.payload = self._keep(event.data, None if readable else record, several=sent)

    def _add_update(self, update: Any, record: EventRecord, data: Any, size: int) -> None:
        if size <= self._updates_left:
            record.data = data
            self._updates_left -= size
        else:
            record.data_bytes = size
        self.payloads.append(update)  # There are many, and no checkpoint holds them.
        record.payload = len(self.payloads) - 1

    def _keep(self, payload: Any, left_out: EventRecord | None = None, *, several: bool = False) -> int:
        """Put data into the frame, by itself: mostly it is a message that checkpoints hold as well.

        Args:
            payload: The data.
            left_out: The record that holds no data, but its size.
            several: Whether the data is a list of messages.
        """

        def measured(size: int) -> None:
            if left_out is not None:
                left_out.data_bytes = (left_out.data_bytes or 0) + size

        if several:
            self.payloads.append([Nested(item, measured) for item in payload])
        else:
            self.payloads.append(Nested(payload, measured))
        return len(self.payloads) - 1


def _is_longer(value: Any, limit: int) -> bool:
    """Tell whether the text in a value is longer than `limit`; looks at no more of it than that takes."""
    left = limit
    stack = [value]
    while stack:
        part = stack.pop()
        if isinstance(part, str | bytes):
            left -= len(part)
        elif isinstance(part, dict):
            stack += [*part.values()]
        elif isinstance(part, list | tuple):
            stack += part
        elif hasattr(part, "__dict__") and not isinstance(part, type):
            stack += [*vars(part).values()]
        left -= 1  # Also of what has no text: a list of numbers is long too, and a value may contain itself.
        if left < 0:
            return True
    return False


def to_event(record: EventRecord, payloads: Sequence[Any] | None) -> WorkflowEvent[Any]:
    """Rebuild an event.

    Args:
        record: The record.
        payloads: The superstep's typed data, or None for a reader without types: its data is then plain JSON.
    """
    details = None
    if record.details is not None:
        details = WorkflowErrorDetails(**record.details.model_dump())
    data = record.data
    fields: dict[str, Any] = {}
    if record.type == "request_info":
        request_type: Any = None
        response_type: Any = None
        if payloads is not None and record.payload is not None:
            data, request_type, response_type = payloads[record.payload]
        fields = {
            "request_id": record.request_id,
            "source_executor_id": record.source_executor_id,
            "request_type": request_type or type(data),
            "response_type": response_type or object,
        }
    elif payloads is not None and record.payload is not None:
        data = payloads[record.payload]
    elif record.type == "executor_failed":
        data = details
    event = new_event(
        record.type,
        data=data,
        origin=_member(WorkflowEventSource, record.origin) if record.origin else None,
        state=_member(WorkflowRunState, record.state) if record.state else None,
        details=details,
        executor_id=record.executor_id,
        iteration=record.iteration,
        **fields,
    )
    cls = loaded_class(record.event_class) if record.event_class is not None else None
    if cls is not None and issubclass(cls, WorkflowEvent):
        event.__class__ = cls  # Its constructor is the user's and may want anything; its data is all there.
    return event


def _member(kind: type[_Named], value: str) -> _Named:
    """Return the member of an enumeration; one of its own for what only a newer release of the framework knows."""
    try:
        return kind(value)
    except ValueError:
        member = str.__new__(kind, value)
        member._name_ = member._value_ = value
        return member


def pending_requests(events: Iterable[WorkflowEvent[Any]], thread_id: str) -> list[PendingRequest]:
    """Describe pending request_info events as plain JSON."""
    return [
        PendingRequest(
            request_id=event.request_id,
            thread_id=thread_id,
            executor_id=event.source_executor_id,
            asked_at=_now(),
            request=preview(event.data)[0],
            request_type=type_name(event.request_type),
            response_type=type_name(event.response_type),
            request_schema=json_schema(event.request_type),
            response_schema=json_schema(event.response_type),
        )
        for event in events
    ]


def _details(details: WorkflowErrorDetails) -> ErrorDetails:
    return ErrorDetails(
        error_type=details.error_type,
        message=_text(details.message),
        traceback=_text(details.traceback) if details.traceback is not None else None,
        executor_id=details.executor_id,
        extra=preview(details.extra)[0] if details.extra else None,
    )


def _text(text: str) -> str:
    """Return text that fits a record: some clients put a whole response body into their errors."""
    text = text.encode("utf-8", "replace").decode()  # A lone surrogate has no JSON.
    if len(text) <= _MAX_TEXT:
        return text
    # The end of a traceback says more than its beginning; of a message either may.
    half = _MAX_TEXT // 2
    return f"{text[:half]}\n... ({len(text) - 2 * half:,} characters) ...\n{text[-half:]}"


def _now() -> str:
    # Each of a superstep's events has one: `Z` takes five bytes less than an offset.
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
