"""Every superstep of every row of the gallery is as recorded when it is replayed, and calls no model."""

from __future__ import annotations

import pytest
from agent_framework_temporal import DurableWorkflow, NotJournalledError
from agent_framework_temporal.adapter.checkpoints.recorded import recorded_supersteps
from agent_framework_temporal.adapter.checkpoints.thread import latest_run_id
from agent_framework_temporal.adapter.framework.definition import define
from agent_framework_temporal.adapter.temporal.client import framed_client
from agent_framework_temporal.testing.superstep import replay_recorded
from temporalio.client import Client

from tests.parity._turns import record
from tests.parity.gallery import GALLERY, Row
from tests.support import worker

_MODEL_FAILS = "error-in-model"
"""No journal has a call that has come to nothing, so a replay would have to make it."""


@pytest.mark.parametrize("row", GALLERY, ids=lambda row: row.name)
async def test_row(row: Row, client: Client) -> None:
    async with worker(client, row.build) as task_queue:
        durable = DurableWorkflow(row.build, client=client, task_queue=task_queue, max_attempts=1, keep_journal=True)
        checkpoint = durable.checkpoint()
        await record(row, durable, checkpoint)
    framed = framed_client(client)
    hosted = await define(row.build)
    run_id = await latest_run_id(framed, checkpoint.thread_id, hosted.name)
    async for recorded in recorded_supersteps(framed, checkpoint.thread_id, run_id):
        if row.name == _MODEL_FAILS and recorded.state == "failed":
            with pytest.raises(NotJournalledError):
                await replay_recorded(framed, hosted, recorded)
            continue
        replayed = await replay_recorded(framed, hosted, recorded)
        replayed.assert_same()
        assert not replayed.made
