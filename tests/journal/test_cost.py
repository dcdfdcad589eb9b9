"""What a journal costs, by count: heartbeats as the server has served them, and events of history."""

from __future__ import annotations

import asyncio
import re
import socket
import urllib.request
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any, Never

import pytest
from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler, tool
from agent_framework_temporal import DurableWorkflow, ExecutorPolicy, ToolPolicy, once
from agent_framework_temporal.testing import Prompt, Reply, ToolCall, scripted_agent
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from tests.conftest import temporal_binary
from tests.support import worker

_STEPS = 6
_CALLS = 5
_SHOWN_AFTER = 2.0
"""Seconds until the metrics have what was served."""
_LINE = re.compile(r"^service_requests\{(?P<labels>.*)\} (?P<count>\S+)$", re.MULTILINE)


class Metered:
    """A server, and how many heartbeats of activities it has served."""

    def __init__(self, client: Client, port: int) -> None:
        self.client = client
        self._port = port

    async def heartbeats(self) -> int:
        """Return how many there were so far."""
        await asyncio.sleep(_SHOWN_AFTER)
        return await asyncio.to_thread(self._served)

    def _served(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=10) as response:
            text = response.read().decode()
        return sum(
            int(float(line["count"]))
            for line in _LINE.finditer(text)
            if 'operation="RecordActivityTaskHeartbeat"' in line["labels"]
            and 'service_name="frontend"' in line["labels"]
        )


@pytest.fixture(scope="module")
async def metered() -> AsyncIterator[Metered]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    async with await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal_binary(),
        dev_server_log_level="error",
        dev_server_extra_args=[
            *("--metrics-port", str(port)),
            *("--dynamic-config-value", "history.transferProcessorMaxPollRPS=2000"),
        ],
    ) as environment:
        yield Metered(environment.client, port)


class Pass(Executor):
    """Passes on what it is given."""

    @handler
    async def go(self, number: int, ctx: WorkflowContext[int, int]) -> None:
        ctx.set_state(self.id, number)
        await ctx.send_message(number + 1)


class Loop(Executor):
    """Sends itself a message until there were enough."""

    @handler
    async def go(self, number: int, ctx: WorkflowContext[int, int]) -> None:
        if number < _STEPS:
            await ctx.send_message(number + 1)
        else:
            await ctx.yield_output(number)


class Join(Executor):
    @handler
    async def join(self, numbers: list[int], ctx: WorkflowContext[Never, int]) -> None:
        await ctx.yield_output(sum(numbers))


class Caller(Executor):
    """Makes calls, one after the other or all at once."""

    def __init__(self, id: str, *, at_once: bool) -> None:
        super().__init__(id=id)
        self._at_once = at_once

    @handler
    async def go(self, number: int, ctx: WorkflowContext[Never, int]) -> None:
        if self._at_once:
            await asyncio.gather(*(once(ctx, f"call {index}", _double, index) for index in range(_CALLS)))
        else:
            for index in range(_CALLS):
                await once(ctx, f"call {index}", _double, index)
        await ctx.yield_output(number)


async def _double(number: int) -> int:
    await asyncio.sleep(0.02)
    return number * 2


def chain() -> Workflow:
    executors = [Pass(f"step-{number}") for number in range(_STEPS)]
    return WorkflowBuilder(name="cost-chain", start_executor=executors[0]).add_chain(executors).build()


def fan_out() -> Workflow:
    start, join = Pass("start"), Join("join")
    beside = [Pass(f"beside-{number}") for number in range(_STEPS)]
    builder = WorkflowBuilder(name="cost-fan-out", start_executor=start, output_from=[join])
    return builder.add_fan_out_edges(start, beside).add_fan_in_edges(beside, join).build()


def loop() -> Workflow:
    executor = Loop("loop")
    return WorkflowBuilder(name="cost-loop", start_executor=executor).add_edge(executor, executor).build()


def row() -> Workflow:
    return WorkflowBuilder(name="cost-row", start_executor=Caller("caller", at_once=False)).build()


def crowd() -> Workflow:
    return WorkflowBuilder(name="cost-crowd", start_executor=Caller("caller", at_once=True)).build()


def _tool_loop(prompt: Prompt) -> Reply:
    found = len(prompt.tool_results)
    return Reply("done") if found == _CALLS else Reply(calls=(ToolCall("look_up", {"number": found}),))


def _tool_crowd(prompt: Prompt) -> Reply:
    if prompt.tool_results:
        return Reply("done")
    return Reply(calls=tuple(ToolCall("look_up", {"number": number}) for number in range(_CALLS)))


@tool(approval_mode="never_require")
async def look_up(number: int) -> str:
    """Look something up."""
    await asyncio.sleep(0.02)
    return f"found {number}"


def agent_loop() -> Workflow:
    agent = scripted_agent("agent", _tool_loop, tools=[look_up])
    return WorkflowBuilder(name="cost-agent-loop", start_executor=agent).build()


def agent_crowd() -> Workflow:
    agent = scripted_agent("agent", _tool_crowd, tools=[look_up])
    return WorkflowBuilder(name="cost-agent-crowd", start_executor=agent).build()


async def _cost(metered: Metered, build: Callable[[], Workflow], **options: Any) -> tuple[int, int]:
    """Run a workflow that its worker has run before; returns heartbeats and events of history."""
    message: Any = "go" if "agent" in build.__name__ else 1
    async with worker(metered.client, build) as queue:
        options["heartbeat_timeout"] = timedelta(minutes=2)  # None comes for its own sake.
        durable = DurableWorkflow(build, client=metered.client, task_queue=queue, **options)
        await durable.run(message)
        before = await metered.heartbeats()
        thread = durable.checkpoint()
        await durable.run(message, checkpoint=thread)
        heartbeats = await metered.heartbeats() - before
        history = await metered.client.get_workflow_handle(thread.thread_id).fetch_history()
    return heartbeats, len(history.events)


@pytest.mark.parametrize("build", [chain, fan_out, loop])
async def test_a_superstep_without_calls_pays_nothing(build: Callable[[], Workflow], metered: Metered) -> None:
    heartbeats, events = await _cost(metered, build)
    assert heartbeats == 0
    assert (heartbeats, events) == await _cost(metered, build, journal=False)


@pytest.mark.parametrize(
    ("build", "least", "most"),
    [
        (row, _CALLS, _CALLS),
        (crowd, 1, 2),  # They end together: those that end while one is written share the next.
        (agent_loop, 2 * _CALLS + 1, 2 * _CALLS + 1),
        (agent_crowd, 3, 6),
    ],
)
async def test_a_call_costs_one_heartbeat_and_no_event(
    build: Callable[[], Workflow], least: int, most: int, metered: Metered
) -> None:
    heartbeats, events = await _cost(metered, build)
    assert least <= heartbeats <= most
    assert (0, events) == await _cost(metered, build, journal=False)


@pytest.mark.parametrize(
    ("options", "most"),
    [
        ({"executors": {"agent": ExecutorPolicy(journal=False)}}, 0),
        ({"tools": {"look_up": ToolPolicy(journal=False)}}, _CALLS + 1),
    ],
)
async def test_what_is_switched_off_costs_nothing(options: dict[str, Any], most: int, metered: Metered) -> None:
    heartbeats, _ = await _cost(metered, agent_loop, **options)
    assert heartbeats == most
