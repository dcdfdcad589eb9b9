"""`run`, `stream` and `fork`: a thread is given something and followed."""

from __future__ import annotations

import asyncio
import json
import signal
from pathlib import Path

import pytest
from agent_framework_temporal import DurableWorkflow
from temporalio.client import Client

from tests.cli._commands import Commands, started
from tests.flows import LEDGER, Decision, Order, shop
from tests.support import unique


async def test_runs_a_workflow_by_its_name(cli: Commands, queue: str) -> None:
    thread = unique("thread")
    done = await cli("run", "hello", "-w", "echo", "-q", queue, "-t", thread)
    assert done.err == ""
    assert "superstep 1\n  echo begins\n  echo output: hello 1\n  echo is done\nstatus IDLE\n" in done.out
    assert f"thread         {thread}\n" in done.out
    # The thread knows its workflow and its task queue.
    again = await cli("run", "hello", "-t", thread, "--json")
    assert again.lines[-1]["outputs"] == ["hello 2"]


async def test_json_gives_every_event_with_its_place_and_then_the_result(cli: Commands, queue: str) -> None:
    thread = unique("thread")
    done = await cli("run", "hello", "-w", "echo", "-q", queue, "-t", thread, "--json")
    *events, result = done.lines
    assert [event["type"] for event in events] == [
        *("started", "status", "superstep_started", "executor_invoked", "output", "executor_completed"),
        *("superstep_completed", "status"),
    ]
    assert [event["offset"] for event in events] == list(range(8))
    place = {"offset": 4, "superstep": 1, "attempt": 1, "live": False}
    assert events[4] | {"live": False} == {"type": "output", "executor_id": "echo", "data": "hello 1", **place}
    assert (result["type"], result["state"], result["outputs"]) == ("result", "IDLE", ["hello 1"])
    assert (result["thread_id"], result["checkpoint"]["thread_id"]) == (thread, thread)


@pytest.mark.parametrize("form", ["flag", "file", "stdin"])
async def test_takes_json_and_says_how_to_answer(cli: Commands, queue: str, form: str, tmp_path: Path) -> None:
    thread, order = unique("thread"), json.dumps({"item": "kettle", "price": 20})
    (tmp_path / "order.json").write_text(order)
    data = {"flag": order, "file": f"@{tmp_path / 'order.json'}", "stdin": "-"}[form]
    done = await cli("run", "--data", data, "-w", "shop", "-q", queue, "-t", thread, text=order)
    assert 'shop asks, request approve-kettle: {"item": "kettle", "price": 20}' in done.out
    assert f"answer with    agent-framework-temporal respond {thread} approve-kettle\n" in done.out


async def test_a_definition_gives_types(cli: Commands, queue: str) -> None:
    data = json.dumps([{"item": "kettle"}, {"item": "pan"}])
    done = await cli("run", "--data", data, "-w", "tests.flows:shop", "-q", queue, "--json")
    requests = done.lines[-1]["pending_requests"]
    assert [request["request_id"] for request in requests] == ["approve-kettle", "approve-pan"]
    assert requests[0]["response_type"] == "tests.flows:Decision"


async def test_a_run_that_fails_ends_with_its_error(cli: Commands, queue: str) -> None:
    done = await cli("run", "fail", "-w", "echo", "-q", queue, code=1)
    assert "  echo failed: ValueError\n" in done.out
    assert done.err.endswith("told to fail\n")
    done = await cli("run", "fail", "-w", "echo", "-q", queue, "--json", code=1)
    assert done.lines[-1]["type"] in ("status", "failed")
    assert json.loads(done.err)["exit_code"] == 1


async def test_streams_what_was_and_from_an_offset_on(cli: Commands, client: Client, queue: str) -> None:
    durable = DurableWorkflow(shop, client=client, task_queue=queue)
    checkpoint = durable.checkpoint()
    await durable.run(Order(item="kettle"), checkpoint=checkpoint)
    whole = await cli("stream", checkpoint.thread_id, "--json")
    *events, result = whole.lines
    assert [event["offset"] for event in events] == list(range(len(events)))
    assert result["state"] == "IDLE_WITH_PENDING_REQUESTS"
    rest = await cli("stream", checkpoint.thread_id, "--after", "3", "--json")
    assert rest.lines[0]["offset"] == 4
    assert "asks, request approve-kettle" in (await cli("stream", checkpoint.thread_id)).out


async def test_the_live_view_ends_with_what_still_waits(
    cli: Commands, client: Client, queue: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")  # Taken for a terminal.
    durable = DurableWorkflow(shop, client=client, task_queue=queue)
    checkpoint = durable.checkpoint()
    await durable.run(Order(item="kettle"), checkpoint=checkpoint)
    asked = await cli("stream", checkpoint.thread_id)
    assert asked.out.count("waits for an answer") == 1
    await durable.run(responses={"approve-kettle": Decision(approved=True)}, checkpoint=checkpoint)
    answered = await cli("stream", checkpoint.thread_id)
    assert "shop" in answered.out
    assert "waits for an answer" not in answered.out


async def test_forks_with_responses_and_leaves_the_original(cli: Commands, client: Client, queue: str) -> None:
    durable = DurableWorkflow(shop, client=client, task_queue=queue)
    checkpoint = durable.checkpoint()
    await durable.run(Order(item="kettle"), checkpoint=checkpoint)
    listed = (await cli("checkpoints", checkpoint.thread_id, "--json")).json
    assert [(info["kind"], info["state"]) for info in listed] == [("entry", "running"), ("superstep", "waiting")]
    fork, newest = unique("fork"), listed[-1]["checkpoint_id"]
    responses = json.dumps({"approve-kettle": {"approved": True, "by": "ann"}})
    done = await cli(
        "fork",
        checkpoint.thread_id,
        newest,
        "--into",
        fork,
        "--responses",
        responses,
        "-w",
        "tests.flows:shop",
        "--json",
    )
    assert done.lines[-1]["outputs"] == ["kettle approved by ann, order 1"]
    assert (await cli("status", checkpoint.thread_id, "--json")).json["state"] == "waiting"
    assert (await cli("status", fork, "--json")).json["state"] == "idle"
    await cli("fork", checkpoint.thread_id, newest, "--into", fork, code=8)
    await cli("fork", checkpoint.thread_id, "nonsense", code=7)


async def test_leaving_does_not_stop_the_run(
    cli: Commands, queue: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ledger, thread = tmp_path / "ledger", unique("thread")
    monkeypatch.setenv(LEDGER, str(ledger))
    monkeypatch.setenv("TESTS_DELAY", "2")
    flags = ["run", "go", "-w", "chain", "-q", queue, "-t", thread]
    async with started(*flags, variables={"TEMPORAL_ADDRESS": cli.address}) as process, asyncio.timeout(50):
        while not ledger.exists():
            await asyncio.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
    assert process.returncode == 130
    assert errors.decode().startswith("agent-framework-temporal: left; the run continues. Follow it: ")
    assert f"stream {thread} --after " in errors.decode()
    monkeypatch.setenv("TESTS_DELAY", "0")
    done = await cli("stream", thread, "--json")
    assert done.lines[-1]["state"] == "IDLE"


async def test_says_what_is_wrong_with_the_flags(cli: Commands, queue: str) -> None:
    assert "give the message once" in (await cli("run", "-w", "echo", code=2)).err
    assert "give the message once" in (await cli("run", "a", "--data", "1", "-w", "echo", code=2)).err
    assert "not valid JSON" in (await cli("run", "--data", "{", "-w", "echo", code=2)).err
    assert "--data @/no/such: No such file" in (await cli("run", "--data", "@/no/such", "-w", "echo", code=2)).err
    assert "say which workflow" in (await cli("run", "a", "-t", unique("thread"), code=2)).err
    assert "did you mean 'echo'" in (await cli("run", "a", "-w", "tests.flows:eco", code=3)).err
    assert "auto-generated" in (await cli("run", "a", "-w", "tests.worker.graphs:build_unnamed", code=5)).err
