"""What a user writes, with the type that a checker has to see for each call; nothing here is run.

mypy (strict) checks it with the rest of the tests (`make typecheck`), pyright (strict) in `test_types.py`. A line that
has to be refused says so to both, and both fail where it no longer is.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, assert_type

from agent_framework import (
    FunctionalWorkflowAgent,
    InMemoryCheckpointStorage,
    Workflow,
    WorkflowAgent,
    WorkflowBuilder,
    WorkflowCheckpoint,
    WorkflowContext,
    WorkflowEvent,
    WorkflowRunResult,
    WorkflowRunState,
    executor,
)
from agent_framework_temporal import (
    AgentFrameworkPlugin,
    Checkpoint,
    CheckpointEdit,
    CheckpointInfo,
    DevServer,
    DurableOptions,
    DurableWorkflow,
    EventPosition,
    ExecutorPolicy,
    HistoryCheckpointStorage,
    InDoubt,
    PendingRequest,
    QueuedMessage,
    RequestPolicy,
    Response,
    RunUsage,
    ScheduleInfo,
    SteeringStatus,
    Superstep,
    SuperstepAttempt,
    ThreadCost,
    ThreadInfo,
    ThreadNotFoundError,
    ToolPolicy,
    current_superstep,
    delete_threads,
    export_thread,
    http_app,
    idempotency_key,
    once,
    position_of,
    register_search_attributes,
    respond_link,
    sealing_data_converter,
    start_dev_server,
    threads,
    waiting_requests,
)
from temporalio.client import Client, ScheduleHandle
from temporalio.converter import DataConverter
from temporalio.worker import Worker


async def charge(amount: int) -> str:
    return f"charged {amount}"


@executor(id="upper")
async def upper(text: str, ctx: WorkflowContext[str]) -> None:
    assert_type(idempotency_key(ctx), str)
    assert_type(current_superstep(), Superstep | None)
    assert_type(await once(ctx, "charge", charge, 3), str)
    await ctx.send_message(text.upper())


def build() -> Workflow:
    return WorkflowBuilder(name="project", start_executor=upper).build()


async def build_later() -> Workflow:
    return build()


async def connect() -> tuple[Client, DurableWorkflow]:
    async with await start_dev_server(database=Path("threads.db"), port=0) as server:
        assert_type(server, DevServer)
        client = await Client.connect(server.address, data_converter=sealing_data_converter(keys={"1": b"k" * 32}))
    assert_type(sealing_data_converter(keys={}), DataConverter)
    options = DurableOptions(
        superstep_timeout=timedelta(minutes=5),
        executors={"upper": ExecutorPolicy(max_attempts=3, task_queue="elsewhere", in_doubt="ask")},
        tools={"charge": ToolPolicy(in_doubt="error")},
        requests={"approve": RequestPolicy(deadline=timedelta(days=1), default=False)},
        when_running="enqueue",
    )
    by_name = DurableWorkflow("project", client=client, task_queue="essays", options=options)
    assert_type(by_name.name, str)
    DurableWorkflow(build_later, client=client, task_queue="essays")
    DurableWorkflow(build(), client=client, task_queue="essays", burst=timedelta(seconds=1), pause_on_failure=True)
    return client, DurableWorkflow(build, client=client, task_queue="essays", options=options, priority=2)


async def work(client: Client) -> Worker:
    plugin = AgentFrameworkPlugin(workflows=[build, build_later, build()])
    return Worker(client, task_queue="essays", plugins=[plugin])


async def run(durable: DurableWorkflow, storage: InMemoryCheckpointStorage) -> None:
    result = await durable.run("hello")
    assert_type(result, WorkflowRunResult)
    assert_type(result.get_outputs(), list[Any])
    assert_type(durable.status, WorkflowRunState)
    assert_type(durable.get_last_checkpoint_id(), str | None)
    checkpoint = durable.checkpoint("essay-7", tags=["draft"])
    assert_type(checkpoint, Checkpoint)
    assert_type(Checkpoint.from_json(checkpoint.to_json()), Checkpoint)
    async for event in durable.run("hello", stream=True, checkpoint=checkpoint):
        assert_type(event, WorkflowEvent[Any])
        assert_type(position_of(event), EventPosition | None)
    stream = durable.run_stream([Response("request-1", True)], checkpoint=checkpoint, after=3)
    async for event in stream:
        assert_type(event, WorkflowEvent[Any])
    assert_type(await stream.get_final_response(), WorkflowRunResult)
    await durable.run(responses={"request-1": True}, checkpoint="essay-7")
    await durable.run(checkpoint_id="c1", checkpoint_storage=storage, include_status_events=True)
    assert_type(await durable.cancel_pending_requests(["request-1"], checkpoint=checkpoint), WorkflowRunResult)


async def look(client: Client, durable: DurableWorkflow, checkpoint: Checkpoint) -> None:
    assert_type(await durable.pending_requests(checkpoint), list[PendingRequest])
    assert_type(await durable.attempt(checkpoint), SuperstepAttempt | None)
    assert_type(await durable.usage("essay-7"), RunUsage)
    assert_type(await durable.cost(), ThreadCost)
    assert_type(await durable.steering(), SteeringStatus)
    assert_type(await durable.queued_messages(), list[QueuedMessage])
    async for found in durable.threads(state="waiting", older_than=timedelta(days=30)):
        assert_type(found, ThreadInfo)
    async for found in threads(client, tags=["draft"]):
        assert_type(found, ThreadInfo)
    async for request in waiting_requests(client, "project"):
        assert_type(request, PendingRequest)
    async for line in durable.export(checkpoint):
        assert_type(line, str)
    async for line in export_thread(client, "essay-7", opened=True):
        assert_type(line, str)
    async for gone in delete_threads(client, dry_run=True, state="failed"):
        assert_type(gone, ThreadInfo)
    assert_type(await register_search_attributes(client), list[str])
    assert_type(respond_link("https://a.example", b"key", checkpoint, "request-1"), str)


def in_words(question: InDoubt) -> str:
    return question.question


def shout(edit: CheckpointEdit) -> None:
    edit.state["style"] = "vivid"


async def go_on(client: Client, durable: DurableWorkflow, checkpoint: Checkpoint) -> None:
    [first, *_] = await durable.checkpoints(checkpoint)
    assert_type(first, CheckpointInfo)
    assert_type(await durable.fork(first.checkpoint_id, edit=shout), Checkpoint)
    assert_type(await durable.edit(checkpoint, edit={"state": {"style": "vivid"}}, edited_by="ann"), Checkpoint)
    assert_type(await durable.copy_checkpoints(InMemoryCheckpointStorage()), list[str])
    history = HistoryCheckpointStorage(client, build, checkpoint=checkpoint)
    assert_type(await history.load(first.checkpoint_id), WorkflowCheckpoint)
    await durable.pause(checkpoint, reason="to look")
    await durable.set_breakpoints(["upper"], checkpoint)
    await durable.continue_(checkpoint, responder="ann")
    await durable.withdraw("message-1", checkpoint)
    await durable.retry(checkpoint)
    await durable.cancel(checkpoint)
    assert_type(await durable.delete(checkpoint, terminate=True), int)
    assert_type(await durable.schedule("daily", "hello", cron="0 9 * * *", tags=["daily"]), ScheduleHandle)
    assert_type(await durable.update_schedule("daily", time_zone="Europe/Vienna"), ScheduleHandle)
    async for schedule in durable.schedules():
        assert_type(schedule, ScheduleInfo)
    assert_type(durable.as_agent("writer", checkpoint=checkpoint), WorkflowAgent | FunctionalWorkflowAgent)
    http_app(client, [build], task_queue="essays", link_key=b"key")
    try:
        await durable.run(checkpoint=checkpoint)
    except ThreadNotFoundError as error:
        assert_type(error.args, tuple[Any, ...])


async def refused(client: Client, durable: DurableWorkflow, checkpoint: Checkpoint) -> None:
    """Each is an error to a checker, as it is one when it runs."""
    DurableWorkflow(build, client=client)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    DurableWorkflow(7, client=client, task_queue="q")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    DurableWorkflow(build, client=client, task_queue="q", retries=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    DurableOptions(superstep_timeout=5)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    DurableOptions(when_running="wait")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await durable.run("hello", thread=checkpoint)  # type: ignore[call-overload]  # pyright: ignore[reportCallIssue]
    await durable.run("hello", checkpoint=7)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType]
    await durable.run_stream("hello", responses=["yes"])  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await durable.fork(checkpoint)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    await durable.set_breakpoints(None)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async for _ in durable.threads(state="asleep"):  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        pass
    checkpoint.offset = "3"  # type: ignore[assignment]  # pyright: ignore[reportAttributeAccessIssue]
    keys: Mapping[str, str] = {}
    sealing_data_converter(keys=keys)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
