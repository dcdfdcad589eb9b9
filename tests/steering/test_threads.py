"""Threads are listed: one entry each, by workflow, state, age, tags and search attributes of their owner."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Unpack

import pytest
from agent_framework_temporal import (
    DurableWorkflow,
    SearchAttributesError,
    ThreadFilter,
    ThreadInfo,
    threads,
)
from agent_framework_temporal.adapter.temporal.server import MEMO_WORKFLOW_NAME
from agent_framework_temporal.workflows.messages import WORKFLOW_TYPE
from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest
from temporalio.client import Client, WorkflowFailureError
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from tests.cli._commands import Commands
from tests.flows import Decision, Order, echo, shop
from tests.support import unique, worker

CUSTOMER = SearchAttributeKey.for_keyword("Customer")


async def listed(client: Client, count: int, **filters: Unpack[ThreadFilter]) -> dict[str, ThreadInfo]:
    """Return the threads by id, when as many are listed: the server's list is a little behind."""
    found: list[ThreadInfo] = []
    for _ in range(100):
        found = [info async for info in threads(client, **filters)]
        if len(found) == count:
            break
        await asyncio.sleep(0.1)
    by_id = {info.thread_id: info for info in found}
    assert len(by_id) == len(found) == count, found
    return by_id


async def _steady(client: Client, thread_id: str, state: str, name: str) -> ThreadInfo:
    for _ in range(100):
        found = [info async for info in threads(client, workflow_name=name) if info.thread_id == thread_id]
        if found and found[0].state == state:
            return found[0]
        await asyncio.sleep(0.1)
    raise AssertionError(f"{thread_id} is not {state}: {found}")


@pytest.mark.parametrize("registered", [True, False])
async def test_one_entry_for_each_thread(server_client: Client, attributes_client: Client, registered: bool) -> None:
    client = attributes_client if registered else server_client
    tag = unique("tag")
    begun = datetime.now(UTC) - timedelta(seconds=5)
    async with worker(client, shop, echo) as queue:
        shops = DurableWorkflow(shop, client=client, task_queue=queue)
        echoes = DurableWorkflow(echo, client=client, task_queue=queue, max_attempts=1)
        waits = shops.checkpoint(tags=[tag, "eu"])
        await shops.run(Order(item="kettle"), checkpoint=waits)
        idle = shops.checkpoint(tags=[tag])
        await shops.run(Order(item="cup"), checkpoint=idle)
        await shops.run(responses={"approve-cup": Decision(approved=True)}, checkpoint=idle)
        turns = echoes.checkpoint(tags=[tag])
        for text in ("one", "two", "three"):
            await echoes.run(text, checkpoint=turns)
        fails = echoes.checkpoint(tags=[tag, "eu"])
        for _ in range(2):
            with pytest.raises(ValueError, match="told to"):
                await echoes.run("fail at once", checkpoint=fails)
        # It has failed, and goes on: what it was before is no entry.
        healed = echoes.checkpoint(tags=[tag])
        with pytest.raises(ValueError, match="told to"):
            await echoes.run("fail", checkpoint=healed)
        await echoes.run("well", checkpoint=healed.thread_id)

        everything = await listed(client, 5, tags=[tag])
        assert set(everything) == {found.thread_id for found in (waits, idle, turns, fails, healed)}
        assert everything[healed.thread_id].tags == (tag,)  # A run that says nothing of tags keeps them.
        assert everything[turns.thread_id].run_id == turns.run_id
        failed = everything[fails.thread_id]
        assert (failed.state, failed.failure) == ("failed", "ValueError: told to fail at once")
        assert failed.workflow_name == "echo"
        assert all(info.since > begun and info.since >= info.started_at for info in everything.values())

        assert set(await listed(client, 1, tags=[tag], state="failed")) == {fails.thread_id}
        assert set(await listed(client, 3, tags=[tag], state="idle")) == {
            idle.thread_id,
            turns.thread_id,
            healed.thread_id,
        }
        assert set(await listed(client, 2, tags=[tag, "eu"])) == {waits.thread_id, fails.thread_id}
        assert set(await listed(client, 1, tags=[tag], state="open")) == {waits.thread_id}
        assert set(await listed(client, 2, tags=[tag], state=["open", "failed"])) == {waits.thread_id, fails.thread_id}
        assert set(await listed(client, 2, tags=[tag], workflow_name="shop")) == {waits.thread_id, idle.thread_id}
        assert len(await listed(client, 2, tags=[tag], limit=2)) == 2
        mine = [info.thread_id async for info in echoes.threads(tags=[tag])]
        assert set(mine) == {turns.thread_id, fails.thread_id, healed.thread_id}

        assert await listed(client, 0, tags=[tag], older_than=timedelta(hours=1)) == {}
        assert len(await listed(client, 5, tags=[tag], older_than=timedelta(0))) == 5
        assert len(await listed(client, 5, tags=[tag], since=begun)) == 5
        assert await listed(client, 0, tags=[tag], since=datetime.now(UTC) + timedelta(hours=1)) == {}
        query = f"WorkflowId = '{fails.thread_id}'"
        assert set(await listed(client, 1, query=query)) == {fails.thread_id}

        if registered:
            assert everything[waits.thread_id].state == "waiting"
            assert everything[waits.thread_id].pending_requests == 1
            assert set(await listed(client, 1, tags=[tag], state="waiting")) == {waits.thread_id}
            assert await listed(client, 0, tags=[tag], state=["running", "paused"]) == {}
        else:
            assert everything[waits.thread_id].state == "open"
            assert everything[waits.thread_id].pending_requests is None
            with pytest.raises(
                SearchAttributesError, match=r"open threads are waiting.*AgentFrameworkSince \(Datetime"
            ):
                await listed(client, 0, state="waiting")


@pytest.fixture
def server_client(client: Client) -> Client:
    return client


async def test_since_when_a_thread_waits(attributes_client: Client) -> None:
    client = attributes_client
    async with worker(client, shop) as queue:
        durable = DurableWorkflow(shop, client=client, task_queue=queue)
        thread = durable.checkpoint()
        await durable.run([Order(item="a"), Order(item="b")], checkpoint=thread)
        first = await _steady(client, thread.thread_id, "waiting", "shop")
        assert first.since >= first.started_at
        await durable.run(responses={"approve-a": Decision(approved=True)}, checkpoint=thread)
        for _ in range(100):
            second = await _steady(client, thread.thread_id, "waiting", "shop")
            if second.pending_requests == 1:
                break
        assert (second.run_id, second.pending_requests) == (first.run_id, 1)
        assert second.since > first.since


async def test_own_search_attributes_stay_with_the_thread(attributes_client: Client) -> None:
    client = attributes_client
    await client.operator_service.add_search_attributes(
        AddSearchAttributesRequest(
            namespace=client.namespace,
            search_attributes={"Customer": IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD},
        )
    )
    customer = unique("c")
    own = TypedSearchAttributes([SearchAttributePair(CUSTOMER, customer)])
    async with worker(client, echo) as queue:
        theirs = DurableWorkflow(echo, client=client, task_queue=queue, search_attributes=own)
        thread = theirs.checkpoint()
        async with asyncio.timeout(60):  # The server learns of an attribute a little later.
            while True:
                try:
                    await theirs.run("one", checkpoint=thread)
                    break
                except SearchAttributesError as error:
                    assert "Customer (KEYWORD)" in str(error)
                    await asyncio.sleep(0.2)
        await DurableWorkflow("echo", client=client, task_queue=queue).run("two", checkpoint=thread.thread_id)
        found = await listed(client, 1, query=f"Customer = '{customer}'")
        info = found[thread.thread_id]
        assert (info.search_attributes[CUSTOMER], info.state) == (customer, "idle")
        assert info.run_id != thread.run_id


async def test_a_start_that_was_refused_is_no_part_of_a_thread(client: Client) -> None:
    tag = unique("tag")
    async with worker(client, echo) as queue:
        durable = DurableWorkflow(echo, client=client, task_queue=queue)
        thread = durable.checkpoint(tags=[tag])
        await durable.run("one", checkpoint=thread)
        forged = await client.start_workflow(
            WORKFLOW_TYPE, {"mode": 7}, id=thread.thread_id, task_queue=queue, memo={MEMO_WORKFLOW_NAME: "echo"}
        )
        with pytest.raises(WorkflowFailureError):
            await forged.result()
        query = f"WorkflowId = '{thread.thread_id}'"
        async with asyncio.timeout(50):
            while len([run async for run in client.list_workflows(f"{query} AND ExecutionStatus = 'Failed'")]) != 1:
                await asyncio.sleep(0.1)
        for filters in (ThreadFilter(tags=[tag]), ThreadFilter(state="idle", query=query), ThreadFilter(query=query)):
            found = await listed(client, 1, **filters)
            assert (found[thread.thread_id].run_id, found[thread.thread_id].state) == (thread.run_id, "idle")
        assert await listed(client, 0, state="failed", query=query) == {}
        assert thread.thread_id in {info.thread_id async for info in durable.threads()}


async def test_what_is_wrong_with_a_filter(client: Client) -> None:
    for filters, text in (
        (ThreadFilter(limit=0), "1 or more"),
        (ThreadFilter(state="open", since=datetime(2026, 1, 1)), "time zone"),
        (ThreadFilter(older_than=timedelta(-1)), "negative"),
        (ThreadFilter(tags="eu"), "must be a list"),
        (ThreadFilter(state="gone"), "`state` must be one of"),  # type: ignore[typeddict-item]
    ):
        with pytest.raises(ValueError, match=text):
            await listed(client, 0, **filters)
    with pytest.raises(Exception, match="list threads"):
        await listed(client, 0, query="Nonsense ==")
    # What a query of the caller's asks for beside threads is none.
    other = unique("other")
    await client.start_workflow("Something", id=other, task_queue="nobody")
    assert await listed(client, 0, query=f"WorkflowId = 'x') OR (WorkflowId = '{other}'") == {}


async def test_the_command(client: Client) -> None:
    cli = Commands(client.service_client.config.target_host)
    tag = unique("tag")
    async with worker(client, echo) as queue:
        run = ("run", "-w", "echo", "-q", queue, "--tag", tag)
        await cli(*run, "hello", "--thread", f"a-{tag}")
        await cli(*run, "fail", "--thread", f"b-{tag}", "--option", "max_attempts=1", code=1)
        await listed(client, 2, tags=[tag])
    found = (await cli("threads", "--tag", tag, "--json")).json
    assert {(each["thread_id"], each["state"]) for each in found} == {(f"a-{tag}", "idle"), (f"b-{tag}", "failed")}
    assert found[0]["tags"] == [tag]
    text = (await cli("threads", "--tag", tag, "--state", "failed")).out
    assert text.splitlines()[0].split() == ["state", "since", "workflow", "tags", "thread"]
    assert f"b-{tag}" in text and f"a-{tag}" not in text
    assert "ValueError: told to fail" in text
    assert "No threads found" in (await cli("threads", "--tag", tag, "--older-than", "1h")).out
    assert "is not a valid duration" in (await cli("threads", "--older-than", "long", code=2)).err
    assert "attributes register" in (await cli("threads", "--state", "waiting", code=1)).err
