"""Placed executors, and the options that are about the whole superstep: bursts, limits of time, priority."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import pytest
from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler
from agent_framework_temporal import DurableWorkflow, ExecutorPolicy
from temporalio.client import Client

from tests.support import unique, worker

_ROUNDS = 5


class Again(Executor):
    """Sends itself the same message, and knows by its own state when to end."""

    def __init__(self) -> None:
        super().__init__(id="gpu")
        self.rounds = 0

    @handler
    async def again(self, text: str, ctx: WorkflowContext[str, str]) -> None:
        self.rounds += 1
        if self.rounds < _ROUNDS:
            await ctx.send_message(text)
        else:
            await ctx.yield_output(f"{text} {self.rounds}")

    async def on_checkpoint_save(self) -> dict[str, Any]:
        return {"rounds": self.rounds}

    async def on_checkpoint_restore(self, state: dict[str, Any]) -> None:
        self.rounds = state["rounds"]


def rounds() -> Workflow:
    """Build a loop of one executor, to which each round is like the one before."""
    again = Again()
    return WorkflowBuilder(name="rounds", start_executor=again, output_from=[again]).add_edge(again, again).build()


@pytest.mark.parametrize("journal", [True, False], ids=["journal", "no-journal"])
async def test_rounds_of_a_burst_are_told_apart(journal: bool, client: Client) -> None:
    gpu = unique("gpu")
    async with worker(client, rounds) as task_queue, worker(client, rounds, task_queue=gpu):
        durable = DurableWorkflow(
            rounds,
            client=client,
            task_queue=task_queue,
            executors={"gpu": ExecutorPolicy(task_queue=gpu)},
            burst=timedelta(seconds=30),
            journal=journal,
        )
        thread = durable.checkpoint()
        result = await durable.run("round", checkpoint=thread)
        assert result.get_outputs() == [f"round {_ROUNDS}"]
        assert len(await durable.checkpoints(thread)) == _ROUNDS + 1
        assert (await client.count_activities(f"TaskQueue = '{gpu}'")).count == _ROUNDS


async def test_a_wait_for_a_worker_is_no_time_of_the_executor(client: Client) -> None:
    gpu = unique("gpu")
    limits: dict[str, Any] = {"timeout": timedelta(seconds=1), "idle_timeout": timedelta(seconds=1)}
    async with worker(client, rounds) as task_queue:
        durable = DurableWorkflow(
            rounds,
            client=client,
            task_queue=task_queue,
            executors={"gpu": ExecutorPolicy(task_queue=gpu, max_attempts=1, **limits)},
            max_attempts=1,
        )
        following = asyncio.ensure_future(durable.run("late"))
        await asyncio.sleep(2 * limits["timeout"].total_seconds())
        assert not following.done()
        async with worker(client, rounds, task_queue=gpu):
            assert (await following).get_outputs() == [f"late {_ROUNDS}"]


async def test_priority_of_the_run(client: Client) -> None:
    gpu, other = unique("gpu"), unique("gpu")
    async with worker(client, rounds) as task_queue:
        facade: dict[str, Any] = {"client": client, "task_queue": task_queue, "priority": 2, "fairness_key": "acme"}
        for queue, policy, expected in (
            (gpu, ExecutorPolicy(task_queue=gpu), 2),
            (other, ExecutorPolicy(task_queue=other, priority=1), 1),
        ):
            durable = DurableWorkflow(rounds, executors={"gpu": policy}, **facade)
            following = asyncio.ensure_future(durable.run("mine"))
            waiting: list[Any] = []
            while not waiting:
                waiting = [found async for found in client.list_activities(f"TaskQueue = '{queue}'")]
                await asyncio.sleep(0.1)
            described = await client.get_activity_handle(waiting[0].activity_id).describe()
            assert described.raw_info.priority.priority_key == expected
            assert described.raw_info.priority.fairness_key == "acme"
            async with worker(client, rounds, task_queue=queue):
                await following
