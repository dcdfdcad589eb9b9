"""Reminders and deadlines: durable timers that survive lost workers and continue-as-new."""

from __future__ import annotations

import asyncio
import os
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agent_framework_temporal import (
    Checkpoint,
    DurableWorkflow,
    PayloadError,
    RequestExpiredError,
    RequestPolicy,
)
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle

from tests.requests._flows import Question, Reply, asker, nested
from tests.support import unique, worker, worker_process

_SOON = timedelta(seconds=1)
_LATER = timedelta(hours=1)


async def _waiting(
    client: Client, task_queue: str, requests: Any, count: int = 1, **options: Any
) -> tuple[DurableWorkflow, Checkpoint, WorkflowHandle[Any, Any]]:
    durable = DurableWorkflow(asker, client=client, task_queue=task_queue, requests=requests, **options)
    checkpoint = durable.checkpoint()
    await durable.run(Question(text="how many", count=count), checkpoint=checkpoint)
    return durable, checkpoint, client.get_workflow_handle(checkpoint.thread_id)


async def _trail(handle: WorkflowHandle[Any, Any]) -> list[dict[str, Any]]:
    page = await handle.query("events", args=[-1, 500])
    ours = ("request_re", "request_ex", "request_c", "resp")
    return [event for event in page["events"] if event["type"].startswith(ours)]


async def _read_on(durable: DurableWorkflow, checkpoint: Checkpoint, handle: WorkflowHandle[Any, Any]) -> None:
    """Read what came after the pause, without resuming a run that has failed."""
    while (await handle.describe()).status == WorkflowExecutionStatus.RUNNING:
        await asyncio.sleep(0.1)
    async for _ in durable.run_stream(checkpoint=checkpoint, after=checkpoint.offset):
        pass


async def test_reminder_then_default(client: Client) -> None:
    policy = RequestPolicy(
        # The server's timers may be a second late.
        remind_after=timedelta(milliseconds=500),
        deadline=timedelta(seconds=3),
        on_deadline="default",
        default=Reply(amount=42),
    )
    async with worker(client, asker) as task_queue:
        durable, checkpoint, handle = await _waiting(client, task_queue, policy)
        (pending,) = await durable.pending_requests(checkpoint)
        assert pending.deadline is not None
        assert pending.remind_at is not None
        assert pending.remind_at < pending.deadline
        assert (await handle.result())["outputs"] == ["how many: 42"]
        trail = await _trail(handle)
        assert [(event["type"], event["request_id"]) for event in trail] == [
            ("request_reminder", "q0"),
            ("request_expired", "q0"),
            ("response_accepted", "q0"),
        ]
        assert trail[1]["data"] == {"on_deadline": "default"}
        assert trail[2]["responder"] == "deadline"
        assert trail[2]["data"] == {"amount": 42, "note": ""}
        summaries = []
        async for event in handle.fetch_history_events():
            if event.event_type == EventType.EVENT_TYPE_TIMER_STARTED:
                summaries.append(event.user_metadata.summary.data.decode())
        assert summaries == ['"remind of q0"', '"deadline of q0"']


async def test_failing_leaves_the_request_to_be_answered_late(client: Client) -> None:
    async with worker(client, asker) as task_queue:
        durable, checkpoint, handle = await _waiting(client, task_queue, RequestPolicy(deadline=_SOON))
        with pytest.raises(RequestExpiredError, match="Nobody answered request 'q0' of executor 'asker' by 20"):
            await _read_on(durable, checkpoint, handle)
        result = await durable.run(responses={"q0": Reply(amount=2)}, checkpoint=checkpoint)
        assert result.get_outputs() == ["how many: 2"]


async def test_cancelling_goes_on_with_the_others(client: Client) -> None:
    policies = {"q0": RequestPolicy(deadline=_SOON, on_deadline="cancel"), "asker": RequestPolicy(deadline=_LATER)}
    async with worker(client, asker) as task_queue:
        durable, checkpoint, handle = await _waiting(client, task_queue, policies, count=2)
        while len(await durable.pending_requests(checkpoint)) == 2:
            await asyncio.sleep(0.1)
        trail = await _trail(handle)
        assert [(event["type"], event.get("responder")) for event in trail] == [
            ("request_expired", None),
            ("request_cancelled", "deadline"),
        ]
        result = await durable.run(responses={"q1": Reply(amount=2)}, checkpoint=checkpoint)
        assert result.get_outputs() == ["how many: 2"]


@pytest.mark.parametrize("key", ["q0", "asker", "tests.requests._flows:Question", "Question", "*"])
async def test_a_policy_is_found_by_each_kind_of_key(key: str, client: Client) -> None:
    async with worker(client, asker) as task_queue:
        durable, checkpoint, _ = await _waiting(client, task_queue, {key: RequestPolicy(remind_after=_LATER)})
        (pending,) = await durable.pending_requests(checkpoint)
        assert pending.remind_at is not None
        assert pending.deadline is None


async def test_a_default_that_does_not_fit_fails_the_run(client: Client) -> None:
    policy = RequestPolicy(deadline=_SOON, on_deadline="default", default={"amount": 3})
    async with worker(client, asker) as task_queue:
        durable, checkpoint, handle = await _waiting(client, task_queue, policy)
        with pytest.raises(RequestExpiredError, match=r"its default response is refused: .*must be even"):
            await _read_on(durable, checkpoint, handle)


async def test_deadline_outlives_continue_as_new(client: Client) -> None:
    policy = RequestPolicy(deadline=timedelta(seconds=4), on_deadline="default", default=Reply(amount=42))
    async with worker(client, asker) as task_queue:
        durable, checkpoint, handle = await _waiting(client, task_queue, policy, history_bytes_per_run=10_000)
        (before,) = await durable.pending_requests(checkpoint)
        while (await handle.describe()).run_id == checkpoint.run_id:
            await handle.signal("respond", {"request_id": 7, "response": "x" * 100_000})
        (after,) = await durable.pending_requests(checkpoint)
        assert (after.deadline, after.asked_at) == (before.deadline, before.asked_at)
        assert (await handle.result())["outputs"] == ["how many: 42"]


async def test_deadline_outlives_a_killed_worker(client: Client, tmp_path: Path) -> None:
    policy = RequestPolicy(deadline=timedelta(seconds=3), on_deadline="default", default=Reply(amount=42))
    task_queue = unique("queue")
    async with worker_process(client, task_queue, workflows=["tests.requests._flows:asker"]) as first:
        _, _, handle = await _waiting(client, task_queue, policy)
        os.kill(first.pid, signal.SIGKILL)
        await first.wait()
    await asyncio.sleep(3)  # The deadline passes while nobody is there.
    async with worker_process(client, task_queue, workflows=["tests.requests._flows:asker"]):
        assert (await handle.result())["outputs"] == ["how many: 42"]


async def test_request_of_a_sub_workflow_has_a_deadline_too(client: Client) -> None:
    policy = RequestPolicy(deadline=_SOON, on_deadline="default", default=Reply(amount=42))
    async with worker(client, nested) as task_queue:
        durable = DurableWorkflow(nested, client=client, task_queue=task_queue, requests={"*": policy})
        checkpoint = durable.checkpoint()
        await durable.run(Question(text="inside"), checkpoint=checkpoint)
        await client.get_workflow_handle(checkpoint.thread_id).result()
        trail = await _trail(client.get_workflow_handle(checkpoint.thread_id))
        assert [event["type"] for event in trail] == ["request_expired", "response_accepted"]


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({"deadline": timedelta(0)}, "`deadline` must be longer than 0"),
        ({"remind_after": _LATER, "deadline": _SOON}, "`remind_after` must be shorter"),
        ({"deadline": _SOON, "on_deadline": "ignore"}, "`on_deadline` must be"),
        ({"deadline": _SOON, "on_deadline": "default"}, "pass both or neither"),
        ({"deadline": _SOON, "default": 1}, "pass both or neither"),
        ({"on_deadline": "cancel"}, "needs a `deadline`"),
    ],
)
def test_policies_that_cannot_work_are_refused(arguments: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        RequestPolicy(**arguments)


def test_other_things_are_refused(client: Client) -> None:
    with pytest.raises(PayloadError, match="The default response"):
        RequestPolicy(deadline=_SOON, on_deadline="default", default=object())
    with pytest.raises(ValueError, match="`requests` maps keys to `RequestPolicy`"):
        DurableWorkflow(asker, client=client, task_queue="q", requests={"q0": 7})  # type: ignore[dict-item]
