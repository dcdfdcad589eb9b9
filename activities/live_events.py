"""The newest events of a running superstep, as a window that fits a heartbeat."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any

from agent_framework import WorkflowEvent

from ..adapter.checkpoints.frames import Frame, pack
from ..adapter.checkpoints.logged_events import is_longer
from ..adapter.encoding.document import join
from ..adapter.encoding.encoding import dumps
from ..adapter.errors import PayloadError
from ..adapter.framework.catalog import TypeCatalog
from ..adapter.framework.internals import event_types
from ..workflows.messages import LiveWindow, LoggedEvent

MAX_WINDOW_BYTES = 64 * 1024
"""Of records and typed data; about 30 windows a second are sent while events come."""


def _nothing() -> None:
    """Tell nobody."""


class LiveEvents:
    """Keeps the newest events within `MAX_WINDOW_BYTES`.

    What does not fit, a message with a whole conversation for instance, is left out: the window's offsets show the gap,
    and the durable events fill it when the superstep commits.

    Args:
        catalog: The types that may be stored.
        attempt: This attempt of the activity, from 1.
        offset: The superstep's first.
    """

    def __init__(self, catalog: TypeCatalog, attempt: int, offset: int) -> None:
        self._catalog = catalog
        self._attempt = attempt
        self._offset = offset
        self._events: deque[tuple[LoggedEvent, bytes | None, int]] = deque()
        self._bytes = 0
        self._changed = False
        self._new: list[tuple[LoggedEvent, WorkflowEvent[Any], Any]] = []
        """Not encoded yet: most supersteps are over before anybody is told of them."""
        self.on_news: Callable[[], None] = _nothing
        """Called when there is something to tell."""

    def add(self, record: LoggedEvent, event: WorkflowEvent[Any], readable: Any = None) -> None:
        """Add an event and its record.

        Args:
            record: The record.
            event: The event.
            readable: The readable data that is too large for the record.
        """
        if (record.data_bytes or 0) <= MAX_WINDOW_BYTES:
            self._new.append((record, event, readable))
            self.on_news()

    @property
    def has_new(self) -> bool:
        """Whether events have come that were not looked at."""
        return bool(self._new)

    def changed(self) -> bool:
        """Tell whether there are events that `window` has not returned yet, and that fit one."""
        new, self._new = self._new, []
        taken: list[tuple[LoggedEvent, bytes | None, int]] = []
        size = 0
        for record, event, readable in reversed(new):
            found = self._encoded(record, event, readable)
            if found is not None:
                size += found[2]
                if size > MAX_WINDOW_BYTES:
                    break
                taken.append(found)
        self._events.extend(reversed(taken))
        self._bytes += sum(found[2] for found in taken)
        while self._bytes > MAX_WINDOW_BYTES:
            self._bytes -= self._events.popleft()[2]
        self._changed = self._changed or bool(taken)
        return self._changed

    def _encoded(
        self, record: LoggedEvent, event: WorkflowEvent[Any], readable: Any
    ) -> tuple[LoggedEvent, bytes | None, int] | None:
        if record.readable is not None:
            record = record.model_copy(update={"data": readable, "readable": None, "data_bytes": None})
        data: bytes | None = None
        if record.payload is not None:
            if is_longer(event.data, MAX_WINDOW_BYTES):
                return None  # Writing it, to find it too long, takes long.
            try:
                typed = (event.data, *event_types(event)) if event.type == "request_info" else event.data
                data = dumps(typed, self._catalog)
            except PayloadError:
                return None  # The superstep's result says so, where it counts.
        size = len(record.model_dump_json()) + len(data or b"")
        return (record, data, size) if size <= MAX_WINDOW_BYTES else None

    def window(self) -> LiveWindow:
        """Return the window as it is now."""
        self.changed()
        self._changed = False
        records: list[LoggedEvent] = []
        payloads: list[bytes] = []
        for record, data, _ in self._events:
            if data is None:
                records.append(record)
            else:
                records.append(record.model_copy(update={"payload": len(payloads)}))
                payloads.append(data)
        window = LiveWindow(attempt=self._attempt, offset=self._offset, events=records)
        if payloads:
            frame, _ = pack(Frame(checkpoint=b"", payloads=join(payloads)), None)
            window.with_frame(frame)
        return window
