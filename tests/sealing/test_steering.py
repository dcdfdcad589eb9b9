"""Steering a sealed thread: with the keys it is replayed and scheduled as any other, without them nobody looks in."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from agent_framework_temporal import DurableWorkflow, ThreadArchive, export_thread
from agent_framework_temporal.adapter.client.schedule import schedules
from agent_framework_temporal.testing import replay_superstep
from temporalio.client import Client

from tests.flows import chain
from tests.steering._flows import CALLS, desk
from tests.support import unique, worker


async def test_a_sealed_superstep_is_replayed_with_the_keys(client: Client, sealing: Client, tmp_path: Path) -> None:
    async with worker(sealing, desk) as queue:
        durable = DurableWorkflow(desk, client=sealing, task_queue=queue, keep_journal=True)
        checkpoint = durable.checkpoint()
        await durable.run("secret boat", checkpoint=checkpoint)
    CALLS.clear()
    (await replay_superstep(sealing, checkpoint, 1, desk)).assert_same()
    assert CALLS == ["asker"]
    history = await client.get_workflow_handle(checkpoint.thread_id).fetch_history()
    assert "secret" not in history.to_json()
    file = tmp_path / "sealed.jsonl"
    file.write_text("".join([line async for line in export_thread(sealing, checkpoint)]))
    archive = ThreadArchive(file, data_converter=sealing.data_converter)
    (await replay_superstep(archive.client, checkpoint, 1, desk)).assert_same()
    with pytest.raises(KeyError, match="encrypted"):
        await replay_superstep(client, checkpoint, 1, desk)


async def test_the_workflow_of_a_sealed_schedule_is_known_with_the_keys(client: Client, sealing: Client) -> None:
    durable = DurableWorkflow(chain, client=sealing, task_queue="nobody")
    schedule = await durable.schedule(unique("sealed"), "daily", cron="0 0 1 1 *")
    try:
        async with asyncio.timeout(50):
            while not (found := [info async for info in durable.schedules() if info.schedule_id == schedule.id]):
                await asyncio.sleep(0.1)
        assert found[0].workflow_name == "chain"
        names = {info.schedule_id: info.workflow_name async for info in schedules(client)}
        assert names[schedule.id] is None
        await durable.update_schedule(schedule.id, "weekly")
    finally:
        await schedule.delete()
