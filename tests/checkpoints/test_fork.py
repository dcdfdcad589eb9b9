"""Time travel: a new thread from any checkpoint of another, which stays as it is."""

from __future__ import annotations

from typing import Any

import pytest
from agent_framework import WorkflowEvent, WorkflowRunState
from agent_framework_temporal import (
    Checkpoint,
    CheckpointInfo,
    DurableWorkflow,
    HistoryCheckpointStorage,
    ThreadExistsError,
)
from temporalio.client import Client

from tests.checkpoints._threads import (
    approved,
    assert_lineage,
    durable_chain,
    durable_echo,
    durable_shop,
    failed,
    waiting,
)
from tests.flows import LEDGER, Decision, chain, echo, shop
from tests.support import unique, worker


async def history_of(client: Client, thread_id: str) -> list[bytes]:
    """Return the events of a thread's latest run as they are stored."""
    events = client.get_workflow_handle(thread_id).fetch_history_events()
    return [event.SerializeToString(deterministic=True) async for event in events]


async def fork(durable: DurableWorkflow, info: CheckpointInfo, **arguments: Any) -> tuple[Checkpoint, Any]:
    """Fork a checkpoint into a new thread; return its handle and the result."""
    forked = durable.checkpoint()
    result = await durable.run(checkpoint_id=info.checkpoint_id, checkpoint=forked, **arguments)
    assert forked.thread_id != info.thread_id
    return forked, result


async def test_from_every_superstep(client: Client, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ledger = tmp_path / "ledger"
    monkeypatch.setenv(LEDGER, str(ledger))
    async with worker(client, chain) as task_queue:
        durable = durable_chain(client, task_queue)
        original = durable.checkpoint()
        await durable.run("a", checkpoint=original)
        before = await history_of(client, original.thread_id)
        found = await durable.checkpoints(original)
        for skipped, info in enumerate(found[:-1]):
            ledger.unlink()
            forked, result = await fork(durable, info)
            ends = (
                [line.split()[2] for line in ledger.read_text().splitlines() if " end " in line] if skipped < 4 else []
            )
            assert ends == ["first", "second", "third", "fourth"][skipped:]
            assert result.get_outputs() == (["a>first>second>third done"] if skipped < 4 else [])
            assert result.get_final_state() is WorkflowRunState.IDLE
            listed = await durable.checkpoints(forked)
            assert_lineage(listed, origin=info.checkpoint_id)
            assert [item.superstep for item in listed] == list(range(skipped + 1, 6))
            ledger.touch()
        assert await history_of(client, original.thread_id) == before
        assert await durable.checkpoints(original) == found


async def test_a_converged_one_runs_an_empty_superstep(client: Client) -> None:
    async with worker(client, echo) as task_queue:
        durable = durable_echo(client, task_queue)
        await durable.run("one")
        last = (await durable.checkpoints())[-1]
        forked, result = await fork(durable, last)
        assert result.get_outputs() == []
        in_process = await echo().run(
            checkpoint_id=last.checkpoint_id, checkpoint_storage=HistoryCheckpointStorage(client, echo)
        )
        assert [event.type for event in result] == [event.type for event in in_process]
        assert [event.type for event in result] == ["superstep_started", "superstep_completed"]
        assert (await durable.run("two", checkpoint=forked)).get_outputs() == ["two 2"]
        assert (await durable.run("other two")).get_outputs() == ["other two 2"]
        listed = await durable.checkpoints(forked)
        assert_lineage(listed, origin=last.checkpoint_id)


async def test_a_waiting_one_as_it_was(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = durable_shop(client, task_queue)
        original = await waiting(durable)
        forked, result = await fork(durable, (await durable.checkpoints(original))[-1])
        assert [event.request_id for event in result.get_request_info_events()] == ["approve-pen"]
        assert result.get_final_state() is WorkflowRunState.IDLE_WITH_PENDING_REQUESTS
        assert durable.status is WorkflowRunState.IDLE_WITH_PENDING_REQUESTS
        # Each thread takes an answer of its own.
        answered = await durable.run(responses=approved("fork"), checkpoint=forked)
        assert answered.get_outputs() == ["pen approved by fork, order 1"]
        answered = await durable.run(responses=approved("original"), checkpoint=original)
        assert answered.get_outputs() == ["pen approved by original, order 1"]


async def test_a_waiting_one_with_responses_leaves_the_original_waiting(client: Client) -> None:
    """On one worker, whose warm instance of the original has that very checkpoint."""
    async with worker(client, shop) as task_queue:
        durable = durable_shop(client, task_queue)
        original = await waiting(durable)
        before = await history_of(client, original.thread_id)
        last = (await durable.checkpoints(original))[-1]
        for by in ("bob", "eve"):
            _, result = await fork(durable, last, responses=approved(by))
            assert result.get_outputs() == [f"pen approved by {by}, order 1"]
        assert await history_of(client, original.thread_id) == before
        result = await durable.run(responses=approved(), checkpoint=original)
        assert result.get_outputs() == ["pen approved by ada, order 1"]


async def test_an_answered_one_with_other_responses(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = durable_shop(client, task_queue)
        original = await waiting(durable)
        await durable.run(responses=approved(), checkpoint=original)
        found = await durable.checkpoints(original)
        refusal = {"approve-pen": Decision(approved=False, by="bob")}
        forked, result = await fork(durable, found[1], responses=refusal)
        assert result.get_outputs() == ["pen refused by bob, order 1"]
        listed = await durable.checkpoints(forked)
        assert [info.kind for info in listed] == ["entry", "superstep"]
        assert_lineage(listed, origin=found[1].checkpoint_id)
        # Before the request: it is asked again, in the new thread.
        asked, result = await fork(durable, found[0])
        assert [event.type for event in result].count("request_info") == 1
        assert (await durable.run(responses=refusal, checkpoint=asked)).get_outputs() == result_of(refusal)
        # With the response on its way.
        _, result = await fork(durable, found[2])
        assert result.get_outputs() == ["pen approved by ada, order 1"]


def result_of(responses: dict[str, Decision]) -> list[str]:
    """Return what the shop yields."""
    return [f"pen {'approved' if each.approved else 'refused'} by {each.by}, order 1" for each in responses.values()]


async def test_wrong_responses_leave_the_fork_waiting(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = durable_shop(client, task_queue)
        found = await durable.checkpoints(await waiting(durable))
        forked = durable.checkpoint()
        with pytest.raises(ValueError, match="unknown request ID: approve-car"):
            await durable.run(responses={"approve-car": True}, checkpoint_id=found[1].checkpoint_id, checkpoint=forked)
        result = await durable.run(responses=approved(), checkpoint=forked)
        assert result.get_outputs() == ["pen approved by ada, order 1"]
        nothing = await durable.run(
            responses={}, checkpoint_id=found[1].checkpoint_id, checkpoint=durable.checkpoint()
        )  # As in process: restored, and nothing answered.
        assert [event.request_id for event in nothing.get_request_info_events()] == list(approved())
        with pytest.raises(RuntimeError, match="No pending requests found"):
            await durable.run(
                responses=approved(),
                checkpoint_id=(await durable.checkpoints(forked))[-1].checkpoint_id,
                checkpoint=durable.checkpoint(),
            )


async def test_the_last_good_one_of_a_failed_run(client: Client) -> None:
    async with worker(client, echo) as task_queue:
        durable = durable_echo(client, task_queue)
        found = await durable.checkpoints(await failed(durable))
        forked, _ = await fork(durable, found[1])
        assert (await durable.run("two", checkpoint=forked)).get_outputs() == ["two 2"]
        # What failed fails again from where it began.
        with pytest.raises(ValueError, match="told to fail"):
            await fork(durable, found[2])


async def test_a_fork_of_a_fork(client: Client) -> None:
    async with worker(client, chain, cache_bytes=0) as task_queue:
        durable = durable_chain(client, task_queue)
        await durable.run("a")
        found = await durable.checkpoints()
        first, _ = await fork(durable, found[1])
        branch = await durable.checkpoints(first)
        second, result = await fork(durable, branch[0])
        assert result.get_outputs() == ["a>first>second>third done"]
        assert_lineage(await durable.checkpoints(second), origin=branch[0].checkpoint_id)
        # The whole line, from the newest back to the message, through three threads.
        storage = HistoryCheckpointStorage(client, chain)
        loaded = await storage.load(second.checkpoint_id or "")
        line = [loaded.iteration_count]
        while loaded.previous_checkpoint_id is not None:
            loaded = await storage.load(loaded.previous_checkpoint_id)
            line.append(loaded.iteration_count)
        assert line == [5, 4, 3, 2, 1, 0]


async def test_a_reference_costs_the_same_whatever_the_state(client: Client) -> None:
    async with worker(client, echo) as task_queue:
        durable = durable_echo(client, task_queue)
        await durable.run("x" * 100_000)
        last = (await durable.checkpoints())[-1]
        forked, _ = await fork(durable, last)
        events = client.get_workflow_handle(forked.thread_id).fetch_history_events()
        started = await anext(events)
        assert started.ByteSize() < 2_000


async def test_by_a_client_that_has_only_the_name(client: Client) -> None:
    async with worker(client, chain) as task_queue:
        durable = durable_chain(client, task_queue)
        await durable.run("a")
        found = await durable.checkpoints()
        named = DurableWorkflow("chain", client=client, task_queue=task_queue)
        result = await named.run(checkpoint_id=found[2].checkpoint_id)
        assert result.get_outputs() == ["a>first>second>third done"]


async def test_the_history_given_as_storage_is_referred_to(client: Client) -> None:
    async with worker(client, chain) as task_queue:
        durable = durable_chain(client, task_queue)
        storage = HistoryCheckpointStorage(client, chain)
        await durable.run("a", checkpoint_storage=storage)
        found = await durable.checkpoints()
        forked, result = await fork(durable, found[2], checkpoint_storage=storage)
        assert result.get_outputs() == ["a>first>second>third done"]
        assert_lineage(await durable.checkpoints(forked), origin=found[2].checkpoint_id)


async def test_into_a_thread_that_has_begun(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = durable_shop(client, task_queue)
        original = await waiting(durable)
        checkpoint_id = original.checkpoint_id
        with pytest.raises(ThreadExistsError, match=r"has already started.*checkpoint=durable\.checkpoint\(\)"):
            await durable.run(checkpoint_id=checkpoint_id, checkpoint=original)
        await durable.run(responses=approved(), checkpoint=original)
        with pytest.raises(ThreadExistsError):
            await durable.run(checkpoint_id=checkpoint_id, checkpoint=original)
        # The facade's own thread is as good as any, once.
        own = await durable.run(checkpoint_id=checkpoint_id)
        assert len(own.get_request_info_events()) == 1
        with pytest.raises(ThreadExistsError):
            await durable.run(checkpoint_id=checkpoint_id)
        named = await durable.run(checkpoint_id=checkpoint_id, checkpoint=durable.checkpoint(unique("named")))
        assert len(named.get_request_info_events()) == 1


async def test_as_a_stream(client: Client) -> None:
    async with worker(client, chain) as task_queue:
        durable = durable_chain(client, task_queue)
        await durable.run("a")
        found = await durable.checkpoints()
        forked = durable.checkpoint()
        events: list[WorkflowEvent[Any]] = []
        async for event in durable.run_stream(checkpoint_id=found[-3].checkpoint_id, checkpoint=forked):
            events.append(event)
        assert [event.executor_id for event in events if event.type == "executor_invoked"] == ["fourth"]
        assert forked.checkpoint_id == (await durable.checkpoints(forked))[-1].checkpoint_id
