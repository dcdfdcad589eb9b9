"""The audit: who answered what, when, and what became of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from agent_framework_temporal import DurableWorkflow
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

from tests.requests._flows import Question, Reply, asker
from tests.support import worker

_OURS = ("response_", "request_c", "request_r", "request_e")


async def _trail(client: Client, thread_id: str) -> list[dict[str, Any]]:
    page = await client.get_workflow_handle(thread_id).query("events", args=[-1, 500])
    return [event for event in page["events"] if event["type"].startswith(_OURS)]


async def test_who_what_when(client: Client) -> None:
    began = datetime.now(UTC) - timedelta(seconds=1)
    async with worker(client, asker) as task_queue:
        durable = DurableWorkflow(asker, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Question(text="how many", count=4), checkpoint=checkpoint)
        handle = client.get_workflow_handle(checkpoint.thread_id)
        await handle.signal("respond", {"request_id": "q0", "response": {"amount": 3}, "responder": "ann"})
        await handle.signal(
            "respond", {"request_id": "q0", "response": {"amount": 2, "note": "ok"}, "responder": "bob"}
        )
        await handle.execute_update("respond", {"request_id": "q1", "response": {"amount": 4}, "responder": "cyd"})
        await handle.signal("cancel_requests", {"request_ids": ["q2"], "responder": "dan"})
        while len(await durable.pending_requests(checkpoint)) > 1:
            pass
        await handle.signal("respond", {"request_id": "q0", "response": {"amount": 8}, "responder": "eve"})
        await handle.signal("respond", {"response": "secret"})
        await durable.run(responses={"q3": Reply(amount=6)}, checkpoint=checkpoint)
        trail = await _trail(client, checkpoint.thread_id)
        assert [(event["type"], event.get("request_id"), event.get("responder")) for event in trail] == [
            ("response_rejected", "q0", "ann"),
            ("response_accepted", "q0", "bob"),
            ("response_accepted", "q1", "cyd"),
            ("request_cancelled", "q2", "dan"),
            ("response_rejected", "q0", "eve"),
            ("response_rejected", None, None),
            ("response_accepted", "q3", None),
        ]
        refused, accepted, _, cancelled, repeated, malformed, by_facade = trail
        assert accepted["data"] == {"amount": 2, "note": "ok"}
        assert accepted["source_executor_id"] == cancelled["source_executor_id"] == "asker"
        assert accepted["request_type"] == "tests.requests._flows:Question"
        assert accepted["response_type"] == "tests.requests._flows:Reply"
        # What does not count is told by its size and its mistake: anybody can send it.
        assert "data" not in refused
        assert refused["data_bytes"] == len('{"amount":3}')
        assert "must be even" in refused["error"]
        assert repeated["error"] == "Request 'q0' is already answered."
        assert malformed["error"].endswith("request_id: Field required")
        assert "secret" not in str(malformed)
        assert by_facade["data"] == {"amount": 6, "note": ""}
        assert by_facade["call_id"]
        for event in trail:
            assert began <= datetime.fromisoformat(event["at"]) <= datetime.now(UTC) + timedelta(seconds=1)
        signals = 0
        async for entry in handle.fetch_history_events():
            signals += entry.event_type == EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
        assert signals == 6


async def test_large_answers_are_told_by_their_size(client: Client) -> None:
    async with worker(client, asker) as task_queue:
        durable = DurableWorkflow(asker, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Question(text="how many"), checkpoint=checkpoint)
        handle = client.get_workflow_handle(checkpoint.thread_id)
        answer = {"request_id": "q0", "response": {"amount": 2, "extra": "x" * 10_000}, "responder": "ann"}
        await handle.signal("respond", answer)
        await handle.result()
        (accepted,) = await _trail(client, checkpoint.thread_id)
        assert "data" not in accepted
        assert accepted["data_bytes"] > 10_000


async def test_time_of_an_answer_is_when_it_came(client: Client, monkeypatch: Any) -> None:
    monkeypatch.setenv("TESTS_DELAY", "1")
    async with worker(client, asker) as task_queue:
        durable = DurableWorkflow(asker, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Question(text="how many"), checkpoint=checkpoint)
        handle = client.get_workflow_handle(checkpoint.thread_id)
        await handle.signal("respond", {"request_id": "q0", "response": {"amount": 2}})
        await handle.result()
        page = await handle.query("events", args=[-1, 500])
        accepted = next(event for event in page["events"] if event["type"] == "response_accepted")
        output = next(event for event in page["events"] if event["type"] == "output")
        assert datetime.fromisoformat(output["at"]) - datetime.fromisoformat(accepted["at"]) > timedelta(seconds=0.9)
