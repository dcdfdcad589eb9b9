"""The worker's checkpoint cache: raw checkpoints of recent supersteps, least recently used dropped first."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass

from ..adapter.lru import BoundedCache
from ..workflows.messages import CheckpointRef

DEFAULT_BYTES = 128 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class CheckpointKey:
    """Which checkpoint, of whom, and which bytes.

    All but the digest is where a worker has made it, as the server says; the digest is that of its bytes. A reference
    finds it only if it means both, so that a start that names somebody else's checkpoint, or claims its id for other
    bytes, gets nothing that it does not know already, and puts nothing in its place.
    """

    namespace: str
    workflow_name: str
    thread_id: str
    run_id: str
    checkpoint_id: str
    digest: str

    @classmethod
    def of(cls, namespace: str, workflow_name: str, ref: CheckpointRef | None) -> CheckpointKey | None:
        """Return the key of what a reference means; None where it does not say which bytes."""
        if ref is None or ref.digest is None:
            return None
        return cls(namespace, workflow_name, ref.thread_id, ref.run_id, ref.checkpoint_id, ref.digest)


class CheckpointCache:
    """Raw checkpoints, at most `max_bytes` of them.

    It only saves reading history: a key has the digest of the bytes, so an entry cannot be stale or anything else than
    what is meant, and with `max_bytes=0` everything works the same.

    Args:
        max_bytes: Bound on the sum of the checkpoints' sizes; 0 switches the cache off.
    """

    def __init__(self, max_bytes: int = DEFAULT_BYTES) -> None:
        if max_bytes < 0:
            raise ValueError(f"`max_bytes` must be 0 or more, got {max_bytes!r}.")
        self._entries: BoundedCache[Hashable, bytes] = BoundedCache(max_bytes)

    def get(self, key: Hashable) -> bytes | None:
        """Return a raw checkpoint, or None."""
        return self._entries.get(key)

    def put(self, key: Hashable, raw: bytes, *, replaces: Hashable | None = None) -> None:
        """Keep a raw checkpoint.

        Args:
            key: Its `CheckpointKey`, with the digest of these bytes.
            raw: Its bytes.
            replaces: The predecessor, which is no longer needed to go on.
        """
        if replaces is not None:
            self._entries.drop(replaces)
        self._entries.put(key, raw, len(raw))
