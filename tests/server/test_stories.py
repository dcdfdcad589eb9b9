"""What a caller is told of the server's refusals, and what goes on in spite of them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from agent_framework import WorkflowEvent
from agent_framework_temporal import (
    DurableWorkflow,
    DurableWorkflowError,
    PayloadError,
    ServerBusyError,
    ServerUnreachableError,
    ThreadNotFoundError,
    start_dev_server,
)
from agent_framework_temporal.adapter.temporal import server as _server
from agent_framework_temporal.adapter.temporal.search_attributes import use_search_attributes
from agent_framework_temporal.adapter.temporal.server import RunOverError, rpc_errors
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

from tests.conftest import temporal_binary
from tests.flows import Decision, Order, chain, shop, talk
from tests.server._faults import faulty_client
from tests.support import unique, worker

_WORDS = " ".join(f"w{number}" for number in range(8))


@pytest.mark.parametrize(
    ("code", "message", "error", "text"),
    [
        (RPCStatusCode.RESOURCE_EXHAUSTED, "namespace rate limit exceeded", ServerBusyError, "rate limit"),
        (RPCStatusCode.RESOURCE_EXHAUSTED, "Workflow is busy.", ServerBusyError, "rejects calls for now"),
        (RPCStatusCode.RESOURCE_EXHAUSTED, "grpc: received message larger than max", PayloadError, "reference"),
        (RPCStatusCode.INVALID_ARGUMENT, "Blob data size exceeds limit.", PayloadError, "reference"),
        (RPCStatusCode.UNAVAILABLE, "tcp connect error", ServerUnreachableError, "no Temporal server answers"),
        (RPCStatusCode.INTERNAL, "h2 protocol error: reset", ServerUnreachableError, "no Temporal server answers"),
        (RPCStatusCode.UNAUTHENTICATED, "Request unauthorized.", ServerUnreachableError, "credentials"),
        (RPCStatusCode.PERMISSION_DENIED, "Request unauthorized.", ServerUnreachableError, "credentials"),
        (RPCStatusCode.NOT_FOUND, "workflow not found", ThreadNotFoundError, "was deleted"),
        (RPCStatusCode.NOT_FOUND, "workflow execution already completed", RunOverError, "has ended in the meantime"),
        (RPCStatusCode.UNIMPLEMENTED, "unknown method", DurableWorkflowError, "Upgrade the server"),
        (RPCStatusCode.INTERNAL, "shard closed", DurableWorkflowError, "Try again"),
        (RPCStatusCode.INVALID_ARGUMENT, "bad", DurableWorkflowError, "Could not look up thread 't': bad"),
    ],
)
def test_each_refusal_has_its_story(
    client: Client, code: RPCStatusCode, message: str, error: type[DurableWorkflowError], text: str
) -> None:
    with pytest.raises(error, match=text) as caught, rpc_errors(client, "look up thread 't'", "t"):
        raise RPCError(message, code, b"")
    assert type(caught.value) is error


async def test_no_such_namespace(client: Client) -> None:
    stranger = await Client.connect(client.service_client.config.target_host, namespace="nowhere")
    durable = DurableWorkflow(shop, client=stranger, task_queue="none")
    with pytest.raises(ServerUnreachableError, match="Check namespace 'nowhere'"):
        await durable.run(checkpoint=durable.checkpoint("t"))


async def test_transient_failure_is_not_remembered_as_no_attributes(
    attributes_client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_server, "PATIENCE_SECONDS", 0.1)
    for code, remembered in ((RPCStatusCode.UNAVAILABLE, False), (RPCStatusCode.PERMISSION_DENIED, True)):
        other, faults = await faulty_client(attributes_client)
        faults.fail("list_search_attributes", code)
        assert not await use_search_attributes(other, None)
        faults.rpc = ""
        assert await use_search_attributes(other, None) is not remembered


async def test_live_events_are_a_courtesy(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A look at them that is refused ends no stream, and is repeated less often."""
    monkeypatch.setenv("TESTS_DELAY", "0.15")
    async with worker(client, talk) as task_queue:
        other, faults = await faulty_client(client)
        durable = DurableWorkflow(talk, client=other, task_queue=task_queue)
        for code in (RPCStatusCode.RESOURCE_EXHAUSTED, RPCStatusCode.INTERNAL):
            checkpoint = durable.checkpoint()
            stream = durable.run_stream(_WORDS, checkpoint=checkpoint)
            events: list[WorkflowEvent[Any]] = []
            async for event in stream:
                if not events:
                    faults.fail("describe_workflow_execution", code)
                events.append(event)
            faults.rpc = ""
            # Two supersteps of more than a second each.
            assert 1 <= faults.calls["describe_workflow_execution"] <= 6
            monkeypatch.setenv("TESTS_DELAY", "0")
            assert [event.type for event in events] == [event.type async for event in talk().run(_WORDS, stream=True)]
            monkeypatch.setenv("TESTS_DELAY", "0.15")


async def test_answer_that_races_with_continue_as_new(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue, history_bytes_per_run=30_000)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=checkpoint)
        queries = durable._caller.queries
        ask, handle = queries.status, client.get_workflow_handle(checkpoint.thread_id)
        races: list[str] = []

        async def overtaken(thread_id: str, run_id: str | None) -> Any:
            """Answer, and let the run continue as new before the caller has the answer."""
            status = await ask(thread_id, run_id)
            if len(races) < 2:
                races.append(status.run_id)
                for _ in range(40):
                    await handle.signal("respond", {"request_id": 7, "response": "x" * 10_000})
                while (await handle.describe()).run_id == status.run_id:
                    await asyncio.sleep(0.05)
            return status

        monkeypatch.setattr(queries, "status", overtaken)
        result = await durable.run(responses={"approve-pen": Decision(approved=True)}, checkpoint=checkpoint)
        assert result.get_outputs() == ["pen approved by nobody, order 1"]
        assert len(set(races)) == 2


async def test_answer_that_races_with_the_end(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=checkpoint)
        queries = durable._caller.queries
        ask, handle = queries.status, client.get_workflow_handle(checkpoint.thread_id)

        async def overtaken(thread_id: str, run_id: str | None) -> Any:
            status = await ask(thread_id, run_id)
            await handle.signal("respond", {"request_id": "approve-pen", "response": {"approved": True}})
            await handle.result()
            return status

        monkeypatch.setattr(queries, "status", overtaken)
        with pytest.raises(RuntimeError, match="No pending requests found in workflow context"):
            await durable.run(responses={"approve-pen": Decision(approved=False)}, checkpoint=checkpoint)


async def test_server_goes_away_while_a_worker_is_awaited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_server, "PATIENCE_SECONDS", 0.5)
    async with await start_dev_server() as server:
        client = await server.connect()
        durable = DurableWorkflow(
            chain,
            client=client,
            task_queue=unique("queue"),
            worker_timeout=timedelta(seconds=2),
            server_timeout=timedelta(seconds=1),
        )
        checkpoint = durable.checkpoint()
        running = asyncio.ensure_future(durable.run("a", checkpoint=checkpoint))
        while checkpoint.run_id is None:
            await asyncio.sleep(0.02)
    with pytest.raises(ServerUnreachableError, match="which keeps running: no Temporal server answers"):
        await running


@pytest.fixture
async def limited() -> AsyncIterator[Client]:
    """A client of a server that takes few calls a second."""
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal_binary(),
        dev_server_log_level="never",
        dev_server_extra_args=["--dynamic-config-value", "frontend.namespaceRPS=12"],
    )
    async with environment:
        yield environment.client


async def test_stream_on_a_server_with_a_low_rate_limit(limited: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTS_DELAY", "0.15")
    async with worker(limited, talk) as task_queue:
        durable = DurableWorkflow(talk, client=limited, task_queue=task_queue)
        streams = [durable.run_stream(_WORDS, checkpoint=durable.checkpoint()) for _ in range(3)]
        results = await asyncio.gather(*(stream.get_final_response() for stream in streams))
        expected = [f"{name} {word}" for name in ("ada", "bob") for word in _WORDS.split()]
        assert [result.get_outputs() for result in results] == [expected] * 3
