"""Threads and workflows on one worker: what one does, the others do not see."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any, Never

import pytest
from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, executor, handler
from agent_framework_temporal import DurableWorkflow
from temporalio.client import Client

from tests.support import worker


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


async def test_synchronous_executor_does_not_hold_up_others(client: Client) -> None:
    async with worker(client, block, red) as task_queue:
        blocked = asyncio.ensure_future(DurableWorkflow(block, client=client, task_queue=task_queue).run("4"))
        await asyncio.sleep(0.5)
        begun = time.monotonic()
        await DurableWorkflow(red, client=client, task_queue=task_queue).run("r-3")
        assert time.monotonic() - begun < 3
        assert not blocked.done()
        await blocked
