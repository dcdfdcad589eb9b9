"""Threads: several turns, several callers, several processes."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

import pytest
from agent_framework import InMemoryCheckpointStorage, WorkflowBuilder
from agent_framework_temporal import (
    AlreadyRunningError,
    Checkpoint,
    DurableWorkflow,
    GraphChangedError,
    PendingRequestsError,
    StaleCheckpointError,
    ThreadNotFoundError,
)
from temporalio.client import Client

from tests.flows import Decision, Order, Shop, chain, echo, shop
from tests.support import unique, worker

_OTHER_PROCESS = """
import asyncio, sys
from agent_framework_temporal import Checkpoint, DurableWorkflow
from temporalio.client import Client
from tests.flows import echo

async def main() -> None:
    client = await Client.connect(sys.argv[1], namespace=sys.argv[4])
    durable = DurableWorkflow(echo, client=client, task_queue=sys.argv[2])
    checkpoint = Checkpoint.from_json(sys.argv[3])
    result = await durable.run("second", checkpoint=checkpoint)
    print(result.get_outputs()[0])
    print(checkpoint.to_json())

asyncio.run(main())
"""


async def test_facade_keeps_a_thread_of_its_own(client: Client) -> None:
    async with worker(client, echo) as task_queue:
        durable = DurableWorkflow(echo, client=client, task_queue=task_queue)
        assert (await durable.run("one")).get_outputs() == ["one 1"]
        assert (await durable.run("two")).get_outputs() == ["two 2"]
        assert (await durable.run("other", checkpoint=durable.checkpoint())).get_outputs() == ["other 1"]
        assert (await durable.run("three")).get_outputs() == ["three 3"]


async def test_another_process_goes_on(client: Client) -> None:
    async with worker(client, echo) as task_queue:
        durable = DurableWorkflow(echo, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run("first", checkpoint=checkpoint)
        address = client.service_client.config.target_host
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _OTHER_PROCESS, address, task_queue, checkpoint.to_json(), client.namespace),
            cwd=Path(__file__).parents[2],
            stdout=subprocess.PIPE,
        )
        printed, _ = await process.communicate()
        assert process.returncode == 0
        output, handle = printed.decode().splitlines()
        assert output == "second 2"
        moved = Checkpoint.from_json(handle)
        assert moved.thread_id == checkpoint.thread_id
        assert json.loads(handle)["offset"] > checkpoint.offset
        with pytest.raises(StaleCheckpointError, match="has advanced since this checkpoint"):
            await durable.run("third", checkpoint=checkpoint)
        assert (await durable.run("third", checkpoint=moved)).get_outputs() == ["third 3"]
        named = durable.checkpoint(checkpoint.thread_id)
        assert (await durable.run("fourth", checkpoint=named)).get_outputs() == ["fourth 4"]


async def test_two_callers_at_once(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTS_DELAY", "0.3")
    async with worker(client, chain) as task_queue:
        one = DurableWorkflow(chain, client=client, task_queue=task_queue)
        two = DurableWorkflow(chain, client=client, task_queue=task_queue)
        checkpoint = one.checkpoint()
        stream = one.run_stream("a", checkpoint=checkpoint)
        first = await anext(aiter(stream))
        assert first.type == "started"
        with pytest.raises(AlreadyRunningError, match="concurrent runs are not allowed"):
            one.run_stream("b", checkpoint=checkpoint)
        other = two.checkpoint(checkpoint.thread_id)
        with pytest.raises(AlreadyRunningError, match="is running, so it takes no new message"):
            await two.run("b", checkpoint=other)
        followed = await two.run(checkpoint=other)
        assert followed.get_outputs() == ["a>first>second>third done"]
        assert (await stream.get_final_response()).get_outputs() == followed.get_outputs()


async def test_dropped_stream_frees_the_thread(client: Client) -> None:
    async with worker(client, echo) as task_queue:
        durable = DurableWorkflow(echo, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        stream = durable.run_stream("never read", checkpoint=checkpoint)
        del stream
        async for event in durable.run_stream("left early", checkpoint=checkpoint):
            assert event.type == "started"
            break
        result = await durable.run(checkpoint=checkpoint)
        assert result.get_outputs() == ["left early 1"]


async def test_message_while_requests_are_pending_is_refused_on_request(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue, when_waiting="reject")
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=checkpoint)
        with pytest.raises(PendingRequestsError, match=r"waits for responses to \['approve-pen'\]"):
            await durable.run(Order(item="ink"), checkpoint=checkpoint)
        pending = await durable.pending_requests(checkpoint)
        assert [request.request_id for request in pending] == ["approve-pen"]
        assert pending[0].request == {"item": "pen", "price": 1}
        assert pending[0].response_schema is not None
        assert pending[0].response_schema["required"] == ["approved"]
        result = await durable.run(responses={"approve-pen": Decision(approved=False)}, checkpoint=checkpoint)
        assert result.get_outputs() == ["pen refused by nobody, order 1"]


async def test_thread_of_another_workflow(client: Client) -> None:
    async with worker(client, echo, shop) as task_queue:
        durable = DurableWorkflow(echo, client=client, task_queue=task_queue)
        thread_id = unique("thread")
        await durable.run("one", checkpoint=durable.checkpoint(thread_id))
        other = DurableWorkflow(shop, client=client, task_queue=task_queue)
        with pytest.raises(ThreadNotFoundError, match="belongs to workflow 'echo', not to 'shop'"):
            await other.run(Order(item="pen"), checkpoint=other.checkpoint(thread_id))
        with pytest.raises(ThreadNotFoundError, match="belongs to workflow 'echo'"):
            other.run_stream("a", checkpoint=durable.checkpoint(thread_id))
        with pytest.raises(ThreadNotFoundError, match="has no run to continue"):
            await durable.run(checkpoint=durable.checkpoint())
        lost = Checkpoint(workflow_name="echo", thread_id=unique("gone"), run_id="0" * 36)
        with pytest.raises(ThreadNotFoundError, match="is not in namespace"):
            await durable.run("one", checkpoint=lost)


async def test_checkpoint_of_another_storage(client: Client) -> None:
    storage = InMemoryCheckpointStorage()
    local = shop()
    await local.run(Order(item="pen"), checkpoint_storage=storage)
    latest = await storage.get_latest(workflow_name="shop")
    assert latest is not None
    async with worker(client, shop, echo, cache_bytes=0) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        resumed = await durable.run(checkpoint_id=latest.checkpoint_id, checkpoint_storage=storage)
        assert [event.request_id for event in resumed.get_request_info_events()] == ["approve-pen"]
        answered = await durable.run(
            responses={"approve-pen": Decision(approved=True)},
            checkpoint_id=latest.checkpoint_id,
            checkpoint_storage=storage,
            checkpoint=durable.checkpoint(),
        )
        assert answered.get_outputs() == ["pen approved by nobody, order 1"]
        # In process names are not compared: those who let the framework choose them bring their checkpoints along.
        unnamed = WorkflowBuilder(start_executor=Shop(id="shop")).build()
        await unnamed.run(Order(item="ink"), checkpoint_storage=storage)
        auto = await storage.get_latest(workflow_name=unnamed.name)
        assert auto is not None and auto.workflow_name != "shop"
        thread = durable.checkpoint()
        brought = await durable.run(
            responses={"approve-ink": Decision(approved=True)},
            checkpoint_id=auto.checkpoint_id,
            checkpoint_storage=storage,
            checkpoint=thread,
        )
        assert brought.get_outputs() == ["ink approved by nobody, order 1"]
        again = await durable.run(Order(item="cup"), checkpoint=thread)
        assert [event.request_id for event in again.get_request_info_events()] == ["approve-cup"]
        other = DurableWorkflow(echo, client=client, task_queue=task_queue)
        with pytest.raises(GraphChangedError, match="Workflow graph has changed since the checkpoint was created"):
            await other.run(checkpoint_id=auto.checkpoint_id, checkpoint_storage=storage)
        with pytest.raises(GraphChangedError, match="was made by a different graph"):
            await other.run(checkpoint_id=latest.checkpoint_id, checkpoint_storage=storage)


async def test_a_signal_in_the_middle_of_a_superstep_hides_no_event(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESTS_DELAY", "0.4")
    async with worker(client, chain) as task_queue:
        durable = DurableWorkflow(chain, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        handle = client.get_workflow_handle(checkpoint.thread_id)
        seen: list[str] = []
        async for event in durable.run_stream("a", checkpoint=checkpoint):
            seen.append(event.type)
            if event.type == "started" or (event.type == "superstep_completed" and (event.iteration or 0) < 3):
                for request_id in ("x", "y"):
                    await asyncio.sleep(0.1)
                    await handle.signal("respond", {"request_id": request_id, "response": 1})
        assert seen.count("superstep_completed") == 5
        assert seen.count("output") == 1
        again = [event.type async for event in durable.run_stream(checkpoint=checkpoint, after=-1)]
        assert again.count("superstep_completed") == 5
