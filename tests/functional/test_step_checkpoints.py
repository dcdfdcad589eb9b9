"""Each finished step leaves a checkpoint, as in process: listed, loaded, forked, mirrored; few bytes each."""

from __future__ import annotations

import dataclasses
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any, cast

import pytest
from agent_framework import InMemoryCheckpointStorage, RunContext, WorkflowCheckpoint, step, workflow
from agent_framework_temporal import (
    DurableWorkflow,
    FileStorageDriver,
    HistoryCheckpointStorage,
    PayloadError,
)
from agent_framework_temporal.activities import limits, passed
from agent_framework_temporal.adapter.checkpoints.frames import unpack
from agent_framework_temporal.adapter.checkpoints.history import decode
from agent_framework_temporal.adapter.temporal import converter
from agent_framework_temporal.adapter.temporal.client import framed_client
from agent_framework_temporal.workflows.messages import SuperstepResult
from pydantic_core import to_json
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.converter import ExternalStorage

from tests.checkpoints._threads import assert_lineage
from tests.functional._flows import Connection, Verdict, many, pipeline, retried, review, unlucky
from tests.functional._ledger import noted
from tests.mirrors._waiting import mirrored
from tests.parity._canonical import Canonical
from tests.parity._turns import record
from tests.parity.gallery import Row
from tests.parity.gallery.functional import ROWS
from tests.sealing._rogue import connect
from tests.support import worker


def _chain(checkpoints: list[WorkflowCheckpoint]) -> list[int | None]:
    """Return for each checkpoint which of them it follows."""
    places = {found.checkpoint_id: place for place, found in enumerate(checkpoints)}
    return [
        None if found.previous_checkpoint_id is None else places[found.previous_checkpoint_id] for found in checkpoints
    ]


def _comparable(checkpoints: list[WorkflowCheckpoint]) -> Any:
    canonical = Canonical()
    return [
        canonical.value((found.state, found.pending_request_info_events, found.iteration_count, _place))
        for found, _place in zip(checkpoints, _chain(checkpoints), strict=True)
    ]


async def _saved(storage: InMemoryCheckpointStorage, name: str) -> list[WorkflowCheckpoint]:
    return sorted(await storage.list_checkpoints(workflow_name=name), key=lambda found: found.timestamp)


async def _in_process(row: Row) -> list[WorkflowCheckpoint]:
    """Run a row's turns in process, each response from the checkpoint that has asked for it."""
    storage, runner, pending = InMemoryCheckpointStorage(), row.build(), dict[str, Any]()
    for turn in row.turns:
        if turn.respond is None:
            given: dict[str, Any] = {"message": turn.message}
        elif turn.raises is None:
            last = (await _saved(storage, row.name))[-1]
            given = {"responses": turn.respond(pending), "checkpoint_id": last.checkpoint_id}
        else:
            continue
        try:
            result = await runner.run(checkpoint_storage=storage, **given)
        except Exception as error:
            assert turn.raises is not None and isinstance(error, turn.raises)
        else:
            pending.update({event.request_id: event.data for event in result.get_request_info_events()})
    return await _saved(storage, row.name)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
async def test_as_in_process(row: Row, client: Client) -> None:
    """The same number, lineage and content; with a journal, steps that finish side by side wait for one write of it."""
    expected = await _in_process(row)
    async with worker(client, row.build) as task_queue:
        for journal in (False, True):
            durable = DurableWorkflow(row.build, client=client, task_queue=task_queue, max_attempts=1, journal=journal)
            checkpoint = durable.checkpoint()
            await record(row, durable, checkpoint)
            infos = await durable.checkpoints(checkpoint)
            storage = HistoryCheckpointStorage(client, row.build, checkpoint=checkpoint)
            found = [await storage.load(info.checkpoint_id) for info in infos]
            assert await storage.list_checkpoint_ids(workflow_name=row.name) == [one.checkpoint_id for one in found]
            assert _comparable(await storage.list_checkpoints(workflow_name=row.name)) == _comparable(found)
            latest = await storage.get_latest(workflow_name=row.name)
            assert latest is not None
            assert latest.checkpoint_id == infos[-1].checkpoint_id
            for info, one in zip(infos, found, strict=True):
                assert one.previous_checkpoint_id == info.previous_checkpoint_id
                assert (info.superstep, info.timestamp.isoformat()) == (one.iteration_count, one.timestamp)
                assert info.kind != "step" or (info.state, info.history_bytes) == ("running", 0)
            if not journal:
                assert _comparable(found) == _comparable(expected)
            assert _chain(found) == _chain(expected)
            assert _comparable(found)[-1] == _comparable(expected)[-1]


async def test_fork_runs_the_steps_after_it(client: Client, ledger: Path) -> None:
    async with worker(client, pipeline, cache_bytes=0) as task_queue:
        durable = DurableWorkflow(pipeline, client=client, task_queue=task_queue)
        await durable.run(2)
        infos = await durable.checkpoints()
        assert [info.kind for info in infos] == ["step"] * 4 + ["superstep"]
        assert_lineage(infos)
        counted = noted(ledger)
        written = infos[2]  # Two were fetched, and a draft written.
        forked = durable.checkpoint()
        result = await durable.run(checkpoint_id=written.checkpoint_id, checkpoint=forked)
        assert result.get_outputs() == ["published draft-10"]
        assert noted(ledger) == counted + Counter({"publish draft-10": 1})
        assert_lineage(await durable.checkpoints(forked), origin=written.checkpoint_id)
        # In this process too.
        storage = InMemoryCheckpointStorage()
        await storage.save(await HistoryCheckpointStorage(client, pipeline).load(infos[1].checkpoint_id))
        local = await pipeline.build().run(checkpoint_id=infos[1].checkpoint_id, checkpoint_storage=storage)
        assert local.get_outputs() == ["published draft-10"]
        assert noted(ledger) == counted + Counter({"write draft-10": 1, "publish draft-10": 2})


async def test_storages_and_mirrors_get_each(client: Client) -> None:
    archive, given = InMemoryCheckpointStorage(), InMemoryCheckpointStorage()
    async with worker(client, review, mirrors={"archive": archive}) as task_queue:
        durable = DurableWorkflow(review, client=client, task_queue=task_queue, mirror="archive")
        checkpoint = durable.checkpoint()
        yes = Verdict(accepted=True)
        await durable.run("tides", checkpoint=checkpoint, checkpoint_storage=given)
        await durable.run(responses={"auto::0": yes}, checkpoint=checkpoint, checkpoint_storage=given)
        await durable.run(responses={"auto::1": "Ann"}, checkpoint=checkpoint, checkpoint_storage=given)
        infos = await durable.checkpoints(checkpoint)
        assert [info.kind for info in infos] == ["step", "superstep", "superstep", "step", "superstep"]
        assert_lineage(infos)
        await mirrored(durable, checkpoint, archive)
        copied = InMemoryCheckpointStorage()
        ids = [info.checkpoint_id for info in infos]
        assert await durable.copy_checkpoints(copied, checkpoint) == ids
        for storage in (given, archive, copied):
            assert [found.checkpoint_id for found in await _saved(storage, "review")] == ids


async def test_attempts_that_failed_leave_none(client: Client, ledger: Path) -> None:
    """The journal has their steps; the next attempt saves them as the first would have, and a failed run its last."""
    async with worker(client, retried, unlucky) as task_queue:
        durable = DurableWorkflow(
            retried, client=client, task_queue=task_queue, retry_initial_interval=timedelta(milliseconds=20)
        )
        await durable.run(1)
        infos = await durable.checkpoints()
        assert_lineage(infos)
        assert infos[-1].state == "idle"
        failing = DurableWorkflow(unlucky, client=client, task_queue=task_queue, max_attempts=1)
        with pytest.raises(RuntimeError, match="no such luck"):
            await failing.run(4)
        assert [(info.state, info.previous_checkpoint_id) for info in await failing.checkpoints()] == [("failed", None)]


async def test_sealed_and_stored_outside(client: Client, tmp_path: Path) -> None:
    sealing = await connect(client)
    outside = ExternalStorage(drivers=[FileStorageDriver(tmp_path)], payload_size_threshold=1_000)
    config = sealing.config()
    config["data_converter"] = dataclasses.replace(sealing.data_converter, external_storage=outside)
    stored = Client(**config)
    async with worker(stored, many) as task_queue:
        durable = DurableWorkflow(many, client=stored, task_queue=task_queue)
        await durable.run(20)
        infos = await durable.checkpoints()
        assert len(infos) == 21
        storage = HistoryCheckpointStorage(stored, many)
        assert len((await storage.load(infos[6].checkpoint_id)).state["_step_cache"]) == 7
    assert any(tmp_path.iterdir())


async def _result(client: Client, thread_id: str) -> SuperstepResult:
    async for event in client.get_workflow_handle(thread_id).fetch_history_events():
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            payload = event.activity_task_completed_event_attributes.result.payloads[0]
            return cast(SuperstepResult, await decode(client, payload, SuperstepResult))
    raise AssertionError("There is none.")


async def test_each_costs_the_same_few_bytes(client: Client) -> None:
    """Each holds all results so far: as texts, those of 400 steps take 27 MB."""
    async with worker(client, many) as task_queue:
        durable = DurableWorkflow(many, client=client, task_queue=task_queue)
        for count in (10, 50, 400):
            checkpoint = durable.checkpoint()
            await durable.run(count, checkpoint=checkpoint)
            result = await _result(framed_client(client), checkpoint.thread_id)
            assert len(result.between) == count
            assert sum(map(len, unpack(result.frame, None).between)) < 120 * count
            assert len(to_json(result.between)) < 220 * count


@pytest.mark.parametrize("most", [0, 1, 3])
async def test_newest_stay_where_not_all_have_room(client: Client, monkeypatch: pytest.MonkeyPatch, most: int) -> None:
    """The oldest that stays follows what the superstep began from."""
    monkeypatch.setattr(passed, "MOST", most)
    async with worker(client, many) as task_queue:
        durable = DurableWorkflow(many, client=client, task_queue=task_queue)
        await durable.run(6)
        infos = await durable.checkpoints()
        assert len(infos) == most + 1
        assert_lineage(infos)
        storage = HistoryCheckpointStorage(client, many)
        found = [await storage.load(info.checkpoint_id) for info in infos]
        assert [one.previous_checkpoint_id for one in found] == [info.previous_checkpoint_id for info in infos]
        assert [len(one.state["_step_cache"]) for one in found] == [*range(7 - most, 7), 6]
        result = await durable.run(checkpoint_id=infos[0].checkpoint_id, checkpoint=durable.checkpoint())
        assert result.get_outputs() == [30]


async def test_result_stays_below_the_limit(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is kept of the steps gives way to what has to be there."""
    monkeypatch.setattr(converter, "MAX_PAYLOAD_BYTES", 22_000)
    monkeypatch.setattr(limits, "MAX_PAYLOAD_BYTES", 22_000)
    async with worker(client, many) as task_queue:
        durable = DurableWorkflow(many, client=client, task_queue=task_queue)
        await durable.run(40)
        infos = await durable.checkpoints()
        assert 1 < len(infos) < 41
        assert_lineage(infos)


@step
async def shed(number: int, ctx: RunContext) -> int:
    """Step while the state holds what cannot be stored, or not any more."""
    ctx.set_state("connection", Connection() if number % 2 else None)
    return number


@workflow
async def shedding(count: int) -> int:
    """Run steps of which every other leaves what cannot be stored."""
    return sum([await shed(number) for number in range(count)])


async def test_what_cannot_be_stored_in_between_is_left_out(client: Client) -> None:
    async with worker(client, shedding) as task_queue:
        durable = DurableWorkflow(shedding, client=client, task_queue=task_queue, max_attempts=1, journal=False)
        assert (await durable.run(3)).get_outputs() == [3]
        infos = await durable.checkpoints()
        assert [info.kind for info in infos] == ["step", "step", "superstep"]
        assert_lineage(infos)
        with pytest.raises(PayloadError, match=r"shared state key 'connection'.*Connection"):
            await durable.run(2, checkpoint=durable.checkpoint())
