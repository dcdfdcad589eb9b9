"""Copying a thread's checkpoints from history into a checkpoint storage of the framework's."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from agent_framework import (
    CheckpointStorage,
    FileCheckpointStorage,
    WorkflowCheckpoint,
    WorkflowCheckpointException,
)
from temporalio.client import Client

from ..encoding.decoding import decoded
from ..errors import HostingError, PayloadError
from ..framework.catalog import TypeCatalog
from ..logging import data_logger
from .history import FrameReader, StoredFrame, run_frames
from .lineage import thread_frames

MirrorSource: TypeAlias = CheckpointStorage | Callable[[], CheckpointStorage | Awaitable[CheckpointStorage]]
"""A storage that a worker copies checkpoints to, or a factory of one, which may be async."""

ThreadKey: TypeAlias = tuple[str, str]
"""Namespace and Temporal workflow id."""

CALL_SECONDS = 10.0
"""Longest time a storage may take for one call before it counts as down."""
FIRST_PAUSE = 0.2
LONGEST_PAUSE = 60.0
"""Between two tries of a storage that is down, in seconds."""

_LOGGER = data_logger("agent_framework_temporal")
_ABSENT = (WorkflowCheckpointException, LookupError, FileNotFoundError)
"""What storages raise for a checkpoint they do not have; the framework's own raise the first."""
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class ThreadSource:
    """Where the checkpoints of a thread are read from."""

    client: Client
    """With our payload converter."""
    thread_id: str
    run_id: str
    """The newest run to read; earlier ones are found from there."""
    catalog: TypeCatalog

    @property
    def key(self) -> ThreadKey:
        """The thread, also where threads of several namespaces have the same id."""
        return self.client.namespace, self.thread_id


class MirrorStorage:
    """A checkpoint storage that others wrote, kept at arm's length: no call of it lasts longer than `CALL_SECONDS`.

    Args:
        entry: The storage, or a factory of it, sync or async, which is called with the first checkpoint.

    Raises:
        HostingError: When `entry` is neither.
    """

    def __init__(self, entry: MirrorSource) -> None:
        if not is_storage(entry) and not callable(entry):
            raise HostingError(f"{entry!r} is neither a CheckpointStorage nor a factory of one.")
        self._entry = entry
        self._storage: Any = entry if is_storage(entry) else None
        self._stuck: asyncio.Task[Any] | None = None

    async def save(self, checkpoint: WorkflowCheckpoint) -> None:
        """Save a checkpoint; one that is there already is no error.

        Raises:
            Exception: What the storage raises.
            TimeoutError: When it does not answer.
        """
        try:
            await self._call(lambda storage: storage.save(checkpoint))
        except TimeoutError:
            raise
        except Exception:
            # A storage may refuse what an attempt before had saved, though its answer was lost.
            if not await self.holds(checkpoint.checkpoint_id):
                raise

    async def holds(self, checkpoint_id: str) -> bool:
        """Tell whether the storage has a checkpoint.

        Nothing is decoded where the storage can tell: it has a method `has_checkpoint`, or it is the framework's file
        storage. Any other is asked to load the checkpoint, which decodes it as that storage does.
        """
        return await self._call(lambda storage: _holds(storage, checkpoint_id))

    async def load(self, checkpoint_id: str) -> WorkflowCheckpoint | None:
        """Load a checkpoint; None when the storage does not have it.

        Raises:
            Exception: What the storage raises.
            TimeoutError: When it does not answer.
        """
        try:
            found: WorkflowCheckpoint | None = await self._call(lambda storage: storage.load(checkpoint_id))
        except _ABSENT:
            return None
        return found

    async def _call(self, call: Callable[[Any], Awaitable[_T]]) -> _T:
        if self._stuck is not None and not self._stuck.done():
            raise TimeoutError("An earlier call has not returned yet.")
        task = asyncio.ensure_future(self._opened(call))
        try:
            # Not `asyncio.timeout`: a call that does not take its cancellation would be waited for all the same.
            done, _ = await asyncio.wait({task}, timeout=CALL_SECONDS)
        except asyncio.CancelledError:
            task.cancel()
            raise
        if not done:
            task.cancel()
            task.add_done_callback(_forget)
            self._stuck = task
            raise TimeoutError(f"It did not answer within {CALL_SECONDS:g} seconds.")
        return task.result()

    async def _opened(self, call: Callable[[Any], Awaitable[_T]]) -> _T:
        if self._storage is None:
            made: Any = self._entry()  # type: ignore[operator] # Checked by the constructor.
            self._storage = await made if inspect.isawaitable(made) else made
        return await call(self._storage)


async def _holds(storage: Any, checkpoint_id: str) -> bool:
    has_checkpoint = getattr(storage, "has_checkpoint", None)
    if callable(has_checkpoint):
        return bool(await has_checkpoint(checkpoint_id))
    if type(storage) is FileCheckpointStorage:
        # Its own `list_checkpoint_ids` unpickles all that there is.
        return await asyncio.to_thread(_has_file, storage.storage_path, checkpoint_id)
    try:
        return await storage.load(checkpoint_id) is not None
    except _ABSENT:
        return False


def _has_file(folder: Path, checkpoint_id: str) -> bool:
    path = (folder / f"{checkpoint_id}.json").resolve()
    return path.is_relative_to(folder.resolve()) and path.is_file()


def is_storage(entry: object) -> bool:
    """Tell whether `entry` is a checkpoint storage and not a factory of one; a class is a factory."""
    return not isinstance(entry, type) and callable(getattr(entry, "save", None)) and hasattr(entry, "load")


async def copy_missing(source: ThreadSource, storage: MirrorStorage, *, after: str | None = None) -> list[str]:
    """Copy what a storage lacks of a thread, oldest first.

    Looks for the newest checkpoint that the storage has, asking once for each that it lacks, and copies what follows.
    Costs a round trip for each 200 history events, twice, and memory for one run's history.

    Args:
        source: The thread.
        storage: Takes the copies.
        after: A checkpoint the storage is known to have, where it is known.

    Returns:
        The ids of the checkpoints that are copied, oldest first.

    Raises:
        CheckpointNotFoundError: When the newest run is not in history (any more).
        Exception: What the storage raises.
    """
    runs: list[tuple[str, str | None]] = []
    async for run_id, stored in thread_frames(source.client, source.thread_id, source.run_id):
        if not runs or runs[-1][0] != run_id:
            runs.append((run_id, None))
        held = await _first_held(stored, storage, after)
        if held is not None:
            runs[-1] = (run_id, held)
            break
    copied: list[str] = []
    for run_id, held in reversed(runs):
        async for checkpoint_id, raw in _restored(source, run_id):
            if held is not None:
                held = None if checkpoint_id == held else held
            elif checkpoint_id not in copied[-2:]:  # A run that continued as new may begin with a copy.
                await _copy(source, storage, checkpoint_id, raw)
                copied.append(checkpoint_id)
    return copied


async def _first_held(stored: StoredFrame, storage: MirrorStorage, after: str | None) -> str | None:
    for checkpoint_id in reversed(stored.digests):
        if checkpoint_id == after or await storage.holds(checkpoint_id):
            return checkpoint_id
    return None


async def _restored(source: ThreadSource, run_id: str) -> AsyncIterator[tuple[str, bytes]]:
    """Yield the raw checkpoints of a run, oldest first."""
    frames = [
        found async for found in run_frames(source.client, source.thread_id, run_id) if isinstance(found, StoredFrame)
    ]
    reader = FrameReader(source.client, source.thread_id, run_id)
    async for restored in reader.restore_all(_popped(frames)):
        yield restored


def _popped(frames: list[StoredFrame]) -> Iterator[StoredFrame]:
    """Yield frames from the last to the first, and let go of each."""
    while frames:
        yield frames.pop()


async def _copy(source: ThreadSource, storage: MirrorStorage, checkpoint_id: str, raw: bytes) -> None:
    try:
        checkpoint: WorkflowCheckpoint = await decoded(raw, source.catalog)
    except PayloadError as error:
        # It would keep all that follow from being copied, for ever.
        _LOGGER.warning("Checkpoint %r of thread %r is not mirrored: %s", checkpoint_id, source.thread_id, error)
        return
    await storage.save(checkpoint)


def _forget(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()  # Seen, so that the loop does not report it.
