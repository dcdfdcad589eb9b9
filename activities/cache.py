"""The worker's checkpoint cache: raw checkpoints of recent supersteps, least recently used dropped first."""

from __future__ import annotations

from collections import OrderedDict

DEFAULT_BYTES = 128 * 1024 * 1024


class CheckpointCache:
    """Raw checkpoints by id, at most `max_bytes` of them.

    It only saves reading history: checkpoint ids are unique and their bytes never change, so an entry cannot be stale,
    and with `max_bytes=0` everything works the same.

    Args:
        max_bytes: Bound on the sum of the checkpoints' sizes; 0 switches the cache off.
    """

    def __init__(self, max_bytes: int = DEFAULT_BYTES) -> None:
        if max_bytes < 0:
            raise ValueError(f"`max_bytes` must be 0 or more, got {max_bytes!r}.")
        self._max_bytes = max_bytes
        self._entries: OrderedDict[str, bytes] = OrderedDict()
        self._bytes = 0

    def get(self, checkpoint_id: str) -> bytes | None:
        """Return a raw checkpoint, or None."""
        raw = self._entries.get(checkpoint_id)
        if raw is not None:
            self._entries.move_to_end(checkpoint_id)
        return raw

    def put(self, checkpoint_id: str, raw: bytes, *, replaces: str | None = None) -> None:
        """Keep a raw checkpoint.

        Args:
            checkpoint_id: Its id.
            raw: Its bytes.
            replaces: The predecessor, which is no longer needed to go on.
        """
        self._drop(replaces)
        self._drop(checkpoint_id)
        if len(raw) > self._max_bytes:
            return
        self._entries[checkpoint_id] = raw
        self._bytes += len(raw)
        while self._bytes > self._max_bytes:
            self._drop(next(iter(self._entries)))

    def _drop(self, checkpoint_id: str | None) -> None:
        raw = self._entries.pop(checkpoint_id, None) if checkpoint_id is not None else None
        if raw is not None:
            self._bytes -= len(raw)
