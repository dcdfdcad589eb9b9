"""Threads and workflows on one worker: what one does, the others do not see."""

from __future__ import annotations

import asyncio
import dataclasses
import time
from collections.abc import Callable
from typing import Any, Never

import pytest
from agent_framework import (
    Executor,
    InMemoryCheckpointStorage,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    executor,
    handler,
)
from agent_framework_temporal import AgentFrameworkPlugin, DurableWorkflow
from google.protobuf.duration_pb2 import Duration
from temporalio.api.workflowservice.v1 import RegisterNamespaceRequest
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError
from temporalio.worker import Worker

from tests.facade._forged import framed, load, started
from tests.flows import Decision, Order, shop
from tests.support import unique, worker


class Remembering(Executor):
    """Keeps what it is told, in its checkpoint, in the shared state and in an attribute that no checkpoint holds."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._heard: list[str] = []
        self.unsaved: list[str] = []

    @handler
    async def hear(self, text: str, ctx: WorkflowContext[str, str]) -> None:
        self._heard.append(text)
        ctx.set_state("heard", [*ctx.get_state("heard", []), text])
        await asyncio.sleep(0.01)  # Others run meanwhile.
        owners = {word.split("-")[0] for word in [*self._heard, *ctx.get_state("heard")]}
        await ctx.yield_output(f"{self.id} {text} {len(self._heard)} {' '.join(sorted(owners))}")
        number = int(text.split("-")[1])
        if number:
            await ctx.send_message(f"{text.split('-')[0]}-{number - 1}")

    async def on_checkpoint_save(self) -> dict[str, Any]:
        return {"heard": list(self._heard)}

    async def on_checkpoint_restore(self, state: dict[str, Any]) -> None:
        self._heard = list(state["heard"])


def _pair(name: str) -> Workflow:
    ping, pong = Remembering(id="ping"), Remembering(id="pong")
    builder = WorkflowBuilder(name=name, start_executor=ping)
    return builder.add_edge(ping, pong).add_edge(pong, ping).build()


def red() -> Workflow:
    return _pair("isolated-red")


def blue() -> Workflow:
    return _pair("isolated-blue")


class Noting(Executor):
    """Keeps the last text where no checkpoint does."""

    last = "nothing"

    @handler
    async def note(self, text: str, ctx: WorkflowContext[Never, str]) -> None:
        await ctx.yield_output(f"{text}: {self.last}")
        self.last = text


def noted() -> Workflow:
    return WorkflowBuilder(name="isolated-noted", start_executor=Noting(id="noting")).build()


@executor(id="blocking")
def blocking(text: str, ctx: WorkflowContext[Never, str]) -> None:
    """Block its thread, as a synchronous client would."""
    time.sleep(float(text))


def block() -> Workflow:
    return WorkflowBuilder(name="isolated-blocking", start_executor=blocking).build()


@pytest.mark.parametrize("cache_bytes", [0, 1_000_000, 200_000], ids=["uncached", "cached", "crowded"])
async def test_threads_and_workflows_share_nothing(cache_bytes: int, client: Client) -> None:
    """Workflows with the same executors, many threads each, all at once on one worker, two messages each."""
    shared = _pair("isolated-shared")  # One instance for all threads, reset for each.
    entries: list[tuple[str, Workflow | Callable[[], Workflow]]] = [("r", red), ("b", blue), ("s", shared)]
    async with worker(client, red, blue, shared, cache_bytes=cache_bytes) as task_queue:

        async def talk(mark: str, entry: Workflow | Callable[[], Workflow], number: int) -> None:
            durable = DurableWorkflow(entry, client=client, task_queue=task_queue)
            owner = f"{mark}{number}"
            for turn in (1, 2):
                outputs = (await durable.run(f"{owner}-3")).get_outputs()
                # Each of both executors has heard two words a turn, and all of them of its own thread.
                assert [output.split()[3:] for output in outputs] == [[owner]] * 4, outputs
                assert [int(output.split()[2]) for output in outputs] == [
                    2 * turn - 1,
                    2 * turn - 1,
                    2 * turn,
                    2 * turn,
                ]

        await asyncio.gather(*(talk(mark, entry, number) for mark, entry in entries for number in range(6)))


@pytest.fixture
async def elsewhere(client: Client) -> Client:
    """A client of another namespace of the same server."""
    namespace = unique("namespace")
    await client.workflow_service.register_namespace(
        RegisterNamespaceRequest(namespace=namespace, workflow_execution_retention_period=Duration(seconds=24 * 3600))
    )
    found = await Client.connect(client.service_client.config.target_host, namespace=namespace)
    async with asyncio.timeout(50):
        while True:
            try:
                await found.get_workflow_handle("none").describe()
            except RPCError as error:
                if "Namespace" not in error.message:
                    return found
            await asyncio.sleep(0.2)


@pytest.mark.parametrize("cache_bytes", [0, 10_000_000], ids=["uncached", "cached"])
async def test_namespaces_share_nothing(cache_bytes: int, client: Client, elsewhere: Client) -> None:
    """One process serves two with one plugin: threads of the same id, and a checkpoint that claims another's."""
    plugin = AgentFrameworkPlugin(
        [red, shop], cache_bytes=cache_bytes, mirrors={"archive": InMemoryCheckpointStorage()}
    )
    queue, thread_id = unique("queue"), unique("thread")
    async with (
        Worker(client, task_queue=queue, plugins=[plugin]),
        Worker(elsewhere, task_queue=queue, plugins=[plugin]),
    ):

        async def talk(there: Client, mark: str) -> None:
            durable = DurableWorkflow(red, client=there, task_queue=queue, mirror="archive")
            for number in range(6):
                for turn in (1, 2):
                    handle = durable.checkpoint(f"{thread_id}-{number}")
                    outputs = (await durable.run(f"{mark}{number}-1", checkpoint=handle)).get_outputs()
                    assert [output.split()[2:] for output in outputs] == [[str(turn), f"{mark}{number}"]] * 2

        await asyncio.gather(talk(client, "a"), talk(elsewhere, "b"))

        durable = DurableWorkflow(shop, client=client, task_queue=queue)
        victim = durable.checkpoint(thread_id)
        await durable.run(Order(item="pen"), checkpoint=victim)
        checkpoint = await load(client, shop, victim.checkpoint_id or "")
        evil = dataclasses.replace(checkpoint, state={**checkpoint.state, "orders": 666})
        _, status, _ = await started(elsewhere, queue, await framed(shop, evil, thread_id), thread_id)
        assert status == WorkflowExecutionStatus.RUNNING
        for there, order in ((elsewhere, 666), (client, 1)):
            durable = DurableWorkflow(shop, client=there, task_queue=queue)
            answer = {"approve-pen": Decision(approved=True, by="ada")}
            result = await durable.run(responses=answer, checkpoint=durable.checkpoint(thread_id))
            assert result.get_outputs() == [f"pen approved by ada, order {order}"]


async def test_a_fork_sees_nothing_that_no_checkpoint_holds(client: Client) -> None:
    """The warm instance stays its thread's: what an executor has not saved does not get from thread to thread."""
    async with worker(client, noted) as queue:
        durable = DurableWorkflow(noted, client=client, task_queue=queue)
        first = durable.checkpoint()
        assert (await durable.run("a", checkpoint=first)).get_outputs() == ["a: nothing"]
        forked = durable.checkpoint()
        await durable.run(checkpoint_id=first.checkpoint_id, checkpoint=forked)
        assert (await durable.run("b", checkpoint=forked)).get_outputs() == ["b: nothing"]
        assert (await durable.run("c", checkpoint=first)).get_outputs() == ["c: a"]


async def test_synchronous_executor_does_not_hold_up_others(client: Client) -> None:
    async with worker(client, block, red) as task_queue:
        blocked = asyncio.ensure_future(DurableWorkflow(block, client=client, task_queue=task_queue).run("4"))
        await asyncio.sleep(0.5)
        begun = time.monotonic()
        await DurableWorkflow(red, client=client, task_queue=task_queue).run("r-3")
        assert time.monotonic() - begun < 3
        assert not blocked.done()
        await blocked
