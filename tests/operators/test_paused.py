"""`temporal workflow pause`: who follows waits, who calls is told, and the thread goes on where it stood."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from agent_framework import WorkflowRunState
from agent_framework_temporal import (
    AlreadyRunningError,
    Checkpoint,
    DurableWorkflow,
    HistoryCheckpointStorage,
    ThreadInfo,
    ThreadPausedError,
    threads,
    waiting_requests,
)
from temporalio.client import Client

from tests.flows import Decision, Order, chain, shop
from tests.operators.conftest import Temporal
from tests.support import worker

_PAUSED = r"is paused by temporal-cli:.*: a test\. .*`temporal workflow unpause --workflow-id"


async def _pause(temporal: Temporal, thread_id: str) -> None:
    await temporal("workflow", "pause", "-w", thread_id, "--reason", "a test")


async def _unpause(temporal: Temporal, thread_id: str) -> None:
    await temporal("workflow", "unpause", "-w", thread_id, "--reason", "a test")


_CALLS: dict[str, Callable[[DurableWorkflow, Checkpoint], Awaitable[Any]]] = {
    "message": lambda durable, checkpoint: durable.run(Order(item="ink"), checkpoint=checkpoint),
    "responses": lambda durable, checkpoint: durable.run(
        responses={"approve-pen": Decision(approved=True)}, checkpoint=checkpoint
    ),
    "cancel_pending_requests": lambda durable, checkpoint: durable.cancel_pending_requests(
        ["approve-pen"], checkpoint=checkpoint
    ),
    "pending_requests": lambda durable, checkpoint: durable.pending_requests(checkpoint),
    "retry": lambda durable, checkpoint: durable.retry(checkpoint),
}


async def test_calls_are_refused_by_name(client: Client, temporal: Temporal) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=checkpoint)
        await _pause(temporal, checkpoint.thread_id)
        for call in _CALLS.values():
            with pytest.raises(ThreadPausedError, match=_PAUSED):
                await call(durable, checkpoint)
        assert issubclass(ThreadPausedError, AlreadyRunningError)
        await _unpause(temporal, checkpoint.thread_id)
        result = await durable.run(responses={"approve-pen": Decision(approved=True)}, checkpoint=checkpoint)
        assert result.get_outputs() == ["pen approved by nobody, order 1"]


async def test_what_needs_no_worker_works(client: Client, temporal: Temporal) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=checkpoint)
        await _pause(temporal, checkpoint.thread_id)
        infos = await durable.checkpoints(checkpoint)
        assert len(infos) == 2
        other = DurableWorkflow(shop, client=client, task_queue=task_queue)
        for handle in (checkpoint, other.checkpoint(checkpoint.thread_id)):
            seen = await other.run(checkpoint=handle)
            assert [event.request_id for event in seen.get_request_info_events()] == ["approve-pen"]
            assert seen.get_final_state() == WorkflowRunState.IDLE_WITH_PENDING_REQUESTS
        storage = HistoryCheckpointStorage(client, shop)
        assert set(await storage.list_checkpoint_ids(workflow_name="shop")) >= {info.checkpoint_id for info in infos}
        # Another facade finds its run by a visibility query, and forks it.
        fork = await other.run(checkpoint_id=infos[-1].checkpoint_id, checkpoint=other.checkpoint())
        assert fork.get_final_state() == WorkflowRunState.IDLE_WITH_PENDING_REQUESTS
        assert checkpoint.thread_id not in [request.thread_id async for request in waiting_requests(client)]
        await durable.cancel(checkpoint)
        await _unpause(temporal, checkpoint.thread_id)


async def test_reader_waits_and_goes_on(client: Client, temporal: Temporal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTS_DELAY", "0.3")
    async with worker(client, chain) as task_queue:
        durable = DurableWorkflow(chain, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        running = asyncio.ensure_future(durable.run("a", checkpoint=checkpoint))
        while checkpoint.offset < 4:
            await asyncio.sleep(0.05)
        await _pause(temporal, checkpoint.thread_id)
        # One who comes while it is paused, and one who was there.
        late = asyncio.ensure_future(
            DurableWorkflow(chain, client=client, task_queue=task_queue).run(
                checkpoint=durable.checkpoint(checkpoint.thread_id)
            )
        )
        done, _ = await asyncio.wait({running, late}, timeout=3)
        assert not done
        await _unpause(temporal, checkpoint.thread_id)
        for task in (running, late):
            assert (await task).get_outputs() == ["a>first>second>third done"]


async def test_commands_say_so(client: Client, temporal: Temporal) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=checkpoint)
        await _pause(temporal, checkpoint.thread_id)

        async def command(*words: str) -> tuple[int | None, str]:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "agent_framework_temporal.adapter.cli", *words),
                *("--address", client.service_client.config.target_host),
                stdout=PIPE,
                stderr=PIPE,
            )
            out, errors = await process.communicate()
            return process.returncode, " ".join((out + errors).decode().split())

        code, said = await command("status", checkpoint.thread_id)
        assert (code, "paused by an operator" in said) == (0, True)
        assert "temporal workflow unpause" in said
        code, said = await command("respond", checkpoint.thread_id, "approve-pen", "--data", '{"approved": true}')
        assert (code, "is paused by" in said) == (8, True)
        code, said = await command("cancel", checkpoint.thread_id, "--request", "approve-pen")
        assert (code, "is paused by" in said) == (8, True)
        code, said = await command("stream", checkpoint.thread_id)
        assert (code, "asks, request approve-pen" in said) == (0, True)


async def test_a_paused_thread_is_listed_as_such(client: Client, temporal: Temporal) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint(tags=["listed-as-paused"])
        await durable.run(Order(item="pen"), checkpoint=checkpoint)
        await _pause(temporal, checkpoint.thread_id)
        found: list[ThreadInfo] = []
        async with asyncio.timeout(50):
            while not found or found[0].state != "paused":
                found = [info async for info in threads(client, state="open", tags=["listed-as-paused"])]
        assert (found[0].thread_id, found[0].is_open, len(found)) == (checkpoint.thread_id, True, 1)
        assert [info async for info in threads(client, state="failed", tags=["listed-as-paused"])] == []
        await _unpause(temporal, checkpoint.thread_id)
