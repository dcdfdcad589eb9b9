"""A run that is cancelled ends, wherever it is then and whatever its executors make of it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Never

import pytest
from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler
from agent_framework_temporal import AgentFrameworkPlugin, Checkpoint, DurableWorkflow
from agent_framework_temporal.adapter.temporal.client import framed_client
from agent_framework_temporal.workflows import upgrade as _upgrade
from agent_framework_temporal.workflows.messages import (
    SUPERSTEP_ACTIVITY,
    WORKFLOW_TYPE,
    CheckpointFacts,
    PendingRequest,
    RunInput,
    RunOptions,
    SuperstepInput,
    SuperstepResult,
    Value,
)
from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowHandle
from temporalio.worker import Worker

from tests.requests._flows import Question, asker
from tests.support import unique, worker

_LONG = timedelta(seconds=60)
"""A heartbeat so seldom that an activity does not hear of the cancellation before it ends."""
_SOON = timedelta(seconds=2)
_ENDED = {WorkflowExecutionStatus.CANCELED, WorkflowExecutionStatus.FAILED}


class Held(Executor):
    """Says that it has begun, and goes on when it is let go: fails, ignores that it is cancelled, or sends on."""

    begun: asyncio.Event
    go: asyncio.Event
    runs: list[str]

    @handler
    async def hold(self, text: str, ctx: WorkflowContext[str, str]) -> None:
        type(self).runs.append(f"{self.id} {text}")
        type(self).begun.set()
        try:
            await type(self).go.wait()
        except asyncio.CancelledError:
            if text != "ignore":
                raise
        if text == "fail":
            raise OSError("down")
        await ctx.send_message(text)


class Next(Executor):
    """Must not be reached."""

    @handler
    async def reached(self, text: str, ctx: WorkflowContext[Never, str]) -> None:
        Held.runs.append(f"next {text}")
        await ctx.yield_output(text)


def held() -> Workflow:
    """Build the workflow that is held in its first superstep."""
    start = Held(id="held")
    return WorkflowBuilder(name="held", start_executor=start).add_edge(start, Next(id="next")).build()


@pytest.fixture(autouse=True)
def anew() -> None:
    Held.begun, Held.go, Held.runs = asyncio.Event(), asyncio.Event(), []


async def _ends(handle: WorkflowHandle[Any, Any]) -> WorkflowExecutionStatus | None:
    async with asyncio.timeout(50):
        while (description := await handle.describe()).status == WorkflowExecutionStatus.RUNNING:
            await asyncio.sleep(0.05)
    return description.status


@asynccontextmanager
async def _in_superstep(
    client: Client, message: str, **options: Any
) -> AsyncIterator[tuple[DurableWorkflow, Checkpoint, WorkflowHandle[Any, Any]]]:
    async with worker(client, held) as task_queue:
        durable = DurableWorkflow(held, client=client, task_queue=task_queue, max_attempts=1, **options)
        checkpoint = durable.checkpoint()

        async def run() -> None:
            await durable.run(message, checkpoint=checkpoint)

        running = asyncio.create_task(run())
        await asyncio.wait_for(Held.begun.wait(), 50)
        yield durable, checkpoint, client.get_workflow_handle(checkpoint.thread_id)
        await asyncio.gather(running, return_exceptions=True)


@pytest.mark.parametrize("pause", [True, False], ids=["pause", "fail"])
async def test_a_failure_before_the_superstep_hears_of_it(pause: bool, client: Client) -> None:
    async with _in_superstep(client, "fail", heartbeat_timeout=_LONG, pause_on_failure=pause) as (durable, place, run):
        await durable.cancel(durable.checkpoint(place.thread_id))
        Held.go.set()
        assert await _ends(run) in _ENDED
    assert Held.runs == ["held fail"]


@pytest.mark.parametrize("options", [{}, {"pause_on_failure": True}, {"supersteps_per_run": 1}], ids=str)
async def test_a_superstep_that_ends_before_it_hears_of_it(options: dict[str, Any], client: Client) -> None:
    async with _in_superstep(client, "go on", heartbeat_timeout=_LONG, **options) as (durable, place, run):
        await durable.cancel(durable.checkpoint(place.thread_id))
        Held.go.set()
        assert await _ends(run) == WorkflowExecutionStatus.CANCELED
        assert (await run.describe()).run_id == place.run_id
    assert Held.runs == ["held go on"]


@pytest.mark.parametrize("options", [{}, {"pause_on_failure": True}, {"supersteps_per_run": 1}], ids=str)
async def test_an_executor_that_ignores_it(options: dict[str, Any], client: Client) -> None:
    async with _in_superstep(client, "ignore", heartbeat_timeout=_SOON, **options) as (durable, place, run):
        await durable.cancel(durable.checkpoint(place.thread_id))
        assert await _ends(run) == WorkflowExecutionStatus.CANCELED
        assert (await run.describe()).run_id == place.run_id
    assert "next ignore" not in Held.runs


async def test_while_it_is_paused_and_while_it_waits(client: Client) -> None:
    async with _in_superstep(client, "fail", pause_on_failure=True) as (durable, place, run):
        Held.go.set()
        async with asyncio.timeout(50):
            while (await run.query("status"))["state"] != "paused":
                await asyncio.sleep(0.05)
        await durable.cancel(durable.checkpoint(place.thread_id))
        assert await _ends(run) == WorkflowExecutionStatus.CANCELED
    async with worker(client, asker) as task_queue:
        durable = DurableWorkflow(asker, client=client, task_queue=task_queue, pause_on_failure=True)
        place = durable.checkpoint()
        await durable.run(Question(text="how many"), checkpoint=place)
        await durable.cancel(place)
        assert await _ends(client.get_workflow_handle(place.thread_id)) == WorkflowExecutionStatus.CANCELED


async def test_at_the_same_time_as_what_lets_it_go_on(client: Client) -> None:
    """While no worker runs, so that both come with one workflow task."""
    task_queue = unique("queue")
    async with worker(client, asker, task_queue=task_queue):
        durable = DurableWorkflow(asker, client=client, task_queue=task_queue, pause_on_failure=True)
        places = [durable.checkpoint() for _ in range(2)]
        for place in places:
            await durable.run(Question(text="how many"), checkpoint=place)
    handles = [client.get_workflow_handle(place.thread_id) for place in places]
    answer = {"request_id": "q0", "response": {"amount": 2}}
    await handles[0].signal("respond", answer)
    await handles[0].cancel()
    await handles[1].cancel()
    await handles[1].signal("respond", answer)
    async with worker(client, asker, task_queue=task_queue):
        for handle in handles:
            assert await _ends(handle) == WorkflowExecutionStatus.CANCELED


class _Steps:
    """The superstep activity of a worker whose every step is held until it is let go, and never hears of anything."""

    def __init__(self, *held: str, state: Any = "waiting") -> None:
        self.begun: list[str] = []
        self.go = asyncio.Event()
        self._held = held
        self._state = state

    @activity.defn(name=SUPERSTEP_ACTIVITY)
    async def superstep(self, step: SuperstepInput) -> SuperstepResult:
        self.begun.append(step.mode)
        while step.mode in self._held and not self.go.is_set():
            activity.heartbeat()
            try:
                await asyncio.wait_for(self.go.wait(), 0.1)
            except (TimeoutError, asyncio.CancelledError):
                continue
        if step.mode == "upgrade":
            return SuperstepResult(answers=step.superstep_id, state="running", upgrade=True)
        request = PendingRequest(
            request_id="q0", thread_id="t", executor_id="e", asked_at="now", request_type="str", response_type="str"
        )
        facts = CheckpointFacts(
            checkpoint_id=f"c{len(self.begun)}",
            superstep=len(self.begun),
            digest="d",
            size_bytes=1,
            frame_bytes=1,
            graph_hash="g",
            timestamp="now",
        )
        pending = [request] if self._state == "waiting" else []
        return SuperstepResult(
            answers=step.superstep_id, state=self._state, checkpoint=facts, pending=pending, next_executors=["e"]
        )

    async def until(self, mode: str) -> None:
        async with asyncio.timeout(50):
            while mode not in self.begun:
                await asyncio.sleep(0.02)


@asynccontextmanager
async def _run(client: Client, steps: _Steps, options: RunOptions) -> AsyncIterator[WorkflowHandle[Any, Any]]:
    task_queue = unique("queue")
    run_input = RunInput(workflow_name="w", mode="message", message=Value(value=1), options=options)
    async with Worker(client, task_queue=task_queue, plugins=[AgentFrameworkPlugin()], activities=[steps.superstep]):
        yield await framed_client(client).start_workflow(
            WORKFLOW_TYPE, run_input, id=unique("run"), task_queue=task_queue
        )


async def test_in_the_step_that_stores_the_checkpoint_of_the_run_before(client: Client) -> None:
    steps = _Steps("store")
    async with _run(client, steps, RunOptions(history_bytes_per_run=1)) as handle:
        await steps.until("message")
        while "store" not in steps.begun:  # Grown by so much, the run continues as new at its next pause.
            await handle.signal("respond", {"request_id": "other", "response": "x" * 100_000})
        await handle.cancel()
        await asyncio.sleep(0.5)
        steps.go.set()
        assert await _ends(client.get_workflow_handle(handle.id)) == WorkflowExecutionStatus.CANCELED
    assert steps.begun == ["message", "store"]


@pytest.mark.parametrize("state", ["running", "waiting"])
async def test_in_the_step_that_asks_for_another_version(
    state: str, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_upgrade.Upgrade, "is_wanted", lambda _self, _supersteps: True)
    steps = _Steps("upgrade", state=state)
    async with _run(client, steps, RunOptions()) as handle:
        await steps.until("message")
        if state == "waiting":
            await handle.signal("respond", {"request_id": "q0", "response": "yes"})
        await steps.until("upgrade")
        await handle.cancel()
        await asyncio.sleep(0.5)
        steps.go.set()
        assert await _ends(client.get_workflow_handle(handle.id)) == WorkflowExecutionStatus.CANCELED
    assert steps.begun == ["message", "upgrade"]
