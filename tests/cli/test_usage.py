"""What was taken from the journal, what was made and what it cost: in `run`, `stream` and `status`."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from agent_framework import WorkflowEvent
from agent_framework_temporal.adapter.cli.run_model import RunModel, event_line
from agent_framework_temporal.adapter.client.event_position import LiveEventsDiscarded, set_position
from agent_framework_temporal.workflows.messages import Calls, LoggedEvent
from temporalio.client import Client

from tests.cli._commands import Commands
from tests.journal._agents import FAIL, research
from tests.support import unique, worker

_TAKEN = "2 model calls and 2 tool calls taken from the journal"


@pytest.fixture(scope="module")
async def researching(client: Client) -> AsyncIterator[str]:
    async with worker(client, research) as task_queue:
        yield task_queue


async def test_a_run_says_what_was_taken_and_what_it_cost(cli: Commands, researching: str) -> None:
    thread = unique("thread")
    done = await cli("run", unique(FAIL), "-w", "research", "-q", researching, "-t", thread)
    # Of the superstep that had lost an attempt, and of no other.
    assert f"\n  {_TAKEN}, 1 model call made\n" in done.out
    assert done.out.count("taken from the journal") == 2
    assert f"\ncalls          {_TAKEN}, 2 model calls made\n" in done.out
    cost = [line for line in done.out.splitlines() if line.startswith("cost ")]
    assert len(cost) == 1
    assert cost[0].endswith(" output")

    status = await cli("status", thread)
    assert cost[0] in status.out
    assert f"calls          {_TAKEN}, 2 model calls made\n" in status.out
    assert f"  {_TAKEN}, 1 model call made\n" in (await cli("stream", thread)).out


async def test_a_program_reads_it_as_json(cli: Commands, researching: str) -> None:
    thread = unique("thread")
    *events, result = (
        await cli("run", unique(FAIL), "-w", "research", "-q", researching, "-t", thread, "--json")
    ).lines
    ended = [event for event in events if event["type"] == "superstep_completed" and "calls_made" in event]
    assert [event["calls_taken"] for event in ended] == [{"chat": 2, "tool": 2}, {}]
    assert [event["calls_made"] for event in ended] == [{"chat": 1}, {"chat": 1}]
    assert (result["calls_made"], result["calls_taken"]) == ({"chat": 2}, {"chat": 2, "tool": 2})
    usage = result["usage"]
    assert usage["total_token_count"] == usage["input_token_count"] + usage["output_token_count"] > 0
    status = (await cli("status", thread, "--json")).json
    for name in ("calls_made", "calls_taken", "usage", "usage_by_executor"):
        assert status[name] == result[name]


async def test_a_run_without_calls_says_nothing_of_them(cli: Commands, queue: str) -> None:
    thread = unique("thread")
    done = await cli("run", "hello", "-w", "echo", "-q", queue, "-t", thread)
    status = await cli("status", thread)
    for shown in (done.out, status.out):
        assert not any(line.startswith(("calls ", "cost ")) for line in shown.splitlines())
    assert (await cli("status", thread, "--json")).json["usage"] == {}


def _event(kind: Any, calls: Calls | None, *, live: bool) -> WorkflowEvent[Any]:
    event: WorkflowEvent[Any] = WorkflowEvent(kind, executor_id="writer", iteration=1)
    set_position(event, LoggedEvent(offset=0, type=kind, attempt=2), live=live, calls=calls)
    return event


def test_the_live_view_counts_what_the_attempts_take() -> None:
    model = RunModel.of(["writer"])
    assert model.taken == ""
    taken = Calls(taken={"chat": 3, "tool": 2})
    model.apply(_event("executor_invoked", taken, live=True))
    assert model.taken == "3 model calls and 2 tool calls taken from the journal"
    model.apply(LiveEventsDiscarded(superstep=1, attempt=2, offsets=[0]))
    assert model.taken == ""
    model.apply(_event("executor_invoked", taken, live=True))
    done = _event("superstep_completed", Calls(taken={"chat": 3, "tool": 2}, made={"chat": 1}), live=False)
    model.apply(done)
    assert model.taken == "3 model calls and 2 tool calls taken from the journal, 1 model call made"
    assert event_line(done) == f"  {model.taken}"
    model.apply(_event("superstep_completed", Calls(made={"chat": 1}), live=False))
    assert model.taken == "3 model calls and 2 tool calls taken from the journal, 2 model calls made"
    assert event_line(_event("superstep_completed", Calls(made={"chat": 1}), live=False)) is None
