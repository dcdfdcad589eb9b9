"""`DurableWorkflow.checkpoints`: what a thread has left in history, whatever became of it."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from agent_framework_temporal import DurableWorkflow, RunTerminatedError, ThreadNotFoundError
from temporalio.client import Client

from tests.checkpoints._threads import (
    approved,
    assert_lineage,
    continued_while_waiting,
    durable_chain,
    durable_echo,
    durable_shop,
    failed,
    waiting,
)
from tests.flows import LEDGER, chain, echo, echo_later, shop
from tests.support import unique, worker


async def test_each_superstep_with_what_is_known_of_it(client: Client) -> None:
    async with worker(client, chain) as task_queue:
        durable = durable_chain(client, task_queue)
        checkpoint = durable.checkpoint()
        await durable.run("a", checkpoint=checkpoint)
    # No worker is left.
    found = await durable.checkpoints(checkpoint)
    assert [(info.kind, info.superstep, info.state) for info in found] == [
        ("entry", 0, "running"),
        ("superstep", 1, "running"),
        ("superstep", 2, "running"),
        ("superstep", 3, "running"),
        ("superstep", 4, "running"),
        ("superstep", 5, "idle"),
    ]
    assert_lineage(found)
    assert found[-1].checkpoint_id == checkpoint.checkpoint_id
    assert {(info.thread_id, info.run_id) for info in found} == {(checkpoint.thread_id, checkpoint.run_id)}
    assert found[0].history_bytes == 0
    for info in found[1:]:
        assert info.history_bytes > 0
        assert 500 < info.size_bytes < 10_000
    assert timedelta(0) <= datetime.now(UTC) - found[0].timestamp < timedelta(minutes=5)
    assert [info.timestamp for info in found] == sorted(info.timestamp for info in found)
    # The second superstep is a patch of the first; the first stands alone.
    assert found[2].history_bytes < found[1].history_bytes


async def test_over_several_runs(client: Client) -> None:
    async with worker(client, echo) as task_queue:
        durable = durable_echo(client, task_queue)
        assert (await durable.run("one")).get_outputs() == ["one 1"]
        await durable.run("two")
        await durable.run("three")
        found = await durable.checkpoints()
    assert len({info.run_id for info in found}) == 3
    assert [info.kind for info in found] == ["entry", "superstep"] * 3
    assert [info.state for info in found] == ["running", "idle"] * 3
    assert_lineage(found)
    assert await durable.checkpoints(found[0].thread_id) == found


async def test_over_runs_that_continued_as_new(client: Client) -> None:
    async with worker(client, chain, shop) as task_queue:
        durable = DurableWorkflow(chain, client=client, task_queue=task_queue, supersteps_per_run=2)
        checkpoint = durable.checkpoint()
        await durable.run("a", checkpoint=checkpoint)
        await durable.run("b", checkpoint=checkpoint)
        found = await durable.checkpoints(checkpoint)
        assert len({info.run_id for info in found}) > 2
        assert [info.superstep for info in found] == [0, 1, 2, 3, 4, 5] * 2
        assert_lineage(found)

        asking = durable_shop(client, task_queue)
        waits = await continued_while_waiting(client, task_queue)
        await asking.run(responses=approved(), checkpoint=waits)
        found = await asking.checkpoints(waits)
        assert [info.state for info in found] == ["running", "waiting", "running", "idle"]
        assert_lineage(found)


async def test_while_it_runs(client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = tmp_path / "ledger"
    monkeypatch.setenv(LEDGER, str(ledger))
    monkeypatch.setenv("TESTS_DELAY", "0.6")
    async with worker(client, chain) as task_queue:
        durable = durable_chain(client, task_queue)
        checkpoint = durable.checkpoint()
        running = asyncio.ensure_future(durable.run("a", checkpoint=checkpoint))
        while not ledger.exists() or "begin third" not in ledger.read_text():
            await asyncio.sleep(0.05)
        found = await durable.checkpoints(checkpoint.thread_id)
        assert [info.superstep for info in found] == [0, 1, 2]
        await client.get_workflow_handle(checkpoint.thread_id).terminate(reason="enough")
        with pytest.raises(RunTerminatedError):
            await running
        assert await durable.checkpoints(checkpoint.thread_id) == found


async def test_while_it_waits_and_after_its_response(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = durable_shop(client, task_queue)
        checkpoint = await waiting(durable)
        assert [info.state for info in await durable.checkpoints(checkpoint)] == ["running", "waiting"]
        await durable.run(responses=approved(), checkpoint=checkpoint)
        found = await durable.checkpoints(checkpoint)
    assert [(info.kind, info.state, info.superstep) for info in found] == [
        ("entry", "running", 0),
        ("superstep", "waiting", 1),
        ("entry", "running", 1),
        ("superstep", "idle", 2),
    ]
    assert_lineage(found)


async def test_of_a_failed_run(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async with worker(client, echo, chain) as task_queue:
        durable = durable_echo(client, task_queue)
        checkpoint = await failed(durable)
        found = await durable.checkpoints(checkpoint)
        assert [(info.kind, info.state) for info in found] == [
            ("entry", "running"),
            ("superstep", "idle"),
            ("entry", "failed"),
        ]
        assert_lineage(found)
        await durable.run("two", checkpoint=checkpoint)
        assert_lineage(await durable.checkpoints(checkpoint))

        monkeypatch.setenv("TESTS_DELAY", "not a number")
        broken = DurableWorkflow(chain, client=client, task_queue=task_queue, max_attempts=1)
        thread = broken.checkpoint()
        with pytest.raises(ValueError, match="could not convert"):
            await broken.run("a", checkpoint=thread)
        assert [info.state for info in await broken.checkpoints(thread)] == ["failed"]


async def test_threads_there_are_not(client: Client) -> None:
    async with worker(client, echo) as task_queue:
        durable = durable_echo(client, task_queue)
        with pytest.raises(ThreadNotFoundError, match="has no run in namespace"):
            await durable.checkpoints(unique("nowhere"))
        with pytest.raises(ThreadNotFoundError, match="It has not started"):
            await durable.checkpoints()
        await durable.run("one")
        other = durable_shop(client, task_queue)
        with pytest.raises(ThreadNotFoundError, match="belongs to workflow 'echo', not to 'shop'"):
            await other.checkpoints((await durable.checkpoints())[0].thread_id)


async def test_of_an_async_factory(client: Client) -> None:
    async with worker(client, echo_later) as task_queue:
        thread_id = unique("thread")
        durable = DurableWorkflow(echo_later, client=client, task_queue=task_queue)
        await durable.run("one", checkpoint=durable.checkpoint(thread_id))
        another = DurableWorkflow(echo_later, client=client, task_queue=task_queue)
        assert len(await another.checkpoints(thread_id)) == 2
        named = DurableWorkflow("echo-later", client=client, task_queue=task_queue)
        assert len(await named.checkpoints(thread_id)) == 2
