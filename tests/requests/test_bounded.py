"""As much as one workflow task may bring: it is handled in the time there is, and none fails."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any, Never

import pytest
from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler, response_handler
from agent_framework_temporal import DurableWorkflow
from agent_framework_temporal.workflows import limits
from agent_framework_temporal.workflows.requests import arrivals as _arrivals
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.worker.workflow_sandbox import _runner

from tests.support import unique, worker

_REQUESTS = 1_000
_GRANTED = 2.0
"""Seconds that the SDK grants a workflow task before it fails it."""


@pytest.fixture(autouse=True)
def _handled_in_time(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """By the processor's time: a busy machine takes longer, and nobody's code is to blame for that."""
    taken: list[float] = []
    activate = _runner._Instance.activate

    def timed(self: Any, act: Any) -> Any:
        began = time.thread_time()
        try:
            return activate(self, act)
        finally:
            taken.append(time.thread_time() - began)

    monkeypatch.setattr(_runner._Instance, "activate", timed)
    yield
    assert taken
    assert max(taken) < _GRANTED


class Many(Executor):
    """Asks as many questions at once as a text says, and tells how many were answered with yes."""

    @handler
    async def ask(self, count: str, ctx: WorkflowContext[Never, str]) -> None:
        for number in range(int(count)):
            await ctx.request_info("", bool, request_id=f"r{number}")

    @response_handler
    async def told(self, question: str, answer: bool, ctx: WorkflowContext[Never, str]) -> None:
        if question:
            await ctx.yield_output(str(answer))


def many() -> Workflow:
    """Build the workflow that asks many questions."""
    return WorkflowBuilder(name="many", start_executor=Many(id="many")).build()


async def _failed(handle: WorkflowHandle[Any, Any]) -> int:
    failed = 0
    async for event in handle.fetch_history_events():
        failed += event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED
    return failed


async def _asked(client: Client, task_queue: str, count: int) -> WorkflowHandle[Any, Any]:
    async with worker(client, many, task_queue=task_queue):
        durable = DurableWorkflow(many, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(str(count), checkpoint=checkpoint)
        return client.get_workflow_handle(checkpoint.thread_id, run_id=checkpoint.run_id)


@pytest.mark.parametrize("valid", [True, False], ids=["valid", "wrong type first"])
async def test_signals_of_a_thousand_answers_each(valid: bool, client: Client) -> None:
    task_queue = unique("queue")
    handle = await _asked(client, task_queue, _REQUESTS)
    answers = [{"request_id": f"r{number}", "response": True} for number in range(_REQUESTS)]
    if not valid:
        await handle.signal("respond", [{**answer, "response": "no"} for answer in answers])
    for _ in range(20):
        await handle.signal("respond", answers)
    async with worker(client, many, task_queue=task_queue):
        async with asyncio.timeout(60):
            result = await client.get_workflow_handle(handle.id).result()
    assert result["state"] == "idle"
    assert await _failed(handle) == 0


async def test_an_update_of_as_much_as_there_can_be(client: Client) -> None:
    task_queue = unique("queue")
    handle = await _asked(client, task_queue, _REQUESTS)
    answers = [{"request_id": f"r{number}", "response": "no"} for number in range(_REQUESTS)]
    async with worker(client, many, task_queue=task_queue):
        for argument in (
            answers,
            [*answers, *answers],
            {"request_id": "r0", "response": ["x"] * 150_000},
            ["x"] * 400_000,
        ):
            with pytest.raises(WorkflowUpdateFailedError):
                await handle.execute_update("respond", argument)
        receipt = await handle.execute_update("respond", [{**answer, "response": True} for answer in answers])
        assert len(receipt["queued"]) == _REQUESTS
        await asyncio.wait_for(handle.result(), 60)
    assert await _failed(handle) == 0


async def _sent(client: Client, task_queue: str) -> WorkflowHandle[Any, Any]:
    """Return a run that was sent more than a workflow task reads, and a good answer behind it, while no worker runs."""
    handle = await _asked(client, task_queue, 1)
    small = [{"request_id": f"other-{number}"} for number in range(1_000)]
    large = {"request_id": "r0", "response": "x" * 300_000}
    for number in range(12):
        await handle.signal("respond", large if number % 2 else small)
        await handle.signal("respond", {"request_id": "r0", "response": ["x" * 1_000] * 300})
    await handle.signal("respond", {"request_id": "r0", "response": True})
    return handle


async def test_more_than_one_workflow_task_reads(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is too much waits for a timer, in order, and so does the good answer behind it."""
    monkeypatch.setattr(limits, "TASK_COST", 20_000)
    task_queue = unique("queue")
    handle = await _sent(client, task_queue)
    async with worker(client, many, task_queue=task_queue):
        async with asyncio.timeout(60):
            await client.get_workflow_handle(handle.id).result()
    assert await _failed(handle) == 0
    kinds = [event.event_type async for event in handle.fetch_history_events()]
    assert EventType.EVENT_TYPE_TIMER_FIRED in kinds


async def test_what_was_dropped_from_memory_is_replayed(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(limits, "TASK_COST", 20_000)
    task_queue = unique("queue")
    handle = await _sent(client, task_queue)
    held = _arrivals.MAX_HELD_BYTES
    monkeypatch.setattr(_arrivals, "MAX_HELD_BYTES", 1)
    async with worker(client, many, task_queue=task_queue):
        async with asyncio.timeout(60):
            while not await _failed(handle):
                await asyncio.sleep(0.1)
            monkeypatch.setattr(_arrivals, "MAX_HELD_BYTES", held)
            await client.get_workflow_handle(handle.id).result()
