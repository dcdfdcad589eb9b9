"""Queries with arguments that nobody should give: answered in words, and the run does not notice."""

from __future__ import annotations

from typing import Any

import pytest
from agent_framework_temporal import DurableWorkflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowQueryFailedError

from tests.requests._flows import Question, asker
from tests.support import worker

_TAKES = r"Query `events` takes `after` \(-1\), `limit` \(500\)"
_WRONG: list[tuple[str, list[Any], str]] = [
    ("events", ["x"], f"{_TAKES}, whole numbers; `after` was given as str"),
    ("events", [None], "`after` was given as NoneType"),
    ("events", [True], "`after` was given as bool"),
    ("events", [1.5], "`after` was given as float"),
    ("events", [[1]], "`after` was given as list"),
    ("events", [{"after": 1}], "`after` was given as dict"),
    ("events", [2**63], "`after` was given as one beyond 64 bits"),
    ("events", [-(10**400)], "`after` was given as one beyond 64 bits"),
    ("events", [-1, "many"], "`limit` was given as str"),
    ("events", [-1, 500, 1], f"{_TAKES}; it was given 3 arguments"),
    ("events", list(range(1_000)), "it was given 1000 arguments"),
    ("status", [1], "Query `status` takes no arguments; it was given 1 arguments"),
    ("pending_requests", ["x", "y"], "Query `pending_requests` takes no arguments; it was given 2 arguments"),
    ("no-such-query", [], "Query handler for 'no-such-query' expected but not found, known queries: .*events.*status"),
]
_TAKEN = [([], 3), ([-1], 3), ([-(2**62)], 3), ([2**62], 0), ([-1, 2**62], 3), ([-1, -5], 1), ([-1, 0], 1), ([0, 1], 1)]


async def test_arguments(client: Client) -> None:
    async with worker(client, asker) as task_queue:
        durable = DurableWorkflow(asker, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Question(text="how many"), checkpoint=checkpoint)
        handle = client.get_workflow_handle(checkpoint.thread_id)
        for name, arguments, text in _WRONG:
            with pytest.raises(WorkflowQueryFailedError, match=text):
                await handle.query(name, args=arguments)
        everything = (await handle.query("events"))["events"]
        for arguments, least in _TAKEN:
            page = (await handle.query("events", args=arguments))["events"]
            assert least <= len(page) <= len(everything), arguments
            if not least:
                assert page == []
        kinds = [event.event_type for event in (await handle.fetch_history()).events]
        assert EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED not in kinds
