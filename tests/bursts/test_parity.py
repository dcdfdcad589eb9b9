"""Every row of the gallery gives its caller the same in process and in bursts."""

from __future__ import annotations

from typing import Any

import pytest
from agent_framework_temporal import DurableWorkflow
from temporalio.client import Client

from tests.bursts.test_bursts import LONG
from tests.parity._turns import record
from tests.parity.gallery import GALLERY, Row
from tests.parity.gallery.functional import ROWS as FUNCTIONAL
from tests.support import worker

_GRAPHS = [row for row in GALLERY if row not in FUNCTIONAL]  # Those run to their next pause anyway.


@pytest.mark.parametrize("row", _GRAPHS, ids=lambda row: row.name)
async def test_row(row: Row, client: Client) -> None:
    """Without caches for half of them, so that each burst is read from history and each task replays."""
    expected = await record(row, row.build())
    cold: dict[str, Any] = {"max_cached_workflows": 0, "cache_bytes": 0}
    async with worker(client, row.build, **(cold if _GRAPHS.index(row) % 2 else {})) as task_queue:
        durable = DurableWorkflow(row.build, client=client, task_queue=task_queue, max_attempts=1, burst=LONG)
        actual = await record(row, durable, durable.checkpoint())
    for number, (durable_turn, turn) in enumerate(zip(actual.turns, expected.turns, strict=True)):
        assert durable_turn == turn, f"turn {number}"
    if row.checkpoints:
        assert actual.checkpoints == expected.checkpoints
