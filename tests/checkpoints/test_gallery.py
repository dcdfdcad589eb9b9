"""A fork of any checkpoint in the gallery gives what the framework gives when it restores that one in process."""

from __future__ import annotations

from typing import Any

import pytest
from agent_framework import InMemoryCheckpointStorage, Workflow
from agent_framework_temporal import DurableWorkflow, HistoryCheckpointStorage
from agent_framework_temporal.adapter.encoding.decoding import loads
from agent_framework_temporal.adapter.framework.catalog import TypeCatalog
from agent_framework_temporal.adapter.framework.functional import FunctionalInstance
from temporalio.client import Client

from tests.parity._canonical import Canonical
from tests.parity._turns import record
from tests.parity.gallery import GALLERY, Row
from tests.support import worker


async def seen(row: Row, runner: Workflow | DurableWorkflow, **arguments: Any) -> Any:
    """Return what a caller sees: the events, and the error if there is one."""
    events: list[Any] = []
    error: str | None = None
    try:
        async for event in runner.run(stream=True, **arguments):
            events.append(event)
    except Exception as raised:
        error = f"{type(raised).__name__}: {raised}"
    return row.in_order(Canonical().events(events)), error


async def _copied(storage: HistoryCheckpointStorage, checkpoint_id: str, row: Row) -> dict[str, Any]:
    """Return what restores a functional workflow in process: it has to save, and is given all answers again."""
    checkpoint = await storage.load(checkpoint_id)
    copied = InMemoryCheckpointStorage()
    await copied.save(checkpoint)
    catalog = TypeCatalog(row.build())
    answers = checkpoint.metadata.get("answers")
    return {
        "checkpoint_storage": copied,
        "responses": None if answers is None else loads(answers.encode(), catalog),
    }


@pytest.mark.parametrize("row", GALLERY, ids=lambda row: row.name)
async def test_row(row: Row, client: Client) -> None:
    async with worker(client, row.build) as task_queue:
        durable = DurableWorkflow(row.build, client=client, task_queue=task_queue, max_attempts=1)
        checkpoint = durable.checkpoint()
        await record(row, durable, checkpoint)
        infos = await durable.checkpoints(checkpoint)
        storage = HistoryCheckpointStorage(client, row.build)
        # The first, one in the middle, the last, and whatever waits.
        places = {0, len(infos) // 2, len(infos) - 1}
        chosen = [info for place, info in enumerate(infos) if place in places or info.state == "waiting"]
        for info in chosen[:5]:
            in_process = row.build()
            if not isinstance(in_process, FunctionalInstance):
                expected = await seen(row, in_process, checkpoint_id=info.checkpoint_id, checkpoint_storage=storage)
            else:
                given = await _copied(storage, info.checkpoint_id, row)
                expected = await seen(row, in_process, checkpoint_id=info.checkpoint_id, **given)
            actual = await seen(row, durable, checkpoint_id=info.checkpoint_id, checkpoint=durable.checkpoint())
            assert actual == expected, f"{info.kind} of superstep {info.superstep}, {info.state}"
