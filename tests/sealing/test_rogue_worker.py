"""A worker without a key polls supersteps: whatever it answers, no thread takes it, and none is broken by it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from agent_framework_temporal import DurableWorkflow
from agent_framework_temporal.adapter.checkpoints.frames import Frame, pack
from agent_framework_temporal.testing import replay_history
from agent_framework_temporal.workflows.messages import (
    CheckpointFacts,
    SuperstepFailure,
    SuperstepResult,
)
from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from tests.flows import chain, echo
from tests.sealing._rogue import Answer, connect, history, plain, results, rogue_worker
from tests.support import unique, worker


def forged(**fields: Any) -> Payload:
    """Return a result that nobody has sealed, with a checkpoint of its author's."""
    frame, _ = pack(Frame(checkpoint=b"forged", payloads=b""), None)
    facts = CheckpointFacts(
        checkpoint_id="forged",
        superstep=9,
        digest="0" * 32,
        size_bytes=6,
        frame_bytes=len(frame),
        graph_hash="forged",
        timestamp="2026-01-01T00:00:00+00:00",
    )
    return plain(SuperstepResult(state="idle", checkpoint=facts, **fields).with_frame(frame))


async def survives(client: Client, sealing: Client, answer: Answer, *, times: int = 2) -> list[str]:
    """Let a rogue answer the first supersteps of a run of `chain`; return the outputs that come of it all the same."""
    queue = unique("queue")
    durable = DurableWorkflow(chain, client=sealing, task_queue=queue)
    checkpoint = durable.checkpoint()
    async with worker(sealing, chain, task_queue=queue, no_remote_activities=True):
        async with rogue_worker(client, queue, answer) as rogue:
            running = asyncio.ensure_future(durable.run("a", checkpoint=checkpoint))
            async with asyncio.timeout(50):
                while len(rogue.tasks) < times:
                    await asyncio.sleep(0.05)
        # A client of its own: one takes no two workers of a task queue.
        async with worker(await connect(client), chain, task_queue=queue):
            result = await running
            run = await sealing.get_workflow_handle(checkpoint.thread_id).fetch_history()
            await replay_history(run, data_converter=sealing.data_converter)
            # What it has left in history is no checkpoint, and the thread goes on.
            found = await durable.checkpoints(checkpoint)
            assert [info.superstep for info in found] == [0, 1, 2, 3, 4, 5], found
            again = await durable.run("b", checkpoint=checkpoint)
            assert again.get_outputs() == ["b>first>second>third done"]
            return list(result.get_outputs())


async def of_other_thread(client: Client, sealing: Client) -> Payload:
    """Return a sealed result of another thread of the same workflow."""
    async with worker(sealing, chain) as queue:
        durable = DurableWorkflow(chain, client=sealing, task_queue=queue)
        checkpoint = durable.checkpoint()
        await durable.run("secret", checkpoint=checkpoint)
        return (await results(client, checkpoint.thread_id))[-1]


_ANSWERS: dict[str, Callable[[Client, Client], Awaitable[Payload | Exception | None]]] = {}


def answer(function: Callable[[Client, Client], Awaitable[Payload | Exception | None]]) -> None:
    """Add something that the rogue answers."""
    _ANSWERS[function.__name__.strip("_")] = function


@answer
async def _unsealed(client: Client, sealing: Client) -> Payload:
    return forged()


@answer
async def _unsealed_as_if_it_answered(client: Client, sealing: Client) -> Payload:
    return forged(answers="any.1")


@answer
async def _copied_from_another_thread(client: Client, sealing: Client) -> Payload:
    return await of_other_thread(client, sealing)


@answer
async def _altered(client: Client, sealing: Client) -> Payload:
    payload = await of_other_thread(client, sealing)
    payload.data = payload.data[:-1] + bytes([payload.data[-1] ^ 1])
    return payload


@answer
async def _another_place_written_over_its_own(client: Client, sealing: Client) -> Payload:
    payload = await of_other_thread(client, sealing)
    payload.metadata["sealed-for"] = b'{"namespace":"default","activity_of":"any"}'
    return payload


@answer
async def _its_place_taken_away(client: Client, sealing: Client) -> Payload:
    payload = await of_other_thread(client, sealing)
    del payload.metadata["sealed-for"]
    return payload


@answer
async def _said_to_be_sealed(client: Client, sealing: Client) -> Payload:
    payload = forged()
    payload.metadata["agent-framework-sealed-by"] = b"k1"
    payload.metadata["agent-framework-kind"] = b"SuperstepResult"
    return payload


@answer
async def _no_result(client: Client, sealing: Client) -> None:
    return None


@answer
async def _no_json(client: Client, sealing: Client) -> Payload:
    return Payload(metadata={"encoding": b"json/plain"}, data=b"{")


@answer
async def _no_encoding(client: Client, sealing: Client) -> Payload:
    return Payload(data=b"\xff")


@answer
async def _failure(client: Client, sealing: Client) -> Exception:
    return ApplicationError("pay me", type="ValueError", non_retryable=True)


@answer
async def _failure_with_a_checkpoint(client: Client, sealing: Client) -> Exception:
    failure = SuperstepFailure(message="pay me")
    failure.checkpoint = CheckpointFacts(
        checkpoint_id="forged",
        superstep=9,
        digest="0" * 32,
        size_bytes=6,
        frame_bytes=0,
        graph_hash="forged",
        timestamp="2026-01-01T00:00:00+00:00",
    )
    return ApplicationError("pay me", RawValue(plain(failure)), non_retryable=True)


@answer
async def _failure_of_another_thread(client: Client, sealing: Client) -> Exception:
    async with worker(sealing, echo) as queue:
        durable = DurableWorkflow(echo, client=sealing, task_queue=queue, max_attempts=1)
        checkpoint = durable.checkpoint()
        with pytest.raises(ValueError, match="told to fail"):
            await durable.run("fail", checkpoint=checkpoint)
    for event in await history(client, checkpoint.thread_id):
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED:
            (detail,) = event.activity_task_failed_event_attributes.failure.application_failure_info.details.payloads
            return ApplicationError("pay me", RawValue(detail), non_retryable=True)
    raise AssertionError("nothing has failed")


@pytest.mark.parametrize("name", sorted(_ANSWERS))
async def test_answer_of_a_rogue_is_refused_and_the_run_goes_on(
    name: str, client: Client, sealing: Client, caplog: pytest.LogCaptureFixture
) -> None:
    given = await _ANSWERS[name](client, sealing)
    with caplog.at_level(logging.WARNING, "agent_framework_temporal"):
        assert await survives(client, sealing, lambda number: given) == ["a>first>second>third done"]
    refused = [record.getMessage() for record in caplog.records if "The outcome of a superstep" in record.getMessage()]
    assert len(refused) >= 2
    assert all("is refused" in text and "It runs again." in text for text in refused)
    assert not any(
        "pay me" in record.getMessage() for record in caplog.records if "temporal.activity" not in record.name
    )
    if "another_thread" in name and "failure" not in name:
        assert "is sealed for supersteps of thread" in refused[0]
        assert "and not for this place" in refused[0]
