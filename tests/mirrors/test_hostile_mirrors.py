"""Who writes a mirror reaches no worker, and a caller no further than the storage's own reader lets them."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import pickle
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from agent_framework import (
    FileCheckpointStorage,
    InMemoryCheckpointStorage,
    WorkflowCheckpoint,
    WorkflowCheckpointException,
)
from agent_framework._workflows import _checkpoint_encoding
from agent_framework_temporal import (
    CheckpointCorruptedError,
    CheckpointNotFoundError,
    DurableWorkflow,
    GraphChangedError,
    PayloadError,
    ThreadNotFoundError,
)
from agent_framework_temporal.adapter.checkpoints.mirror import MirrorStorage
from temporalio.client import Client

from tests.flows import Order, countdown, echo, shop
from tests.mirrors._storages import SQLiteCheckpointStorage
from tests.mirrors._waiting import mirrored
from tests.support import worker

pytestmark = pytest.mark.hostile("F")
_TYPES = ["tests.flows:Order", "tests.flows:Decision"]


class Planted:
    """What no workflow declares; unpickled, it leaves a file."""

    path = ""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.path}",)


class Foreign:
    """Harmless, and of no workflow."""


def _plant(path: Path, sentinel: Path) -> None:
    """Put a pickle that runs a command into each value of a file that the framework's storage has written."""
    planted = Planted()
    planted.path = str(sentinel)
    evil = base64.b64encode(pickle.dumps(planted)).decode()
    marked = {_checkpoint_encoding._PICKLE_MARKER: evil, _checkpoint_encoding._TYPE_MARKER: "posix:system"}
    stored = json.loads(path.read_text())
    stored |= {"messages": marked, "state": marked, "metadata": marked, "pending_request_info_events": marked}
    path.write_text(json.dumps(stored))


class NeverLoads(SQLiteCheckpointStorage):
    """Tells what it has, and would decode what lies there."""

    loads = 0

    async def load(self, checkpoint_id: str) -> WorkflowCheckpoint:
        self.loads += 1
        raise AssertionError("a worker has loaded from a mirror")

    async def has_checkpoint(self, checkpoint_id: str) -> bool:
        query = "SELECT 1 FROM checkpoints WHERE id = ?"
        return bool(await self._run(lambda base: base.execute(query, (checkpoint_id,)).fetchone()))


async def test_a_worker_decodes_nothing_of_a_file_mirror(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, sentinel = tmp_path / "mirror", tmp_path / "owned"
    storage = FileCheckpointStorage(folder, allowed_checkpoint_types=_TYPES)

    async with worker(client, countdown, mirrors={"archive": storage}) as queue:
        durable = DurableWorkflow(countdown, client=client, task_queue=queue, mirror="archive")
        checkpoint = durable.checkpoint()
        await durable.run(3, checkpoint=checkpoint)
        await mirrored(durable, checkpoint, storage)
    for path in folder.glob("*.json"):
        _plant(path, sentinel)
    loaded: list[str] = []

    async def load(self: FileCheckpointStorage, checkpoint_id: str) -> WorkflowCheckpoint:
        loaded.append(checkpoint_id)
        raise WorkflowCheckpointException(checkpoint_id)

    monkeypatch.setattr(FileCheckpointStorage, "load", load)
    # Another worker has to find out what is there; the newest is not, so it looks back through what is.
    (folder / f"{checkpoint.checkpoint_id}.json").unlink()
    async with worker(client, countdown, mirrors={"archive": FileCheckpointStorage(folder)}) as queue:
        durable = DurableWorkflow(countdown, client=client, task_queue=queue, mirror="archive")
        await durable.run(2, checkpoint=checkpoint)
        expected = {f"{info.checkpoint_id}.json" for info in await durable.checkpoints(checkpoint)}
        async with asyncio.timeout(50):
            while not expected <= {path.name for path in folder.glob("*.json")}:
                await asyncio.sleep(0.05)
    assert loaded == []
    assert not sentinel.exists()


async def test_a_worker_decodes_nothing_of_a_storage_that_can_tell(client: Client, tmp_path: Path) -> None:
    storage = NeverLoads(tmp_path / "checkpoints.db")
    for _ in range(2):  # The second worker finds what the first has copied.
        async with worker(client, countdown, mirrors={"archive": storage}) as queue:
            durable = DurableWorkflow(countdown, client=client, task_queue=queue, mirror="archive")
            await durable.run(3, checkpoint=durable.checkpoint("told"))
            await mirrored(durable, durable.checkpoint("told"), storage)
    assert storage.loads == 0


@pytest.mark.parametrize("checkpoint_id", ["../outside", "a/../../outside", "/etc/hostname"])
async def test_an_id_leads_to_no_other_file(checkpoint_id: str, tmp_path: Path) -> None:
    (tmp_path / "outside.json").write_text("{}")
    storage = MirrorStorage(FileCheckpointStorage(tmp_path / "mirror"))
    assert not await storage.holds(checkpoint_id)


async def test_the_file_storage_is_asked_for_its_files(tmp_path: Path) -> None:
    """The contract: it keeps a checkpoint under its id in `storage_path`."""
    files = FileCheckpointStorage(tmp_path)
    storage = MirrorStorage(files)
    checkpoint = WorkflowCheckpoint(workflow_name="w", graph_signature_hash="h", checkpoint_id="a.b-1")
    assert not await storage.holds("a.b-1")
    await files.save(checkpoint)
    assert await storage.holds("a.b-1")


async def test_a_caller_restricts_the_file_storage(client: Client, tmp_path: Path) -> None:
    """Reading from a mirror decodes as its storage does: the framework's own refuses what it was not told of."""
    folder, sentinel = tmp_path / "mirror", tmp_path / "owned"
    storage = FileCheckpointStorage(folder, allowed_checkpoint_types=_TYPES)
    async with worker(client, shop) as queue:
        durable = DurableWorkflow(shop, client=client, task_queue=queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=checkpoint, checkpoint_storage=storage)
        _plant(folder / f"{checkpoint.checkpoint_id}.json", sentinel)
        with pytest.raises(CheckpointNotFoundError, match="blocked for type"):
            await durable.run(
                checkpoint_id=checkpoint.checkpoint_id, checkpoint_storage=storage, checkpoint=durable.checkpoint()
            )
    assert not sentinel.exists()


class Lying(InMemoryCheckpointStorage):
    """Gives what it was told to, whatever is asked for."""

    def __init__(self, gives: Any) -> None:
        super().__init__()
        self.gives = gives

    async def load(self, checkpoint_id: str) -> WorkflowCheckpoint:
        return self.gives  # type: ignore[no-any-return]


class Subclass(WorkflowCheckpoint):
    """A checkpoint with code of its own."""


async def test_what_a_storage_gives_is_checked_before_a_thread_begins(client: Client) -> None:
    storage = InMemoryCheckpointStorage()
    async with worker(client, shop, echo) as queue:
        durable = DurableWorkflow(shop, client=client, task_queue=queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=checkpoint, checkpoint_storage=storage)
        good = await storage.load(checkpoint.checkpoint_id or "")
        for gives, error in (
            ({"checkpoint_id": good.checkpoint_id}, CheckpointCorruptedError),
            (replace(good, checkpoint_id="another"), CheckpointCorruptedError),
            (Subclass(**{name: getattr(good, name) for name in good.to_dict()}), CheckpointCorruptedError),
            (replace(good, state={"a": Foreign()}), PayloadError),
            (replace(good, messages={"shop": [cast(Any, Foreign())]}), PayloadError),
            (replace(good, graph_signature_hash="0" * 64), GraphChangedError),
            (replace(good, workflow_name="echo", graph_signature_hash="0" * 64), GraphChangedError),
            (None, CheckpointNotFoundError),
        ):
            fresh = durable.checkpoint()
            with pytest.raises(error):
                await durable.run(checkpoint_id=good.checkpoint_id, checkpoint_storage=Lying(gives), checkpoint=fresh)
            with pytest.raises(ThreadNotFoundError):
                await durable.checkpoints(fresh)
        # The checkpoint itself is as good as ever, under whichever workflow's name: in process names are not compared.
        for gives in (good, replace(good, workflow_name="echo")):
            result = await durable.run(
                checkpoint_id=good.checkpoint_id, checkpoint_storage=Lying(gives), checkpoint=durable.checkpoint()
            )
            assert [event.request_id for event in result.get_request_info_events()] == ["approve-pen"]
