"""Agents that share a session share it on any worker, also where nothing is kept between supersteps."""

from __future__ import annotations

from typing import Any

import pytest
from agent_framework import (
    AgentExecutor,
    AgentExecutorRequest,
    AgentExecutorResponse,
    Executor,
    InMemoryHistoryProvider,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    handler,
)
from agent_framework_temporal import DurableWorkflow
from agent_framework_temporal.testing import Reply, scripted_agent
from temporalio.client import Client

from tests.support import worker


class Pass(Executor):
    """Hands on no message: the next agent knows the conversation by the session only."""

    def __init__(self, id: str, to: str) -> None:
        super().__init__(id=id)
        self.to = to

    @handler
    async def go(self, said: AgentExecutorResponse, ctx: WorkflowContext[AgentExecutorRequest, str]) -> None:
        turn = (ctx.get_state("turn") or 0) + 1
        ctx.set_state("turn", turn)
        if turn >= 4:
            await ctx.yield_output(said.agent_response.text)
        else:
            await ctx.send_message(AgentExecutorRequest(messages=[]), target_id=self.to)


def sharing() -> Workflow:
    """Build the workflow of two agents that take turns in one session."""

    def agent(name: str) -> Any:
        return scripted_agent(
            name,
            lambda prompt: Reply(f"{name} {len(prompt.texts)}"),
            context_providers=[InMemoryHistoryProvider()],
        )

    writer, reviewer = agent("writer"), agent("reviewer")
    session = writer.create_session()
    first = AgentExecutor(writer, session=session, id="writer")
    second = AgentExecutor(reviewer, session=session, id="reviewer")
    after_first, after_second = Pass("after-writer", "reviewer"), Pass("after-reviewer", "writer")
    builder = WorkflowBuilder(name="sharing", start_executor=first)
    chain = builder.add_edge(first, after_first).add_edge(after_first, second)
    return chain.add_edge(second, after_second).add_edge(after_second, first).build()


def _texts(outputs: list[Any]) -> list[str]:
    return [getattr(output, "text", output) for output in outputs]


@pytest.mark.parametrize("cold", [False, True], ids=["warm", "cold"])
@pytest.mark.parametrize("as_it_is", [False, True], ids=["factory", "instance"])
async def test_a_shared_session_stays_shared(cold: bool, as_it_is: bool, client: Client) -> None:
    expected = _texts((await sharing().run("hello")).get_outputs())
    assert len(expected) == 5
    options: dict[str, Any] = {"cache_bytes": 0, "max_cached_workflows": 0} if cold else {}
    async with worker(client, sharing() if as_it_is else sharing, **options) as task_queue:
        durable = DurableWorkflow(sharing, client=client, task_queue=task_queue, max_attempts=1)
        for _ in range(2):
            result = await durable.run("hello", checkpoint=durable.checkpoint())
            assert _texts(result.get_outputs()) == expected
