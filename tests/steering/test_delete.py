"""Threads are deleted with all their runs, one or many; what runs or waits only when that is said."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import pytest
from agent_framework import InMemoryCheckpointStorage
from agent_framework_temporal import (
    AlreadyRunningError,
    DurableWorkflow,
    ThreadNotFoundError,
    delete_threads,
    register_search_attributes,
    threads,
)
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from tests.cli._commands import Commands
from tests.conftest import temporal_binary
from tests.flows import Decision, Order, countdown, echo, shop
from tests.support import unique, worker

_PROMPT = ("history.transferProcessorUpdateAckInterval", "history.visibilityProcessorUpdateAckInterval")
"""A server deletes a run only after these, 30 seconds each by default."""


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[Client]:
    """Return a client of a server that deletes promptly, and knows our search attributes."""
    arguments = [part for name in _PROMPT for part in ("--dynamic-config-value", f'{name}="300ms"')]
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal_binary(), dev_server_log_level="error", dev_server_extra_args=arguments
    )
    async with environment:
        await register_search_attributes(environment.client)
        yield environment.client


async def _gone(client: Client, thread_id: str, runs: set[str]) -> None:
    """Wait until none of a thread's runs is there."""
    async with asyncio.timeout(60):
        for run_id in runs:
            with pytest.raises(RPCError, match="not found"):
                while True:
                    await client.get_workflow_handle(thread_id, run_id=run_id).describe()
                    await asyncio.sleep(0.1)
        while [run async for run in client.list_workflows(f"WorkflowId = '{thread_id}'")]:
            await asyncio.sleep(0.1)


async def test_one_thread_with_all_its_runs(client: Client) -> None:
    async with worker(client, countdown, echo) as queue:
        durable = DurableWorkflow(countdown, client=client, task_queue=queue, supersteps_per_run=2)
        thread = durable.checkpoint()
        await durable.run(5, checkpoint=thread)
        await durable.run(3, checkpoint=thread)
        runs = {info.run_id for info in await durable.checkpoints(thread)}
        kept = durable.checkpoint()
        await durable.run(1, checkpoint=kept)
        with pytest.raises(ThreadNotFoundError, match="belongs to workflow"):
            await DurableWorkflow(echo, client=client, task_queue=queue).delete(thread.thread_id)
        copies = InMemoryCheckpointStorage()
        await durable.copy_checkpoints(copies, thread)
        mirrored = len(await copies.list_checkpoint_ids(workflow_name="countdown"))

        # At once: the server does not list the last runs yet.
        assert await durable.delete(thread) >= len(runs) >= 4
        await _gone(client, thread.thread_id, runs)
        with pytest.raises(ThreadNotFoundError):
            await durable.delete(thread)
        with pytest.raises(ThreadNotFoundError):
            await durable.checkpoints(thread)
        assert await durable.checkpoints(kept)
        assert len(await copies.list_checkpoint_ids(workflow_name="countdown")) == mirrored > 0
        # Its id is free again.
        assert (await durable.run(1, checkpoint=thread.thread_id)).get_outputs() == ["1 left", "0 left"]


async def test_what_is_open_is_not_deleted_unless_that_is_said(client: Client) -> None:
    async with worker(client, shop) as queue:
        durable = DurableWorkflow(shop, client=client, task_queue=queue)
        thread = durable.checkpoint()
        await durable.run(Order(item="kettle"), checkpoint=thread)
        with pytest.raises(AlreadyRunningError, match="terminate=True"):
            await durable.delete(thread)
        assert len(await durable.pending_requests(thread)) == 1
        assert await durable.delete(thread, terminate=True) == 1
        await _gone(client, thread.thread_id, {str(thread.run_id)})


async def test_by_query(client: Client) -> None:
    tag = unique("tag")
    async with worker(client, shop, echo) as queue:
        shops = DurableWorkflow(shop, client=client, task_queue=queue)
        echoes = DurableWorkflow(echo, client=client, task_queue=queue)
        waits = shops.checkpoint(tags=[tag])
        await shops.run(Order(item="kettle"), checkpoint=waits)
        idle = [echoes.checkpoint(tags=[tag]) for _ in range(3)]
        for thread in idle:
            await echoes.run("a", checkpoint=thread)
        other = echoes.checkpoint()
        await echoes.run("other", checkpoint=other)
        async with asyncio.timeout(50):
            while len([info async for info in threads(client, tags=[tag], state="idle")]) != 3:
                await asyncio.sleep(0.1)

        none = [info async for info in delete_threads(client, tags=[tag], older_than=timedelta(hours=1), dry_run=False)]
        assert none == []
        dry = {info.thread_id async for info in delete_threads(client, tags=[tag])}
        assert dry == {thread.thread_id for thread in idle}
        assert all([await echoes.checkpoints(thread) for thread in idle])

        # One goes on after it was listed: it is left as it is.
        deleting = delete_threads(client, tags=[tag], dry_run=False)
        first = await anext(deleting)
        left = next(thread for thread in idle if thread.thread_id != first.thread_id)
        await echoes.run("more", checkpoint=left)
        deleted = {first.thread_id, *[info.thread_id async for info in deleting]}
        assert deleted == {thread.thread_id for thread in idle} - {left.thread_id}
        assert len(await echoes.checkpoints(left)) == 4
        assert await echoes.checkpoints(other)
        assert await shops.pending_requests(waits)
        open_too = [
            info.thread_id async for info in delete_threads(client, tags=[tag], state="waiting", terminate=True)
        ]
        assert open_too == [waits.thread_id]
        assert await shops.run(responses={"approve-kettle": Decision(approved=True)}, checkpoint=waits)


async def test_the_command(client: Client) -> None:
    cli = Commands(client.service_client.config.target_host)
    tag = unique("tag")
    async with worker(client, shop, echo) as queue:
        shops = DurableWorkflow(shop, client=client, task_queue=queue)
        echoes = DurableWorkflow(echo, client=client, task_queue=queue)
        waits, idle = shops.checkpoint(unique("w")), echoes.checkpoint(unique("i"), tags=[tag])
        await shops.run(Order(item="kettle"), checkpoint=waits)
        await echoes.run("a", checkpoint=idle)
        async with asyncio.timeout(50):
            while not [info async for info in threads(client, tags=[tag], state="idle")]:
                await asyncio.sleep(0.1)

        assert "say which threads" in (await cli("threads", "delete", code=2)).err
        assert "say which threads" in (await cli("threads", "delete", "x", "--state", "idle", code=2)).err
        dry = await cli("threads", "delete", "--tag", tag, "--older-than", "1ms")
        assert idle.thread_id in dry.out
        assert "Nothing was deleted: with --yes, 1 thread would be" in " ".join(dry.out.split())
        assert "mirror or external storage" in " ".join(dry.out.split())
        named = await cli("threads", "delete", idle.thread_id, "--json")
        assert (named.json["deleted"], named.json["threads"][0]["thread_id"]) == (False, idle.thread_id)
        assert await echoes.checkpoints(idle)
        refused = await cli("threads", "delete", waits.thread_id, "--yes", code=8)
        assert f"agent-framework-temporal cancel {waits.thread_id}" in refused.err
        done = await cli("threads", "delete", "--tag", tag, "--state", "idle", "--yes", "--json")
        assert (done.json["deleted"], len(done.json["threads"])) == (True, 1)
        await _gone(client, idle.thread_id, {str(idle.run_id)})
        assert "Deleted 1 thread." in (await cli("threads", "delete", waits.thread_id, "--terminate", "-y")).out
        await _gone(client, waits.thread_id, {str(waits.run_id)})
        await cli("threads", "delete", waits.thread_id, "--yes", code=7)
