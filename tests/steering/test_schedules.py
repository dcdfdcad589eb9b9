"""Schedules that begin threads: when, what becomes of those that meet, and what is changed later."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from agent_framework_temporal import DurableWorkflow, PayloadError, ThreadExistsError, ThreadNotFoundError
from agent_framework_temporal.adapter.checkpoints.history import start_input
from temporalio.client import (
    Client,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleHandle,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    ScheduleSpec,
    ScheduleState,
    WorkflowExecutionStatus,
)

from tests.conftest import temporal_binary
from tests.flows import Decision, Order, echo, shop
from tests.support import unique, worker

_HOURLY = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(hours=1))])
_NEVER = ScheduleSpec(cron_expressions=["0 3 29 2 *"])


@asynccontextmanager
async def _deleted(schedule: ScheduleHandle) -> AsyncIterator[ScheduleHandle]:
    try:
        yield schedule
    finally:
        await schedule.delete()


async def _threads(schedule: ScheduleHandle, count: int) -> list[str]:
    """Return the threads that a schedule has begun, when there are so many."""
    async with asyncio.timeout(50):
        while len(actions := (await schedule.describe()).info.recent_actions) < count:
            await asyncio.sleep(0.1)
    found = [taken.action for taken in actions]
    return [taken.workflow_id for taken in found if isinstance(taken, ScheduleActionExecutionStartWorkflow)]


async def _status(client: Client, thread: str) -> WorkflowExecutionStatus | None:
    return (await client.get_workflow_handle(thread).describe()).status


async def _waits(durable: DurableWorkflow, thread: str) -> None:
    await durable.run(checkpoint=durable.checkpoint(thread))


async def test_a_thread_has_the_options_of_the_facade_and_its_tags(client: Client) -> None:
    async with worker(client, echo) as queue:
        durable = DurableWorkflow(echo, client=client, task_queue=queue, max_attempts=1, keep_journal=True)
        schedule = await durable.schedule(unique("options"), "fail", _NEVER, tags=["nightly"])
        async with _deleted(schedule):
            await schedule.trigger()
            [thread] = await _threads(schedule, 1)
            with pytest.raises(ValueError, match="told to fail"):
                await durable.run(checkpoint=durable.checkpoint(thread))
            handle = client.get_workflow_handle(thread)
            run_input = await start_input(client, thread, (await handle.describe()).run_id)
            assert (run_input.options.max_attempts, run_input.options.keep_journal) == (1, True)
            assert (await handle.describe()).status == WorkflowExecutionStatus.FAILED
            memo = await (await handle.describe()).memo()
            assert memo["agent_framework_tags"] == ["nightly"]


async def test_a_thread_that_waits_holds_the_next_up_as_the_policy_says(client: Client) -> None:
    async with worker(client, shop) as queue:
        durable = DurableWorkflow(shop, client=client, task_queue=queue)

        async def begun(overlap: ScheduleOverlapPolicy) -> tuple[ScheduleHandle, str]:
            schedule = await durable.schedule(unique("meet"), Order(item="pan"), _NEVER, overlap=overlap)
            await schedule.trigger()
            [thread] = await _threads(schedule, 1)
            await _waits(durable, thread)
            await asyncio.sleep(1.1)  # The threads of one second would have one id.
            await schedule.trigger()
            return schedule, thread

        skipping, first = await begun(ScheduleOverlapPolicy.SKIP)
        async with _deleted(skipping), asyncio.timeout(50):
            while not (await skipping.describe()).info.num_actions_skipped_overlap:
                await asyncio.sleep(0.1)
            assert await _threads(skipping, 1) == [first]

        buffering, first = await begun(ScheduleOverlapPolicy.BUFFER_ONE)
        async with _deleted(buffering):
            assert await _threads(buffering, 1) == [first]
            approved = {"approve-pan": Decision(approved=True)}
            await durable.run(responses=approved, checkpoint=durable.checkpoint(first))
            assert (await _threads(buffering, 2))[0] == first

        cancelling, first = await begun(ScheduleOverlapPolicy.CANCEL_OTHER)
        async with _deleted(cancelling):
            assert len(await _threads(cancelling, 2)) == 2
            assert await _status(client, first) == WorkflowExecutionStatus.CANCELED

        beside, first = await begun(ScheduleOverlapPolicy.ALLOW_ALL)
        async with _deleted(beside):
            [_, second] = await _threads(beside, 2)
            assert await _status(client, first) == WorkflowExecutionStatus.RUNNING
            await _waits(durable, second)


async def test_paused_continued_and_limited(client: Client) -> None:
    async with worker(client, echo) as queue:
        durable = DurableWorkflow(echo, client=client, task_queue=queue)
        every = ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=1))])
        state = ScheduleState(paused=True, note="not yet", limited_actions=True, remaining_actions=2)
        schedule = await durable.schedule(unique("limited"), "hello", every, state=state)
        async with _deleted(schedule):
            await asyncio.sleep(2)
            described = await schedule.describe()
            assert (described.info.num_actions, described.schedule.state.note) == (0, "not yet")
            await schedule.unpause(note="now")
            threads = await _threads(schedule, 2)
            for thread in threads:
                result = await durable.run(checkpoint=durable.checkpoint(thread))
                assert result.get_outputs() == ["hello 1"], "each is a thread of its own"
            await asyncio.sleep(2)
            assert (await schedule.describe()).info.num_actions == 2
            await schedule.pause(note="enough")
            assert (await schedule.describe()).schedule.state.paused


async def test_listed_by_workflow(client: Client) -> None:
    durable = DurableWorkflow(echo, client=client, task_queue="nobody")
    other = DurableWorkflow(shop, client=client, task_queue="nobody")
    state = ScheduleState(paused=True, note="a note")
    async with (
        _deleted(await durable.schedule(unique("list"), "a", _HOURLY, state=state)) as first,
        _deleted(await durable.schedule(unique("list"), "b", cron="0 3 * * *", time_zone="Europe/Berlin")) as second,
        _deleted(await other.schedule(unique("list"), Order(item="pan"), _HOURLY)) as third,
    ):
        found: dict[str, Any] = {}
        async with asyncio.timeout(50):
            while not {first.id, second.id} <= found.keys():
                found = {info.schedule_id: info async for info in durable.schedules()}
        assert third.id not in found
        assert {info.workflow_name for info in found.values()} == {"echo"}
        info = found[first.id]
        assert (info.paused, info.note, info.recent_threads) == (True, "a note", ())
        assert info.spec.intervals[0].every == timedelta(hours=1)
        assert found[second.id].spec.time_zone_name == "Europe/Berlin"
        assert found[second.id].next_at


async def test_changed_in_parts(client: Client) -> None:
    async with worker(client, echo) as queue:
        durable = DurableWorkflow(echo, client=client, task_queue=queue)
        schedule = await durable.schedule(
            unique("changed"), "before", _HOURLY, overlap=ScheduleOverlapPolicy.SKIP, catchup_window=timedelta(hours=2)
        )
        async with _deleted(schedule):
            again = await durable.update_schedule(schedule.id, overlap=ScheduleOverlapPolicy.BUFFER_ALL)
            described = await again.describe()
            assert described.schedule.policy.overlap == ScheduleOverlapPolicy.BUFFER_ALL
            assert described.schedule.policy.catchup_window == timedelta(hours=2)
            assert described.schedule.spec.intervals
            await durable.update_schedule(schedule.id, cron="0 5 * * *")
            assert not (await again.describe()).schedule.spec.intervals
            await schedule.trigger()
            [first] = await _threads(schedule, 1)
            assert (await durable.run(checkpoint=durable.checkpoint(first))).get_outputs() == ["before 1"]
            await durable.update_schedule(schedule.id, "after")
            described = await again.describe()
            assert described.schedule.policy.overlap == ScheduleOverlapPolicy.BUFFER_ALL
            assert isinstance(described.schedule.action, ScheduleActionStartWorkflow)
            await asyncio.sleep(1.1)
            await schedule.trigger()
            [_, second] = await _threads(schedule, 2)
            assert (await durable.run(checkpoint=durable.checkpoint(second))).get_outputs() == ["after 1"]
            with pytest.raises(PayloadError):
                await durable.update_schedule(schedule.id, object())
        with pytest.raises(ThreadNotFoundError, match="There is no schedule"):
            await durable.update_schedule(schedule.id, overlap=ScheduleOverlapPolicy.SKIP)


async def test_a_failed_run_pauses_it_where_that_is_wanted(client: Client) -> None:
    async with worker(client, echo) as queue:
        durable = DurableWorkflow(echo, client=client, task_queue=queue, max_attempts=1)
        overlap = ScheduleOverlapPolicy.BUFFER_ALL
        schedule = await durable.schedule(unique("failing"), "fail", _NEVER, overlap=overlap, pause_on_failure=True)
        async with _deleted(schedule), asyncio.timeout(50):
            await schedule.trigger()
            while not (await schedule.describe()).schedule.state.paused:
                await asyncio.sleep(0.1)


async def test_what_cannot_be_is_refused(client: Client) -> None:
    durable = DurableWorkflow(echo, client=client, task_queue="nobody")
    for arguments in ({}, {"spec": _NEVER, "cron": "0 3 * * *"}, {"time_zone": "Europe/Berlin"}):
        with pytest.raises(ValueError, match="cron"):
            await durable.schedule(unique("wrong"), "hello", **arguments)
    with pytest.raises(ValueError, match="ALLOW_ALL"):
        await durable.schedule(unique("wrong"), "hello", _NEVER, pause_on_failure=True)
    with pytest.raises(ValueError, match="tags"):
        await durable.schedule(unique("wrong"), "hello", _NEVER, tags=[""])
    async with _deleted(await durable.schedule(unique("twice"), "hello", _NEVER)) as schedule:
        with pytest.raises(ThreadExistsError, match="already exists"):
            await durable.schedule(schedule.id, "hello", _NEVER)
        with pytest.raises(ValueError, match="ALLOW_ALL"):
            await durable.update_schedule(schedule.id, pause_on_failure=True)


async def test_temporals_own_command_does_the_same(client: Client) -> None:
    """A schedule, and a start with a signal, by what knows nothing of this package."""
    address = client.service_client.config.target_host

    async def temporal(*words: str) -> str:
        process = await asyncio.create_subprocess_exec(
            *(temporal_binary(), *words, "--address", address), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        out, _ = await process.communicate()
        assert process.returncode == 0, out.decode()
        return out.decode()

    async with worker(client, echo, shop) as queue:
        name = unique("by-hand")
        start = json.dumps({"workflow_name": "echo", "mode": "message", "message": {"value": "hello"}})
        starts = ("--type", "AgentFrameworkWorkflow", "--task-queue", queue)
        await temporal(
            *("schedule", "create", "--schedule-id", name, "--workflow-id", name, *starts, "--input", start),
            *("--memo", 'agent_framework_workflow="echo"', "--cron", "0 3 29 2 *"),
            *("--overlap-policy", "Skip", "--notes", "by hand"),
        )
        durable = DurableWorkflow(echo, client=client, task_queue=queue)
        async with _deleted(client.get_schedule_handle(name)) as schedule:
            await temporal("schedule", "trigger", "--schedule-id", name)
            [thread] = await _threads(schedule, 1)
            assert (await durable.run(checkpoint=durable.checkpoint(thread))).get_outputs() == ["hello 1"]
            await temporal("schedule", "toggle", "--schedule-id", name, "--pause", "--reason", "a holiday")
            assert (await schedule.describe()).schedule.state.note == "a holiday"
            await durable.update_schedule(name, "changed", overlap=ScheduleOverlapPolicy.ALLOW_ALL)

        ordered = unique("order")
        message = {"value": {"item": "kettle"}}
        await temporal(
            *("workflow", "signal-with-start", "--workflow-id", ordered, *starts),
            *("--memo", 'agent_framework_workflow="shop"'),
            *("--input", json.dumps({"workflow_name": "shop", "mode": "message", "message": message})),
            *("--signal-name", "respond"),
            *("--signal-input", json.dumps({"request_id": "approve-kettle", "response": {"approved": True}})),
        )
        bought = DurableWorkflow(shop, client=client, task_queue=queue)
        result = await bought.run_stream(checkpoint=bought.checkpoint(ordered), after=-1).get_final_response()
        assert result.get_outputs() == ["kettle approved by nobody, order 1"]
