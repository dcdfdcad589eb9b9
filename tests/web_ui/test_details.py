"""Summary and details of a run: Markdown that says where it stands and which command answers it."""

from __future__ import annotations

from agent_framework_temporal import DurableWorkflow
from agent_framework_temporal.workflows.details import current_details
from agent_framework_temporal.workflows.messages import ErrorDetails, PendingRequest
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.client import Client

from tests.flows import Decision, Order, shop
from tests.support import worker


async def _details(client: Client, thread_id: str) -> str:
    handle = client.get_workflow_handle(thread_id)
    found: WorkflowMetadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
    return found.current_details


async def test_a_run_says_what_it_is_and_where_it_stands(client: Client) -> None:
    async with worker(client, shop) as queue:
        durable = DurableWorkflow(shop, client=client, task_queue=queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="kettle", price=20), checkpoint=checkpoint)
        thread = checkpoint.thread_id
        described = await client.get_workflow_handle(thread).describe()
        assert await described.static_summary() == "shop"
        assert "- `shop` (start)" in (await described.static_details() or "")
        before = described.history_length
        details = await _details(client, thread)
        assert details.startswith(
            "**waiting**, 1 supersteps committed\n\n### 1 pending request\n\n`shop` asks `approve-kettle`"
        )
        assert '`{"item": "kettle", "price": 20}`' in details
        assert f"```\nagent-framework-temporal respond {thread} approve-kettle\n```" in details
        await durable.run(responses={"approve-kettle": Decision(approved=True)}, checkpoint=checkpoint)
        assert await _details(client, thread) == "**idle**, 2 supersteps committed"
        described = await client.get_workflow_handle(thread).describe()
        # 4 for the answer and 6 for its superstep, and the end; looking at it and showing it cost none.
        assert before + 10 <= described.history_length <= before + 11


def _request(request_id: str, data: object) -> PendingRequest:
    return PendingRequest(
        request_id=request_id,
        thread_id="t",
        executor_id="e`vil\n# heading",
        asked_at="2026-11-25T10:00:00+00:00",
        request=data,
        request_type="a:B",
        response_type="a:C",
    )


def test_what_people_write_cannot_format_itself() -> None:
    pending = [_request("a\n```\n# b", "x`y\n\n# z" + "w" * 1000)]
    text = current_details(thread_id="t t", state="waiting", superstep=1, executors=[], pending=pending)
    assert not [line for line in text.splitlines() if line.startswith("# ")]
    assert text.count("```") == 2
    assert "respond 't t' 'a ''' # b'" in text
    assert len(text) < 700


def test_it_is_bounded() -> None:
    pending = [_request(f"r{number}", {"text": "x" * 10_000}) for number in range(1_000)]
    executors = [f"executor-{number}" for number in range(1_000)]
    text = current_details(
        thread_id="t",
        state="running",
        superstep=4,
        executors=executors,
        pending=pending,
        failure=ErrorDetails(error_type="ValueError", message="m" * 10_000),
    )
    assert "and 980 more." in text
    assert "And 990 more: query `pending_requests`" in text
    assert "agent-framework-temporal retry t" in text
    assert len(text) < 8_000
