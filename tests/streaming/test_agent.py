"""A durable thread as a framework agent: the same responses as the in-process `WorkflowAgent`, streaming and not."""

from __future__ import annotations

from typing import Any

import pytest
from agent_framework import (
    Agent,
    AgentExecutor,
    Content,
    Message,
    SupportsAgentRun,
    Workflow,
    WorkflowAgent,
    WorkflowBuilder,
    WorkflowRunState,
    tool,
)
from agent_framework_temporal import Checkpoint, DurableWorkflow
from temporalio.client import Client

from tests.flows import echo, echo_later
from tests.parity.gallery._scripted import scripted_agent
from tests.parity.gallery.agents import banker, poet, transfer
from tests.support import worker


def poem() -> Workflow:
    """Build a workflow of one agent."""
    return WorkflowBuilder(name="poem", start_executor=AgentExecutor(scripted_agent("poet", poet), id="poet")).build()


def bank() -> Workflow:
    """Build a workflow whose agent asks before it uses its tool."""
    agent: Agent[Any] = scripted_agent("banker", banker, tools=[tool(transfer, approval_mode="always_require")])
    return WorkflowBuilder(name="bank", start_executor=AgentExecutor(agent, id="banker")).build()


async def test_same_answers_as_in_process(client: Client) -> None:
    async with worker(client, poem) as task_queue:
        durable = DurableWorkflow(poem, client=client, task_queue=task_queue)
        remote, local = durable.as_agent("poet"), poem().as_agent("poet")
        assert isinstance(remote, WorkflowAgent)
        assert isinstance(remote, SupportsAgentRun)
        for text in ("I am Ada", "I like trains"):
            expected = await local.run(text)
            assert (await remote.run(text)).text == expected.text
        pieces = [update.text async for update in local.run("Who am I?", stream=True)]
        assert [update.text async for update in remote.run("Who am I?", stream=True)] == pieces
        assert len(pieces) > 3


async def test_requests_are_function_calls(client: Client) -> None:
    async with worker(client, bank) as task_queue:
        durable = DurableWorkflow(bank, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        response = await durable.as_agent(checkpoint=checkpoint).run("20")
        (request,) = [content for content in response.messages[-1].contents if content.user_input_request]

        # Another process has nothing but the handle.
        other = DurableWorkflow(bank, client=client, task_queue=task_queue)
        handle = Checkpoint.from_json(checkpoint.to_json())
        await other.run(checkpoint=handle)
        agent = other.as_agent(checkpoint=handle)
        answer = Message("user", [_approve(request)])
        final = await agent.run(answer)
        assert "transferred 20" in final.text
        assert other.status is WorkflowRunState.IDLE


def _approve(request: Content) -> Content:
    return request.to_function_approval_response(True)


def test_what_it_needs(client: Client) -> None:
    with pytest.raises(ValueError, match="cannot handle list"):
        DurableWorkflow(echo, client=client, task_queue="none").as_agent()
    for entry in ("echo", echo_later):
        with pytest.raises(ValueError, match="needs the workflow's definition"):
            DurableWorkflow(entry, client=client, task_queue="none").as_agent()
