"""What else there is works with bursts: limits, requests, storages, sealing, usage, status, exports."""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agent_framework import (
    Executor,
    InMemoryCheckpointStorage,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    handler,
    response_handler,
)
from agent_framework_temporal import DurableWorkflow, FileStorageDriver, ThreadArchive, export_thread
from agent_framework_temporal.activities import burst as burst_module
from agent_framework_temporal.testing import replay_superstep
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.sdk.v1 import WorkflowMetadata
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.converter import ExternalStorage

from tests.bursts._flows import Plan, outputs, steps
from tests.bursts.test_bursts import LONG, place, scheduled
from tests.bursts.test_crashes import durable_steps
from tests.checkpoints._threads import assert_lineage
from tests.flows import countdown
from tests.journal._spending import EACH, Spending, spending
from tests.mirrors._waiting import mirrored
from tests.sealing._rogue import connect
from tests.support import worker


@pytest.mark.parametrize(
    ("options", "activities"),
    [({"burst": timedelta(microseconds=1)}, 12), ({"supersteps_per_run": 5}, 1), ({"breakpoints": ["none"]}, 1)],
    ids=["budget", "supersteps_per_run", "others' breakpoints"],
)
async def test_it_ends_at_its_limits(client: Client, options: dict[str, Any], activities: int) -> None:
    async with worker(client, countdown) as task_queue:
        durable = DurableWorkflow(countdown, client=client, task_queue=task_queue, **{"burst": LONG, **options})
        thread = durable.checkpoint()
        result = await durable.run(11, checkpoint=thread)
        assert result.get_outputs() == [f"{left} left" for left in range(11, -1, -1)]
        assert await scheduled(client, thread.thread_id) == activities
        infos = await durable.checkpoints(thread)
        assert_lineage(infos)
        assert len({info.run_id for info in infos}) == (3 if "supersteps_per_run" in options else 1)
        assert [info.superstep for info in infos] == list(range(13))


@pytest.mark.parametrize("name", ["MAX_BURST_BYTES", "MAX_BURST_EVENTS_BYTES"])
async def test_it_ends_before_it_is_too_large(client: Client, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Nothing of it is let go: what comes after is another burst."""
    monkeypatch.setattr(burst_module, name, 5_000)
    async with worker(client, countdown) as task_queue:
        durable = DurableWorkflow(countdown, client=client, task_queue=task_queue, burst=LONG)
        thread = durable.checkpoint()
        await durable.run(29, checkpoint=thread)
        assert 1 < await scheduled(client, thread.thread_id) < 20
        assert [info.superstep for info in await durable.checkpoints(thread)] == list(range(31))


class AskAndGoOn(Executor):
    """Asks, and passes on what it was given."""

    @handler
    async def take(self, text: str, ctx: WorkflowContext[str]) -> None:
        await ctx.request_info(text, str, request_id="sure")
        await ctx.send_message(text)

    @response_handler
    async def told(self, text: str, answer: str, ctx: WorkflowContext[str]) -> None:
        await ctx.send_message(answer)


class Pass(Executor):
    """Passes a text on."""

    @handler
    async def take(self, text: str, ctx: WorkflowContext[str, str]) -> None:
        await ctx.yield_output(f"{self.id} {text}")
        await ctx.send_message(text)


def asking_on() -> Workflow:
    """Build a workflow that asks in its first superstep while others follow."""
    ask, one, two = AskAndGoOn(id="ask"), Pass(id="one"), Pass(id="two")
    return WorkflowBuilder(name="asking-on", start_executor=ask).add_chain([ask, one, two]).build()


async def test_it_ends_where_somebody_is_asked(client: Client) -> None:
    """While a request waits each superstep has an activity of its own; once it is answered they are a burst."""
    async with worker(client, asking_on) as task_queue:
        durable = DurableWorkflow(asking_on, client=client, task_queue=task_queue, burst=LONG)
        thread = durable.checkpoint()
        await durable.run("go", checkpoint=thread)
        before = await scheduled(client, thread.thread_id)
        assert before == len(await durable.checkpoints(thread)) - 1
        result = await durable.run(responses={"sure": "yes"}, checkpoint=thread)
        assert result.get_outputs() == ["one yes", "two yes"]
        assert await scheduled(client, thread.thread_id) == before + 1


@pytest.mark.parametrize("sealed", [False, True])
async def test_stored_outside_sealed_and_failing(client: Client, ledger: Path, tmp_path: Path, *, sealed: bool) -> None:
    """What a burst leaves of the superstep that fails is read where it lies."""
    base = await connect(client) if sealed else client
    outside = ExternalStorage(drivers=[FileStorageDriver(tmp_path / "outside")], payload_size_threshold=1_000)
    config = base.config()
    config["data_converter"] = dataclasses.replace(base.data_converter, external_storage=outside)
    stored = Client(**config)
    async with worker(stored, steps) as task_queue:
        durable = durable_steps(stored, task_queue)
        thread = durable.checkpoint()
        assert (await durable.run(Plan(9, fails={"5": 1}), checkpoint=thread)).get_outputs() == outputs(1, 9)
        assert [info.superstep for info in await durable.checkpoints(thread)] == list(range(10))
        assert_lineage(await durable.checkpoints(thread))
        replayed = await replay_superstep(stored, thread, 7, steps)
        replayed.assert_same()
        file = tmp_path / "thread.jsonl"
        file.write_text("".join([line async for line in export_thread(stored, thread.thread_id, opened=True)]))
        assert ThreadArchive(file).thread_id == thread.thread_id


async def test_storages_and_mirrors_get_each(client: Client) -> None:
    archive, given = InMemoryCheckpointStorage(), InMemoryCheckpointStorage()
    async with worker(client, countdown, mirrors={"archive": archive}) as task_queue:
        durable = DurableWorkflow(countdown, client=client, task_queue=task_queue, mirror="archive", burst=LONG)
        checkpoint = durable.checkpoint()
        await durable.run(9, checkpoint=checkpoint, checkpoint_storage=given)
        ids = [info.checkpoint_id for info in await durable.checkpoints(checkpoint)]
        assert len(ids) == 11
        await mirrored(durable, checkpoint, archive)
        for storage in (given, archive):
            found = await storage.list_checkpoints(workflow_name="countdown")
            assert [one.checkpoint_id for one in sorted(found, key=lambda one: one.timestamp)] == ids


@pytest.mark.parametrize("stops", [(), ((2, 1),)], ids=["through", "failing"])
async def test_usage_and_status_count_all_of_it(client: Client, stops: Any) -> None:
    async with worker(client, spending) as task_queue:
        durable = DurableWorkflow(
            spending,
            client=client,
            task_queue=task_queue,
            burst=LONG,
            retry_initial_interval=timedelta(milliseconds=20),
        )
        thread = durable.checkpoint()
        await durable.run(Spending(name=f"burst {stops}", calls=3, rounds=4, stops=stops), checkpoint=thread)
        usage = await durable.usage(thread)
        assert usage.usage["total_token_count"] == 15 * EACH.total
        handle = client.get_workflow_handle(thread.thread_id)
        assert (await handle.query("status"))["superstep"] == 5
        found: WorkflowMetadata = await handle.query("__temporal_workflow_metadata", result_type=WorkflowMetadata)
        assert found.current_details.startswith("**idle**, 5 supersteps committed")


async def test_an_operator_resets_to_before_it(client: Client) -> None:
    """It runs once more, under the same offsets, and a kept handle reads on from there."""
    async with worker(client, countdown) as task_queue:
        durable = DurableWorkflow(countdown, client=client, task_queue=task_queue, burst=LONG)
        thread = durable.checkpoint()
        before = [event async for event in durable.run_stream(4, checkpoint=thread)]
        request = ResetWorkflowExecutionRequest(
            namespace=client.namespace,
            workflow_execution=WorkflowExecution(workflow_id=thread.thread_id, run_id=thread.run_id or ""),
            reason="a test",
            request_id=thread.thread_id,
            workflow_task_finish_event_id=4,
        )
        await client.workflow_service.reset_workflow_execution(request)
        again = [event async for event in durable.run_stream(checkpoint=thread)]
        assert [place(event).offset for event in again] == [place(event).offset for event in before]
        assert [(event.type, event.data) for event in again] == [(event.type, event.data) for event in before]
        assert [info.superstep for info in await durable.checkpoints(thread)] == list(range(6))
