"""What is in doubt in odd places: in agents and executors of sub-workflows, and in calls of agents' tools."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from agent_framework import InMemoryCheckpointStorage, Workflow, WorkflowRunState
from agent_framework_temporal import DurableWorkflow, ExecutorPolicy, InDoubt, InDoubtError
from temporalio.client import Client

from tests.flows import Order
from tests.journal import _breaking as flows
from tests.support import unique, worker, worker_process

Build = Callable[[], Workflow]
_PEN = Order(item="pen")


async def _killed(build: Build, client: Client, queue: str, ledger: Path, run: Awaitable[Any]) -> asyncio.Future[Any]:
    name = f"tests.journal._breaking:{build.__name__}"
    async with worker_process(client, queue, ledger, workflows=[name]) as first:
        running = asyncio.ensure_future(run)
        gone = asyncio.ensure_future(first.wait())
        await asyncio.wait([gone, running], return_when=asyncio.FIRST_COMPLETED)
        assert gone.done(), await running
    return running


CASES: list[Any] = [
    # build, message, where, executors, is an approval of a tool
    (flows.agent, "pen", "charge.pen-1", "agent", True),
    (flows.agent_in_sub_workflow, "pen", "charge.pen-1", "sub", False),
    (flows.agent_in_sub_workflow, "pen", "charge.pen-1", "sub/agent", False),
    (flows.inner_steps, _PEN, "b.pena", "sub", False),
    (flows.inner_steps, _PEN, "b.pena", "sub/b", False),
    (flows.two_sources, _PEN, "x.penb", "x", False),
    (flows.once_in_executor, _PEN, "third", "calls", False),
    (flows.once_in_sub_workflow, _PEN, "third", "sub", False),
    (flows.once_in_sub_workflow, _PEN, "third", "sub/calls", False),
]


@pytest.mark.parametrize("answer", [True, False, None], ids=["yes", "no", "cancel"])
@pytest.mark.parametrize(
    ("build", "message", "where", "policy", "is_tool"), [*CASES, (flows.tool_asks, "pen", "second", None, False)]
)
async def test_a_person_is_asked(
    build: Build,
    message: Any,
    where: str,
    policy: str | None,
    is_tool: bool,
    answer: bool | None,
    client: Client,
    ledger: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(flows.STOPS, f"{where}=kill")
    queue = unique("queue")
    rules = {} if policy is None else {policy: ExecutorPolicy(in_doubt="ask")}
    durable = DurableWorkflow(build, client=client, task_queue=queue, executors=rules, **flows.FAST)
    thread = durable.checkpoint(unique("thread"))
    running = await _killed(build, client, queue, ledger, durable.run(message, checkpoint=thread))
    async with worker(client, build, task_queue=queue):
        result = await running
        (request,) = result.get_request_info_events()
        assert isinstance(request.data, InDoubt) != is_tool
        assert flows.counts(ledger, "begin")[where] == 1
        if answer is None:
            await durable.cancel_pending_requests([request.request_id], checkpoint=thread)
        else:
            given = request.data.to_function_approval_response(answer) if is_tool else answer
            try:
                result = await durable.run(responses={request.request_id: given}, checkpoint=thread)
                assert result.get_final_state() == WorkflowRunState.IDLE
            except InDoubtError:
                assert answer is False
        assert flows.counts(ledger, "begin")[where] == (2 if answer else 1)
        others = flows.counts(ledger, "begin") - Counter([where, where])
        assert set(others.values()) <= {1}, others
        storage = InMemoryCheckpointStorage()
        await durable.copy_checkpoints(storage, thread)
        last = await storage.get_latest(workflow_name=durable.name)
        assert last is not None
        if answer is not False:
            assert not [key for key in last.state if "in_doubt" in key]


@pytest.mark.parametrize(("build", "message", "where", "policy", "is_tool"), CASES)
async def test_an_error_is_told(
    build: Build,
    message: Any,
    where: str,
    policy: str,
    is_tool: bool,
    client: Client,
    ledger: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv(flows.STOPS, f"{where}=kill")
    queue = unique("queue")
    rules = {policy: ExecutorPolicy(in_doubt="error")}
    durable = DurableWorkflow(build, client=client, task_queue=queue, executors=rules, **flows.FAST)
    thread = durable.checkpoint(unique("thread"))
    running = await _killed(build, client, queue, ledger, durable.run(message, checkpoint=thread))
    async with worker(client, build, task_queue=queue):
        if "agent" in build.__name__:  # The model is told, and goes on.
            assert (await running).get_final_state() == WorkflowRunState.IDLE
        else:
            with pytest.raises(InDoubtError):
                await running
        assert flows.counts(ledger, "begin")[where] == 1
        others = flows.counts(ledger, "begin")
        assert set(others.values()) <= {1}, others
