"""Named mirrors of a worker, and storages that workflows were built with."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from agent_framework import (
    CheckpointStorage,
    FileCheckpointStorage,
    InMemoryCheckpointStorage,
    Workflow,
    WorkflowBuilder,
)
from agent_framework_temporal import AgentFrameworkPlugin, Checkpoint, DurableWorkflow, HostingError
from agent_framework_temporal.activities import mirrors as _mirrors
from agent_framework_temporal.adapter.checkpoints import mirror as _mirror
from temporalio.client import Client

from tests.flows import Decision, Echo, Order, Shop, chain, countdown, echo, shop
from tests.mirrors._storages import SQLiteCheckpointStorage, Unreliable
from tests.mirrors._waiting import mirrored
from tests.support import worker

_TYPES = ["tests.flows:Order", "tests.flows:Decision"]
_STORAGES: dict[str, Callable[[Path], CheckpointStorage]] = {
    "file": lambda folder: FileCheckpointStorage(folder / "files", allowed_checkpoint_types=_TYPES),
    "sqlite": lambda folder: SQLiteCheckpointStorage(folder / "checkpoints.db"),
    "memory": lambda folder: InMemoryCheckpointStorage(),
}


def mirrored_facade(workflow: Any, client: Client, task_queue: str, **options: Any) -> DurableWorkflow:
    """Return a facade whose runs are mirrored."""
    return DurableWorkflow(workflow, client=client, task_queue=task_queue, mirror="archive", **options)


async def records(client: Client, checkpoint: Checkpoint) -> list[tuple[str, Any, str | None]]:
    """Return what the thread's event log says of mirrors."""
    handle = client.get_workflow_handle(checkpoint.thread_id)
    page = await handle.query("events")
    found = [record for record in page["events"] if record["type"].startswith("mirror")]
    return [(record["type"], record["data"], record.get("error")) for record in found]


@pytest.mark.parametrize("kind", _STORAGES)
async def test_each_checkpoint_is_copied(kind: str, client: Client, tmp_path: Path) -> None:
    storage = _STORAGES[kind](tmp_path)
    async with worker(client, shop, chain, mirrors={"archive": storage}) as task_queue:
        durable = mirrored_facade(shop, client, task_queue)
        checkpoint = durable.checkpoint()
        await durable.run([Order(item="pen"), Order(item="ink")], checkpoint=checkpoint)
        good = Decision(approved=True)
        await durable.run(responses={"approve-pen": good, "approve-ink": good}, checkpoint=checkpoint)
        await mirrored(durable, checkpoint, storage)
        infos = await durable.checkpoints(checkpoint)
        for info in infos:
            loaded = await storage.load(info.checkpoint_id)
            assert loaded.previous_checkpoint_id == info.previous_checkpoint_id
            assert loaded.iteration_count == info.superstep
            assert loaded.workflow_name == "shop"
        assert list((await storage.load(infos[1].checkpoint_id)).pending_request_info_events) == [
            "approve-pen",
            "approve-ink",
        ]
        # A run that names no mirror is not copied.
        plain = DurableWorkflow(chain, client=client, task_queue=task_queue)
        await plain.run("a")
        await asyncio.sleep(0.2)
        assert await storage.list_checkpoint_ids(workflow_name="chain") == []


async def test_over_continued_runs_turns_and_failures(client: Client, tmp_path: Path) -> None:
    storage = Unreliable(SQLiteCheckpointStorage(tmp_path / "checkpoints.db"))

    async def opened() -> Unreliable:
        return storage

    async with worker(client, countdown, echo, mirrors={"archive": opened}) as task_queue:
        durable = mirrored_facade(countdown, client, task_queue, supersteps_per_run=3)
        checkpoint = durable.checkpoint()
        await durable.run(10, checkpoint=checkpoint)
        await durable.run(2, checkpoint=checkpoint)
        expected = [info.checkpoint_id for info in await durable.checkpoints(checkpoint)]
        await mirrored(durable, checkpoint, storage)
        assert storage.saves == expected  # In order, each once.
        failing = mirrored_facade(echo, client, task_queue, max_attempts=2)
        thread = failing.checkpoint()
        await failing.run("one", checkpoint=thread)
        with pytest.raises(ValueError, match="told to fail"):
            await failing.run("fail", checkpoint=thread)
        # With the checkpoint that the failed run had entered with, of its last attempt only.
        assert len(await mirrored(failing, thread, storage)) == 3
        await asyncio.sleep(0.2)
        assert len(await storage.list_checkpoint_ids(workflow_name="echo")) == 3


async def test_one_that_is_down_for_a_while(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_mirrors, "LONGEST_PAUSE", 0.2)
    monkeypatch.setattr(_mirrors, "FIRST_PAUSE", 0.02)
    storage = Unreliable(SQLiteCheckpointStorage(tmp_path / "checkpoints.db"))
    caplog.set_level(logging.WARNING, logger="agent_framework_temporal.worker")
    async with worker(client, countdown, echo, mirrors={"archive": storage}) as task_queue:
        durable = mirrored_facade(countdown, client, task_queue, supersteps_per_run=20)
        others = [mirrored_facade(echo, client, task_queue) for _ in range(3)]
        checkpoint = durable.checkpoint()
        await durable.run(4, checkpoint=checkpoint)
        await mirrored(durable, checkpoint, storage)
        storage.down = True
        started = time.monotonic()
        assert (await durable.run(30, checkpoint=checkpoint)).get_outputs()[-1] == "0 left"
        assert time.monotonic() - started < 10
        for other in others:
            await other.run("one")
        # The event log tells of it, the caller's stream does not.
        events = [event.type async for event in durable.run_stream(30, checkpoint=checkpoint)]
        assert "mirror_behind" not in events
        told = await records(client, checkpoint)
        assert told == [] or told == [("mirror_behind", "archive", "ConnectionError: the storage is down")]
        warnings = [found.getMessage() for found in caplog.records if "does not accept" in found.getMessage()]
        assert len(warnings) == 1
        assert "The run continues" in warnings[0]
        storage.down = False
        expected = [info.checkpoint_id for info in await durable.checkpoints(checkpoint)]
        await mirrored(durable, checkpoint, storage)
        for other in others:
            await mirrored(other, None, storage)
        assert [found for found in storage.saves if found in expected] == expected
        while not any("has caught up" in found.getMessage() for found in caplog.records):
            await asyncio.sleep(0.05)
        await durable.run(0, checkpoint=checkpoint)
        assert await records(client, checkpoint) == [("mirror_caught_up", "archive", None)]


async def test_one_that_hangs(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_mirror, "CALL_SECONDS", 0.2)
    monkeypatch.setattr(_mirrors, "LONGEST_PAUSE", 0.2)
    monkeypatch.setattr(_mirrors, "FIRST_PAUSE", 0.02)
    storage = Unreliable(SQLiteCheckpointStorage(tmp_path / "checkpoints.db"))
    storage.hanging = True
    async with worker(client, chain, mirrors={"archive": storage}) as task_queue:
        durable = mirrored_facade(chain, client, task_queue)
        for text in ("a", "b", "c"):
            assert (await durable.run(text)).get_outputs() == [f"{text}>first>second>third done"]
        await asyncio.sleep(1)
        # While a call has not come back, there is no other.
        assert storage.calls == 1
        storage.hanging = False
        await mirrored(durable, None, storage)


async def test_a_worker_that_stops_before_it_is_up_again(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(_mirrors, "CLOSING_SECONDS", 0.3)
    storage = Unreliable(SQLiteCheckpointStorage(tmp_path / "checkpoints.db"))
    storage.down = True
    async with worker(client, chain, mirrors={"archive": storage}) as task_queue:
        durable = mirrored_facade(chain, client, task_queue)
        checkpoint, alone = durable.checkpoint(), durable.checkpoint()
        await durable.run("a", checkpoint=checkpoint)
        await durable.run("a", checkpoint=alone)
    assert "lacks checkpoints of 2 threads" in caplog.text
    storage.down = False
    # Another worker, with the thread's next run.
    async with worker(client, chain, mirrors={"archive": storage}, task_queue=task_queue):
        await durable.run("b", checkpoint=checkpoint)
        await mirrored(durable, checkpoint, storage)
        assert storage.saves == [info.checkpoint_id for info in await durable.checkpoints(checkpoint)]
    # No worker at all.
    ids = [info.checkpoint_id for info in await durable.checkpoints(alone)]
    assert await durable.copy_checkpoints(storage, alone) == ids
    assert await durable.copy_checkpoints(storage, alone.thread_id) == []


async def test_too_much_waits(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit the queue is read from history."""
    monkeypatch.setattr(_mirrors, "MAX_WAITING_BYTES", 1)
    storage = InMemoryCheckpointStorage()
    async with worker(client, countdown, mirrors={"archive": storage}) as task_queue:
        durable = mirrored_facade(countdown, client, task_queue)
        await durable.run(20)
        await mirrored(durable, None, storage)


async def test_two_workers_share_a_thread(client: Client, tmp_path: Path) -> None:
    """Each copies what it ran; none is copied twice, lost, or an error."""
    storage = Unreliable(SQLiteCheckpointStorage(tmp_path / "checkpoints.db"))
    another = await Client.connect(client.service_client.config.target_host)
    async with (
        worker(client, countdown, mirrors={"archive": storage}, max_cached_workflows=0) as task_queue,
        worker(another, countdown, mirrors={"archive": storage}, max_cached_workflows=0, task_queue=task_queue),
    ):
        durable = mirrored_facade(countdown, client, task_queue)
        await durable.run(40)
        await mirrored(durable, None, storage)
        assert len(storage.saves) == len(set(storage.saves)) == 42


async def test_a_name_no_worker_has(client: Client) -> None:
    async with worker(client, echo, mirrors={"other": InMemoryCheckpointStorage()}) as task_queue:
        durable = mirrored_facade(echo, client, task_queue)
        with pytest.raises(HostingError, match=r"has no mirror 'archive'; it has \['other'\]"):
            await durable.run("one")


async def test_no_storage_at_all() -> None:
    with pytest.raises(HostingError, match="neither a CheckpointStorage nor a factory"):
        AgentFrameworkPlugin([echo], mirrors={"archive": "redis://"})  # type: ignore[dict-item] # What is tested.


async def test_the_storage_a_workflow_was_built_with(client: Client) -> None:
    storage = InMemoryCheckpointStorage()

    def built() -> Workflow:
        return WorkflowBuilder(name="echo", start_executor=Echo(id="echo"), checkpoint_storage=storage).build()

    async with worker(client, built) as task_queue:
        durable = DurableWorkflow(built, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run("one", checkpoint=checkpoint)
        await durable.run("two", checkpoint=checkpoint)
        await mirrored(durable, checkpoint, storage)
        assert len(await storage.list_checkpoint_ids(workflow_name="echo")) == 4


async def test_a_storage_given_to_run_takes_the_place_of_the_built_in_one(client: Client) -> None:
    built, given, second = InMemoryCheckpointStorage(), InMemoryCheckpointStorage(), InMemoryCheckpointStorage()

    def build() -> Workflow:
        return WorkflowBuilder(name="overridden", start_executor=Shop(id="shop"), checkpoint_storage=built).build()

    async def ids(storage: InMemoryCheckpointStorage) -> list[str]:
        return await storage.list_checkpoint_ids(workflow_name="overridden")

    # In process, which is what it is held to.
    local = build()
    await local.run(Order(item="pen"), checkpoint_storage=given)
    await local.run(Order(item="cup"), checkpoint_storage=given)
    await local.run(responses={"approve-pen": Decision(approved=True)}, checkpoint_storage=second)
    in_process = [len(await ids(storage)) for storage in (built, given, second)]
    assert in_process[0] == 0
    for storage in (given, second):
        for checkpoint_id in await ids(storage):
            await storage.delete(checkpoint_id)

    async with worker(client, build) as task_queue:
        durable = DurableWorkflow(build, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=checkpoint, checkpoint_storage=given)
        await durable.run(Order(item="cup"), checkpoint=checkpoint, checkpoint_storage=given)
        await durable.run(
            responses={"approve-pen": Decision(approved=True)}, checkpoint=checkpoint, checkpoint_storage=second
        )
        cancelled = await durable.cancel_pending_requests(
            ["approve-cup"], checkpoint=checkpoint, checkpoint_storage=second
        )
        assert cancelled.get_final_state().name == "IDLE"
    # The worker copies what it was offered before it stops.
    assert await ids(built) == []
    assert len(await ids(given)) == in_process[1]
    assert len(await ids(second)) > in_process[2]
    assert {*await ids(given), *await ids(second)} == {
        info.checkpoint_id for info in await durable.checkpoints(checkpoint)
    }

    # A call without one has the workflow's own take them again.
    async with worker(client, build) as task_queue:
        durable = DurableWorkflow(build, client=client, task_queue=task_queue)
        await durable.run(Order(item="ink"), checkpoint=checkpoint)
        await mirrored(durable, checkpoint, built)
