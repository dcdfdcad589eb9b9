"""`max_iterations`: what met the limit is not lost, and the count may begin anew with each answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Never

import pytest
from agent_framework import (
    Executor,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    WorkflowConvergenceException,
    handler,
    response_handler,
)
from agent_framework_temporal import DurableWorkflow
from temporalio.client import Client, WorkflowFailureError

from tests.support import worker


class Interview(Executor):
    """Asks two questions at a time, and again after each answer, until somebody says `stop`."""

    @handler
    async def begin(self, topic: str, ctx: WorkflowContext) -> None:
        for name in ("a", "b"):
            await ctx.request_info(f"{topic} 0", str, request_id=f"{name}0")

    @response_handler
    async def heard(self, question: str, said: str, ctx: WorkflowContext[Never, str]) -> None:
        topic, number = question.rsplit(" ", 1)
        await ctx.yield_output(f"{number}: {said}")
        if said != "stop":
            await ctx.request_info(f"{topic} {int(number) + 1}", str, request_id=f"{said[0]}{int(number) + 1}")


def interview(limit: int) -> Callable[[], Workflow]:
    """Build it with a limit; its graph is the same with any."""

    def build() -> Workflow:
        return WorkflowBuilder(name="interview", start_executor=Interview(id="interview"), max_iterations=limit).build()

    return build


async def test_in_process_the_answer_is_counted_and_lost() -> None:
    """What the durable run differs from."""
    workflow = interview(2)()
    await workflow.run("tea")
    await workflow.run(responses={"a0": "a"})
    with pytest.raises(WorkflowConvergenceException):
        await workflow.run(responses={"b0": "b"})
    with pytest.raises(ValueError, match="unknown request ID"):
        await workflow.run(responses={"b0": "b"})


@pytest.mark.parametrize("from_outside", [False, True])
async def test_the_answer_that_met_the_limit_is_kept(client: Client, from_outside: bool) -> None:
    async with worker(client, interview(2)) as task_queue:
        durable = DurableWorkflow(interview(2), client=client, task_queue=task_queue)
        thread = durable.checkpoint()
        await durable.run("tea", checkpoint=thread)
        await durable.run(responses={"a0": "a"}, checkpoint=thread)
        if from_outside:
            handle = client.get_workflow_handle(thread.thread_id)
            await handle.signal("respond", {"request_id": "b0", "response": "b"})
            with pytest.raises(WorkflowFailureError):
                await handle.result()
        else:
            with pytest.raises(WorkflowConvergenceException, match="did not converge after 2 iterations"):
                await durable.run(responses={"b0": "b"}, checkpoint=thread)
        # It is still in flight: nothing new is taken in its place, and trying again loses nothing either.
        with pytest.raises(RuntimeError, match="in-flight executor messages"):
            await durable.run("coffee", checkpoint=thread)
        with pytest.raises(WorkflowConvergenceException):
            await durable.run(checkpoint=thread)
    # A worker with a higher limit delivers it.
    async with worker(client, interview(50), task_queue=task_queue) as task_queue:
        durable = DurableWorkflow(interview(50), client=client, task_queue=task_queue)
        thread = durable.checkpoint(thread.thread_id)
        result = await durable.run(checkpoint=thread)
        assert result.get_outputs() == ["0: b"]
        assert [request.request_id for request in await durable.pending_requests(thread)] == ["a1", "b1"]


async def test_another_answer_does_not_take_its_place(client: Client) -> None:
    async with worker(client, interview(2)) as task_queue:
        durable = DurableWorkflow(interview(2), client=client, task_queue=task_queue)
        thread = durable.checkpoint()
        await durable.run("tea", checkpoint=thread)
        await durable.run(responses={"a0": "a"}, checkpoint=thread)
        with pytest.raises(WorkflowConvergenceException):
            await durable.run(responses={"b0": "b"}, checkpoint=thread)
    async with worker(client, interview(50), task_queue=task_queue) as task_queue:
        durable = DurableWorkflow(interview(50), client=client, task_queue=task_queue)
        thread = durable.checkpoint(thread.thread_id)
        result = await durable.run(responses={"a1": "stop"}, checkpoint=thread)
        assert sorted(result.get_outputs()) == ["0: b", "1: stop"]


@pytest.mark.parametrize("cached", [True, False])
async def test_the_count_may_begin_anew_with_each_answer(client: Client, cached: bool) -> None:
    async with worker(client, interview(2), **({} if cached else {"cache_bytes": 0})) as task_queue:  # type: ignore[arg-type]
        durable = DurableWorkflow(interview(2), client=client, task_queue=task_queue, iterations_per="answer")
        thread = durable.checkpoint()
        await durable.run("tea", checkpoint=thread)
        for number in range(5):
            result = await durable.run(responses={f"a{number}": "a"}, checkpoint=thread)
            assert result.get_outputs() == [f"{number}: a"]
        handle = client.get_workflow_handle(thread.thread_id)
        await handle.execute_update("respond", {"request_id": "a5", "response": "stop"})
        cancelled = await durable.cancel_pending_requests(["b0"], checkpoint=thread)
        assert cancelled.get_final_state().name == "IDLE"


async def test_a_thread_that_met_its_limit_goes_on_with_the_option(client: Client) -> None:
    async with worker(client, interview(2)) as task_queue:
        durable = DurableWorkflow(interview(2), client=client, task_queue=task_queue)
        thread = durable.checkpoint()
        await durable.run("tea", checkpoint=thread)
        await durable.run(responses={"a0": "a"}, checkpoint=thread)
        with pytest.raises(WorkflowConvergenceException):
            await durable.run(responses={"b0": "b"}, checkpoint=thread)
        patient = DurableWorkflow(interview(2), client=client, task_queue=task_queue, iterations_per="answer")
        result = await patient.run(checkpoint=patient.checkpoint(thread.thread_id))
        assert result.get_outputs() == ["0: b"]
    with pytest.raises(ValueError, match="iterations_per"):
        DurableWorkflow(interview(2), client=client, task_queue="none", iterations_per="run")  # type: ignore[arg-type]
