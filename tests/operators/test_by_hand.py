"""`temporal activity fail` and `complete`: a reason is kept, what is no result is refused, the thread stays usable."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from agent_framework_temporal import Checkpoint, DurableWorkflow, RunFailedError
from temporalio.client import Client, WorkflowExecutionStatus

from tests.flows import chain
from tests.operators.conftest import Temporal
from tests.support import worker

_NO_RESULT = r"was completed with a result that no superstep .* returns.*`temporal activity complete`"
_BY_HAND = {
    "reason": (("fail", "--reason", "the model is down"), "^the model is down$"),
    "reason and detail": (("fail", "--reason", "the model is down", "--detail", '{"a": 1}'), "^the model is down$"),
    "no reason": (("fail",), "Application error"),
    "another object": (("complete", "--result", '{"outputs": ["b"]}'), _NO_RESULT),
    "text": (("complete", "--result", '"text"'), _NO_RESULT),
    "null": (("complete", "--result", "null"), _NO_RESULT),
    "nothing in it": (("complete", "--result", '{"kind": "superstep", "state": "idle"}'), _NO_RESULT),
    "state only": (("complete", "--result", '{"state": "running"}'), _NO_RESULT),
}


async def _activity(client: Client, thread_id: str) -> str:
    while True:
        description = await client.get_workflow_handle(thread_id).describe()
        for activity in description.raw_description.pending_activities:
            return activity.activity_id
        await asyncio.sleep(0.05)


@pytest.mark.parametrize(("words", "text"), _BY_HAND.values(), ids=_BY_HAND)
@pytest.mark.parametrize("first", [True, False], ids=["first", "later"])
async def test_ended_by_hand(
    client: Client,
    temporal: Temporal,
    first: bool,
    words: tuple[str, ...],
    text: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with worker(client, chain) as task_queue:
        durable = DurableWorkflow(chain, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        if not first:
            await durable.run("before", checkpoint=checkpoint)
        before = checkpoint.run_id
        monkeypatch.setenv("TESTS_DELAY", "30")
        running: asyncio.Future[Any] = asyncio.ensure_future(durable.run("a", checkpoint=checkpoint))
        while checkpoint.run_id == before:
            await asyncio.sleep(0.05)
        handle = client.get_workflow_handle(checkpoint.thread_id)
        name, *flags = words
        activity_id = await _activity(client, checkpoint.thread_id)
        await temporal("activity", name, "-w", checkpoint.thread_id, "-a", activity_id, *flags)
        monkeypatch.setenv("TESTS_DELAY", "0")
        with pytest.raises(RunFailedError, match=text):
            await running
        assert (await handle.describe()).status == WorkflowExecutionStatus.FAILED
        # Whoever reads it later is told the same, its checkpoints can be listed, and it takes the next message.
        with pytest.raises(RunFailedError, match=text):
            await durable.run_stream(
                checkpoint=Checkpoint.from_json(checkpoint.to_json()), after=-1
            ).get_final_response()
        assert bool(await durable.checkpoints(checkpoint)) is not first
        assert (await durable.run("b", checkpoint=checkpoint)).get_outputs() == ["b>first>second>third done"]


async def test_paused_on_failure_is_tried_again(
    client: Client, temporal: Temporal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESTS_DELAY", "30")
    async with worker(client, chain) as task_queue:
        durable = DurableWorkflow(chain, client=client, task_queue=task_queue, pause_on_failure=True)
        checkpoint = durable.checkpoint()
        running: asyncio.Future[Any] = asyncio.ensure_future(durable.run("a", checkpoint=checkpoint))
        while checkpoint.run_id is None:
            await asyncio.sleep(0.05)
        activity_id = await _activity(client, checkpoint.thread_id)
        await temporal("activity", "complete", "-w", checkpoint.thread_id, "-a", activity_id, "--result", "{}")
        monkeypatch.setenv("TESTS_DELAY", "0")
        with pytest.raises(RunFailedError, match=_NO_RESULT):
            await running
        await durable.retry(checkpoint)
        assert (await durable.run(checkpoint=checkpoint)).get_outputs() == ["a>first>second>third done"]
