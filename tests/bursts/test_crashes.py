"""What has finished in a burst is not lost with its worker, nor with a superstep after it that fails."""

from __future__ import annotations

import asyncio
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agent_framework import WorkflowEvent
from agent_framework_temporal import DurableWorkflow, LiveEventsDiscarded, PayloadError, WorkerLostError
from agent_framework_temporal.adapter.client.event_position import without_void
from temporalio.client import Client

from tests.bursts._flows import Plan, begun, let, lines, outputs, steps
from tests.bursts.test_bursts import LONG, place, scheduled
from tests.checkpoints._threads import assert_lineage
from tests.support import unique, worker, worker_process

_FLOW = ("tests.bursts._flows:steps",)


def durable_steps(client: Client, task_queue: str, **options: Any) -> DurableWorkflow:
    chosen: dict[str, Any] = {
        "burst": LONG,
        "heartbeat_timeout": timedelta(seconds=1),
        "retry_initial_interval": timedelta(milliseconds=20),
        "worker_timeout": timedelta(minutes=1),
        **options,
    }
    return DurableWorkflow(steps, client=client, task_queue=task_queue, **chosen)


def ended(last: int) -> Counter[str]:
    return Counter(f"end {number}" for number in range(1, last + 1))


def _only(ledger: Path, what: str) -> Counter[str]:
    return Counter({line: count for line, count in lines(ledger).items() if line.startswith(what)})


def _outputs(events: list[WorkflowEvent[Any]]) -> list[Any]:
    return [event.data for event in events if event.type == "output"]


@pytest.mark.timeout(120)
async def test_killed_twice_in_the_middle(client: Client, ledger: Path) -> None:
    """Each goes on after the last superstep that had finished: none runs again, and none is told twice."""
    task_queue = unique("queue")
    durable = durable_steps(client, task_queue)
    thread = durable.checkpoint()
    events: list[WorkflowEvent[Any]] = []

    async def read() -> None:
        async for event in durable.run_stream(Plan(12, kills=[5, 9], holds=[5, 9]), checkpoint=thread):
            events.append(event)

    reading = asyncio.ensure_future(read())
    for number in (5, 9):
        async with worker_process(client, task_queue, workflows=_FLOW) as process:
            await begun(ledger, number)
            await process.wait()
        let(ledger, number)
    async with worker_process(client, task_queue, workflows=_FLOW):
        await reading
    assert _only(ledger, "end") == ended(12)
    assert _only(ledger, "begin") == Counter({f"begin {n}": 2 if n in (5, 9) else 1 for n in range(1, 13)})
    told = without_void(events)
    assert _outputs(told) == outputs(1, 12)
    assert [place(event).offset for event in told] == list(range(len(told)))
    attempts = {place(event).superstep: place(event).attempt for event in told}
    assert [attempts[number] for number in range(1, 13)] == [1] * 4 + [2] * 4 + [3] * 4
    voided = [offset for event in events if isinstance(event, LiveEventsDiscarded) for offset in event.offsets]
    given = [place(event).offset for event in events if not isinstance(event, LiveEventsDiscarded)]
    again = [offset for offset, count in Counter(given).items() if count > 1]
    assert set(again) <= set(voided), "nothing is given twice that was not taken back"
    assert all(place(event).superstep in (0, 5, 9) for event in told if place(event).offset in voided)
    assert await scheduled(client, thread.thread_id) == 1
    infos = await durable.checkpoints(thread)
    assert_lineage(infos)
    assert [info.superstep for info in infos] == [0, *range(1, 13)]


@pytest.mark.parametrize("failures", [1, 2])
async def test_a_superstep_that_fails_is_tried_again_alone(client: Client, ledger: Path, failures: int) -> None:
    """Its attempts are counted as ever, and what comes after it is a burst again."""
    async with worker(client, steps) as task_queue:
        durable = durable_steps(client, task_queue, max_attempts=3)
        thread = durable.checkpoint()
        plan = Plan(9, fails={"4": failures, "7": 1})
        events = without_void([event async for event in durable.run_stream(plan, checkpoint=thread)])
        assert _outputs(events) == outputs(1, 9)
        assert [place(event).offset for event in events] == list(range(len(events)))
        assert _only(ledger, "end") == ended(9)
        assert lines(ledger)["begin 4"] == failures + 1
        assert {place(event).attempt for event in events if place(event).superstep == 4} == {failures + 1}
        assert await scheduled(client, thread.thread_id) == 3
        infos = await durable.checkpoints(thread)
        assert_lineage(infos)
        assert [info.superstep for info in infos] == [0, *range(1, 10)]


@pytest.mark.parametrize("stream", [False, True])
async def test_one_that_fails_for_good_leaves_those_before_it(client: Client, ledger: Path, *, stream: bool) -> None:
    """The last good checkpoint is that of the superstep before; the run resumes from it."""
    async with worker(client, steps) as task_queue:
        durable = durable_steps(client, task_queue, max_attempts=1)
        thread = durable.checkpoint()
        plan, events = Plan(8, fails={"5": 1}), list[WorkflowEvent[Any]]()

        async def run() -> None:
            if stream:
                async for event in durable.run_stream(plan, checkpoint=thread):
                    events.append(event)
            else:
                await durable.run(plan, checkpoint=thread)

        with pytest.raises(ValueError, match="superstep 5 has no luck"):
            await run()
        infos = await durable.checkpoints(thread)
        assert [(info.superstep, info.state) for info in infos][-2:] == [(3, "running"), (4, "failed")]
        assert lines(ledger)["begin 5"] == 1
        if stream:
            told = without_void(events)
            assert [event.type for event in told][-3:] == ["executor_failed", "failed", "status"]
            assert [place(event).offset for event in told] == list(range(len(told)))
        assert (await durable.run(checkpoint=thread)).get_outputs() == outputs(5, 8)
        assert _only(ledger, "end") == ended(8)
        assert_lineage(await durable.checkpoints(thread))


async def test_one_whose_outcome_does_not_fit_leaves_those_before_it(client: Client, ledger: Path) -> None:
    async with worker(client, steps) as task_queue:
        durable = durable_steps(client, task_queue, max_attempts=1)
        thread = durable.checkpoint()
        with pytest.raises(PayloadError, match=r"superstep 4 .* takes [\d,]+ bytes"):
            await durable.run(Plan(6, bulky=4), checkpoint=thread)
        assert [info.superstep for info in await durable.checkpoints(thread)] == [0, 1, 2, 3]
        assert lines(ledger)["end 4"] == 1


@pytest.mark.timeout(120)
async def test_workers_that_are_lost_for_good_too(client: Client, ledger: Path) -> None:
    task_queue = unique("queue")
    durable = durable_steps(client, task_queue, max_worker_losses=1)
    thread = durable.checkpoint()
    running = asyncio.ensure_future(durable.run(Plan(8, kills=[5]), checkpoint=thread))
    async with worker_process(client, task_queue, workflows=_FLOW) as process:
        await process.wait()
    async with worker(client, steps, task_queue=task_queue):
        with pytest.raises(WorkerLostError, match="was lost 1 times"):
            await running
        assert [info.superstep for info in await durable.checkpoints(thread)] == [0, 1, 2, 3, 4]
        assert (await durable.run(checkpoint=thread)).get_outputs() == outputs(5, 8)
        assert _only(ledger, "end") == ended(8)


async def test_a_worker_that_stops_in_order_commits_what_has_finished(client: Client, ledger: Path) -> None:
    task_queue = unique("queue")
    durable = durable_steps(client, task_queue)
    thread = durable.checkpoint()
    async with worker(client, steps, task_queue=task_queue):
        running = asyncio.ensure_future(durable.run(Plan(6, holds=[4]), checkpoint=thread))
        await begun(ledger, 4)
    assert [info.superstep for info in await durable.checkpoints(thread)] == [0, 1, 2, 3]
    let(ledger, 4)
    async with worker(client, steps, task_queue=task_queue):
        assert (await running).get_outputs() == outputs(1, 6)
    assert _only(ledger, "end") == ended(6)
    assert lines(ledger)["begin 4"] == 2
