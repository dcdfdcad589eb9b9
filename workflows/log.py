"""The workflow's event log: a ring with absolute offsets, bounded in events and bytes."""

from __future__ import annotations

from collections import deque

from .messages import EventRecord, json_bytes

MAX_EVENTS = 5_000
MAX_BYTES = 4 * 1024 * 1024
PAGE_BYTES = 1024 * 1024
"""A query answer must stay well under the 2 MB payload limit."""


class EventLog:
    """Event records of a thread, numbered from 0; the oldest are dropped first.

    Args:
        next_offset: Offset of the next record; continues the numbering of earlier runs of the thread.
    """

    def __init__(self, next_offset: int) -> None:
        self._ring: deque[tuple[EventRecord, int]] = deque()
        self._bytes = 0
        self.next_offset = next_offset

    @property
    def first_offset(self) -> int:
        """Offset of the oldest record still held."""
        return self._ring[0][0].offset if self._ring else self.next_offset

    def tail(self, max_bytes: int) -> list[EventRecord]:
        """Return the newest records of at most `max_bytes`, oldest first."""
        newest: deque[EventRecord] = deque()
        for record, weight in reversed(self._ring):
            max_bytes -= weight
            if max_bytes < 0:
                break
            newest.appendleft(record)
        return list(newest)

    def append(self, record: EventRecord) -> None:
        """Number `record` and add it."""
        record.offset = self.next_offset
        self.next_offset += 1
        weight = json_bytes(record)  # As the query's answer will count it.
        self._ring.append((record, weight))
        self._bytes += weight
        while len(self._ring) > MAX_EVENTS or (self._bytes > MAX_BYTES and len(self._ring) > 1):
            self._bytes -= self._ring.popleft()[1]

    def page(self, after: int, limit: int) -> list[EventRecord]:
        """Return up to `limit` records with an offset greater than `after`, at most `PAGE_BYTES` but at least one."""
        skip = max(0, after + 1 - self.first_offset)
        page: list[EventRecord] = []
        size = 0
        for index in range(skip, min(len(self._ring), skip + max(1, limit))):
            record, weight = self._ring[index]
            size += weight
            if page and size > PAGE_BYTES:
                break
            page.append(record)
        return page
