"""The newest events of a running superstep, as a window that fits a heartbeat."""

from __future__ import annotations

from collections import deque
from typing import Any

from agent_framework import WorkflowEvent

from ..adapter.checkpoints.frames import Frame, pack
from ..adapter.checkpoints.pickling import dumps
from ..adapter.errors import PayloadError
from ..adapter.framework.catalog import TypeCatalog
from ..adapter.framework.internals import event_types
from ..workflows.messages import EventRecord, LiveWindow

MAX_WINDOW_BYTES = 64 * 1024
"""Of records and typed data; about 20 windows a second are sent while events come."""


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
        self._events: deque[tuple[EventRecord, bytes | None, int]] = deque()
        self._bytes = 0
        self.changed = False
        """Whether there are events that `window` has not returned yet."""

    def add(self, record: EventRecord, event: WorkflowEvent[Any]) -> None:
        """Add an event and its record."""
        data: bytes | None = None
        if record.payload is not None:
            try:
                typed = (event.data, *event_types(event)) if event.type == "request_info" else event.data
                data = dumps(typed, self._catalog)
            except PayloadError:
                return  # The superstep's result says so, where it counts.
        size = len(record.model_dump_json()) + len(data or b"")
        if size > MAX_WINDOW_BYTES:
            return
        self._events.append((record, data, size))
        self._bytes += size
        while self._bytes > MAX_WINDOW_BYTES:
            self._bytes -= self._events.popleft()[2]
        self.changed = True

    def window(self) -> LiveWindow:
        """Return the window as it is now."""
        self.changed = False
        records: list[EventRecord] = []
        payloads: list[bytes] = []
        for record, data, _ in self._events:
            if data is None:
                records.append(record)
            else:
                records.append(record.model_copy(update={"payload": len(payloads)}))
                payloads.append(data)
        window = LiveWindow(attempt=self._attempt, offset=self._offset, events=records)
        if payloads:
            frame, _ = pack(Frame(checkpoint=b"", payloads=dumps(payloads, self._catalog)), None)
            window.with_frame(frame)
        return window
