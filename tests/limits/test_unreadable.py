"""What Python holds and no reader of JSON takes: no thread is lost to it, and whoever has the types gets it exact."""

from __future__ import annotations

import json
from typing import Any

import pytest
from agent_framework import WorkflowEvent
from agent_framework_temporal import DurableWorkflow, RunFailedError, position_of
from temporalio.client import Client

from tests.cli._commands import started
from tests.limits._flows import Order, hoard, noise
from tests.limits._odd import ODD, odd, repr_of, slow
from tests.support import worker


async def _read(durable: DurableWorkflow, thread_id: str) -> list[WorkflowEvent[Any]]:
    """Read all of a thread that is idle or waits."""
    return [event async for event in durable.run_stream(checkpoint=durable.checkpoint(thread_id), after=-1)]


def _of(events: list[WorkflowEvent[Any]], kind: str) -> list[Any]:
    return [event.data for event in events if event.type == kind]


@pytest.mark.parametrize("cache_bytes", [0, 10_000_000], ids=["uncached", "cached"])
@pytest.mark.parametrize("place", ["output", "message", "state", "request", "warning", "error"])
async def test_wherever_a_superstep_puts_it(place: str, cache_bytes: int, client: Client) -> None:
    async with worker(client, odd, cache_bytes=cache_bytes) as task_queue:
        durable = DurableWorkflow(odd, client=client, task_queue=task_queue, max_attempts=1)
        plain = DurableWorkflow("odd", client=client, task_queue=task_queue)
        for name, make in ODD.items():
            checkpoint = durable.checkpoint()
            if place == "error":
                with pytest.raises((ValueError, RunFailedError)):
                    await durable.run([place, name], checkpoint=checkpoint)
                assert (await durable.run(["output", ""], checkpoint=checkpoint)).get_outputs() == ["plain", "done"]
                assert len(await durable.checkpoints(checkpoint)) == 3
                continue
            result = await durable.run([place, name], checkpoint=checkpoint)
            events = await _read(durable, checkpoint.thread_id)
            shown = await _read(plain, checkpoint.thread_id)
            assert [event.type for event in shown] == [event.type for event in events]
            json.dumps([event.data for event in shown if event.type in ("output", "request_info", "warning")])
            if place == "output":
                assert repr_of(result.get_outputs()[0]) == repr_of(make()) == repr_of(_of(events, "output")[0])
                assert _of(shown, "output")[1:] == ["done"]
            elif place == "message":
                assert result.get_outputs() == ["done", f"sink {[name]}"], name
            elif place == "warning":
                assert repr_of(_of(events, "warning")[0]) == repr_of(make())
            elif place == "request":
                assert repr_of(_of(events, "request_info")[0]) == repr_of(make())
                (request,) = await durable.pending_requests(checkpoint)
                request.model_dump_json()
                result = await durable.run(responses={"odd": "yes"}, checkpoint=checkpoint)
                assert result.get_outputs() == [f"yes {[name]}"]
            assert (await durable.run(["output", ""], checkpoint=checkpoint)).get_outputs() == ["plain", "done"]
            assert len(await durable.checkpoints(checkpoint)) >= 4


@pytest.mark.parametrize("known", [True, False], ids=["typed", "by-name"])
async def test_live_events(known: bool, client: Client) -> None:
    """They travel in heartbeats, where what cannot be read would fail the next attempt."""
    async with worker(client, slow) as task_queue:
        durable = DurableWorkflow(slow if known else "slow", client=client, task_queue=task_queue)
        for name in ("long int", "deep list", "lone surrogate"):
            events: list[WorkflowEvent[Any]] = []
            live = 0
            async for event in durable.run_stream(name):
                position = position_of(event)
                live += event.type == "output" and position is not None and position.live
                events.append(event)
            outputs = _of(events, "output")
            assert live >= 2
            assert [output for output in outputs if type(output) is str and len(output) > 10_000] == [
                "x" * 50_000 + str(number) for number in range(3)
            ]
            assert len(outputs) == 6
            if known:
                assert {repr_of(output) for output in outputs[::2]} == {repr_of(ODD[name]())}


async def test_the_command_line_shows_what_is_large(client: Client) -> None:
    async with worker(client, hoard) as task_queue:
        durable = DurableWorkflow(hoard, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        await durable.run(Order(output=1_500_000), checkpoint=checkpoint)
        address = client.service_client.config.target_host
        async with started("stream", checkpoint.thread_id, "--json", "--address", address) as process:
            out, err = await process.communicate()
        assert err == b""
        outputs = [event["data"] for event in map(json.loads, out.splitlines()) if event["type"] == "output"]
        assert outputs == [noise(1_500_000), "sink 0"]
