"""Search attributes and the inbox, on servers that know the attributes and on one that does not."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from typing import Any

import pytest
from agent_framework_temporal import (
    DurableWorkflow,
    SearchAttributesError,
    register_search_attributes,
    start_dev_server,
    waiting_requests,
)
from agent_framework_temporal.workflows.messages import PENDING_REQUESTS_QUERY, WORKFLOW_TYPE
from temporalio import workflow
from temporalio.api.enums.v1 import EventType, IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client
from temporalio.worker import Worker

from tests.cli._commands import MODULE
from tests.requests._flows import Question, Reply, asker, free
from tests.support import unique, worker

_COMMAND = [*MODULE, "attributes", "register"]


@pytest.fixture
async def fresh() -> AsyncIterator[Client]:
    """A client of a server of its own."""
    async with await start_dev_server() as server:
        yield await server.connect()


async def _listed(client: Client, query: str) -> list[str]:
    return [execution.id async for execution in client.list_workflows(query)]


async def _until(client: Client, query: str, expected: list[str]) -> None:
    """Wait until the server's list, which lags behind, says what is expected."""
    async with asyncio.timeout(50):
        while sorted(await _listed(client, query)) != sorted(expected):
            await asyncio.sleep(0.1)


async def _inbox(client: Client, name: str | None = None) -> list[tuple[str, str]]:
    return sorted([(request.thread_id, request.request_id) async for request in waiting_requests(client, name)])


@workflow.defn(name=WORKFLOW_TYPE, sandboxed=False)
class Forged:
    """Says that it is a thread, and answers the inbox as it was told to."""

    @workflow.init
    def __init__(self, answer: Any) -> None:
        self._answer = answer

    @workflow.run
    async def run(self, answer: Any) -> None:
        await workflow.wait_condition(lambda: False)

    @workflow.query(name=PENDING_REQUESTS_QUERY)
    def pending_requests(self) -> Any:
        return self._answer


async def test_an_answer_leads_to_the_thread_that_was_asked(fresh: Client) -> None:
    """A run that somebody forges names another thread; or it answers with what is no request, and the others stay."""
    asked = {"request_id": "q", "executor_id": "e", "asked_at": "never", "request_type": "a:B", "response_type": "a:C"}
    answers: dict[str, Any] = {
        "forged": [asked | {"thread_id": "honest", "request": "Approve?", "deadline": "soon", "on_deadline": "fail"}],
        "shapeless": [{"thread_id": "honest"}],
        "text": "honest",
        "nothing": None,
        "nested": [[asked]],
    }
    async with (
        worker(fresh, asker) as task_queue,
        Worker(fresh, task_queue="forged", workflows=[Forged]),
    ):
        durable = DurableWorkflow(asker, client=fresh, task_queue=task_queue)
        await durable.run(Question(text="a", count=1), checkpoint=durable.checkpoint("honest"))
        for thread, answer in answers.items():
            await fresh.start_workflow(WORKFLOW_TYPE, answer, id=thread, task_queue="forged")
        await _until(fresh, "ExecutionStatus = 'Running'", ["honest", *answers])
        assert await _inbox(fresh) == [("forged", "q"), ("honest", "q0")]
        address = ("--address", fresh.service_client.config.target_host)
        done = await asyncio.create_subprocess_exec(*MODULE, "inbox", *address, stdout=subprocess.PIPE)
        out, _ = await done.communicate()
        assert done.returncode == 0
        assert "respond forged q --address" in out.decode()
        assert out.decode().count("respond honest ") == 1


async def test_with_and_without(fresh: Client) -> None:
    async with worker(fresh, asker, free) as task_queue:
        before = DurableWorkflow(asker, client=fresh, task_queue=task_queue)
        await before.run(Question(text="before", count=2), checkpoint=before.checkpoint("before"))
        await _until(fresh, "ExecutionStatus = 'Running'", ["before"])
        assert await _inbox(fresh) == [("before", "q0"), ("before", "q1")]
        with pytest.raises(SearchAttributesError, match=r"does not know .*AgentFrameworkState.* Register them with"):
            wanted = DurableWorkflow(asker, client=fresh, task_queue=task_queue, search_attributes=True)
            await wanted.run(Question(text="refused"))

        done = await asyncio.create_subprocess_exec(
            *_COMMAND, "--address", fresh.service_client.config.target_host, stdout=subprocess.PIPE
        )
        out, _ = await done.communicate()
        assert done.returncode == 0
        assert out.decode().startswith("Added: AgentFrameworkWorkflow, AgentFrameworkState, ")
        assert await register_search_attributes(fresh) == []

        # Another connection: this one has looked already, and does not look again for each run.
        client = await Client.connect(fresh.service_client.config.target_host)
        durable = DurableWorkflow(asker, client=client, task_queue=task_queue, search_attributes=True)
        after = durable.checkpoint("after")
        await durable.run(Question(text="after", count=2), checkpoint=after)
        await _until(client, "AgentFrameworkState = 'waiting' AND AgentFrameworkPendingRequests = 2", ["after"])
        await _until(client, "AgentFrameworkWorkflow = 'asker' AND AgentFrameworkThread = 'after'", ["after"])
        other = DurableWorkflow(free, client=client, task_queue=task_queue)
        await other.run("other", checkpoint=other.checkpoint("other"))
        await _until(client, "AgentFrameworkState = 'waiting'", ["after", "other"])
        everything = [("after", "q0"), ("after", "q1"), ("before", "q0"), ("before", "q1"), ("other", "free")]
        assert await _inbox(client) == everything
        assert await _inbox(client, "free") == [("other", "free")]
        assert await _inbox(client, "no such ' workflow") == []

        await durable.run(responses={"q0": Reply(amount=2)}, checkpoint=after)
        await _until(
            client, "AgentFrameworkState = 'waiting' AND AgentFrameworkPendingRequests = 1", ["after", "other"]
        )
        await durable.run(responses={"q1": Reply(amount=2)}, checkpoint=after)
        await _until(client, "AgentFrameworkState = 'idle' AND AgentFrameworkPendingRequests = 0", ["after"])
        upserts = 0
        async for event in client.get_workflow_handle("after").fetch_history_events():
            upserts += event.event_type == EventType.EVENT_TYPE_UPSERT_WORKFLOW_SEARCH_ATTRIBUTES
        assert upserts == 5  # Waiting, running, waiting, running, idle.

        # Threads of a schedule have them too, and runs that continue as new keep them.
        asks = DurableWorkflow(
            asker, client=client, task_queue=task_queue, search_attributes=True, history_bytes_per_run=1_000
        )
        schedule = await asks.schedule("nightly", Question(text="scheduled", count=2), cron="0 0 1 1 *")
        await schedule.trigger()
        query = (
            "AgentFrameworkWorkflow = 'asker' AND AgentFrameworkState = 'waiting' AND AgentFrameworkThread = 'nightly'"
        )
        async with asyncio.timeout(50):
            while not (found := [each.id async for each in client.list_workflows(query) if each.id != "before"]):
                await asyncio.sleep(0.1)
        thread = asks.checkpoint(found[0])
        run_id = (await client.get_workflow_handle(found[0]).describe()).run_id
        for _ in range(600):
            await client.get_workflow_handle(found[0]).signal("respond", {"request_id": 7})
        await asks.run(responses={"q0": Reply(amount=2)}, checkpoint=thread)
        assert thread.run_id != run_id
        await asks.run(responses={"q1": Reply(amount=2)}, checkpoint=thread)
        await schedule.delete()


async def test_attribute_of_another_type(fresh: Client) -> None:
    await fresh.operator_service.add_search_attributes(
        AddSearchAttributesRequest(
            namespace=fresh.namespace,
            search_attributes={"AgentFrameworkState": IndexedValueType.INDEXED_VALUE_TYPE_INT},
        )
    )
    with pytest.raises(SearchAttributesError, match="is registered with a type other than Keyword"):
        await register_search_attributes(fresh)


async def test_run_without_a_worker_is_left_out_and_logged(
    client: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import timedelta

    from agent_framework_temporal.adapter.client import waiting_requests as module

    monkeypatch.setattr(module, "_QUERY_TIMEOUT", timedelta(seconds=1))
    thread = unique("alone")
    async with worker(client, asker) as task_queue:
        durable = DurableWorkflow(asker, client=client, task_queue=task_queue)
        await durable.run(Question(text="alone"), checkpoint=durable.checkpoint(thread))
        await _until(client, f"WorkflowId = '{thread}' AND ExecutionStatus = 'Running'", [thread])
    found: list[Any] = [request async for request in waiting_requests(client) if request.thread_id == thread]
    assert found == []
    assert f"The requests of thread '{thread}' are not listed" in caplog.text
    await client.get_workflow_handle(thread).terminate()


def test_command_without_a_server() -> None:
    environment = {**os.environ, "TEMPORAL_ADDRESS": "localhost:1"}
    done = subprocess.run(_COMMAND, capture_output=True, text=True, env=environment, timeout=60)
    assert done.returncode == 4
    assert "localhost:1" in done.stderr
