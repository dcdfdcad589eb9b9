"""Reading on: another process, an offset, several readers, a run that continues as new in mid-stream."""

from __future__ import annotations

import asyncio
import sys
from asyncio.subprocess import PIPE
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agent_framework import WorkflowEvent, WorkflowRunState
from agent_framework_temporal import Checkpoint, DurableWorkflow, RequestPolicy, position_of
from temporalio.client import Client

from tests.flows import Decision, Order, countdown, echo, shop, talk
from tests.support import unique, worker

_READER = """
import asyncio, os, sys
from agent_framework_temporal import Checkpoint, DurableWorkflow, RequestPolicy, position_of
from temporalio.client import Client
from tests.flows import talk

async def main() -> None:
    client = await Client.connect(sys.argv[1], namespace=sys.argv[5])
    durable = DurableWorkflow(talk, client=client, task_queue=sys.argv[2])
    checkpoint = Checkpoint.from_json(sys.argv[3])
    async for event in durable.run_stream(checkpoint=checkpoint, after=int(sys.argv[4])):
        print(position_of(event).offset, event.type, event.data if event.type == "output" else "-", flush=True)

asyncio.run(main())
"""
_WORDS = " ".join(f"w{number}" for number in range(6))


def _offsets(events: list[WorkflowEvent[Any]]) -> list[int]:
    return [position.offset for event in events if (position := position_of(event)) is not None]


async def _read(durable: DurableWorkflow, checkpoint: Checkpoint, after: int) -> list[WorkflowEvent[Any]]:
    handle = Checkpoint.from_json(checkpoint.to_json())
    return [event async for event in durable.run_stream(checkpoint=handle, after=after)]


async def test_any_offset_of_a_thread_of_many_runs(client: Client) -> None:
    async with worker(client, countdown) as task_queue:
        durable = DurableWorkflow(countdown, client=client, task_queue=task_queue, supersteps_per_run=3)
        checkpoint = durable.checkpoint()
        events: list[WorkflowEvent[Any]] = []
        for start in (7, 4):
            events += [event async for event in durable.run_stream(start, checkpoint=checkpoint)]
        outline = [(position, event.type, event.data) for position, event in zip(_offsets(events), events, strict=True)]
        assert _offsets(events) == list(range(len(events)))
    # No worker is up: history is enough.
    for after in (-1, 0, 5, 20, len(events) - 2):
        again = await _read(durable, checkpoint, after)
        assert [
            (position, event.type, event.data) for position, event in zip(_offsets(again), again, strict=True)
        ] == outline[after + 1 :]
    at_end = await _read(durable, checkpoint, len(events) - 1)
    assert [(event.type, event.state) for event in at_end] == [("status", WorkflowRunState.IDLE)]


async def test_run_that_failed_is_read_and_not_resumed(client: Client) -> None:
    async with worker(client, echo) as task_queue:
        durable = DurableWorkflow(echo, client=client, task_queue=task_queue, max_attempts=1)
        checkpoint = durable.checkpoint()
        await durable.run("one", checkpoint=checkpoint)
        with pytest.raises(ValueError, match="told to fail"):
            await durable.run("fail", checkpoint=checkpoint)
        await durable.run("two", checkpoint=checkpoint)
        events = await _read(durable, checkpoint, -1)
        assert [event.data for event in events if event.type == "output"] == ["one 1", "two 2"]
        assert [event.type for event in events].count("failed") == 1
        with pytest.raises(ValueError, match="told to fail"):
            await durable.run("fail", checkpoint=checkpoint)
        seen: list[str] = []
        with pytest.raises(ValueError, match="told to fail"):
            async for event in durable.run_stream(checkpoint=checkpoint, after=checkpoint.offset - 3):
                seen.append(event.type)
        assert seen == ["executor_failed", "failed", "status"]


async def test_reader_process_killed_and_another_goes_on(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TESTS_DELAY", "0.15")
    async with worker(client, talk) as task_queue:
        durable = DurableWorkflow(talk, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        async for _ in durable.run_stream(_WORDS, checkpoint=checkpoint):
            break
        arguments = (sys.executable, "-c", _READER, client.service_client.config.target_host, task_queue)

        async def reader(after: int) -> asyncio.subprocess.Process:
            return await asyncio.create_subprocess_exec(
                *arguments,
                checkpoint.to_json(),
                str(after),
                client.namespace,
                cwd=Path(__file__).parents[2],
                stdout=PIPE,
            )

        first = await reader(-1)
        assert first.stdout is not None
        lines: list[str] = []
        while len(lines) < 8:
            lines.append((await first.stdout.readline()).decode().strip())
        first.kill()
        await first.wait()
        second = await reader(int(lines[-1].split()[0]))
        rest, _ = await second.communicate()
        assert second.returncode == 0
        lines += rest.decode().splitlines()
        assert [int(line.split()[0]) for line in lines] == list(range(len(lines)))
        monkeypatch.setenv("TESTS_DELAY", "0")
        local = [event async for event in talk().run(_WORDS, stream=True)]
        assert [line.split()[1] for line in lines] == [event.type for event in local]


async def test_three_readers_at_three_offsets(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTS_DELAY", "0.05")
    async with worker(client, talk) as task_queue:
        durables = [DurableWorkflow(talk, client=client, task_queue=task_queue) for _ in range(4)]
        checkpoint = durables[0].checkpoint()
        whole = asyncio.ensure_future(_collect(durables[0], checkpoint))
        while checkpoint.offset < 4:
            await asyncio.sleep(0.02)
        readers = [
            asyncio.ensure_future(_read(durable, checkpoint, after))
            for durable, after in zip(durables[1:], (-1, 3, 6), strict=True)
        ]
        events = await whole
        for reader, after in zip(readers, (-1, 3, 6), strict=True):
            assert _offsets(await reader) == _offsets(events)[after + 1 :]
        description = await client.get_workflow_handle(checkpoint.thread_id).describe()
        assert description.history_length < 30


async def _collect(durable: DurableWorkflow, checkpoint: Checkpoint) -> list[WorkflowEvent[Any]]:
    return [event async for event in durable.run_stream(_WORDS, checkpoint=checkpoint)]


@pytest.mark.parametrize("deadline", [None, timedelta(hours=1)], ids=["", "deadline"])
async def test_waiting_thread_gives_its_requests_again(client: Client, deadline: timedelta | None) -> None:
    """A deadline's timer is written after the decision to wait, as search attributes are."""
    requests = RequestPolicy(deadline=deadline) if deadline else None
    async with worker(client, shop, cache_bytes=0) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue, requests=requests)
        checkpoint = durable.checkpoint()
        await durable.run([Order(item="pen"), Order(item="ink")], checkpoint=checkpoint)
        await durable.run(responses={"approve-pen": Decision(approved=True)}, checkpoint=checkpoint)
        again = [event async for event in durable.run_stream(checkpoint=checkpoint)]
        assert [(event.type, event.data) for event in again] == [("request_info", Order(item="ink")), ("status", None)]
        named = DurableWorkflow("shop", client=client, task_queue=task_queue)
        plain = [event async for event in named.run_stream(checkpoint=Checkpoint.from_json(checkpoint.to_json()))]
        assert plain[0].data == {"item": "ink", "price": 1}


async def test_followed_right_after_an_answer_from_outside(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        for number in range(5):
            checkpoint = durable.checkpoint()
            await durable.run(Order(item="pen"), checkpoint=checkpoint)
            handle = client.get_workflow_handle(checkpoint.thread_id)
            answer = {"request_id": "approve-pen", "response": {"approved": True, "by": str(number)}}
            await handle.signal("respond", answer)
            result = await durable.run(checkpoint=checkpoint)
            assert result.get_outputs() == [f"pen approved by {number}, order 1"]


def test_after_goes_with_a_checkpoint_alone(client: Client) -> None:
    durable = DurableWorkflow(echo, client=client, task_queue=unique("queue"))
    with pytest.raises(ValueError, match="with 'checkpoint' and nothing else"):
        durable.run_stream("a", checkpoint=durable.checkpoint(), after=3)
