"""The mirror a stream feeds: checkpoints copied as their events pass."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from agent_framework import (
    CheckpointStorage,
    WorkflowCheckpoint,
)

from ..checkpoints.mirror import FIRST_PAUSE, LONGEST_PAUSE, MirrorStorage, ThreadSource, copy_missing
from ..encoding.decoding import decoded
from ..logging import data_logger

_LOGGER = data_logger("agent_framework_temporal")


class StreamMirror:
    """Copies the checkpoints that a stream passes, for the caller who gave a storage with the run.

    As in process, a storage that fails is logged and not raised. It costs the stream one call's time and then nothing
    for a growing while; what is missing is copied from history when a checkpoint comes after that.
    """

    def __init__(self, storage: CheckpointStorage) -> None:
        self._storage = MirrorStorage(storage)
        self._last: str | None = None
        self._behind = False
        self._again_at = 0.0
        self._pause = FIRST_PAUSE

    async def take(self, source: ThreadSource, checkpoints: Sequence[bytes]) -> None:
        """Copy raw checkpoints, which history holds already."""
        now = asyncio.get_running_loop().time()
        if self._behind and now < self._again_at:
            return
        try:
            if self._behind:
                await copy_missing(source, self._storage, after=self._last)
                _LOGGER.warning("The checkpoint storage of thread %r has caught up.", source.thread_id)
            for raw in [] if self._behind else checkpoints:
                checkpoint: WorkflowCheckpoint = await decoded(raw, source.catalog)
                await self._storage.save(checkpoint)
                self._last = checkpoint.checkpoint_id
        except Exception as error:  # The storage is code of others.
            if not self._behind:
                _LOGGER.warning(
                    "The checkpoint storage given with the run of thread %r fails (%s: %s). The run continues, and "
                    "its checkpoints stay in history. Copy them with `DurableWorkflow.copy_checkpoints` once the "
                    "storage works again.",
                    source.thread_id,
                    type(error).__name__,
                    error,
                )
            self._behind = True
            self._again_at = asyncio.get_running_loop().time() + self._pause
            self._pause = min(self._pause * 2, LONGEST_PAUSE)
        else:
            self._behind, self._pause = False, FIRST_PAUSE
