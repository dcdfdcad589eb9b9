"""`HistoryCheckpointStorage`: the framework's checkpoint storage over Temporal history."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Any

import pytest
from agent_framework import (
    CheckpointStorage,
    FileCheckpointStorage,
    InMemoryCheckpointStorage,
    WorkflowCheckpoint,
    WorkflowCheckpointException,
    WorkflowRunState,
)
from agent_framework_temporal import (
    CheckpointNotFoundError,
    DurableWorkflow,
    HistoryCheckpointStorage,
    HistoryReadOnlyError,
    PayloadError,
    ServerUnreachableError,
    ThreadNotFoundError,
)
from temporalio.client import Client

from tests.checkpoints._threads import (
    approved,
    continued_while_waiting,
    durable_chain,
    durable_echo,
    durable_shop,
    failed,
    waiting,
)
from tests.flows import LEDGER, Order, chain, echo, echo_later, shop
from tests.support import unique, worker


async def test_what_it_lists_is_what_a_mirror_holds(client: Client) -> None:
    mirror = InMemoryCheckpointStorage()
    async with worker(client, shop) as task_queue:
        durable = durable_shop(client, task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=checkpoint, checkpoint_storage=mirror)
        await durable.run(responses=approved(), checkpoint=checkpoint, checkpoint_storage=mirror)
    storage = HistoryCheckpointStorage(client, shop, checkpoint=checkpoint)
    mirrored = await mirror.list_checkpoints(workflow_name="shop")
    listed = await storage.list_checkpoints(workflow_name="shop")
    assert len(listed) == 4
    assert [found.to_dict() | {"pending_request_info_events": 0, "messages": 0} for found in listed] == [
        found.to_dict() | {"pending_request_info_events": 0, "messages": 0} for found in mirrored
    ]
    assert [list(found.pending_request_info_events) for found in listed] == [[], ["approve-pen"], [], []]
    assert await storage.list_checkpoint_ids(workflow_name="shop") == [found.checkpoint_id for found in listed]
    latest = await storage.get_latest(workflow_name="shop")
    assert latest is not None
    assert latest.checkpoint_id == listed[-1].checkpoint_id == checkpoint.checkpoint_id
    for found in listed:
        loaded = await storage.load(found.checkpoint_id)
        assert (loaded.checkpoint_id, loaded.state, loaded.iteration_count) == (
            found.checkpoint_id,
            found.state,
            found.iteration_count,
        )
        assert list(loaded.messages) == list(found.messages)


async def test_of_a_thread_that_runs_waits_fails(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger = tmp_path / "ledger"
    monkeypatch.setenv(LEDGER, str(ledger))
    monkeypatch.setenv("TESTS_DELAY", "0.5")
    async with worker(client, chain, shop, echo) as task_queue:
        durable = durable_chain(client, task_queue)
        running = durable.checkpoint()
        task = asyncio.ensure_future(durable.run("a", checkpoint=running))
        while not ledger.exists() or "begin third" not in ledger.read_text():
            await asyncio.sleep(0.05)
        storage = HistoryCheckpointStorage(client, chain, checkpoint=running)
        latest = await storage.get_latest(workflow_name="chain")
        assert latest is not None
        assert latest.iteration_count == 2
        assert [message.data for message in latest.messages["second"]] == ["a>first>second"]
        assert len(await storage.list_checkpoints(workflow_name="chain")) == 3
        await task
        assert len(await storage.list_checkpoints(workflow_name="chain")) == 6

        waits = await waiting(durable_shop(client, task_queue))
        storage = HistoryCheckpointStorage(client, shop, checkpoint=waits)
        latest = await storage.get_latest(workflow_name="shop")
        assert latest is not None
        assert list(latest.pending_request_info_events) == ["approve-pen"]
        assert latest.state["orders"] == 1

        fails = await failed(durable_echo(client, task_queue))
        storage = HistoryCheckpointStorage(client, echo, checkpoint=fails)
        latest = await storage.get_latest(workflow_name="echo")
        assert latest is not None
        assert latest.checkpoint_id == fails.checkpoint_id
        assert latest.state["count"] == 1


async def test_over_runs_that_continued_as_new(client: Client) -> None:
    async with worker(client, chain, shop) as task_queue:
        durable = DurableWorkflow(chain, client=client, task_queue=task_queue, supersteps_per_run=2)
        await durable.run("a")
        infos = await durable.checkpoints()
        storage = HistoryCheckpointStorage(client, chain, checkpoint=infos[0].thread_id)
        assert await storage.list_checkpoint_ids(workflow_name="chain") == [info.checkpoint_id for info in infos]
        listed = await storage.list_checkpoints(workflow_name="chain")
        assert [found.iteration_count for found in listed] == [0, 1, 2, 3, 4, 5]
        for info in infos:
            assert (await storage.load(info.checkpoint_id)).iteration_count == info.superstep

        waits = await continued_while_waiting(client, task_queue)
        storage = HistoryCheckpointStorage(client, shop, checkpoint=waits)
        assert len(await storage.list_checkpoints(workflow_name="shop")) == 2
        assert len(await storage.list_checkpoint_ids(workflow_name="shop")) == 2


async def test_over_all_threads_of_the_workflow(client: Client) -> None:
    async with worker(client, echo_later, echo) as task_queue:
        durable = DurableWorkflow(echo_later, client=client, task_queue=task_queue)
        one, two = durable.checkpoint(unique("one")), durable.checkpoint(unique("two"))
        await durable.run("a", checkpoint=one)
        await durable.run("b", checkpoint=two)
        await durable.run("c", checkpoint=one)
        await durable_echo(client, task_queue).run("of another workflow")
        storage = HistoryCheckpointStorage(client, echo_later)
        # Visibility lags behind by about a second.
        for _ in range(20):
            listed = await storage.list_checkpoints(workflow_name="echo-later")
            mine = [found for found in listed if found.state.get("count") and not found.messages]
            latest = await storage.get_latest(workflow_name="echo-later")
            if latest is not None and latest.checkpoint_id == one.checkpoint_id:
                break
            await asyncio.sleep(0.25)
        assert latest is not None
        assert latest.checkpoint_id == one.checkpoint_id
        assert {one.checkpoint_id, two.checkpoint_id} <= {found.checkpoint_id for found in mine}
        assert {found.workflow_name for found in listed} == {"echo-later"}
        assert [found.timestamp for found in listed] == sorted(found.timestamp for found in listed)
        ids = await storage.list_checkpoint_ids(workflow_name="echo-later")
        assert ids == [found.checkpoint_id for found in listed]


async def test_a_workflow_it_is_not_for(client: Client) -> None:
    storage = HistoryCheckpointStorage(client, echo, checkpoint=unique("nowhere"))
    assert await storage.list_checkpoints(workflow_name="other") == []
    assert await storage.list_checkpoint_ids(workflow_name="other") == []
    assert await storage.get_latest(workflow_name="other") is None
    with pytest.raises(ThreadNotFoundError, match="has no run in namespace"):
        await storage.get_latest(workflow_name="echo")


async def test_it_only_reads(client: Client) -> None:
    storage = HistoryCheckpointStorage(client, echo)
    with pytest.raises(HistoryReadOnlyError, match=r"only from a worker.*DurableWorkflow\.run\(checkpoint_id"):
        await storage.save(WorkflowCheckpoint(workflow_name="echo", graph_signature_hash="h"))
    with pytest.raises(NotImplementedError, match=r"cannot be deleted by itself.*temporal workflow delete"):
        await storage.delete("c")
    as_the_framework_knows_it: CheckpointStorage = storage
    with pytest.raises(WorkflowCheckpointException):
        await as_the_framework_knows_it.load("c")


async def test_no_server() -> None:
    client = await Client.connect("127.0.0.1:1", lazy=True)
    storage = HistoryCheckpointStorage(client, echo, checkpoint="a")
    with pytest.raises(ServerUnreachableError):
        await storage.list_checkpoint_ids(workflow_name="echo")


async def test_a_durable_checkpoint_resumes_in_this_process(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    ledger = tmp_path / "ledger"
    monkeypatch.setenv(LEDGER, str(ledger))
    async with worker(client, chain, shop) as task_queue:
        durable = durable_chain(client, task_queue)
        await durable.run("a")
        infos = await durable.checkpoints()
        waits = await waiting(durable_shop(client, task_queue))
    # From here on there is no worker.
    ledger.unlink()
    with caplog.at_level(logging.WARNING):
        result = await chain().run(
            checkpoint_id=infos[2].checkpoint_id, checkpoint_storage=HistoryCheckpointStorage(client, chain)
        )
    assert result.get_outputs() == ["a>first>second>third done"]
    assert result.get_final_state() is WorkflowRunState.IDLE
    assert [line.split()[2] for line in ledger.read_text().splitlines() if " begin " in line] == ["third", "fourth"]
    warnings = [record.getMessage() for record in caplog.records if "Failed to create checkpoint" in record.message]
    assert len(warnings) == 3
    assert all("Temporal history accepts checkpoints only from a worker's supersteps" in text for text in warnings)
    assert await durable.checkpoints() == infos

    local = shop()
    storage = HistoryCheckpointStorage(client, shop, checkpoint=waits)
    latest = await storage.get_latest(workflow_name="shop")
    assert latest is not None
    answered = await local.run(responses=approved(), checkpoint_id=latest.checkpoint_id, checkpoint_storage=storage)
    assert answered.get_outputs() == ["pen approved by ada, order 1"]


async def test_a_copy_in_another_storage_keeps_what_a_local_run_makes(client: Client) -> None:
    async with worker(client, chain) as task_queue:
        durable = durable_chain(client, task_queue)
        await durable.run("a")
        middle = (await durable.checkpoints())[2]
    storage = InMemoryCheckpointStorage()
    await storage.save(await HistoryCheckpointStorage(client, chain).load(middle.checkpoint_id))
    await chain().run(checkpoint_id=middle.checkpoint_id, checkpoint_storage=storage)
    line = await storage.list_checkpoints(workflow_name="chain")
    assert [found.iteration_count for found in line] == [2, 3, 4, 5]
    assert line[1].previous_checkpoint_id == middle.checkpoint_id


async def test_a_file_storage_mirrors_a_thread_and_begins_another(client: Client, tmp_path: Path) -> None:
    types = ["tests.flows:Order", "tests.flows:Decision"]
    mirror = FileCheckpointStorage(tmp_path, allowed_checkpoint_types=types)
    async with worker(client, shop) as task_queue:
        durable = durable_shop(client, task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=checkpoint, checkpoint_storage=mirror)
        infos = await durable.checkpoints(checkpoint)
        assert {path.stem for path in tmp_path.glob("*.json")} == {info.checkpoint_id for info in infos}
        loaded = await mirror.load(infos[-1].checkpoint_id)
        assert loaded.previous_checkpoint_id == infos[0].checkpoint_id
        # From the mirror, in process and durably.
        result = await shop().run(
            responses=approved(), checkpoint_id=infos[-1].checkpoint_id, checkpoint_storage=mirror
        )
        assert result.get_outputs() == ["pen approved by ada, order 1"]
        seeded = durable.checkpoint()
        result = await durable.run(
            responses=approved("bob"),
            checkpoint_id=infos[-1].checkpoint_id,
            checkpoint_storage=mirror,
            checkpoint=seeded,
        )
        assert result.get_outputs() == ["pen approved by bob, order 1"]
        line = await durable.checkpoints(seeded)
        assert line[0].previous_checkpoint_id == infos[-1].checkpoint_id
        assert {info.checkpoint_id for info in line} < {path.stem for path in tmp_path.glob("*.json")}


async def test_the_history_of_another_server_is_copied(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async with worker(client, chain) as task_queue:
        durable = durable_chain(client, task_queue)
        await durable.run("a")
        middle = (await durable.checkpoints())[2]
        storage = HistoryCheckpointStorage(client, chain)
        monkeypatch.setattr("agent_framework_temporal.adapter.client.durable_workflow.is_history_of", lambda *_: False)
        copied = durable.checkpoint()
        result = await durable.run(checkpoint_id=middle.checkpoint_id, checkpoint_storage=storage, checkpoint=copied)
        assert result.get_outputs() == ["a>first>second>third done"]
        started = await anext(client.get_workflow_handle(copied.thread_id).fetch_history_events())
        assert started.ByteSize() > 1_000
        with pytest.raises(CheckpointNotFoundError):
            await durable.run(checkpoint_id="c", checkpoint_storage=storage, checkpoint=durable.checkpoint())
        named: Any = DurableWorkflow("chain", client=client, task_queue=task_queue)
        with pytest.raises(PayloadError, match="needs the workflow's types"):
            await named.run(checkpoint_id=middle.checkpoint_id, checkpoint_storage=storage)
