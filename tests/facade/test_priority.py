"""Priority and fairness: whom a run's activities come before, from the caller to the server's queue."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, ClassVar, Never

import pytest
from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler
from agent_framework_temporal import DurableOptions, DurableWorkflow
from agent_framework_temporal.adapter.checkpoints.runs import runs_of
from temporalio.api.common.v1 import Priority as PriorityMessage
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, ScheduleActionStartWorkflow, ScheduleSpec
from temporalio.common import Priority
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from tests.conftest import local_server
from tests.flows import countdown, echo
from tests.steering._line import GATES, Folder, Work, line
from tests.support import unique, worker


@pytest.fixture
def gates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Folder:
    monkeypatch.setenv(GATES, str(tmp_path))
    return Folder(tmp_path)


class _Busy(Executor):
    """Notes when it begins, and waits until it may end."""

    release: ClassVar[asyncio.Event]
    order: ClassVar[list[int]]

    @handler
    async def work(self, number: int, ctx: WorkflowContext[Never, int]) -> None:
        self.order.append(number)
        await self.release.wait()
        await ctx.yield_output(number)


def busy() -> Workflow:
    """Build the workflow that takes its worker's slot."""
    return WorkflowBuilder(name="busy", start_executor=_Busy(id="busy")).build()


@pytest.fixture(scope="module")
async def one_partition() -> AsyncIterator[WorkflowEnvironment]:
    """A server whose queues have one partition each, so that their order is exact."""
    async with await local_server(
        "matching.numTaskqueueReadPartitions=1",
        "matching.numTaskqueueWritePartitions=1",
        "matching.enableFairness=true",
    ) as environment:
        yield environment


async def _priorities(client: Client, thread_id: str, run_id: str | None = None) -> tuple[Priority, list[Priority]]:
    """Return what history says of a run and of its supersteps."""
    run, activities = Priority.default, list[Priority]()
    async for event in client.get_workflow_handle(thread_id, run_id=run_id).fetch_history_events():
        if event.HasField("workflow_execution_started_event_attributes"):
            run = _read(event.workflow_execution_started_event_attributes.priority)
        if event.HasField("activity_task_scheduled_event_attributes"):
            activities.append(_read(event.activity_task_scheduled_event_attributes.priority))
    return run, activities


def _read(found: PriorityMessage) -> Priority:
    return Priority(found.priority_key or None, found.fairness_key or None, found.fairness_weight or None)


async def test_a_run_and_its_supersteps_have_it(client: Client) -> None:
    wanted = Priority(2, "acme", 3.0)
    async with worker(client, countdown) as task_queue:
        durable = DurableWorkflow(
            countdown,
            client=client,
            task_queue=task_queue,
            priority=2,
            fairness_key="acme",
            fairness_weight=3.0,
            supersteps_per_run=2,
        )
        thread = durable.checkpoint()
        await durable.run(3, checkpoint=thread)
        first = (await client.get_workflow_handle(thread.thread_id).describe()).raw_info.first_run_id
        assert first != thread.run_id
        for run_id in (first, thread.run_id):
            run, activities = await _priorities(client, thread.thread_id, run_id)
            assert run == wanted
            assert set(activities) == {wanted}
        # The next turn of the thread is another run, of the same options.
        await durable.run(0, checkpoint=thread)
        assert (await _priorities(client, thread.thread_id))[1] == [wanted]
        status = await durable.steering(thread)
        assert (status.priority, status.fairness_key, status.fairness_weight) == (2, "acme", 3.0)


async def test_a_call_says_its_own(client: Client) -> None:
    async with worker(client, echo) as task_queue:
        durable = DurableWorkflow(echo, client=client, task_queue=task_queue, priority=4, fairness_weight=2.0)
        thread = durable.checkpoint()
        await durable.run("a", checkpoint=thread, priority=1, fairness_key="acme")
        assert await _priorities(client, thread.thread_id) == (Priority(1, "acme", 2.0), [Priority(1, "acme", 2.0)])
        await durable.run("b", checkpoint=thread)
        assert await _priorities(client, thread.thread_id) == (Priority(4, None, 2.0), [Priority(4, None, 2.0)])
        plain = DurableWorkflow(echo, client=client, task_queue=task_queue)
        await plain.run("c", checkpoint=thread)
        assert await _priorities(client, thread.thread_id) == (Priority.default, [Priority.default])


async def test_a_message_brings_its_own_to_the_run_it_waits_in(client: Client, gates: Folder) -> None:
    async with worker(client, line) as task_queue:
        durable = DurableWorkflow(line, client=client, task_queue=task_queue, priority=5, supersteps_per_run=2)
        other = DurableWorkflow(line, client=client, task_queue=task_queue, when_running="enqueue")
        thread = durable.checkpoint()
        gates.hold("first", "one")
        calls: list[asyncio.Future[Any]] = [asyncio.ensure_future(durable.run(Work(text="one"), checkpoint=thread))]
        await gates.begun("first", "one")
        for text, said in (("two", {"priority": 1, "fairness_key": "acme"}), ("three", {})):
            calls.append(asyncio.ensure_future(_sent(other, thread.thread_id, text, said)))
            await _waiting(other, thread.thread_id, len(calls) - 1)
        gates.let("first", "one")
        await asyncio.gather(*calls)
        found: list[Priority] = []
        for run in await runs_of(client, thread.thread_id):
            found += (await _priorities(client, thread.thread_id, run.execution.run_id))[1]
        turns = [priority for index, priority in enumerate(found) if not index or priority != found[index - 1]]
        assert turns == [Priority(5), Priority(1, "acme")]
        assert (await other.steering(thread.thread_id)).fairness_key == "acme"


async def _sent(durable: DurableWorkflow, thread_id: str, text: str, said: dict[str, Any]) -> None:
    await durable.run(Work(text=text), checkpoint=durable.checkpoint(thread_id), **said)


async def _waiting(durable: DurableWorkflow, thread_id: str, count: int) -> None:
    async with asyncio.timeout(60):
        while len(await durable.queued_messages(thread_id)) < count:
            await asyncio.sleep(0.05)


async def test_a_schedule_starts_threads_with_it(client: Client) -> None:
    durable = DurableWorkflow(echo, client=client, task_queue=unique("queue"), priority=1, fairness_key="nightly")
    handle = await durable.schedule(unique("schedule"), "a", ScheduleSpec(cron_expressions=["0 3 * * *"]))
    try:
        action = (await handle.describe()).schedule.action
        assert isinstance(action, ScheduleActionStartWorkflow)
        assert action.priority == Priority(1, "nightly")
    finally:
        await handle.delete()


async def test_the_more_important_come_first(one_partition: WorkflowEnvironment) -> None:
    order = await _order(one_partition.client, [{"priority": key} for key in (5, 5, 5, 3, 1, 1)])
    assert order == [4, 5, 3, 0, 1, 2]


async def test_one_tenant_does_not_hold_up_another(one_partition: WorkflowEnvironment) -> None:
    keys = [{"fairness_key": key} for key in ("many", "many", "many", "many", "many", "one")]
    order = await _order(one_partition.client, keys)
    assert order.index(5) <= 2, "The one run of a tenant has waited for those of another."


async def _order(client: Client, said: list[dict[str, Any]]) -> list[int]:
    """Queue a superstep for each, and return the order in which a worker with one slot has run them."""
    _Busy.release, _Busy.order = asyncio.Event(), []
    async with worker(client, busy, max_concurrent_activities=1) as task_queue:
        durable = DurableWorkflow(busy, client=client, task_queue=task_queue)
        calls = []
        for number, options in enumerate([{}, *said], -1):  # The first takes the slot.
            thread = durable.checkpoint(unique("thread"))
            calls.append(asyncio.ensure_future(durable.run(number, checkpoint=thread, **options)))
            await _scheduled(client, thread.thread_id)
        _Busy.release.set()
        await asyncio.gather(*calls)
    return _Busy.order[1:]


async def _scheduled(client: Client, thread_id: str) -> None:
    scheduled = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    async with asyncio.timeout(60):
        while True:
            with contextlib.suppress(RPCError):  # It is not there yet.
                async for event in client.get_workflow_handle(thread_id).fetch_history_events(wait_new_event=True):
                    if event.event_type == scheduled:
                        return
            await asyncio.sleep(0.02)


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("priority", 0, "from 1, which comes first, to 1,000, got 0"),
        ("priority", 1001, "got 1001"),
        ("priority", True, "got True"),
        ("priority", "high", "got 'high'"),
        ("fairness_key", "", "1 to 64 bytes of text, such as a tenant's id, got ''"),
        ("fairness_key", "é" * 33, "Use a hash of a longer key"),
        ("fairness_key", "\ud800", "1 to 64 bytes"),
        ("fairness_key", 7, "got 7"),
        ("fairness_weight", 0.0, "from 0.001 to 1000, got 0.0"),
        ("fairness_weight", float("nan"), "got nan"),
        ("fairness_weight", 1001.0, "got 1001.0"),
    ],
)
def test_what_the_server_would_not_take(client: Client, option: str, value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=rf"`{option}`.*{said}"):
        DurableOptions(**{option: value})
    if option == "fairness_weight":
        return
    durable = DurableWorkflow(echo, client=client, task_queue="none")
    with pytest.raises(ValueError, match=rf"`{option}`.*{said}"):
        durable.run("a", **{option: value})
