"""A worker's mirrors: checkpoints copied into the framework's checkpoint storages, in the background.

Nothing here is waited for by a superstep. History is the truth: whatever a mirror could not take at once, because it
was down or because too much waited for it, is read from history and copied in order once it takes checkpoints again.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict, deque
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime

from agent_framework import WorkflowCheckpoint
from temporalio.common import MetricMeter

from ..adapter.checkpoints.mirror import (
    FIRST_PAUSE,
    LONGEST_PAUSE,
    MirrorSource,
    MirrorStorage,
    ThreadKey,
    ThreadSource,
    copy_missing,
)
from ..adapter.checkpoints.storage import HistoryCheckpointStorage
from ..adapter.encoding.decoding import decoded
from ..adapter.errors import CheckpointNotFoundError, HostingError
from ..adapter.framework.definition import WorkflowDefinition
from ..adapter.logging import data_logger
from ..workflows.messages import LoggedEvent, SuperstepResult
from .capturing_storage import Captured

_LOGGER = data_logger("agent_framework_temporal.worker")
MAX_WAITING_BYTES = 32 * 1024 * 1024
"""Raw checkpoints that wait for one mirror; a thread that would exceed it is read from history instead."""
MAX_THREADS = 10_000
"""Threads remembered for each mirror, least recently used dropped first."""
AT_ONCE = 4
"""Threads copied to one mirror at a time; within a thread the order is kept."""
TRIES = 3
"""Failed tries before a mirror counts as behind, which is reported."""
COMMIT_SECONDS = 10.0
"""How long a checkpoint that is not in history yet is looked for: a superstep's result takes a moment to get there, and
one of an attempt that was given up never does."""
CLOSING_SECONDS = 5.0
"""How long a worker that stops goes on copying."""


class _Copying:
    """What waits to be copied of one thread."""

    def __init__(self, source: ThreadSource) -> None:
        self.source = source
        self.waiting: deque[tuple[str, str | None, bytes]] = deque()
        self.from_history = False
        """Whether something before `waiting` is missing in the mirror, so that history has to be read."""
        self.newest: str | None = None
        self.last: str | None = None
        """The newest checkpoint known to be in the mirror."""
        self.error: str | None = None
        """Why the thread is behind."""
        self.reported_error: str | None = None
        self.task: asyncio.Task[None] | None = None


class Mirror:
    """One mirror of a worker.

    Args:
        name: Its name in logs, metrics and logged events.
        entry: The storage or its factory.
        is_built_in: Whether a workflow was built with it.
    """

    def __init__(self, name: str, entry: MirrorSource, *, is_built_in: bool = False) -> None:
        self.name = name
        self.is_built_in = is_built_in
        self._storage = MirrorStorage(entry)
        self._threads: OrderedDict[ThreadKey, _Copying] = OrderedDict()
        self._behind: set[ThreadKey] = set()
        self._bytes = 0
        self._at_once = asyncio.Semaphore(AT_ONCE)

    def offer(self, source: ThreadSource, checkpoints: Sequence[Captured], meter: MetricMeter) -> None:
        """Copy new checkpoints of a thread, soon; returns at once and never raises."""
        copying = self._threads.get(source.key)
        if copying is None:
            copying = self._threads[source.key] = _Copying(source)
            self._drop_oldest()
        self._threads.move_to_end(source.key)
        copying.source = source
        for checkpoint in checkpoints:
            copying.newest = checkpoint.checkpoint_id
            if copying.from_history or self._bytes + len(checkpoint.raw) > MAX_WAITING_BYTES:
                self._leave_to_history(copying)
            else:
                copying.waiting.append((checkpoint.checkpoint_id, checkpoint.previous_checkpoint_id, checkpoint.raw))
                self._bytes += len(checkpoint.raw)
        if copying.task is None:
            copying.task = asyncio.create_task(self._copy(copying, meter))

    async def load(self, checkpoint_id: str) -> WorkflowCheckpoint | None:
        """Load a checkpoint; None when the storage does not have it.

        Raises:
            Exception: What the storage raises.
        """
        return await self._storage.load(checkpoint_id)

    def status_change(self, thread: ThreadKey) -> tuple[str | None, bool]:
        """Return why a thread is behind, and whether that is news; without an error, news is that it has caught up."""
        copying = self._threads.get(thread)
        if copying is None:
            return None, False
        reported_error, copying.reported_error = copying.reported_error, copying.error
        return copying.error, (reported_error is None) != (copying.error is None)

    async def close(self) -> None:
        """Copy what can be copied in `CLOSING_SECONDS`, then stop."""
        tasks = [copying.task for copying in self._threads.values() if copying.task is not None]
        if not tasks:
            return
        _, left = await asyncio.wait(tasks, timeout=CLOSING_SECONDS)
        for task in left:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        if left:
            _LOGGER.warning(
                "This worker stops while mirror %r lacks checkpoints of %d threads, such as %r. The worker that runs "
                "the next superstep of such a thread copies them from history; to copy them now, use "
                "`DurableWorkflow.copy_checkpoints`.",
                self.name,
                len(left),
                next((copying.source.thread_id for copying in self._threads.values() if copying.task in left), ""),
            )

    def _drop_oldest(self) -> None:
        if len(self._threads) <= MAX_THREADS:
            return
        # A thread that is busy is dropped only where all are.
        oldest = next((key for key, copying in self._threads.items() if copying.task is None), None)
        if oldest is None:
            oldest = next(iter(self._threads))
            _LOGGER.error(
                "Mirror %r lacks checkpoints of more than %d threads, so this worker gives up on thread %r. Copy its "
                "checkpoints with `DurableWorkflow.copy_checkpoints`.",
                self.name,
                MAX_THREADS,
                oldest[1],
            )
        dropped = self._threads.pop(oldest)
        self._leave_to_history(dropped)
        self._behind.discard(oldest)
        if dropped.task is not None:
            dropped.task.cancel()

    def _leave_to_history(self, copying: _Copying) -> None:
        copying.from_history = True
        self._bytes -= sum(len(raw) for _, _, raw in copying.waiting)
        copying.waiting.clear()

    async def _copy(self, copying: _Copying, meter: MetricMeter) -> None:
        """Copy until nothing is left, with a growing pause after each failure."""
        failures = 0
        failed = meter.create_counter("agent_framework_mirror_failures", "Tries to copy checkpoints that failed")
        behind = meter.create_gauge("agent_framework_mirror_behind", "Threads of which a mirror lacks checkpoints")
        while copying.waiting or copying.from_history:
            try:
                async with self._at_once:
                    await self._copy_next(copying)
            except Exception as error:  # The storage is code of others.
                failures += 1
                failed.add(1, {"mirror": self.name})
                self._leave_to_history(copying)
                if failures >= TRIES:
                    self._fell_behind(copying, error)
                    behind.set(len(self._behind), {"mirror": self.name})
                await asyncio.sleep(min(FIRST_PAUSE * 2 ** (failures - 1), LONGEST_PAUSE))
            else:
                failures = 0
                if not (copying.waiting or copying.from_history) and copying.error is not None:
                    self._caught_up(copying)
                    behind.set(len(self._behind), {"mirror": self.name})
        copying.task = None

    async def _copy_next(self, copying: _Copying) -> None:
        if copying.from_history:
            await self._copy_from_history(copying)
            return
        checkpoint_id, previous_id, raw = copying.waiting[0]
        if previous_id not in (None, copying.last) and not await self._storage.holds(previous_id or ""):
            # Another worker's superstep that is not copied yet, an outage before this worker, a mirror that is new.
            copying.from_history = True
            return
        checkpoint: WorkflowCheckpoint = await decoded(raw, copying.source.catalog)
        await self._storage.save(checkpoint)
        copying.last = checkpoint_id
        if copying.waiting and copying.waiting[0][0] == checkpoint_id:
            copying.waiting.popleft()
            self._bytes -= len(raw)

    async def _copy_from_history(self, copying: _Copying) -> None:
        self._leave_to_history(copying)
        newest, loop = copying.newest, asyncio.get_running_loop()
        until, pause = loop.time() + COMMIT_SECONDS, FIRST_PAUSE
        while True:
            try:
                copied = await copy_missing(copying.source, self._storage, after=copying.last)
            except CheckpointNotFoundError as error:
                _LOGGER.warning(
                    "Mirror %r cannot catch up with thread %r: %s", self.name, copying.source.thread_id, error
                )
                break
            copying.last = copied[-1] if copied else copying.last
            if copying.newest != newest:
                return  # More has come meanwhile; once more.
            if copying.last == newest or loop.time() > until:
                break
            await asyncio.sleep(pause)
            pause *= 2
        if copying.newest == newest:
            copying.from_history = False

    def _fell_behind(self, copying: _Copying, error: Exception) -> None:
        first = not self._behind
        copying.error = f"{type(error).__name__}: {error}"[:500]
        self._behind.add(copying.source.key)
        if first:
            _LOGGER.warning(
                "Mirror %r does not accept the checkpoints of thread %r (%s). The run continues. They stay in "
                "history and are copied when the mirror works again. Other threads are not reported until it has "
                "caught up.",
                self.name,
                copying.source.thread_id,
                copying.error,
            )

    def _caught_up(self, copying: _Copying) -> None:
        copying.error = None
        self._behind.discard(copying.source.key)
        if not self._behind:
            _LOGGER.warning("Mirror %r has caught up.", self.name)


class Mirrors:
    """The mirrors of a worker: those it names, and the storages that workflows were built with.

    Args:
        entries: Storages or factories, by name.

    Raises:
        HostingError: When an entry is neither.
    """

    def __init__(self, entries: Mapping[str, MirrorSource]) -> None:
        self._named = {name: Mirror(name, entry) for name, entry in entries.items()}
        self._built: dict[str, Mirror] = {}

    def of(self, hosted: WorkflowDefinition, name: str | None, *, required: bool) -> list[Mirror]:
        """Return the mirrors of a run.

        Args:
            hosted: The run's workflow.
            name: The mirror the run names, if any.
            required: Whether a name that is not known is refused; else it is only logged, as the run goes on already.

        Raises:
            HostingError: Listing the mirrors there are.
        """
        found: list[Mirror] = []
        if name is not None and name in self._named:
            found.append(self._named[name])
        elif name is not None:
            text = (
                f"This worker has no mirror {name!r}; it has {sorted(self._named)}. Add a mirror with this name to "
                "its plugin, or choose another."
            )
            if required:
                raise HostingError(text)
            _LOGGER.warning("%s", text)
        built = hosted.checkpoint_storage
        if built is not None and not isinstance(built, HistoryCheckpointStorage):
            if hosted.name not in self._built:
                self._built[hosted.name] = Mirror(f"built into {hosted.name}", built, is_built_in=True)
            found.append(self._built[hosted.name])
        return found

    async def close(self) -> None:
        """Stop all of them, in the time one takes."""
        await asyncio.gather(*(mirror.close() for mirror in [*self._named.values(), *self._built.values()]))


def add_status_changes(result: SuperstepResult, mirrors: Iterable[Mirror], thread: ThreadKey, offset: int) -> None:
    """Put into a result what is new of its thread's mirrors, as logged events, for people who read the log.

    Args:
        result: Takes the records, numbered after its own.
        mirrors: The mirrors of the run.
        thread: The thread.
        offset: Offset of the result's first record.
    """
    for mirror in mirrors:
        error, has_changed = mirror.status_change(thread)
        if has_changed:
            result.events.append(
                LoggedEvent(
                    offset=offset + len(result.events),
                    type="mirror_caught_up" if error is None else "mirror_behind",
                    attempt=result.attempt,
                    at=datetime.now(UTC).isoformat(timespec="milliseconds"),
                    data=mirror.name,
                    error=error,
                )
            )
