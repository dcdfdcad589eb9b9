"""The framework's events to logged events and back."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime
from typing import Any, TypeVar

from agent_framework import WorkflowErrorDetails, WorkflowEvent, WorkflowEventSource, WorkflowRunState

from ...workflows.messages import ErrorDetails, LoggedEvent, PendingRequest
from ...workflows.value_limits import MAX_ID, clean_text
from ..encoding.annotations import schema_type
from ..encoding.decoding import decoded
from ..encoding.document import split
from ..encoding.encoding import dumps_all
from ..errors import PayloadError
from ..framework.catalog import TypeCatalog, known_event, type_name
from ..framework.internals import event_types, new_event
from ..framework.static import type_key
from ..framework.values import Shown, json_schema, preview, shown

_Named = TypeVar("_Named", WorkflowEventSource, WorkflowRunState)
_SCALARS = (str, int, float, bool)
ALWAYS_READABLE = frozenset({"output", "request_info", "warning", "error"})
"""Event types whose data a client without Python types needs; others repeat messages and are kept small."""
_PREVIEW_BYTES = 1024
_UPDATES_BYTES = 64 * 1024
"""Readable data of agents' streamed updates in one superstep; the rest is in the frame, and in the final output."""
_SHOWN_BYTES = 64 * 1024
_SHOWN_IN_ALL = 256 * 1024
_ALWAYS_SHOWN = 256
"""Readable data in one record and in all of a superstep's; what is larger lies compressed in the frame, but for the
smallest, which are hardly larger than what stands for them."""
_DESCRIPTION_BYTES = 128
"""What many requests need for themselves goes from what is shown of them."""
_MAX_TEXT = 64 * 1024
"""Message and traceback of an error."""


class EventWriter:
    """Turns a superstep's events into records, and collects their typed data for the frame.

    Args:
        offset: Offset of the first record.
        attempt: Attempt of the activity, from 1.
        payloads_before: How many of the typed data in the frame are of supersteps before, in the same burst.
        readable_before: As well, of the readable data.
    """

    def __init__(self, *, offset: int, attempt: int, payloads_before: int = 0, readable_before: int = 0) -> None:
        self._payloads_before = payloads_before
        self._readable_before = readable_before
        self._offset = offset
        self._attempt = attempt
        self._updates_left = _UPDATES_BYTES
        self._shown_left = _SHOWN_IN_ALL
        self._left_out: dict[int, LoggedEvent] = {}
        self.records: list[LoggedEvent] = []
        self.payloads: list[Any] = []
        self.readable: list[Any] = []
        """JSON data that is too large for its record; `LoggedEvent.readable` is an index into it."""

    def add(self, event: WorkflowEvent[Any], superstep: int | None) -> None:
        """Append the record of `event`."""
        record = LoggedEvent(
            offset=self._offset + len(self.records),
            type=event.type,
            superstep=superstep,
            attempt=self._attempt,
            at=_now(),
            origin=event.origin.value,
            executor_id=clean_text(event.executor_id) if event.executor_id is not None else None,
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

    def stand_alone(self) -> None:
        """Let the records go without what supersteps before have told: they get a frame of their own."""
        for record in self.records:
            if record.payload is not None:
                record.payload -= self._payloads_before
            if record.readable is not None:
                record.readable -= self._readable_before
        self._payloads_before = self._readable_before = 0

    def encoded(self, catalog: TypeCatalog) -> bytes:
        """Return the events' typed data as text, and note in each record without data how much there is of it.

        Raises:
            PayloadError: When some of it cannot be stored.
        """
        if not self.payloads:
            return b""
        data, sizes = dumps_all(self.payloads, catalog)
        for index, record in self._left_out.items():
            record.data_bytes = sizes[index]
        return data

    def _add_request(self, event: WorkflowEvent[Any], record: LoggedEvent) -> None:
        request_type, response_type = event_types(event)
        if len(event.request_id) > MAX_ID or event.request_id != clean_text(event.request_id):
            raise PayloadError(
                f"Executor {event.source_executor_id!r} makes a request with id "
                f"{clean_text(event.request_id[:100])!r}, which nobody could answer: an id must be Unicode text of at "
                f"most {MAX_ID} characters. Pass another `request_id` to `request_info`, or none."
            )
        record.request_id = event.request_id
        record.source_executor_id = event.source_executor_id
        record.request_type = type_name(request_type)
        record.response_type = type_name(response_type)
        self._show(record, shown(event.data))
        record.data_type = type_key(type(event.data))
        record.payload = self._keep((event.data, request_type, response_type))

    def _add_data(self, event: WorkflowEvent[Any], record: LoggedEvent) -> None:
        record.data_type = type_key(type(event.data))
        if event.type not in ALWAYS_READABLE and is_longer(event.data, _PREVIEW_BYTES):
            # Making JSON of a conversation, to find it too long, takes longer than most of the rest.
            record.payload = self._keep(event.data, record)
            return
        found = shown(event.data)
        if record.data_type.endswith(":AgentResponseUpdate"):
            self._add_update(event.data, record, found)
            return
        if event.type in ALWAYS_READABLE or found.size <= _PREVIEW_BYTES:
            self._show(record, found)
            scalar = type(event.data) in _SCALARS and record.data == event.data  # Not so what JSON cannot hold.
            if not scalar:
                record.payload = self._keep(event.data)
        else:
            record.payload = self._keep(event.data, record)

    def _show(self, record: LoggedEvent, found: Shown) -> None:
        """Put what people are shown into the record, or where the record has no room for it, into the frame."""
        if found.size <= _ALWAYS_SHOWN or found.size <= min(_SHOWN_BYTES, self._shown_left):
            record.data = found.data
            self._shown_left -= found.size
        else:
            record.readable = self.add_readable(found.data)
        if record.readable is not None or not found.whole:
            record.data_bytes = found.size

    def add_readable(self, data: Any) -> int:
        """Put JSON data into the frame; returns its index there."""
        self.readable.append(data)
        return self._readable_before + len(self.readable) - 1

    def readable_of(self, record: LoggedEvent) -> Any:
        """Return the readable data that is too large for a record of ours; None where it is not."""
        return None if record.readable is None else self.readable[record.readable - self._readable_before]

    def put_before(self, records: Sequence[LoggedEvent], readable: Sequence[Any]) -> None:
        """Put what supersteps before have told, in the same burst, before what is here."""
        self.records = [*records, *self.records]
        self.readable = [*readable, *self.readable]
        self._readable_before = 0

    def forget_readable(self) -> None:
        """Leave the readable data out of the frame; the typed values stay."""
        self.readable.clear()
        for record in self.records:
            record.readable = None

    def _add_update(self, update: Any, record: LoggedEvent, found: Shown) -> None:
        if found.size <= self._updates_left:
            record.data = found.data
            self._updates_left -= found.size
        if record.data is None or not found.whole:
            record.data_bytes = found.size
        record.payload = self._keep(update)

    def _keep(self, payload: Any, left_out: LoggedEvent | None = None) -> int:
        """Put data into the frame.

        Args:
            payload: The data.
            left_out: The record that holds no data, but its size.
        """
        self.payloads.append(payload)
        index = len(self.payloads) - 1
        if left_out is not None:
            self._left_out[index] = left_out
        return self._payloads_before + index


def is_longer(value: Any, limit: int) -> bool:
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


async def typed_payloads(text: bytes, catalog: TypeCatalog) -> list[Any]:
    """Return the typed data in a frame: each superstep of a burst has a text of its own.

    Raises:
        PayloadError: When some of it is of a type that the catalog does not have.
    """
    found: list[Any] = []
    for part in split(text) if text else ():
        found += await decoded(part, catalog)
    return found


def to_event(
    record: LoggedEvent, payloads: Sequence[Any] | None, catalog: TypeCatalog | None = None
) -> WorkflowEvent[Any]:
    """Rebuild an event.

    Args:
        record: The record.
        payloads: The superstep's typed data, or None for a reader without types: its data is then plain JSON.
        catalog: The types of the workflow, its classes of events among them.
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
    if record.event_class is not None:
        cls = known_event(record.event_class) if catalog is None else catalog.event_class(record.event_class)
        if cls is not None:
            event.__class__ = cls  # Its constructor is the user's and may want anything; its data is all there.
    return event


def readable_event(
    record: LoggedEvent, payloads: Sequence[Any] | None, catalog: TypeCatalog | None
) -> WorkflowEvent[Any]:
    """Rebuild an event as `to_event` does; one that cannot be rebuilt is a warning that says so."""
    try:
        return to_event(record, payloads, catalog)
    except (ValueError, TypeError, LookupError) as error:
        words = f"Event {record.offset} ({record.type!r}) cannot be read: {type(error).__name__}."
        return new_event("warning", data=words, origin=WorkflowEventSource.FRAMEWORK)


def _member(kind: type[_Named], value: str) -> _Named:
    """Return the member of an enumeration; one of its own for what only a newer release of the framework knows."""
    try:
        return kind(value)
    except ValueError:
        member = str.__new__(kind, value)
        member._name_ = member._value_ = value
        return member


def pending_of(
    events: Iterable[WorkflowEvent[Any]],
    thread_id: str,
    catalog: TypeCatalog,
    keep: Callable[[Any], int] | None = None,
) -> list[PendingRequest]:
    """Describe pending request_info events as plain JSON.

    Args:
        events: The events; they may come from a checkpoint.
        thread_id: Temporal workflow id.
        catalog: A schema is that of a type the workflow declares.
        keep: Takes the readable data of a request that is too large for its description; returns its index. None
            where nobody does.
    """
    events = list(events)
    left = _SHOWN_IN_ALL - _DESCRIPTION_BYTES * len(events)
    pending: list[PendingRequest] = []
    for event in events:
        found = shown(event.data)
        request = PendingRequest(
            request_id=event.request_id,
            thread_id=thread_id,
            executor_id=event.source_executor_id,
            asked_at=_now(),
            request_type=type_name(event.request_type),
            response_type=type_name(event.response_type),
            request_schema=_schema(event.request_type, catalog),
            response_schema=_schema(event.response_type, catalog),
        )
        if found.size <= _ALWAYS_SHOWN or found.size <= min(_SHOWN_BYTES, left):
            request.request = found.data
            left -= found.size
        elif keep is not None:
            request.readable = keep(found.data)
        if request.request is None or not found.whole:
            request.request_bytes = found.size
        pending.append(request)
    return pending


def _schema(annotation: Any, catalog: TypeCatalog) -> dict[str, Any] | None:
    declared = schema_type(annotation, catalog)
    return None if declared is None else json_schema(declared)


def _details(details: WorkflowErrorDetails) -> ErrorDetails:
    return ErrorDetails(
        error_type=details.error_type,
        message=fitting_text(details.message),
        traceback=fitting_text(details.traceback) if details.traceback is not None else None,
        executor_id=details.executor_id,
        extra=preview(details.extra)[0] if details.extra else None,
    )


def fitting_text(text: str) -> str:
    """Return text that fits a record: some clients put a whole response body into their errors."""
    text = clean_text(text)
    if len(text) <= _MAX_TEXT:
        return text
    # The end of a traceback says more than its beginning; of a message either may.
    half = _MAX_TEXT // 2
    return f"{text[:half]}\n... ({len(text) - 2 * half:,} characters) ...\n{text[-half:]}"


def _now() -> str:
    # Each of a superstep's events has one: `Z` takes five bytes less than an offset.
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
