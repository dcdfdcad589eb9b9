"""A worker that is killed in the middle of calls of models and tools, of every orchestration at once.

One worker process runs each workflow once, and each comes to a standstill in a call of its own. It is killed there with
SIGKILL, and another goes on: so one kill is a crash point of all of them. The suite takes four points of each, from its
first call to its last; `make crash-points` takes every call.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agent_framework import InMemoryCheckpointStorage, WorkflowEvent
from agent_framework_temporal import DurableWorkflow
from agent_framework_temporal.activities.journal.calls import RUN_AGAIN
from agent_framework_temporal.adapter.client.event_position import without_void
from agent_framework_temporal.adapter.client.tool_policy import ToolPolicy
from agent_framework_temporal.testing.canonical import Canonical
from temporalio.client import Client

from tests.journal._flows import CRASH_AT, FACTORIES, LEDGER_FILE, lines
from tests.support import unique, worker, worker_process

_MODULES = tuple(f"tests.journal._flows:{name}" for name in FACTORIES)
_ALL = "CRASH_POINTS" in os.environ
_CALLS = 15
"""Most calls that a workflow makes."""
_ROUNDS = _CALLS if _ALL else 4


def _durable(name: str, client: Client, task_queue: str, **options: Any) -> DurableWorkflow:
    return DurableWorkflow(
        FACTORIES[name],
        client=client,
        task_queue=task_queue,
        # On a busy machine a worker that lives may be silent for two: its attempt is taken for lost, and goes on.
        heartbeat_timeout=timedelta(seconds=6),
        retry_initial_interval=timedelta(milliseconds=20),
        **options,
    )


async def _run(name: str, client: Client, task_queue: str, thread_id: str | None = None) -> Any:
    """Run a workflow and return its outputs and its last checkpoint."""
    durable = _durable(name, client, task_queue)
    handle = durable.checkpoint(thread_id)
    if name.endswith("stream"):
        events = without_void([event async for event in durable.run_stream("buy", checkpoint=handle)])
        outputs = [event.data for event in events if event.type == "output"]
    else:
        outputs = (await durable.run("buy", checkpoint=handle)).get_outputs()
    storage = InMemoryCheckpointStorage()
    await durable.copy_checkpoints(storage, handle)
    last = await storage.get_latest(workflow_name=name)
    assert last is not None
    canonical = Canonical()
    return [canonical.value(output) for output in outputs], canonical.checkpoints([last])


async def _beaten(client: Client, thread_ids: Sequence[str]) -> None:
    """Wait until each running superstep has been heard of once more."""
    before = [await _last_beat(client, thread_id) for thread_id in thread_ids]
    for thread_id, seen in zip(thread_ids, before, strict=True):
        while await _last_beat(client, thread_id) == seen:
            await asyncio.sleep(0.05)


async def _last_beat(client: Client, thread_id: str) -> list[int]:
    description = await client.get_workflow_handle(thread_id).describe()
    pending = description.raw_description.pending_activities
    return [activity.last_heartbeat_time.ToNanoseconds() for activity in pending]


class Reference:
    """What the workflows do where nothing is lost."""

    def __init__(self) -> None:
        self.results: dict[str, Any] = {}
        self.made: dict[str, Counter[str]] = {}


@pytest.fixture(scope="module")
async def undisturbed(server: Any, tmp_path_factory: pytest.TempPathFactory) -> Reference:
    ledger = tmp_path_factory.mktemp("undisturbed") / "ledger"
    found = Reference()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(LEDGER_FILE, str(ledger))
        async with worker(server.client, *FACTORIES.values()) as task_queue:
            results = await asyncio.gather(*(_run(name, server.client, task_queue) for name in FACTORIES))
    found.results = dict(zip(FACTORIES, results, strict=True))
    found.made = {name: lines(ledger, name)["end"] for name in FACTORIES}
    return found


def _points(undisturbed: Reference, number: int) -> dict[str, int]:
    """Return in which call each workflow is lost in a round; those with fewer calls are left out of late rounds."""
    made = {name: found.total() for name, found in undisturbed.made.items()}
    if _ALL:
        return {name: number for name, count in made.items() if number < count}
    return {name: number * (count - 1) // (_ROUNDS - 1) for name, count in made.items()}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("number", range(_ROUNDS))
async def test_killed_in_a_call_of_each(
    number: int, undisturbed: Reference, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert max(found.total() for found in undisturbed.made.values()) <= _CALLS, "more rounds are needed"
    points = _points(undisturbed, number)
    ledger, task_queue = tmp_path / "ledger", unique("queue")
    monkeypatch.setenv(LEDGER_FILE, str(ledger))
    monkeypatch.setenv(CRASH_AT, json.dumps(points))
    async with worker_process(client, task_queue, workflows=_MODULES) as first:
        monkeypatch.delenv(CRASH_AT)
        threads = {name: unique(name) for name in points}
        runs = {name: asyncio.ensure_future(_run(name, client, task_queue, threads[name])) for name in points}
        while not all(lines(ledger, name)["begin"].total() > point for name, point in points.items()):
            await asyncio.sleep(0.05)
        # Those that have just ended beside them are acknowledged, however slow the machine is.
        await _beaten(client, list(threads.values()))
        first.send_signal(signal.SIGKILL)
        await first.wait()
        before = {name: lines(ledger, name) for name in points}
        async with worker(client, *(FACTORIES[name] for name in points), task_queue=task_queue):
            results = dict(zip(runs, await asyncio.gather(*runs.values()), strict=True))
    for name in points:
        assert before[name]["begin"] - before[name]["end"], f"{name} was in no call"
        assert lines(ledger, name)["end"] == undisturbed.made[name], f"{name}: each call has come to its end once"
        assert results[name] == undisturbed.results[name], name


@pytest.mark.parametrize("name", ["sequential_run", "sequential_stream"])
@pytest.mark.parametrize("in_doubt", ["error", "ask"])
async def test_killed_in_a_tool_whose_end_nobody_knows(
    in_doubt: Any, name: str, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, task_queue = tmp_path / "ledger", unique("queue")
    monkeypatch.setenv(LEDGER_FILE, str(ledger))
    monkeypatch.setenv(CRASH_AT, json.dumps({name: 1}))
    durable = _durable(name, client, task_queue, tools={"charge": ToolPolicy(in_doubt=in_doubt)})
    events: list[WorkflowEvent[Any]] = []

    async def run(message: Any = None, **responses: Any) -> None:
        if name.endswith("stream"):
            events[:] = [event async for event in durable.run(message, responses=responses or None, stream=True)]
        else:
            events[:] = list(await durable.run(message, responses=responses or None))

    async with worker_process(client, task_queue, workflows=[f"tests.journal._flows:{name}"]) as first:
        monkeypatch.delenv(CRASH_AT)
        running = asyncio.ensure_future(run("buy"))
        while lines(ledger, name)["begin"]["charge 1"] + lines(ledger, name)["begin"]["charge 2"] < 2:
            await asyncio.sleep(0.02)
        first.send_signal(signal.SIGKILL)
        await first.wait()
        async with worker(client, FACTORIES[name], task_queue=task_queue):
            await running
            if in_doubt == "ask":
                requests = [event for event in events if event.type == "request_info"]
                assert [event.data.function_call.arguments for event in requests] == [{"amount": 1}, {"amount": 2}]
                assert [event.data.additional_properties["reason"] for event in requests] == [RUN_AGAIN] * 2
                answers = {event.request_id: event.data.to_function_approval_response(True) for event in requests[:1]}
                await run(**answers)
                await run(**{requests[1].request_id: requests[1].data.to_function_approval_response(False)})
    told = "".join(event.data.text for event in without_void(events) if event.type == "output")
    calls = lines(ledger, name)
    assert calls["begin"]["charge 2"] == 1
    assert calls["end"]["charge 1"] == (in_doubt == "ask")
    assert calls["begin"]["charge 1"] == 1 + (in_doubt == "ask")
    assert "b says" in told
