"""Every row of the gallery gives its caller the same in process and on Temporal.

Compared are events, outputs, errors, status and checkpoints.
"""

from __future__ import annotations

from typing import Any

import pytest
from agent_framework_temporal import DurableWorkflow
from temporalio.client import Client

from tests.parity._turns import record
from tests.parity.gallery import GALLERY, Row
from tests.support import worker


@pytest.mark.parametrize("replay", [False, True], ids=["cached", "replayed"])
@pytest.mark.parametrize("row", GALLERY, ids=lambda row: row.name)
async def test_row(row: Row, replay: bool, client: Client) -> None:
    """`replayed`: no workflow and no checkpoint is cached, so each task replays and each superstep reads history."""
    expected = await record(row, row.build())
    options: dict[str, Any] = {"max_cached_workflows": 0, "cache_bytes": 0} if replay else {}
    async with worker(client, row.build, **options) as task_queue:
        durable = DurableWorkflow(row.build, client=client, task_queue=task_queue, max_attempts=1)
        actual = await record(row, durable, durable.checkpoint())
    for number, (durable_turn, turn) in enumerate(zip(actual.turns, expected.turns, strict=True)):
        assert durable_turn == turn, f"turn {number}"
    if row.checkpoints:
        assert actual.checkpoints == expected.checkpoints
