"""Histories that are gone, by retention or by hand: what is lost with them, and what is not."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from agent_framework import InMemoryCheckpointStorage
from agent_framework_temporal import (
    CheckpointNotFoundError,
    HistoryCheckpointStorage,
    ThreadNotFoundError,
)
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DeleteWorkflowExecutionRequest
from temporalio.client import Client
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from tests.checkpoints._threads import (
    approved,
    continued_while_waiting,
    durable_chain,
    durable_echo,
    durable_shop,
    waiting,
)
from tests.conftest import temporal_binary
from tests.flows import chain, echo, shop
from tests.support import worker

_PROMPT = [
    "history.transferProcessorUpdateAckInterval",
    "history.visibilityProcessorUpdateAckInterval",
]
"""A server deletes a run only after these, 30 seconds each by default."""


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[Client]:
    """Return a client of a server that deletes promptly."""
    arguments = [part for name in _PROMPT for part in ("--dynamic-config-value", f'{name}="300ms"')]
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal_binary(), dev_server_log_level="error", dev_server_extra_args=arguments
    )
    async with environment:
        yield environment.client


async def delete(client: Client, thread_id: str, run_id: str | None = None) -> None:
    """Delete a run of a thread, by default the latest, and wait until it is gone."""
    run_id = run_id or (await client.get_workflow_handle(thread_id).describe()).run_id
    await client.workflow_service.delete_workflow_execution(
        DeleteWorkflowExecutionRequest(
            namespace=client.namespace, workflow_execution=WorkflowExecution(workflow_id=thread_id, run_id=run_id)
        )
    )
    with pytest.raises(RPCError, match="not found"):
        while True:
            await client.get_workflow_handle(thread_id, run_id=run_id).describe()
            await asyncio.sleep(0.1)


async def test_the_run_that_made_it(client: Client) -> None:
    async with worker(client, chain) as task_queue:
        durable = durable_chain(client, task_queue)
        await durable.run("a")
        infos = await durable.checkpoints()
        middle = infos[2].checkpoint_id
        mirror = InMemoryCheckpointStorage()
        await mirror.save(await HistoryCheckpointStorage(client, chain).load(middle))
        await delete(client, infos[0].thread_id)
        # To a facade that has seen the run, and to one that has not.
        with pytest.raises(CheckpointNotFoundError, match=r"(is not available|no longer available)"):
            await durable.run(checkpoint_id=middle, checkpoint=durable.checkpoint())
        another = durable_chain(client, task_queue)
        with pytest.raises(
            CheckpointNotFoundError, match=r"(is not available|no longer available).*checkpoint_storage="
        ):
            await another.run(checkpoint_id=middle)
        with pytest.raises(CheckpointNotFoundError):
            await HistoryCheckpointStorage(client, chain).load(middle)
        with pytest.raises(ThreadNotFoundError, match="was deleted"):
            await durable.checkpoints(infos[0].thread_id)
        result = await durable.run(checkpoint_id=middle, checkpoint_storage=mirror, checkpoint=durable.checkpoint())
        assert result.get_outputs() == ["a>first>second>third done"]


async def test_a_fork_outlives_what_it_was_forked_from(client: Client) -> None:
    async with worker(client, shop, cache_bytes=0) as task_queue:
        durable = durable_shop(client, task_queue)
        original = await waiting(durable)
        forked = durable.checkpoint()
        await durable.run(checkpoint_id=original.checkpoint_id, checkpoint=forked)
        await delete(client, original.thread_id)
        result = await durable.run(responses=approved(), checkpoint=forked)
        assert result.get_outputs() == ["pen approved by ada, order 1"]
        infos = await durable.checkpoints(forked)
        assert infos[0].previous_checkpoint_id == original.checkpoint_id
        storage = HistoryCheckpointStorage(client, shop)
        assert [(await storage.load(info.checkpoint_id)).state["orders"] for info in infos] == [1, 1, 1]


async def test_an_earlier_run_of_the_thread(client: Client) -> None:
    async with worker(client, echo, cache_bytes=0) as task_queue:
        durable = durable_echo(client, task_queue)
        for text in ("one", "two", "three"):
            await durable.run(text)
        infos = await durable.checkpoints()
        await delete(client, infos[0].thread_id, infos[2].run_id)
        # What came before cannot be reached through it any more, but by its id.
        assert await durable.checkpoints() == infos[4:]
        assert (await durable.run("four")).get_outputs() == ["four 4"]
        storage = HistoryCheckpointStorage(client, echo)
        assert (await storage.load(infos[1].checkpoint_id)).state["count"] == 1
        with pytest.raises(CheckpointNotFoundError):
            await storage.load(infos[3].checkpoint_id)


async def test_what_a_later_run_has_stored_once_more(client: Client) -> None:
    async with worker(client, shop, cache_bytes=0) as task_queue:
        durable = durable_shop(client, task_queue)
        checkpoint = await continued_while_waiting(client, task_queue)
        infos = await durable.checkpoints(checkpoint.thread_id)
        await delete(client, checkpoint.thread_id, infos[-1].run_id)
        kept = await durable.checkpoints(checkpoint.thread_id)
        assert [info.checkpoint_id for info in kept] == [infos[-1].checkpoint_id]
        assert kept[0].run_id != infos[-1].run_id
        storage = HistoryCheckpointStorage(client, shop, checkpoint=checkpoint)
        latest = await storage.get_latest(workflow_name="shop")
        assert latest is not None
        assert latest.checkpoint_id == kept[0].checkpoint_id
        result = await durable.run(responses=approved(), checkpoint=checkpoint)
        assert result.get_outputs() == ["pen approved by ada, order 1"]
