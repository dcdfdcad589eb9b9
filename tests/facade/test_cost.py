"""What a thread has cost, beside what it is known to have done."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agent_framework import Workflow, WorkflowBuilder
from agent_framework_temporal import DurableWorkflow, RequestPolicy, ThreadCost, ThreadNotFoundError
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, ScheduleActionExecutionStartWorkflow, ScheduleSpec
from temporalio.testing import WorkflowEnvironment

from benchmarks._agents import tool_loop
from benchmarks._requests import ServedRequests
from tests.cli._commands import Commands
from tests.conftest import temporal_binary
from tests.facade._failing import failing
from tests.facade._idle import Beside, Start
from tests.flows import LEDGER, Decision, Order, chain, countdown, echo, shop
from tests.support import unique, worker

_FAST = timedelta(milliseconds=20)


@pytest.fixture
def server_commands(server: WorkflowEnvironment) -> Commands:
    return Commands(server.client.service_client.config.target_host)


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(LEDGER, str(tmp_path / "ledger"))
    return tmp_path / "ledger"


def spread() -> Workflow:
    """Build a workflow with three executors beside each other."""
    start = Start(id="start")
    beside = [Beside(id=name) for name in ("one", "two", "three")]
    return WorkflowBuilder(name="spread", start_executor=start).add_fan_out_edges(start, beside).build()


async def _as_the_server_says(client: Client, cost: ThreadCost) -> None:
    """Check events and bytes against what the server describes."""
    for run in cost.runs:
        info = (await client.get_workflow_handle(cost.thread_id, run_id=run.run_id).describe()).raw_info
        assert (run.history_events, run.history_bytes) == (info.history_length, info.history_size_bytes)
    assert cost.history_events == sum(run.history_events for run in cost.runs)
    assert cost.history_bytes == sum(run.history_bytes for run in cost.runs) > 0


async def test_supersteps_and_runs(client: Client, ledger: Path) -> None:
    async with worker(client, chain, spread, echo) as task_queue:
        durable = DurableWorkflow(chain, client=client, task_queue=task_queue)
        with pytest.raises(ThreadNotFoundError):
            await durable.cost()
        await durable.run("a")
        cost = await durable.cost()
        assert cost.actions == {"workflow_started": 1, "activity_started": 5}
        assert (cost.total_actions, cost.heartbeats, len(cost.runs)) == (6, 0, 1)
        await _as_the_server_says(client, cost)

        # However many executors a superstep runs, it is one activity.
        durable = DurableWorkflow(spread, client=client, task_queue=task_queue)
        await durable.run("a")
        assert (await durable.cost()).actions == {"workflow_started": 1, "activity_started": 2}

        # Each message to an idle thread is a run; of one that streamed nobody has counted the heartbeats.
        durable = DurableWorkflow(echo, client=client, task_queue=task_queue)
        await durable.run("a")
        await durable.run_stream("b").get_final_response()
        cost = await durable.cost()
        assert cost.actions == {"workflow_started": 2, "activity_started": 2}
        assert ([run.heartbeats for run in cost.runs], cost.heartbeats) == ([0, None], None)


async def test_a_run_that_continues_as_new(client: Client) -> None:
    async with worker(client, countdown) as task_queue:
        durable = DurableWorkflow(countdown, client=client, task_queue=task_queue, supersteps_per_run=2)
        await durable.run(4)
        cost = await durable.cost()
    assert [dict(run.actions) for run in cost.runs] == [
        {"workflow_started": 1, "activity_started": 2},
        {"workflow_started": 1, "activity_started": 2},
        {"workflow_started": 1, "activity_started": 1},
    ]
    await _as_the_server_says(client, cost)


async def test_retries(client: Client, ledger: Path) -> None:
    async with worker(client, failing) as task_queue:
        durable = DurableWorkflow(
            failing, client=client, task_queue=task_queue, max_attempts=3, retry_initial_interval=_FAST
        )
        with pytest.raises(OSError, match="failing is down"):
            await durable.run("a")
        cost = await durable.cost()
    assert cost.actions == {"workflow_started": 1, "activity_started": 2, "activity_retried": 2}
    assert cost.heartbeats == 7


async def test_people_are_asked(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(
            shop, client=client, task_queue=task_queue, requests=RequestPolicy(deadline=timedelta(hours=1))
        )
        thread = durable.checkpoint()
        await durable.run([Order(item="pen"), Order(item="ink")], checkpoint=thread)
        assert (await durable.cost(thread)).actions == {
            "workflow_started": 1,
            "activity_started": 1,
            "timer_started": 1,
        }
        await durable.run(responses={"approve-pen": Decision(approved=True)}, checkpoint=thread)
        handle = client.get_workflow_handle(thread.thread_id)
        await handle.execute_update("respond", {"request_id": "approve-ink", "response": {"approved": True}})
        await durable.run(checkpoint=thread)
        cost = await durable.cost(thread)
    assert cost.actions == {
        "workflow_started": 1,
        "activity_started": 3,
        "timer_started": 2,
        "signal": 1,
        "update": 1,
    }


async def test_search_attributes(attributes_client: Client) -> None:
    async with worker(attributes_client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=attributes_client, task_queue=task_queue)
        await durable.run(Order(item="pen"))
        await durable.run(responses={"approve-pen": Decision(approved=True)})
        cost = await durable.cost()
    # It waits, it runs, it is idle.
    assert cost.actions["search_attributes_upserted"] == 3


async def test_a_schedule_and_a_reset(client: Client) -> None:
    async with worker(client, echo) as task_queue:
        durable = DurableWorkflow(echo, client=client, task_queue=task_queue)
        handle = await durable.schedule(unique("schedule"), "a", ScheduleSpec(cron_expressions=["0 3 * * *"]))
        try:
            await handle.trigger()
            async with asyncio.timeout(60):
                while not (actions := (await handle.describe()).info.recent_actions):
                    await asyncio.sleep(0.1)
            begun = actions[0].action
            assert isinstance(begun, ScheduleActionExecutionStartWorkflow)
            thread = durable.checkpoint(begun.workflow_id)
            await durable.run(checkpoint=thread)
            assert (await durable.cost(thread)).actions == {
                "workflow_started": 1,
                "schedule": 2,
                "activity_started": 1,
            }
            # What was before a reset is billed once.
            request = ResetWorkflowExecutionRequest(
                namespace=client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=thread.thread_id, run_id=thread.run_id or ""),
                reason="a test",
                request_id=unique("reset"),
                workflow_task_finish_event_id=4,
            )
            await client.workflow_service.reset_workflow_execution(request)
            await client.get_workflow_handle(thread.thread_id).result()
            assert [dict(run.actions) for run in (await durable.cost(thread)).runs][1] == {
                "workflow_reset": 1,
                "activity_started": 1,
            }
        finally:
            await handle.delete()


async def test_the_command(client: Client, server_commands: Commands, ledger: Path) -> None:
    async with worker(client, chain) as task_queue:
        durable = DurableWorkflow(chain, client=client, task_queue=task_queue)
        thread = durable.checkpoint()
        await durable.run("a", checkpoint=thread, priority=1, fairness_key="acme")
        cost = await durable.cost(thread)
        found = (await server_commands("cost", thread.thread_id, "--json")).json
        assert found["actions"] == cost.actions
        assert (found["total_actions"], found["history_bytes"]) == (6, cost.history_bytes)
        assert found["runs"][0]["run_id"] == thread.run_id
        text = (await server_commands("cost", thread.thread_id)).out
        assert "actions        6, without heartbeats and queries\nruns started   1\nsupersteps     5\n" in text
        assert f"history        {cost.history_events} events, " in text
        # The thread's status says what came first, without a worker too.
        assert "priority       1, fairness key 'acme'\n" in (await server_commands("status", thread.thread_id)).out


_BILLED = {
    "grpc_StartWorkflowExecution": "workflow_started",
    "command_ContinueAsNewWorkflowExecution": "workflow_started",
    "command_ScheduleActivityTask": "activity_started",
    "activity_retry": "activity_retried",
    "command_StartTimer": "timer_started",
    "grpc_SignalWorkflowExecution": "signal",
    "message_UpdateWorkflowExecution_Acceptance": "update",
    "grpc_RecordActivityTaskHeartbeat": "heartbeats",
}
"""What the server's own metric of actions calls them."""


async def test_the_server_counts_the_same(ledger: Path) -> None:
    counter, arguments = ServedRequests.with_arguments()
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal_binary(), dev_server_log_level="error", dev_server_extra_args=arguments
    )
    async with environment, worker(environment.client, shop, countdown, tool_loop, failing) as task_queue:
        client, costs = environment.client, list[ThreadCost]()
        options: dict[str, Any] = {"client": client, "task_queue": task_queue, "retry_initial_interval": _FAST}
        for workflow, message in ((countdown, 4), (tool_loop, 5), (failing, "a")):
            durable = DurableWorkflow(workflow, supersteps_per_run=2, **options)
            with contextlib.suppress(OSError):
                await durable.run(message)
            costs.append(await durable.cost())
        durable = DurableWorkflow(shop, requests=RequestPolicy(deadline=timedelta(hours=1)), **options)
        await durable.run(Order(item="pen"))
        await durable.run(responses={"approve-pen": Decision(approved=True)})
        costs.append(await durable.cost())
        billed = await counter.actions()
    unknown = billed.keys() - _BILLED.keys()
    assert unknown == {"grpc_QueryWorkflow"}, "Nobody notes a query."
    said: Counter[str] = Counter()
    for name, count in billed.items():
        if name in _BILLED:
            said[_BILLED[name]] += count
    ours: Counter[str] = Counter()
    for cost in costs:
        assert cost.heartbeats is not None
        ours.update({**cost.actions, "heartbeats": cost.heartbeats})
    assert +ours == said
