"""The workflow's event log: a ring with absolute offsets, bounded in events and bytes."""

from __future__ import annotations

from collections import deque

from pydantic_core import to_json

from .messages import LoggedEvent

MAX_EVENTS = 5_000
MAX_BYTES = 4 * 1024 * 1024
PAGE_BYTES = 1024 * 1024
"""A query answer must stay well under the 2 MB payload limit."""


class EventLog:
    """Event records of a thread, numbered from 0; the oldest are dropped first.

    They are kept as the JSON that a query answers with, which takes a tenth of the memory: a run that waits for people
    stays on its worker.

    Args:
        next_offset: Offset of the next record; continues the numbering of earlier runs of the thread.
    """

    def __init__(self, next_offset: int) -> None:
        self._ring: deque[bytes] = deque()
        self._bytes = 0
        self.next_offset: int = next_offset

    @property
    def first_offset(self) -> int:
        """Offset of the oldest record still held."""
        return self.next_offset - len(self._ring)

    def tail(self, max_bytes: int) -> list[LoggedEvent]:
        """Return the newest records of at most `max_bytes`, oldest first."""
        newest: deque[LoggedEvent] = deque()
        for text in reversed(self._ring):
            max_bytes -= len(text)
            if max_bytes < 0:
                break
            newest.appendleft(_record(text))
        return list(newest)

    def append(self, record: LoggedEvent) -> None:
        """Number `record` and add it."""
        record.offset = self.next_offset
        self.next_offset += 1
        text = to_json(record)
        self._ring.append(text)
        self._bytes += len(text)
        while len(self._ring) > MAX_EVENTS or (self._bytes > MAX_BYTES and len(self._ring) > 1):
            self._bytes -= len(self._ring.popleft())

    def page(self, after: int, limit: int) -> list[LoggedEvent]:
        """Return up to `limit` records with an offset greater than `after`, at most `PAGE_BYTES` but at least one."""
        skip = max(0, after + 1 - self.first_offset)
        page: list[LoggedEvent] = []
        size = 0
        for index in range(skip, min(len(self._ring), skip + max(1, limit))):
            text = self._ring[index]
            size += len(text)
            if page and size > PAGE_BYTES:
                break
            page.append(_record(text))
        return page


def _record(text: bytes) -> LoggedEvent:
    return LoggedEvent.model_validate_json(text)
