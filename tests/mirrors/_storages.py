"""Checkpoint storages as third parties write them, and one that is down or hangs."""

from __future__ import annotations

import asyncio
import pickle
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from agent_framework import CheckpointStorage, WorkflowCheckpoint, WorkflowCheckpointException

_T = TypeVar("_T")


class SQLiteCheckpointStorage:
    """Keeps checkpoints in a SQLite file; it takes each id once, as a table with a primary key does."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def save(self, checkpoint: WorkflowCheckpoint) -> str:
        row = (checkpoint.checkpoint_id, checkpoint.workflow_name, checkpoint.timestamp, pickle.dumps(checkpoint))
        await self._run(lambda base: base.execute("INSERT INTO checkpoints VALUES (?, ?, ?, ?)", row))
        return checkpoint.checkpoint_id

    async def load(self, checkpoint_id: str) -> WorkflowCheckpoint:
        found = await self._select("id = ?", checkpoint_id)
        if not found:
            raise WorkflowCheckpointException(f"No checkpoint {checkpoint_id}")
        return found[0]

    async def list_checkpoints(self, *, workflow_name: str) -> list[WorkflowCheckpoint]:
        return await self._select("workflow = ?", workflow_name)

    async def list_checkpoint_ids(self, *, workflow_name: str) -> list[str]:
        return [found.checkpoint_id for found in await self._select("workflow = ?", workflow_name)]

    async def get_latest(self, *, workflow_name: str) -> WorkflowCheckpoint | None:
        found = await self._select("workflow = ?", workflow_name)
        return max(found, key=lambda checkpoint: checkpoint.timestamp, default=None)

    async def delete(self, checkpoint_id: str) -> bool:
        deleted = await self._run(lambda base: base.execute("DELETE FROM checkpoints WHERE id = ?", (checkpoint_id,)))
        return bool(deleted.rowcount)

    async def _select(self, where: str, value: str) -> list[WorkflowCheckpoint]:
        query = f"SELECT checkpoint FROM checkpoints WHERE {where} ORDER BY rowid"  # noqa: S608 - constants of ours.
        rows = await self._run(lambda base: base.execute(query, (value,)).fetchall())
        return [pickle.loads(row[0]) for row in rows]  # noqa: S301 - written by this class.

    async def _run(self, call: Callable[[sqlite3.Connection], _T]) -> _T:
        def run() -> _T:
            with sqlite3.connect(self._path) as base:
                base.execute("CREATE TABLE IF NOT EXISTS checkpoints (id PRIMARY KEY, workflow, at, checkpoint)")
                return call(base)

        return await asyncio.to_thread(run)


class Unreliable:
    """A storage in front of another: it raises while `down`, and does not come back while `hanging`."""

    def __init__(self, storage: CheckpointStorage) -> None:
        self._storage = storage
        self.down = False
        self.hanging = False
        self.calls = 0
        self.saves: list[str] = []

    async def save(self, checkpoint: WorkflowCheckpoint) -> str:
        await self._pass()
        saved = await self._storage.save(checkpoint)
        self.saves.append(checkpoint.checkpoint_id)
        return saved

    async def load(self, checkpoint_id: str) -> WorkflowCheckpoint:
        await self._pass()
        return await self._storage.load(checkpoint_id)

    async def _pass(self) -> None:
        self.calls += 1
        if self.down:
            raise ConnectionError("the storage is down")
        while self.hanging:
            try:
                await asyncio.sleep(0.05)
            except asyncio.CancelledError:  # As one that waits for a disk.
                continue

    def __getattr__(self, name: str) -> Any:
        return getattr(self._storage, name)
