"""Checkpoints that cannot be gone on from: each its own error, raised before anything runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import pytest
from agent_framework import InMemoryCheckpointStorage, Workflow, WorkflowBuilder
from agent_framework_temporal import (
    CheckpointCorruptedError,
    CheckpointNotFoundError,
    DurableWorkflow,
    GraphChangedError,
    HistoryCheckpointStorage,
)
from temporalio.api.common.v1 import Payload
from temporalio.client import Client
from temporalio.converter import PayloadCodec
from temporalio.service import RPCError

from tests.checkpoints._threads import durable_chain, durable_echo, durable_shop, shorter_chain
from tests.flows import Echo, Order, chain, echo, shop
from tests.support import worker

FRAME = "agent-framework-frame"
NO_RUN = "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000"


class Damage(PayloadCodec):
    """Damages what is read."""

    def __init__(self, damage: Callable[[Payload], None]) -> None:
        self._damage = damage

    async def encode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Write as it is."""
        return list(payloads)

    async def decode(self, payloads: Sequence[Payload]) -> list[Payload]:
        """Read a damaged copy."""
        read = []
        for payload in payloads:
            copy = Payload()
            copy.CopyFrom(payload)
            self._damage(copy)
            read.append(copy)
        return read


def damaging(client: Client, damage: Callable[[Payload], None]) -> Client:
    """Return a client that reads damaged payloads."""
    config: Any = client.config()
    config["data_converter"] = dataclasses.replace(client.data_converter, payload_codec=Damage(damage))
    return Client(**config)


async def refuse(
    durable: DurableWorkflow, checkpoint_id: str, error: type[Exception], match: str | None, **arguments: Any
) -> None:
    """Check that a fork is refused, and that no thread was begun for it."""
    handle = durable.checkpoint()
    with pytest.raises(error, match=match):
        await durable.run(checkpoint_id=checkpoint_id, checkpoint=handle, **arguments)
    with pytest.raises(RPCError, match="not found"):
        await durable._client.get_workflow_handle(handle.thread_id).describe()


@pytest.mark.parametrize("checkpoint_id", ["c", "", NO_RUN, f"{NO_RUN}.", f"{NO_RUN}.nothexadecim", "../../etc/passwd"])
async def test_an_id_of_another_kind(client: Client, checkpoint_id: str) -> None:
    text = r"looks like '<run id>\.<12 hexadecimal digits>'.*pass that storage too.*checkpoint_storage=\.\.\."
    await refuse(durable_echo(client, "none"), checkpoint_id, CheckpointNotFoundError, text)
    with pytest.raises(CheckpointNotFoundError, match=text):
        await HistoryCheckpointStorage(client, echo).load(checkpoint_id)


async def test_an_id_nobody_gave(client: Client) -> None:
    checkpoint_id = f"{NO_RUN}.0123456789ab"
    text = f"has a run '{NO_RUN}'.*retention.*checkpoint_storage="
    await refuse(durable_echo(client, "none"), checkpoint_id, CheckpointNotFoundError, text)
    async with worker(client, echo) as task_queue:
        durable = durable_echo(client, task_queue)
        await durable.run("one")
        run_id = (await durable.checkpoints())[0].run_id
        await refuse(durable, f"{run_id}.0123456789ab", CheckpointNotFoundError, "is not in the history of thread")


async def test_of_another_workflow(client: Client) -> None:
    async with worker(client, echo, shop) as task_queue:
        durable = durable_echo(client, task_queue)
        await durable.run("one")
        last = (await durable.checkpoints())[-1].checkpoint_id
        text = "belongs to workflow 'echo', not to 'shop'"
        await refuse(durable_shop(client, task_queue), last, CheckpointNotFoundError, text)
        named = DurableWorkflow("shop", client=client, task_queue=task_queue)
        await refuse(named, last, CheckpointNotFoundError, text)
        with pytest.raises(CheckpointNotFoundError, match=text):
            await HistoryCheckpointStorage(client, shop).load(last)


CHANGES = (
    "executor 'third' removed",
    r"executor 'second' changed from tests\.flows\.Step to tests\.flows\.Echo",
    r"edge second -> third \(SingleEdgeGroup\) removed",
    r"edge fourth -> first \(SingleEdgeGroup\) added",
)


@pytest.mark.parametrize("change", CHANGES)
async def test_of_a_graph_that_has_changed(client: Client, change: str) -> None:
    mirror = InMemoryCheckpointStorage()
    async with worker(client, chain) as task_queue:
        durable = durable_chain(client, task_queue)
        await durable.run("a", checkpoint_storage=mirror)
        infos = await durable.checkpoints()
    changed = DurableWorkflow(shorter_chain, client=client, task_queue="none")
    await refuse(changed, infos[0].checkpoint_id, GraphChangedError, change)
    await refuse(changed, infos[-1].checkpoint_id, GraphChangedError, change)
    await refuse(changed, infos[-1].checkpoint_id, GraphChangedError, change, checkpoint_storage=mirror)
    storage = HistoryCheckpointStorage(client, shorter_chain, checkpoint=infos[0].thread_id)
    with pytest.raises(GraphChangedError, match=change):
        await storage.load(infos[-1].checkpoint_id)
    # For looking at they are good.
    assert len(await storage.list_checkpoints(workflow_name="chain")) == len(infos)
    assert len(await changed.checkpoints(infos[0].thread_id)) == len(infos)


async def test_of_a_changed_graph_by_a_client_without_it(client: Client) -> None:
    """Only the worker knows the graph then; the new thread fails before anything runs."""
    async with worker(client, chain) as task_queue:
        durable = durable_chain(client, task_queue)
        await durable.run("a")
        middle = (await durable.checkpoints())[2].checkpoint_id
    async with worker(client, shorter_chain) as task_queue:
        named = DurableWorkflow("chain", client=client, task_queue=task_queue)
        with pytest.raises(GraphChangedError, match="executor 'third' removed"):
            await named.run(checkpoint_id=middle)


async def test_of_a_workflow_that_no_longer_declares_its_types(client: Client) -> None:
    """What changed is said all the same: the checkpoint is not decoded for it."""
    async with worker(client, shop) as task_queue:
        durable = durable_shop(client, task_queue)
        await durable.run(Order(item="pen"))
        last = (await durable.checkpoints())[-1]

    def changed() -> Workflow:
        return WorkflowBuilder(name="shop", start_executor=Echo(id="shop")).build()

    text = r"executor 'shop' changed from tests\.flows\.Shop to tests\.flows\.Echo"
    await refuse(
        DurableWorkflow(changed, client=client, task_queue="none"), last.checkpoint_id, GraphChangedError, text
    )
    storage = HistoryCheckpointStorage(client, changed, checkpoint=last.thread_id)
    with pytest.raises(GraphChangedError, match=text):
        await storage.load(last.checkpoint_id)
    assert isinstance(await storage.list_checkpoints(workflow_name="shop"), list)


def _flip(payload: Payload) -> None:
    """Change a byte in the middle of a frame."""
    frame = bytearray(payload.metadata.get(FRAME, b""))
    if frame:
        frame[len(frame) // 2] ^= 0xFF
        payload.metadata[FRAME] = bytes(frame)


def _cut(payload: Payload) -> None:
    if payload.metadata.get(FRAME):
        payload.metadata[FRAME] = payload.metadata[FRAME][:-20]


def _drop(payload: Payload) -> None:
    payload.metadata.pop(FRAME, None)


def _garble(payload: Payload) -> None:
    payload.data = b'{"kind": ' + payload.data[:20]


def _lie(payload: Payload) -> None:
    payload.data = payload.data.replace(b'"digest":"', b'"digest":"0')


@pytest.mark.parametrize("damage", [_flip, _cut, _drop, _garble, _lie])
async def test_damaged_in_history(client: Client, damage: Callable[[Payload], None]) -> None:
    async with worker(client, chain) as task_queue:
        durable = durable_chain(client, task_queue)
        await durable.run("a")
        middle = (await durable.checkpoints())[2].checkpoint_id
    damaged = damaging(client, damage)
    await refuse(durable_chain(damaged, "none"), middle, CheckpointCorruptedError, None)
    storage = HistoryCheckpointStorage(damaged, chain)
    with pytest.raises(CheckpointCorruptedError):
        await storage.load(middle)
    with pytest.raises(CheckpointCorruptedError):
        await chain().run(checkpoint_id=middle, checkpoint_storage=storage)


async def test_of_another_namespace(client: Client) -> None:
    """There it is not, and the error says how to bring it along."""
    async with worker(client, echo) as task_queue:
        durable = durable_echo(client, task_queue)
        await durable.run("one")
        last = (await durable.checkpoints())[-1]
    config: Any = client.config()
    config["namespace"] = "temporal-system"
    elsewhere = Client(**config)
    with pytest.raises(CheckpointNotFoundError, match="'temporal-system' has a run"):
        await HistoryCheckpointStorage(elsewhere, echo).load(last.checkpoint_id)
