"""Starts that say what they may not end at once, with one line in the log; no thread is reached through another."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import uuid
from typing import Any

import pytest
from agent_framework import InMemoryCheckpointStorage
from agent_framework_temporal import Checkpoint, DurableWorkflow, StartRefusedError
from agent_framework_temporal.adapter.framework.definition import define
from agent_framework_temporal.workflows.limits import MAX_OFFSET
from agent_framework_temporal.workflows.messages import (
    CheckpointRef,
    ContinuedRun,
    ExecutorRule,
    RespondSignal,
    RunInput,
    RunOptions,
    Value,
)
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.common import RetryPolicy

from tests.facade._forged import framed, load, started
from tests.flows import Decision, Order, echo, shop
from tests.support import unique, worker

_FAILED, _RUNNING = WorkflowExecutionStatus.FAILED, WorkflowExecutionStatus.RUNNING
_MESSAGE = Value(value={"item": "pen"})
_REF = CheckpointRef(thread_id="t", run_id="r", checkpoint_id="c")
_APPROVED = {"approve-pen": Decision(approved=True, by="ada")}


def _start(**fields: Any) -> RunInput:
    """Return a start that says what a `RunInput` of ours never would."""
    return RunInput(workflow_name="shop", mode="message", message=_MESSAGE).model_copy(update=fields)


_WRONG: dict[str, tuple[Any, str]] = {
    "no input": (None, "input"),
    "text": ("hello", "input"),
    "another version": (_start(version=2), "version"),
    "no name": (_start(workflow_name=""), "workflow_name"),
    "no message": (_start(message=None), "message"),
    "unknown mode": ({"workflow_name": "shop", "mode": "any"}, "mode"),
    "continue": (_start(mode="continue", message=None), "base"),
    "continued": (
        _start(
            mode="continue",
            message=None,
            base=_REF,
            graph_hash="g",
            continued=ContinuedRun(previous_run_id="r", waiting=True),
        ),
        "continued",
    ),
    "continued with a message": (_start(continued=ContinuedRun(previous_run_id="r")), "continued"),
    "responses to nothing": (
        _start(mode="responses", message=None, responses=[RespondSignal(request_id="a")]),
        "base",
    ),
    "a message with responses": (_start(responses=[RespondSignal(request_id="a")]), "responses"),
    "a response that was checked": (
        _start(
            mode="responses",
            message=None,
            base=_REF,
            graph_hash="g",
            responses=[RespondSignal(request_id="a", checked=True)],
        ),
        "responses",
    ),
    "a response that cancels": (
        _start(
            mode="responses",
            message=None,
            base=_REF,
            graph_hash="g",
            responses=[RespondSignal(request_id="a", cancel=True)],
        ),
        "responses",
    ),
    "resume from nothing": (_start(mode="resume", message=None), "base"),
    "a base that names no run": (
        _start(base=CheckpointRef(thread_id="t", run_id="", checkpoint_id="c"), graph_hash="g"),
        "base",
    ),
    "a base without its graph": (_start(base=_REF), "graph_hash"),
    "a graph without a base": (_start(graph_hash="g"), "graph_hash"),
    "nothing to discard": (_start(discard_in_flight=True), "discard_in_flight"),
    "discard another thread's": (_start(discard_in_flight=True, base=_REF, graph_hash="g"), "discard_in_flight"),
    "a frame of nothing": (_start().with_frame(b"x"), "base_facts"),
    "a negative offset": (_start(next_offset=-1), "next_offset"),
    "a huge offset": (_start(next_offset=MAX_OFFSET + 1), "next_offset"),
}


@pytest.mark.parametrize("name", sorted(_WRONG))
async def test_refused_before_anything_runs(name: str, client: Client, caplog: pytest.LogCaptureFixture) -> None:
    start, field = _WRONG[name]
    async with worker(client, shop) as queue:
        thread, status, message = await started(client, queue, start)
    assert status == _FAILED
    assert f"The run cannot start: `{field}" in message
    logged = [text for text in caplog.messages if thread in text and "is refused" in text]
    assert len(logged) == 1
    assert logged[0].startswith(f"The start of thread '{thread}', run '")
    assert f"`{field}" in logged[0]


async def test_a_run_that_the_server_starts_again_did_not_continue(client: Client) -> None:
    """A retry policy or a cron schedule of the starter's own has the server name a run before, with the same input."""
    start = _start(
        mode="continue",
        message=None,
        base=_REF,
        graph_hash="g",
        continued=ContinuedRun(previous_run_id=str(uuid.uuid4()), waiting=True),
    )
    async with worker(client, shop) as queue:
        policy = RetryPolicy(maximum_attempts=3)
        _, status, message = await started(client, queue, start, retry_policy=policy)
        assert (status, "`continued`" in message) == (_FAILED, True)
        thread = unique("cron")
        await client.start_workflow(
            "AgentFrameworkWorkflow",
            start.model_dump(mode="json"),
            id=thread,
            task_queue=queue,
            cron_schedule="@every 1s",
        )
        try:
            run = client.get_workflow_handle(thread)
            async with asyncio.timeout(50):
                for _ in range(3):
                    events = [event async for event in run.fetch_history_events(wait_new_event=True)]
                    ended = events[-1].workflow_execution_failed_event_attributes
                    assert "`continued`" in ended.failure.message
                    assert len(events) == 5
                    run = client.get_workflow_handle(thread, run_id=ended.new_execution_run_id)
        finally:
            await client.get_workflow_handle(thread).terminate()


async def _victim(client: Client, queue: str) -> tuple[DurableWorkflow, Checkpoint, CheckpointRef]:
    """Return a thread that waits, and what its checkpoint is referred to by."""
    durable = DurableWorkflow(shop, client=client, task_queue=queue)
    checkpoint = durable.checkpoint()
    await durable.run(Order(item="pen"), checkpoint=checkpoint)
    status = await client.get_workflow_handle(checkpoint.thread_id).query("status")
    return durable, checkpoint, CheckpointRef.model_validate(status["checkpoint"])


_FORGED = (
    "its id",
    "its id in its thread",
    "its id and digest",
    "another digest",
    "another workflow",
    "not in history",
)


@pytest.mark.parametrize("cache_bytes", [0, 10_000_000], ids=["uncached", "cached"])
@pytest.mark.parametrize("kind", _FORGED)
async def test_nobody_gets_at_a_thread_through_its_checkpoint(
    kind: str, cache_bytes: int, client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    """One worker process serves both. What is claimed to be a victim's checkpoint is not put in its place."""
    async with worker(client, shop, echo, cache_bytes=cache_bytes) as queue:
        durable, victim, ref = await _victim(client, queue)
        checkpoint = await load(client, shop, ref.checkpoint_id)
        own = unique("forged")
        evil = dataclasses.replace(checkpoint, state={**checkpoint.state, "orders": 666})
        if kind == "its id":
            start = await framed(shop, evil, own)
        elif kind == "its id in its thread":
            start = await framed(shop, evil, own)
            start.base = ref.model_copy(update={"run_id": ""})
        elif kind == "its id and digest":
            start = await framed(shop, evil, own)
            assert start.base_facts is not None
            start.base_facts.digest = ref.digest or ""
        else:
            hosted = await define(shop if kind != "another workflow" else echo)
            base = ref.model_copy(update={"digest": "0" * 32}) if kind == "another digest" else ref
            if kind == "not in history":
                base = ref.model_copy(update={"checkpoint_id": f"{ref.run_id}.000000000000", "digest": None})
            start = RunInput(workflow_name=hosted.name, mode="resume", base=base, graph_hash=hosted.graph_hash)
        with caplog.at_level(logging.WARNING, "agent_framework_temporal.worker"):
            _, status, message = await started(client, queue, start, own)
        assert status == _FAILED
        assert "The run cannot start: `base" in message
        refused = [record for record in caplog.records if record.name == "agent_framework_temporal.worker"]
        assert len(refused) == 1
        # The victim goes on from its own state, on the same worker.
        result = await durable.run(responses=_APPROVED, checkpoint=victim)
        assert result.get_outputs() == ["pen approved by ada, order 1"]


@pytest.mark.parametrize("cache_bytes", [0, 10_000_000], ids=["uncached", "cached"])
async def test_a_fork_leaves_the_live_instance_to_its_thread(cache_bytes: int, client: Client) -> None:
    """Who names a checkpoint of another thread gets a copy of its state, and nothing that lives."""
    async with worker(client, shop, cache_bytes=cache_bytes) as queue:
        durable, victim, ref = await _victim(client, queue)
        hosted = await define(shop)
        base = RunInput(workflow_name="shop", mode="resume", base=ref, graph_hash=hosted.graph_hash)
        answer = RespondSignal(request_id="approve-pen", response={"approved": False})
        for start in (base, base.model_copy(update={"mode": "responses", "responses": [answer]})):
            _, status, _ = await started(client, queue, start)
            assert status in (_RUNNING, WorkflowExecutionStatus.COMPLETED)
        result = await durable.run(responses=_APPROVED, checkpoint=victim)
        assert result.get_outputs() == ["pen approved by ada, order 1"]


async def test_checkpoints_of_a_callers_own(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """They begin a thread of their own, unless the worker takes none."""
    storage = InMemoryCheckpointStorage()
    await shop().run(Order(item="pen"), checkpoint_storage=storage)
    latest = await storage.get_latest(workflow_name="shop")
    assert latest is not None
    for mirrors in ({}, {"archive": storage}):
        async with worker(client, shop, caller_checkpoints=False, mirrors=mirrors) as queue:
            durable = DurableWorkflow(shop, client=client, task_queue=queue)
            with pytest.raises(StartRefusedError, match="caller_checkpoints=False"):
                await durable.run(checkpoint_id=latest.checkpoint_id, checkpoint_storage=storage)
            # What history holds is nobody's own, whoever brings it.
            checkpoint = durable.checkpoint()
            await durable.run(Order(item="pen"), checkpoint=checkpoint, checkpoint_storage=storage)
            copy = durable.checkpoint()
            result = await durable.run(
                responses=_APPROVED, checkpoint_id=checkpoint.checkpoint_id, checkpoint_storage=storage, checkpoint=copy
            )
            assert result.get_outputs() == ["pen approved by ada, order 1"]
    async with worker(client, shop) as queue:
        durable = DurableWorkflow(shop, client=client, task_queue=queue)
        result = await durable.run(checkpoint_id=latest.checkpoint_id, checkpoint_storage=storage)
        assert len(result.get_request_info_events()) == 1


async def test_a_copy_that_was_edited_is_somebodys_own(client: Client) -> None:
    """The facade gives it an id of its own, so that history's is not mistaken for it."""
    storage = InMemoryCheckpointStorage()
    async with worker(client, shop) as queue:
        durable = DurableWorkflow(shop, client=client, task_queue=queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=checkpoint, checkpoint_storage=storage)
        held = await storage.load(checkpoint.checkpoint_id or "")
        await storage.save(dataclasses.replace(held, state={**held.state, "orders": 41}))
        edited = durable.checkpoint()
        result = await durable.run(
            responses=_APPROVED, checkpoint_id=checkpoint.checkpoint_id, checkpoint_storage=storage, checkpoint=edited
        )
        assert result.get_outputs() == ["pen approved by ada, order 41"]
        (first, *_) = await durable.checkpoints(edited)
        assert first.previous_checkpoint_id not in (None, checkpoint.checkpoint_id)
        result = await durable.run(responses=_APPROVED, checkpoint=checkpoint)
        assert result.get_outputs() == ["pen approved by ada, order 1"]


async def test_what_only_the_worker_can_tell(client: Client) -> None:
    async with worker(client, shop) as queue:
        durable, victim, _ = await _victim(client, queue)
        await durable.run(responses=_APPROVED, checkpoint=victim)
        hosted = await define(shop)
        ended = await client.get_workflow_handle(victim.thread_id).result()
        base = CheckpointRef.model_validate(ended["checkpoint"])
        good = _start(base=base, graph_hash=hosted.graph_hash, next_offset=ended["next_offset"])
        wrong = {
            "options.executors": {"options": RunOptions(executors={"nobody": ExecutorRule(max_attempts=5)})},
            "next_offset": {"next_offset": ended["next_offset"] - 1},
            "graph_hash": {"graph_hash": "0" * 64},
            "base": {"base": base.model_copy(update={"digest": "0" * 32})},
        }
        for field, fields in wrong.items():
            start = good.model_copy(update=fields)
            _, status, message = await started(client, queue, start, victim.thread_id)
            assert status == _FAILED
            assert f"The run cannot start: `{field}`" in message
        # None of them is part of the thread.
        await durable.run(Order(item="ink"), checkpoint=victim)
        refused = {"approve-ink": Decision(approved=False)}
        assert (await durable.run(responses=refused, checkpoint=victim)).get_outputs() == [
            "ink refused by nobody, order 2"
        ]
        infos = await durable.checkpoints(victim.thread_id)
        assert [info.superstep for info in infos] == [0, 1, 1, 2] * 2


async def test_a_thread_that_has_nothing_but_a_refused_start_says_why(client: Client) -> None:
    async with worker(client, shop) as queue:
        thread, _, _ = await started(client, queue, _start(next_offset=-1))
        durable = DurableWorkflow(shop, client=client, task_queue=queue)
        with pytest.raises(StartRefusedError, match="The run cannot start: `next_offset`"):
            await durable.run(checkpoint=durable.checkpoint(thread))
        # And begins with a message, like any other.
        begun = durable.checkpoint(thread)
        assert len((await durable.run(Order(item="pen"), checkpoint=begun)).get_request_info_events()) == 1
        assert begun.offset > 0


async def test_a_refused_run_does_not_pause(client: Client) -> None:
    options = RunOptions(pause_on_failure=True, executors={"nobody": ExecutorRule(max_attempts=5)})
    async with worker(client, shop) as queue:
        _, status, message = await started(client, queue, _start(options=options))
    assert (status, "`options.executors`" in message) == (_FAILED, True)
