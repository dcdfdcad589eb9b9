"""What agents and executors hold open is entered once by one task, and nothing of it is left when its instance goes."""

from __future__ import annotations

import asyncio
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agent_framework import AgentExecutor, Executor, FunctionTool, Workflow, WorkflowBuilder, WorkflowExecutor
from agent_framework.orchestrations import (
    ConcurrentBuilder,
    GroupChatBuilder,
    HandoffBuilder,
    MagenticBuilder,
    SequentialBuilder,
)
from agent_framework_temporal import DurableWorkflow, RunCancelledError
from agent_framework_temporal.activities import warm as _live
from agent_framework_temporal.activities.cache import CheckpointKey
from agent_framework_temporal.activities.capturing_storage import CapturingStorage
from agent_framework_temporal.activities.hosting import host
from agent_framework_temporal.activities.resources import Resources
from agent_framework_temporal.activities.warm import WarmInstance, WarmInstances
from agent_framework_temporal.adapter.framework.catalog import executors_of
from agent_framework_temporal.adapter.framework.resources import resources_of
from agent_framework_temporal.testing import Reply, scripted_agent
from temporalio.client import Client

from tests.flows import LEDGER
from tests.resources import _flows
from tests.resources._flows import (
    MARK,
    doubling,
    doubling_connected,
    doubling_shared,
    doubling_then_failing,
    doubling_twice,
    holding,
    holding_and_exiting,
    none_left,
    servers,
)
from tests.support import unique, worker, worker_process

_DOUBLED = 'doubled {"result": "42"}'


@pytest.fixture
def mark(monkeypatch: pytest.MonkeyPatch) -> str:
    mark = unique("mark")
    monkeypatch.setenv(MARK, mark)
    return mark


@pytest.fixture
def ledger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "ledger"
    monkeypatch.setenv(LEDGER, str(path))
    return path


def _key(checkpoint_id: str) -> CheckpointKey:
    return CheckpointKey("default", "holding", "thread", "run", checkpoint_id, "digest")


def _noted(ledger: Path) -> list[str]:
    return [line.partition(" ")[2] for line in ledger.read_text().splitlines()] if ledger.exists() else []


@pytest.mark.parametrize("cold", [False, True], ids=["warm", "cold"])
async def test_servers_of_tools_end_with_their_instances(cold: bool, client: Client, mark: str) -> None:
    """Five threads and four more messages of one; in between nothing runs, and nothing grows."""
    options: dict[str, Any] = {"cache_bytes": 0, "max_cached_workflows": 0} if cold else {}
    async with worker(client, doubling, **options) as task_queue:
        durable = DurableWorkflow(doubling, client=client, task_queue=task_queue, max_attempts=1)
        thread = durable.checkpoint()
        for number in range(9):
            checkpoint = durable.checkpoint() if number < 5 else thread
            result = await durable.run("x", checkpoint=checkpoint)
            assert [output.text for output in result.get_outputs()] == [_DOUBLED]
            assert len(servers(mark)) <= 1
            await none_left(mark)


async def test_they_end_with_the_worker(client: Client, mark: str, ledger: Path) -> None:
    """In the middle of a run, whose next superstep would have gone on with them."""
    async with worker(client, doubling_then_failing) as task_queue:
        durable = DurableWorkflow(doubling_then_failing, client=client, task_queue=task_queue)
        running = asyncio.ensure_future(durable.run("wait", checkpoint=durable.checkpoint()))
        while "end" not in _noted(ledger):
            await asyncio.sleep(0.05)
        assert servers(mark)
    assert not servers(mark)
    running.cancel()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
async def test_they_end_with_the_workers_process(
    number: signal.Signals, client: Client, mark: str, ledger: Path
) -> None:
    task_queue = unique("queue")
    flows = ["tests.resources._flows:doubling_then_failing"]
    flags = ["--shutdown-timeout", "0.2"]
    async with worker_process(client, task_queue, ledger, workflows=flows, flags=flags) as process:
        durable = DurableWorkflow("doubling-then-failing", client=client, task_queue=task_queue)
        running = asyncio.ensure_future(durable.run("wait", checkpoint=durable.checkpoint()))
        while "end" not in _noted(ledger):
            await asyncio.sleep(0.05)
        assert servers(mark)
        process.send_signal(number)
        await process.wait()
        await none_left(mark)
    running.cancel()


async def test_they_end_with_a_failure(client: Client, mark: str) -> None:
    async with worker(client, doubling_then_failing) as task_queue:
        durable = DurableWorkflow(doubling_then_failing, client=client, task_queue=task_queue, max_attempts=1)
        with pytest.raises(OSError, match="at the end"):
            await durable.run("x", checkpoint=durable.checkpoint())
        await none_left(mark)


async def test_they_end_with_a_cancelled_run(client: Client, mark: str, ledger: Path) -> None:
    async with worker(client, doubling_then_failing) as task_queue:
        durable = DurableWorkflow(
            doubling_then_failing, client=client, task_queue=task_queue, heartbeat_timeout=timedelta(seconds=2)
        )
        checkpoint = durable.checkpoint()
        running = asyncio.ensure_future(durable.run("wait", checkpoint=checkpoint))
        while "end" not in _noted(ledger):
            await asyncio.sleep(0.05)
        await durable.cancel(checkpoint)
        with pytest.raises(RunCancelledError):
            await running
        await none_left(mark)


async def test_what_a_module_holds_is_hosted_once(client: Client, mark: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_flows, "SHARED", _flows.tool())
    seen: set[int] = set()
    async with worker(client, doubling_shared) as task_queue:
        durable = DurableWorkflow(doubling_shared, client=client, task_queue=task_queue, max_attempts=1)
        for _ in range(3):
            results = await asyncio.gather(*(durable.run("x", checkpoint=durable.checkpoint()) for _ in range(2)))
            for result in results:
                assert [output.text for output in result.get_outputs()] == [_DOUBLED, _DOUBLED]
            seen |= servers(mark)
        assert len(seen) == 1
        assert servers(mark) == seen
    assert not servers(mark)


async def test_an_instance_that_is_hosted_as_it_is_closes_with_the_worker(client: Client, mark: str) -> None:
    instance = doubling_twice()
    async with worker(client, instance) as task_queue:
        durable = DurableWorkflow("doubling-twice", client=client, task_queue=task_queue, max_attempts=1)
        for _ in range(3):
            await durable.run("x", checkpoint=durable.checkpoint())
            assert len(servers(mark)) == 2
    assert not servers(mark)


async def test_what_a_factory_has_connected_is_closed_too(client: Client, mark: str) -> None:
    """Twice to be checked, and for each instance that runs."""
    async with worker(client, doubling_connected) as task_queue:
        durable = DurableWorkflow(
            "doubling-connected", client=client, task_queue=task_queue, worker_timeout=timedelta(seconds=60)
        )
        for _ in range(2):
            assert len((await durable.run("x", checkpoint=durable.checkpoint())).get_outputs()) == 1
            await none_left(mark)
    assert not servers(mark)


async def test_contexts_are_entered_before_they_are_needed_and_left_by_the_same_task(
    client: Client, ledger: Path
) -> None:
    async with worker(client, holding) as task_queue:
        durable = DurableWorkflow(holding, client=client, task_queue=task_queue, max_attempts=1)
        for number in range(2):
            assert (await durable.run("x", checkpoint=durable.checkpoint())).get_outputs() == ["held"]
            async with asyncio.timeout(50):
                while len(_noted(ledger)) < 5 * (number + 1):
                    await asyncio.sleep(0.02)
    assert _noted(ledger) == 2 * [
        "enter provider",
        "enter holder",
        "run holder",
        "leave holder",
        "leave provider in the same task",
    ]


async def test_one_that_cannot_be_left_is_logged_and_harms_nobody(
    client: Client, ledger: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with worker(client, holding_and_exiting) as task_queue:
        durable = DurableWorkflow(holding_and_exiting, client=client, task_queue=task_queue, max_attempts=1)
        for _ in range(2):
            await durable.run("x", checkpoint=durable.checkpoint())
    assert _noted(ledger).count("leave provider in the same task") == 2
    messages = [record.getMessage() for record in caplog.records]
    assert messages.count("Holding could not be closed: sys.exit was called: exit code 0") == 2


async def test_an_open_instance_is_kept_for_its_next_superstep_and_not_for_ever(
    ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another worker may run that superstep: then nobody would come for it."""
    monkeypatch.setattr(_live, "_OPEN_SECONDS", 0.2)
    hosted = await host(holding)
    workflow = holding()
    resources = Resources(workflow, hosted.shared)
    live = WarmInstance(workflow, CapturingStorage(hosted, None, run_id="r"), b"x", resources=resources)
    await resources.enter(workflow.executors["holder"])
    runs = WarmInstances(10_000_000)
    runs.keep(_key("c"), live)
    assert runs.take(_key("c"), open_run=False) is live
    runs.keep(_key("d"), live)
    async with asyncio.timeout(50):
        while "leave holder" not in _noted(ledger):
            await asyncio.sleep(0.02)
    assert runs.take(_key("d"), open_run=False) is None
    await runs.close()


# Where they are found.


def _orchestrations() -> dict[str, Any]:
    def agents(**options: Any) -> list[Any]:
        return [scripted_agent(name, _say, tools=[_flows.tool()], **options) for name in ("ada", "bob")]

    def sub_workflow() -> Workflow:
        return WorkflowBuilder(name="outer", start_executor=WorkflowExecutor(doubling_twice(), id="inner")).build()

    def as_tools() -> Workflow:
        helpers: list[FunctionTool] = [agent.as_tool() for agent in agents()]
        return WorkflowBuilder(
            name="as-tools", start_executor=AgentExecutor(scripted_agent("boss", _say, tools=helpers))
        ).build()

    persistent = {"require_per_service_call_history_persistence": True}
    return {
        "two agents": doubling_twice,
        "sub-workflow": sub_workflow,
        "agents as tools": as_tools,
        "a workflow as agent": lambda: WorkflowBuilder(
            name="outer", start_executor=AgentExecutor(doubling_shaped().as_agent("inner"))
        ).build(),
        "sequential": lambda: SequentialBuilder(participants=agents()).build(),
        "concurrent": lambda: ConcurrentBuilder(participants=agents()).build(),
        "group chat": lambda: GroupChatBuilder(participants=agents(), selection_func=lambda state: "ada").build(),
        "handoff": lambda: (
            HandoffBuilder(participants=(pair := agents(**persistent))).with_start_agent(pair[0]).build()
        ),
        "magentic": lambda: MagenticBuilder(participants=agents()[:1], manager_agent=agents()[1]).build(),
    }


def doubling_shaped() -> Workflow:
    """Build a workflow that can be an agent."""
    agents = [scripted_agent(name, _say, tools=[_flows.tool()]) for name in ("ada", "bob")]
    return SequentialBuilder(participants=agents).build()


def _say(prompt: Any) -> Reply:
    return Reply("said")


@pytest.mark.parametrize("name", _orchestrations())
async def test_every_server_of_an_orchestration_is_found(name: str) -> None:
    build = _orchestrations()[name]
    found = {
        id(resource)
        for executor in executors_of(build())
        for resource in resources_of(executor)
        if type(resource).__name__ == "MCPStdioTool"
    }
    assert len(found) == 2
    shared = (await host(build)).shared
    assert shared.any_own
    own = [held for held in shared.own_of(build()).values() if held]
    assert own


def test_an_executor_is_asked_for_its_own_only() -> None:
    workflow = doubling_twice()
    first: Executor = workflow.executors["first"]
    assert [type(resource).__name__ for resource in resources_of(first)].count("MCPStdioTool") == 1
