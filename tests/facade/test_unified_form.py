"""The unified form of agent-framework #1536: `run_stream([input] | [response], checkpoint=checkpoint)`."""

from __future__ import annotations

from typing import Any

import pytest
from agent_framework import ResponseStream, WorkflowEvent, WorkflowInvocationKwargs, WorkflowRunState
from agent_framework_temporal import Checkpoint, DurableWorkflow, PayloadError, Response
from temporalio.client import Client

from tests.flows import Decision, Order, echo, echo_later, shop
from tests.support import worker


async def read(stream: ResponseStream[WorkflowEvent[Any], Any]) -> list[WorkflowEvent[Any]]:
    """Read a stream to its end."""
    return [event async for event in stream]


async def test_input_response_and_checkpoint(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        events = await read(durable.run_stream([Order(item="pen")], checkpoint=checkpoint))
        request = next(event for event in events if event.type == "request_info")
        assert request.data == Order(item="pen")
        assert request.response_type is Decision
        assert durable.status is WorkflowRunState.IDLE_WITH_PENDING_REQUESTS

        again = await read(durable.run_stream(checkpoint=Checkpoint.from_json(checkpoint.to_json())))
        assert [event.type for event in again] == ["request_info", "status"]
        assert again[0].request_id == request.request_id

        response = Response(request.request_id, Decision(approved=True, by="ada"))
        stream = durable.run_stream([response], checkpoint=checkpoint)
        result = await stream.get_final_response()
        assert result.get_outputs() == ["pen approved by ada, order 1"]
        assert result.get_final_state() is WorkflowRunState.IDLE


async def test_list_rule(client: Client) -> None:
    async with worker(client, shop, echo) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        # The start executor takes a list of orders, so a one-element list stays one.
        result = await durable.run([Order(item="ink")], checkpoint=durable.checkpoint())
        assert [event.request_id for event in result.get_request_info_events()] == ["approve-ink"]
        text = DurableWorkflow(echo, client=client, task_queue=task_queue)
        assert (await text.run(["hello"], checkpoint=text.checkpoint())).get_outputs() == ["hello 1"]
        with pytest.raises(RuntimeError, match="cannot handle input of type 'list'"):
            await text.run(["hello", "you"], checkpoint=text.checkpoint())
        with pytest.raises(RuntimeError, match="cannot handle input of type 'list'"):
            await text.run([], checkpoint=text.checkpoint())


async def test_list_rule_without_types(client: Client) -> None:
    async with worker(client, echo) as task_queue:
        named = DurableWorkflow("echo", client=client, task_queue=task_queue)
        assert (await named.run(["hello"])).get_outputs() == ["hello 1"]


def test_responses_in_both_forms(client: Client) -> None:
    durable = DurableWorkflow(shop, client=client, task_queue="none")
    with pytest.raises(ValueError, match="together with 'responses'"):
        durable.run_stream([Response("a", 1)], responses={"a": 1})
    with pytest.raises(ValueError, match="Two responses for request 'a'"):
        durable.run_stream([Response("a", 1), Response("a", 2)])


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        ({}, "Must provide at least one of"),
        ({"message": "a", "responses": {"b": 1}}, "both 'message' and 'responses'"),
        ({"message": "a", "checkpoint_id": "c"}, "both 'message' and 'checkpoint_id'"),
    ],
)
def test_combinations_the_framework_refuses(client: Client, arguments: dict[str, Any], text: str) -> None:
    durable = DurableWorkflow(echo, client=client, task_queue="none")
    with pytest.raises(ValueError, match=text):
        durable.run_stream(**arguments)


def test_arguments_that_cannot_travel(client: Client) -> None:
    durable = DurableWorkflow(echo, client=client, task_queue="none")
    with pytest.raises(PayloadError, match=r"cannot be sent to the worker.*tools=\[\.\.\.\]"):
        durable.run_stream("a", tools=[print])
    with pytest.raises(PayloadError, match=r"`function_invocation_kwargs`.*cannot be sent as JSON"):
        durable.run_stream("a", function_invocation_kwargs={"lock": object()})
    with pytest.raises(PayloadError, match="`client_kwargs`"):
        durable.run_stream("a", client_kwargs=WorkflowInvocationKwargs(global_kwargs={"f": print}))


async def test_message_that_cannot_travel(client: Client) -> None:
    async with worker(client, echo) as task_queue:
        durable = DurableWorkflow(echo, client=client, task_queue=task_queue)
        with pytest.raises(PayloadError, match=r"The message \(object\) cannot be sent as JSON"):
            await durable.run(object())
        assert (await durable.run("after")).get_outputs() == ["after 1"]


async def test_async_factory(client: Client) -> None:
    async with worker(client, echo_later) as task_queue:
        durable = DurableWorkflow(echo_later, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        assert (await durable.run("one", checkpoint=checkpoint)).get_outputs() == ["one 1"]
        assert checkpoint.workflow_name == durable.name == "echo-later"
