"""A step that has finished is not run again: after a failed attempt, a worker that was killed, a run that failed."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agent_framework import InMemoryCheckpointStorage, WorkflowEvent
from agent_framework_temporal import DurableWorkflow, ExecutorPolicy, InDoubtError
from agent_framework_temporal.adapter.client.event_position import without_void
from temporalio.client import Client

from tests.functional._flows import FAIL, GATE, asking_models, halting, retried, stumbling, unlucky
from tests.functional._ledger import noted
from tests.parity._canonical import Canonical
from tests.support import unique, worker, worker_process

_FAST = timedelta(milliseconds=20)


async def _undisturbed(ledger: Path) -> tuple[list[Any], Any]:
    """Run `retried` in process, where nothing fails."""
    storage = InMemoryCheckpointStorage()
    ledger.write_text("0 fails_once 1\n")
    events = [event async for event in retried.build().run(1, stream=True, checkpoint_storage=storage)]
    checkpoint = await storage.get_latest(workflow_name="retried")
    assert checkpoint is not None
    return Canonical().events(events), Canonical().value(checkpoint.state)


@pytest.mark.parametrize("stream", [True, False])
async def test_next_attempt_takes_finished_steps_from_the_journal(client: Client, ledger: Path, stream: bool) -> None:
    """Also nested ones and those side by side; events, output and checkpoint are those of an undisturbed run."""
    storage = InMemoryCheckpointStorage()
    async with worker(client, retried) as task_queue:
        durable = DurableWorkflow(
            retried, client=client, task_queue=task_queue, max_attempts=3, retry_initial_interval=_FAST
        )
        if stream:
            events = list(without_void([event async for event in durable.run_stream(1, checkpoint_storage=storage)]))
        else:
            events = list(await durable.run(1, checkpoint_storage=storage, include_status_events=True))
    counted = {"outer 1": 1, "fetch 1": 2, "fetch 6": 1, "publish p2": 1, "fails_once 1": 2}
    assert noted(ledger) == counted
    checkpoint = await storage.get_latest(workflow_name="retried")
    assert checkpoint is not None
    expected, state = await _undisturbed(ledger)
    found = Canonical().events(events)
    assert found == (expected if stream else [event for event in expected if event["type"] != "started"])
    assert Canonical().value(checkpoint.state) == state


async def test_worker_killed_between_steps(
    client: Client, ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the server has acknowledged survives `SIGKILL`: only the step that had not finished runs again."""
    gate = tmp_path / "gate"
    monkeypatch.setenv(GATE, str(gate))
    queue, flows = unique("queue"), ["tests.functional._flows:halting"]
    durable = DurableWorkflow(
        halting, client=client, task_queue=queue, heartbeat_timeout=timedelta(seconds=2), retry_initial_interval=_FAST
    )
    checkpoint = durable.checkpoint()
    async with worker_process(client, queue, ledger, workflows=flows) as process:
        running = asyncio.create_task(_collected(durable.run_stream(3, checkpoint=checkpoint)))
        while "begin 3" not in (ledger.read_text() if ledger.exists() else ""):
            await asyncio.sleep(0.05)
        process.kill()
        await process.wait()
    gate.touch()
    async with worker_process(client, queue, ledger, workflows=flows):
        events = await running
    assert noted(ledger) == {"fetch 3": 1, "fetch 4": 1, "begin 3": 2, "end 3": 1}
    assert [event.data for event in events if event.type == "output"] == [[6, 8, 3]]
    monkeypatch.delenv(GATE)
    expected = [event async for event in halting.build().run(3, stream=True)]
    assert Canonical().events(without_void(events)) == Canonical().events(expected)


async def _collected(stream: Any) -> list[WorkflowEvent[Any]]:
    return [event async for event in stream]


async def test_calls_of_models_are_told_apart_by_step(client: Client, ledger: Path) -> None:
    """Three calls in the same words, one outside of steps: each is made once, and each caller has its own answer."""
    async with worker(client, asking_models) as task_queue:
        durable = DurableWorkflow(asking_models, client=client, task_queue=task_queue, retry_initial_interval=_FAST)
        result = await durable.run("tides")
    assert result.get_outputs() == [["on tides ", "1 on tides ", "2 on tides "]]
    assert noted(ledger) == {"model tides": 3, "after 1": 1, "after 2": 2}


async def test_failed_run_is_resumed_after_its_finished_steps(
    client: Client, ledger: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with worker(client, unlucky) as task_queue:
        durable = DurableWorkflow(
            unlucky, client=client, task_queue=task_queue, max_attempts=2, retry_initial_interval=_FAST
        )
        checkpoint = durable.checkpoint()
        events: list[WorkflowEvent[Any]] = []
        with pytest.raises(RuntimeError, match="no such luck"):
            async for event in durable.run_stream(4, checkpoint=checkpoint):
                events.append(event)
        assert [event.type for event in events][-3:] == ["executor_failed", "failed", "status"]
        assert noted(ledger) == {"fetch 4": 1, "always_fails 8": 2}
        monkeypatch.setenv(FAIL, "no")
        resumed = [event async for event in durable.run_stream(checkpoint=checkpoint)]
    assert noted(ledger) == {"fetch 4": 1, "always_fails 8": 3}
    assert [(event.type, event.executor_id) for event in resumed if event.executor_id] == [
        ("executor_bypassed", "fetch"),
        ("executor_invoked", "always_fails"),
        ("executor_completed", "always_fails"),
        ("output", "unlucky"),
    ]


async def test_policy_of_a_step_decides_how_often_it_is_tried(client: Client, ledger: Path) -> None:
    policies = {"always_fails": ExecutorPolicy(max_attempts=1)}
    async with worker(client, unlucky) as task_queue:
        durable = DurableWorkflow(unlucky, client=client, task_queue=task_queue, max_attempts=5, executors=policies)
        with pytest.raises(RuntimeError, match="no such luck"):
            await durable.run(4)
        with pytest.raises(ValueError, match="no executor 'nobody'"):
            await DurableWorkflow(
                unlucky, client=client, task_queue=task_queue, executors={"nobody": ExecutorPolicy(max_attempts=1)}
            ).run(4)
    assert noted(ledger) == {"fetch 4": 1, "always_fails 8": 1}


async def test_a_step_in_doubt_is_an_error_until_somebody_has_looked(
    client: Client, ledger: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = tmp_path / "gate"
    monkeypatch.setenv(GATE, str(gate))
    queue, flows = unique("queue"), ["tests.functional._flows:halting"]
    durable = DurableWorkflow(
        halting,
        client=client,
        task_queue=queue,
        heartbeat_timeout=timedelta(seconds=1),
        retry_initial_interval=_FAST,
        executors={"gated": ExecutorPolicy(in_doubt="error")},
    )
    checkpoint = durable.checkpoint(unique("thread"))
    async with worker_process(client, queue, ledger, workflows=flows) as process:
        running = asyncio.ensure_future(durable.run(3, checkpoint=checkpoint))
        while "begin 3" not in (ledger.read_text() if ledger.exists() else ""):
            await asyncio.sleep(0.05)
        process.kill()
        await process.wait()
    gate.touch()
    async with worker(client, halting, task_queue=queue):
        with pytest.raises(InDoubtError, match="Executor 'gated' had started in attempt 1"):
            await running
        assert noted(ledger) == {"fetch 3": 1, "fetch 4": 1, "begin 3": 1}
        assert (await durable.run(checkpoint=checkpoint)).get_outputs() == [[6, 8, 3]]
    assert noted(ledger) == {"fetch 3": 1, "fetch 4": 1, "begin 3": 2, "end 3": 1}


async def test_a_step_that_raises_is_not_in_doubt(client: Client, ledger: Path) -> None:
    policies = {"fails_once": ExecutorPolicy(in_doubt="error")}
    async with worker(client, retried) as task_queue:
        durable = DurableWorkflow(
            retried, client=client, task_queue=task_queue, retry_initial_interval=_FAST, executors=policies
        )
        await durable.run(1)
        asks = DurableWorkflow(
            retried, client=client, task_queue=task_queue, executors={"fetch": ExecutorPolicy(in_doubt="ask")}
        )
        with pytest.raises(ValueError, match="step 'fetch' that asks a person"):
            await asks.run(1)
    assert noted(ledger)["fails_once 1"] == 2


async def test_without_a_journal_the_attempt_begins_anew(client: Client, ledger: Path) -> None:
    async with worker(client, retried) as task_queue:
        durable = DurableWorkflow(
            retried, client=client, task_queue=task_queue, retry_initial_interval=_FAST, journal=False
        )
        await durable.run(1)
    assert noted(ledger)["fetch 6"] == 2


async def test_function_that_fails_without_a_step_is_resumed_with_what_it_was_given(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with worker(client, stumbling) as task_queue:
        durable = DurableWorkflow(stumbling, client=client, task_queue=task_queue, max_attempts=1)
        early, late = durable.checkpoint(), durable.checkpoint()
        with pytest.raises(RuntimeError, match="no such luck"):
            await durable.run(-1, checkpoint=early)
        await durable.run(1, checkpoint=late)
        with pytest.raises(RuntimeError, match="no such luck"):
            await durable.run(responses={"auto::0": 5}, checkpoint=late)
        monkeypatch.setenv(FAIL, "no")
        asked = [event async for event in durable.run_stream(checkpoint=early)]
        assert [event.type for event in asked].count("request_info") == 1
        resumed = [event async for event in durable.run_stream(checkpoint=late)]
        assert [event.data for event in resumed if event.type == "output"] == [6]
