"""Events of a superstep that is still running: at once, once, and void when their attempt does not commit."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from agent_framework import WorkflowEvent
from agent_framework_temporal import DurableWorkflow, LiveEventsDiscarded, position_of
from temporalio.client import Client

from tests.flows import talk
from tests.support import unique, worker, worker_process

WORDS = " ".join(f"w{number}" for number in range(8))


def _outline(events: list[WorkflowEvent[Any]]) -> list[tuple[str, str | None, Any]]:
    return [(event.type, event.executor_id, event.data) for event in events]


async def test_events_come_while_the_superstep_runs(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTS_DELAY", "0.15")
    async with worker(client, talk) as task_queue:
        durable = DurableWorkflow(talk, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        events: list[WorkflowEvent[Any]] = []
        live_before_commit = 0
        async for event in durable.run_stream(WORDS, checkpoint=checkpoint):
            position = position_of(event)
            assert position is not None
            assert position.offset == len(events)
            events.append(event)
            live_before_commit += position.live and checkpoint.offset < position.offset
        # Most words come before their superstep commits: it takes more than a second.
        assert live_before_commit >= 10
        monkeypatch.setenv("TESTS_DELAY", "0")
        local = [event async for event in talk().run(WORDS, stream=True)]
        assert _outline(events) == _outline(local)
        result = await durable.run(WORDS, checkpoint=durable.checkpoint(), include_status_events=True)
        assert _outline(list(result)) == _outline(local)[1:]


async def test_no_history_for_live_events(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTS_DELAY", "0.1")
    async with worker(client, talk) as task_queue:
        durable = DurableWorkflow(talk, client=client, task_queue=task_queue)
        lengths: list[int] = []
        for stream in (True, False):
            checkpoint = durable.checkpoint()
            if stream:
                async for _ in durable.run_stream(WORDS, checkpoint=checkpoint):
                    pass
            else:
                await durable.run(WORDS, checkpoint=checkpoint)
            description = await client.get_workflow_handle(checkpoint.thread_id).describe()
            lengths.append(description.history_length)
        assert lengths[0] == lengths[1]


async def test_attempt_that_is_lost(client: Client, tmp_path: Path) -> None:
    """The worker is killed while words flow: what it told is void, and the sequence in the end is that of one run."""
    task_queue, ledger = unique("queue"), tmp_path / "ledger"
    durable = DurableWorkflow(talk, client=client, task_queue=task_queue, heartbeat_timeout=timedelta(seconds=1))
    events: list[WorkflowEvent[Any]] = []
    async with worker_process(client, task_queue, ledger, delay=0.2) as first:
        stream = durable.run_stream(WORDS)
        async for event in stream:
            events.append(event)
            if event.type == "output" and event.data == "bob w3":
                break
        os.kill(first.pid, signal.SIGKILL)
        await first.wait()
    async with worker_process(client, task_queue, ledger, delay=0.01):
        async for event in stream:
            events.append(event)
        result = await stream.get_final_response()
    void = [event for event in events if isinstance(event, LiveEventsDiscarded)]
    assert [(notice.superstep, notice.attempt) for notice in void] == [(2, 1)]
    expected = [f"{name} {word}" for name in ("ada", "bob") for word in WORDS.split()]
    assert result.get_outputs() == expected
    given_twice = [event.data for event in events if event.type == "output" and str(event.data).startswith("bob")]
    assert given_twice == ["bob w0", "bob w1", "bob w2", "bob w3", *expected[8:]]
    numbers = [position.offset for event in events if (position := position_of(event)) is not None]
    assert sorted(set(numbers)) == list(range(max(numbers) + 1))


async def test_superstep_that_tells_megabytes(client: Client) -> None:
    """The window keeps what fits; the durable events fill the gap, and nothing comes twice."""
    text = " ".join(f"{number}{'x' * 3_000}" for number in range(200))
    async with worker(client, talk) as task_queue:
        durable = DurableWorkflow(talk, client=client, task_queue=task_queue)
        os.environ["TESTS_DELAY"] = "0.003"
        try:
            stream = durable.run_stream(text)
            events = [event async for event in stream]
        finally:
            del os.environ["TESTS_DELAY"]
        offsets = [position.offset for event in events if (position := position_of(event)) is not None]
        assert sorted(offsets) == list(range(len(events)))
        result = await stream.get_final_response()
        assert result.get_outputs() == [f"{name} {word}" for name in ("ada", "bob") for word in text.split()]


async def test_slow_reader(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TESTS_DELAY", "0.02")
    async with worker(client, talk) as task_queue:
        durable = DurableWorkflow(talk, client=client, task_queue=task_queue)
        count = 0
        until = time.monotonic() + 3
        async for _ in durable.run_stream(WORDS):
            count += 1
            await asyncio.sleep(0.1 if time.monotonic() < until else 0)
        assert count == len([event async for event in talk().run(WORDS, stream=True)])
