"""Events, errors and their texts where a caller brings a checkpoint or answers nothing: those of the framework."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from agent_framework import InMemoryCheckpointStorage, Workflow, WorkflowCheckpoint, WorkflowException
from agent_framework_temporal import AlreadyRunningError, DurableWorkflow, GraphChangedError
from temporalio.client import Client

from tests.flows import Decision, Order, chain, echo, shop
from tests.support import worker

_YES = Decision(approved=True)
_PEN, _INK = Order(item="pen"), Order(item="ink")


async def _seen(runner: Workflow | DurableWorkflow, **arguments: Any) -> tuple[list[Any], str]:
    """Return what a caller of the stream is given, and the error it ends with."""
    events: list[Any] = []
    try:
        async for event in runner.run(stream=True, **arguments):
            state = event.state.name if event.state is not None else None
            events.append((event.type, state, event.request_id if event.type == "request_info" else None))
    except Exception as error:
        return events, f"{type(error).__name__}: {error}"
    return events, ""


async def _checkpoints(storage: InMemoryCheckpointStorage) -> tuple[WorkflowCheckpoint, WorkflowCheckpoint]:
    """Return the one that waits for both and the last, which is idle, of a thread that ran in process."""
    local = shop()
    await local.run([_PEN, _INK], checkpoint_storage=storage)
    waiting = await storage.get_latest(workflow_name="shop")
    await local.run(responses={"approve-pen": _YES, "approve-ink": _YES}, checkpoint_storage=storage)
    idle = await storage.get_latest(workflow_name="shop")
    assert waiting is not None and idle is not None
    return waiting, idle


@pytest.mark.parametrize("cache_bytes", [0, 10_000_000])
async def test_events_of_a_restore(client: Client, cache_bytes: int) -> None:
    storage = InMemoryCheckpointStorage()
    waiting, idle = await _checkpoints(storage)
    answers: list[tuple[WorkflowCheckpoint, Any]] = [
        (waiting, {"approve-pen": _YES, "approve-ink": _YES}),
        (waiting, {"approve-pen": _YES}),
        (waiting, {"approve-ink": _YES}),
        (waiting, None),
        (waiting, {}),
        (idle, None),
        (idle, {"approve-pen": _YES}),
    ]
    async with worker(client, shop, cache_bytes=cache_bytes) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        for checkpoint, responses in answers:
            arguments = {"checkpoint_id": checkpoint.checkpoint_id, "responses": responses}
            expected = await _seen(shop(), checkpoint_storage=storage, **arguments)
            thread = durable.checkpoint()
            found = await _seen(durable, checkpoint_storage=storage, checkpoint=thread, **arguments)
            assert found == expected, responses
            assert durable.status.name == (expected[0][-1][1] or "")


async def test_events_of_a_fork_from_history(client: Client) -> None:
    storage = InMemoryCheckpointStorage()
    waiting, _ = await _checkpoints(storage)
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        original = durable.checkpoint()
        await durable.run([_PEN, _INK], checkpoint=original)
        for responses in ({"approve-pen": _YES}, {"approve-ink": _YES}, None, {}):
            expected = await _seen(
                shop(), checkpoint_id=waiting.checkpoint_id, checkpoint_storage=storage, responses=responses
            )
            found = await _seen(
                durable,
                checkpoint_id=original.checkpoint_id,
                responses=responses,
                checkpoint=durable.checkpoint(),
            )
            assert found == expected, responses
        # What follows in the fork tells of nothing twice.
        fork = durable.checkpoint()
        await durable.run(checkpoint_id=original.checkpoint_id, responses={"approve-pen": _YES}, checkpoint=fork)
        events, _ = await _seen(durable, responses={"approve-ink": _YES}, checkpoint=fork)
        assert [state for kind, state, _ in events if kind == "status"] == ["IN_PROGRESS", "IDLE"]


async def test_answering_nothing(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        local = shop()
        for runner in (local, durable):  # A new thread, and one that is idle.
            assert await _seen(runner, responses={}) == (
                [],
                "RuntimeError: No pending requests found in workflow context.",
            )
            await runner.run(_PEN)
            await runner.run(responses={"approve-pen": _YES})
            assert (await _seen(runner, responses={}))[1].endswith("No pending requests found in workflow context.")
        storage = InMemoryCheckpointStorage()
        _, idle = await _checkpoints(storage)
        found = await _seen(
            durable,
            checkpoint_id=idle.checkpoint_id,
            checkpoint_storage=storage,
            responses={},
            checkpoint=durable.checkpoint(),
        )
        assert found[1] == "RuntimeError: No pending requests found in workflow context."


async def test_texts_contain_the_frameworks_own(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTS_DELAY", "0.3")
    local = chain()
    first = local.run("a", stream=True)
    with pytest.raises(WorkflowException) as theirs:
        local.run("b")
    running = str(theirs.value)
    async for _ in first:
        pass
    storage = InMemoryCheckpointStorage()
    waiting, _ = await _checkpoints(storage)
    changed = (await _seen(echo(), checkpoint_id=waiting.checkpoint_id, checkpoint_storage=storage))[1]

    async with worker(client, chain, echo, shop) as task_queue:
        durable = DurableWorkflow(chain, client=client, task_queue=task_queue)
        thread = durable.checkpoint()
        stream = durable.run_stream("a", checkpoint=thread)
        await anext(aiter(stream))
        other = DurableWorkflow(chain, client=client, task_queue=task_queue)
        with pytest.raises(AlreadyRunningError) as mine:
            durable.run("b", checkpoint=thread)
        with pytest.raises(AlreadyRunningError) as others:
            await other.run("b", checkpoint=other.checkpoint(thread.thread_id))
        assert running in str(mine.value)
        assert running in str(others.value)
        assert isinstance(mine.value, WorkflowException)

        wrong = DurableWorkflow(echo, client=client, task_queue=task_queue)
        with pytest.raises(GraphChangedError) as graph:
            await wrong.run(checkpoint_id=waiting.checkpoint_id, checkpoint_storage=storage)
        assert changed.partition(": ")[2] in str(graph.value)


async def test_the_warning_is_the_callers(client: Client, caplog: pytest.LogCaptureFixture) -> None:
    """Of a thread that has failed as well, where requests of before are pending; never of the worker's own runs."""
    async with worker(client, shop, cache_bytes=0, max_cached_workflows=0) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue, max_attempts=1)
        thread = durable.checkpoint()
        await durable.run(_PEN, checkpoint=thread)
        with pytest.raises(RuntimeError, match="cannot handle input"):
            await durable.run(7, checkpoint=thread)
        caplog.clear()
        with caplog.at_level(logging.WARNING):
            await durable.run(_INK, checkpoint=thread)
            await durable.run(responses={"approve-pen": _YES, "approve-ink": _YES}, checkpoint=thread)
            await durable.run(_PEN, checkpoint=thread)
        told = [record.getMessage() for record in caplog.records if "are still pending" in record.getMessage()]
        assert len(told) == 1
        assert "while 1 request_info event(s) are still pending" in told[0]
