"""One superstep of a recorded thread again, in this process: as recorded, without a model, without touching it."""

from __future__ import annotations

import asyncio
import signal
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agent_framework_temporal import (
    CheckpointNotFoundError,
    DurableWorkflow,
    NotJournalledError,
    ThreadArchive,
    export_thread,
)
from agent_framework_temporal.testing import replay_superstep
from temporalio.client import Client

from tests.flows import STEPS, Decision, Order, chain, shop
from tests.steering._flows import BROKEN, CALLS, CHANGED, HANGING, desk, desk_function, office, payers
from tests.support import unique, worker, worker_process


@pytest.fixture(autouse=True)
def _no_calls() -> None:
    CALLS.clear()


async def _untouched(client: Client, thread: str) -> Any:
    description = await client.get_workflow_handle(thread).describe()
    return description.run_id, description.history_length, description.status


async def test_each_superstep_of_plain_executors_is_as_recorded(client: Client) -> None:
    async with worker(client, chain) as queue:
        durable = DurableWorkflow(chain, client=client, task_queue=queue)
        checkpoint = durable.checkpoint()
        await durable.run("go", checkpoint=checkpoint)
    before = await _untouched(client, checkpoint.thread_id)
    for number, executor_id in enumerate(STEPS, start=1):
        replayed = await replay_superstep(client, checkpoint, number, chain)
        assert (replayed.superstep, replayed.state, replayed.error) == (number, "committed", None)
        replayed.assert_same()
        assert {event.executor_id for event in replayed.outcome.events} >= {executor_id}
        assert not replayed.made and not replayed.taken
    last = await replay_superstep(client, checkpoint, None, chain)
    assert (last.superstep, last.is_same) == (len(STEPS) + 1, True)  # Nobody takes the last message.
    assert await _untouched(client, checkpoint.thread_id) == before
    with pytest.raises(CheckpointNotFoundError, match=r"no superstep 9 .* it has \[1, 2, 3, 4, 5\]"):
        await replay_superstep(client, checkpoint, 9, chain)


async def test_a_committed_superstep_takes_its_calls_from_a_kept_journal(client: Client) -> None:
    async with worker(client, desk) as queue:
        durable = DurableWorkflow(desk, client=client, task_queue=queue, keep_journal=True)
        checkpoint = durable.checkpoint()
        await durable.run("boat", checkpoint=checkpoint)
    assert CALLS == ["asker", "model", "tool boat", "model", "closer"]
    CALLS.clear()
    replayed = await replay_superstep(client, checkpoint.thread_id, 1, desk)
    replayed.assert_same()
    assert CALLS == ["asker"]
    assert (replayed.taken, replayed.made) == ({"chat": 2, "tool": 1}, {})


async def test_streamed_updates_come_from_the_journal_too(client: Client) -> None:
    async with worker(client, desk) as queue:
        durable = DurableWorkflow(desk, client=client, task_queue=queue, keep_journal=True)
        checkpoint = durable.checkpoint()
        await durable.run_stream("boat", checkpoint=checkpoint).get_final_response()
    CALLS.clear()
    (await replay_superstep(client, checkpoint, 1, desk)).assert_same()
    assert CALLS == ["asker"]


async def test_a_tool_runs_again_where_somebody_wants_to_look_into_it(client: Client) -> None:
    async with worker(client, desk) as queue:
        durable = DurableWorkflow(desk, client=client, task_queue=queue, keep_journal=True)
        checkpoint = durable.checkpoint()
        await durable.run("boat", checkpoint=checkpoint)
    CALLS.clear()
    (await replay_superstep(client, checkpoint, 1, desk, tools=["look_up"])).assert_same()
    assert CALLS == ["asker", "tool boat"]


async def test_without_a_journal_no_model_is_called_unless_that_is_allowed(client: Client) -> None:
    async with worker(client, desk) as queue:
        durable = DurableWorkflow(desk, client=client, task_queue=queue)
        checkpoint = durable.checkpoint()
        await durable.run("boat", checkpoint=checkpoint)
    CALLS.clear()
    with pytest.raises(NotJournalledError, match=r"Model 'librarian' would be called.*keep_journal=True.*`live=True`"):
        await replay_superstep(client, checkpoint, 1, desk)
    assert CALLS == ["asker"]
    CALLS.clear()
    replayed = await replay_superstep(client, checkpoint, 1, desk, live=True)
    replayed.assert_same()
    assert CALLS == ["asker", "model", "tool boat", "model"]
    assert replayed.made == {"chat": 2, "tool": 1}


async def test_a_failed_superstep_becomes_a_test(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BROKEN, "1")
    async with worker(client, desk) as queue:
        durable = DurableWorkflow(desk, client=client, task_queue=queue, max_attempts=1)
        checkpoint = durable.checkpoint()
        with pytest.raises(RuntimeError, match="stumbled over 'stumble'"):
            await durable.run("stumble", checkpoint=checkpoint)
        before = await _untouched(client, checkpoint.thread_id)
        CALLS.clear()
        replayed = await replay_superstep(client, checkpoint, None, desk)
        assert (replayed.superstep, replayed.state, CALLS) == (1, "failed", ["asker"])
        replayed.assert_same()
        assert isinstance(replayed.error, RuntimeError)
        trace = replayed.error.__traceback__
        while trace is not None and trace.tb_next is not None:
            trace = trace.tb_next
        assert trace is not None
        assert trace.tb_frame.f_code.co_name == "ask", "a debugger gets to the line that has raised"
        assert trace.tb_frame.f_locals["word"] == "stumble"
        monkeypatch.delenv(BROKEN)  # As after a fix.
        mended = await replay_superstep(client, checkpoint, 1, desk)
        assert (mended.error, mended.outcome.error, mended.is_same) == (None, None, False)
        assert mended.outcome.checkpoint is not None
        assert "error" in mended.differences
        assert await _untouched(client, checkpoint.thread_id) == before
        # The thread goes on as if nobody had looked.
        result = await durable.run(checkpoint=checkpoint)
        assert result.get_outputs() == ["I FOUND: STUMBLE IS A WORD"]
        assert (await replay_superstep(client, checkpoint, 1, desk, failed=True)).state == "failed"
        with pytest.raises(CheckpointNotFoundError, match="no superstep 2 that failed"):
            await replay_superstep(client, checkpoint, 2, desk, failed=True)


async def test_executors_run_again_and_what_they_do_once_does_not(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The journal has that the first had finished, from which a retry takes it: whoever debugs wants to see it run."""
    monkeypatch.setenv(BROKEN, "1")
    async with worker(client, payers) as queue:
        durable = DurableWorkflow(payers, client=client, task_queue=queue, max_attempts=1)
        checkpoint = durable.checkpoint()
        with pytest.raises(RuntimeError, match="second has paid 6"):
            await durable.run("cake", checkpoint=checkpoint)
    assert sorted(CALLS) == ["first", "pay first", "pay second", "second"]
    CALLS.clear()
    replayed = await replay_superstep(client, checkpoint, 2, payers)
    replayed.assert_same()
    assert (sorted(CALLS), replayed.taken, replayed.made) == (["first", "second"], {"once": 2}, {})
    monkeypatch.delenv(BROKEN)
    mended = await replay_superstep(client, checkpoint, 2, payers)
    assert sorted(event.data for event in mended.outcome.events if event.type == "output") == [
        "first paid 5 for cake",
        "second paid 6 for cake",
    ]


async def test_what_is_done_once_is_not_done_by_a_replay(client: Client) -> None:
    async with worker(client, payers) as queue:
        durable = DurableWorkflow(payers, client=client, task_queue=queue)
        checkpoint = durable.checkpoint()
        await durable.run("cake", checkpoint=checkpoint)
    CALLS.clear()
    with pytest.raises(NotJournalledError, match="What `once` keeps as 'pay' would be called"):
        await replay_superstep(client, checkpoint, 2, payers)
    assert "pay first" not in CALLS and "pay second" not in CALLS


async def test_a_sub_workflow(client: Client) -> None:
    async with worker(client, office) as queue:
        durable = DurableWorkflow(office, client=client, task_queue=queue, keep_journal=True)
        checkpoint = durable.checkpoint()
        await durable.run("boat", checkpoint=checkpoint)
    assert CALLS == ["asker", "model", "tool boat", "model", "closer"]
    CALLS.clear()
    replayed = await replay_superstep(client, checkpoint, 2, office)
    replayed.assert_same()
    assert (CALLS, replayed.taken) == (["asker", "closer"], {"chat": 2, "tool": 1})


async def test_a_functional_workflow(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(BROKEN, "1")
    async with worker(client, desk_function) as queue:
        durable = DurableWorkflow(desk_function, client=client, task_queue=queue, max_attempts=1, keep_journal=True)
        checkpoint = durable.checkpoint()
        with pytest.raises(ValueError, match="cannot close"):
            await durable.run("boat", checkpoint=checkpoint)
        CALLS.clear()
        replayed = await replay_superstep(client, checkpoint, None, desk_function)
        replayed.assert_same()
        assert (replayed.state, CALLS) == ("failed", ["step ask", "step close"])
        monkeypatch.delenv(BROKEN)
        await durable.run(checkpoint=checkpoint)
    CALLS.clear()
    replayed = await replay_superstep(client, checkpoint, None, desk_function)
    replayed.assert_same()
    assert (replayed.state, CALLS) == ("committed", ["step close"]), "the checkpoint has the other step"


async def test_what_is_different_is_said_by_whose_it_is(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    async with worker(client, desk) as queue:
        durable = DurableWorkflow(desk, client=client, task_queue=queue, keep_journal=True)
        checkpoint = durable.checkpoint()
        await durable.run("boat", checkpoint=checkpoint)
    monkeypatch.setenv(CHANGED, "1")
    replayed = await replay_superstep(client, checkpoint, 1, desk)
    assert sorted(replayed.differences) == ["events of 'asker'", "messages of 'asker'"]
    assert "boat is a word!" in replayed.differences["messages of 'asker'"]
    with pytest.raises(AssertionError, match="is not as recorded"):
        replayed.assert_same()


async def test_a_superstep_that_runs_takes_what_its_attempt_has_left(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(HANGING, "1")
    queue = unique("queue")
    durable = DurableWorkflow(desk, client=client, task_queue=queue, heartbeat_timeout=timedelta(seconds=60))
    checkpoint = durable.checkpoint()
    async with worker_process(client, queue, workflows=("tests.steering._flows:desk",)) as process:
        monkeypatch.delenv(HANGING)
        running = asyncio.ensure_future(durable.run("hang", checkpoint=checkpoint))
        async with asyncio.timeout(50):
            while checkpoint.run_id is None or not await _journalled(client, checkpoint.thread_id):
                await asyncio.sleep(0.1)
        process.send_signal(signal.SIGKILL)
        await process.wait()
    before = await _untouched(client, checkpoint.thread_id)
    replayed = await replay_superstep(client, checkpoint.thread_id, None, desk)
    assert (replayed.superstep, replayed.state, replayed.recorded) == (1, "running", None)
    assert (CALLS, replayed.taken) == (["asker"], {"chat": 2, "tool": 1})
    assert replayed.is_same and replayed.outcome.checkpoint is not None
    assert await _untouched(client, checkpoint.thread_id) == before
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    await client.get_workflow_handle(checkpoint.thread_id).terminate()
    assert (await replay_superstep(client, checkpoint.thread_id, None, desk, live=True)).state == "cancelled"


async def _journalled(client: Client, thread: str) -> bool:
    """Tell whether the superstep that runs has told of three calls."""
    description = await client.get_workflow_handle(thread).describe()
    details = [pending.heartbeat_details for pending in description.raw_description.pending_activities]
    return any(b'"chat":2' in payload.data and b'"tool":1' in payload.data for d in details for payload in d.payloads)


async def test_an_answer_is_replayed_with_what_was_answered(client: Client) -> None:
    async with worker(client, shop) as queue:
        durable = DurableWorkflow(shop, client=client, task_queue=queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(item="kettle"), checkpoint=checkpoint)
        request = await replay_superstep(client, checkpoint, None, shop)
        request.assert_same()
        assert [event.type for event in request.outcome.events].count("request_info") == 1
        await durable.run(responses={"approve-kettle": Decision(approved=True)}, checkpoint=checkpoint)
        # A message more: superstep 1 is that of the newest message, and the run before has its own.
        await durable.run(Order(item="pan"), checkpoint=checkpoint)
    answered = await replay_superstep(client, checkpoint, 2, shop)
    answered.assert_same()
    assert [event.data for event in answered.outcome.events if event.type == "output"] == [
        "kettle approved by nobody, order 1"
    ]
    newest = await replay_superstep(client, checkpoint, 1, shop)
    newest.assert_same()
    assert [event.request_id for event in newest.outcome.events if event.type == "request_info"] == ["approve-pan"]
    earlier = await replay_superstep(client, checkpoint, 1, shop, run_id=answered.run_id)
    assert [event.request_id for event in earlier.outcome.events if event.type == "request_info"] == ["approve-kettle"]


async def test_supersteps_across_continue_as_new(client: Client) -> None:
    async with worker(client, chain) as queue:
        durable = DurableWorkflow(chain, client=client, task_queue=queue, supersteps_per_run=1)
        checkpoint = durable.checkpoint()
        await durable.run("go", checkpoint=checkpoint)
    for number in (1, 2, 4):
        replayed = await replay_superstep(client, checkpoint, number, chain)
        assert replayed.superstep == number
        replayed.assert_same()


async def test_a_journal_that_has_no_room_is_left_out(client: Client) -> None:
    async with worker(client, desk) as queue:
        durable = DurableWorkflow(desk, client=client, task_queue=queue, keep_journal=True)
        checkpoint = durable.checkpoint()
        [output] = (await durable.run("everything", checkpoint=checkpoint)).get_outputs()
        assert len(output) == 2_400_000
    with pytest.raises(NotJournalledError):
        await replay_superstep(client, checkpoint, 1, desk)
    (await replay_superstep(client, checkpoint, 1, desk, live=True)).assert_same()


async def test_a_journal_in_history_costs_what_its_calls_compress_to(client: Client) -> None:
    sizes = {}
    async with worker(client, desk) as queue:
        for keep in (False, True):
            durable = DurableWorkflow(desk, client=client, task_queue=queue, keep_journal=keep)
            checkpoint = durable.checkpoint()
            await durable.run("boat", checkpoint=checkpoint)
            sizes[keep] = (
                await client.get_workflow_handle(checkpoint.thread_id).describe()
            ).raw_description.workflow_execution_info.history_size_bytes
    assert 200 < sizes[True] - sizes[False] < 3_000


async def test_an_exported_thread_is_enough(client: Client, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(BROKEN, "1")
    async with worker(client, desk) as queue:
        durable = DurableWorkflow(desk, client=client, task_queue=queue, max_attempts=1)
        checkpoint = durable.checkpoint()
        await durable.run("boat", checkpoint=checkpoint)
        first_run = checkpoint.run_id
        with pytest.raises(RuntimeError):
            await durable.run("stumble", checkpoint=checkpoint)
    file = tmp_path / "production.jsonl"
    file.write_text("".join([line async for line in export_thread(client, checkpoint)]))
    archive = ThreadArchive(file)
    CALLS.clear()
    replayed = await replay_superstep(archive.client, archive.thread_id, None, desk)
    replayed.assert_same()
    assert (replayed.state, str(replayed.error), CALLS) == ("failed", "stumbled over 'stumble'", ["asker"])
    (await replay_superstep(archive.client, archive.thread_id, 2, desk, run_id=first_run)).assert_same()
    with pytest.raises(NotJournalledError):
        await replay_superstep(archive.client, archive.thread_id, 1, desk, run_id=first_run)
