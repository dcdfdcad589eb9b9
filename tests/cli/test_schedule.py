"""`schedule`: threads at fixed times, by the command line alone."""

from __future__ import annotations

import asyncio
from typing import Any

from agent_framework_temporal import DurableWorkflow
from agent_framework_temporal.adapter.checkpoints.history import start_input
from temporalio.client import Client, WorkflowExecutionStatus

from tests.cli._commands import Commands
from tests.flows import echo
from tests.support import unique

_ECHO = ("--workflow", "echo")


async def _begun(cli: Commands, schedule: str, count: int) -> dict[str, Any]:
    async with asyncio.timeout(60):
        while len((found := (await cli("schedule", "show", schedule, "--json")).json)["recent_threads"]) < count:
            await asyncio.sleep(0.1)
    assert isinstance(found, dict)
    return found


async def test_from_its_begin_to_its_end(cli: Commands, client: Client, queue: str) -> None:
    name = unique("nightly")
    made = await cli(
        *("schedule", "create", name, "hello", *_ECHO, "--task-queue", queue, "--cron", "0 3 * * *"),
        *("--time-zone", "Europe/Berlin", "--overlap", "skip", "--note", "a first try", "--paused"),
        *("--option", "max_attempts=1", "--tag", "nightly"),
    )
    assert made.out == f"Schedule {name} created. See: agent-framework-temporal schedule show {name}\n"
    shown = (await cli("schedule", "show", name)).out
    assert "state          paused\nnote           a first try\n" in shown
    assert "when           0 3 * * * Europe/Berlin\n" in shown
    assert "overlap        skip\n" in shown
    assert (
        f"Schedule '{name}' already exists"
        in (await cli("schedule", "create", name, "hello", *_ECHO, "--cron", "0 3 * * *", code=8)).err
    )

    await cli("schedule", "trigger", name)
    [thread] = (await _begun(cli, name, 1))["recent_threads"]
    durable = DurableWorkflow(echo, client=client, task_queue=queue)
    assert (await durable.run(checkpoint=durable.checkpoint(thread))).get_outputs() == ["hello 1"]
    run = await client.get_workflow_handle(thread).describe()
    assert run.status == WorkflowExecutionStatus.COMPLETED
    assert (await start_input(client, thread, run.run_id)).options.max_attempts == 1

    await cli("schedule", "unpause", name, "--note", "on")
    await cli(
        "schedule",
        "update",
        name,
        "--every",
        "6h",
        "--cron",
        "*/15 8-18 1,15 * MON",
        "--overlap",
        "buffer-all",
        "--pause-on-failure",
    )
    found = (await cli("schedule", "show", name, "--json")).json
    assert (found["when"], found["overlap"], found["pause_on_failure"]) == (
        ["*/15 8-18 1,15 * 1", "every 6:00:00"],
        "buffer-all",
        True,
    )
    assert (found["paused"], found["note"], found["task_queue"]) == (False, "on", queue)
    await cli("schedule", "update", name, "goodbye", *_ECHO)
    await cli("schedule", "trigger", name)
    threads = (await _begun(cli, name, 2))["recent_threads"]
    assert (await durable.run(checkpoint=durable.checkpoint(threads[1]))).get_outputs() == ["goodbye 1"]
    await cli("schedule", "pause", name)

    async with asyncio.timeout(50):
        listed: list[dict[str, Any]] = []
        while not any(each["paused"] and len(each["recent_threads"]) == 2 for each in listed):
            listed = [
                each for each in (await cli("schedule", "list", *_ECHO, "--json")).json if each["schedule_id"] == name
            ]
    assert listed[0]["workflow"] == "echo" and listed[0]["recent_threads"] == threads
    # Of this workflow: names of others may be as wide as a terminal.
    assert f"{threads[1]} {name}\n" in (await cli("schedule", "list", *_ECHO)).out

    assert (await cli("schedule", "delete", name)).out == f"Schedule {name} deleted.\n"
    for command in ("show", "pause", "unpause", "trigger", "delete", "update"):
        assert f"There is no schedule '{name}'" in (await cli("schedule", command, name, code=7)).err
    assert (await cli("status", threads[0], "--json")).json["state"] == "idle"


async def test_wrong_flags_say_so(cli: Commands) -> None:
    for arguments, said in (
        (("create", "x", *_ECHO, "--cron", "0 3 * * *"), "give the message"),
        (("create", "x", "hello", *_ECHO), "give a time: --cron"),
        (("create", "x", "hello", *_ECHO, "--every", "soon"), "--every: 'soon' is not a valid duration"),
        (("create", "x", "hello", *_ECHO, "--every", "1h", "--overlap", "some"), "no policy 'some'"),
        (("create", "x", "hello", *_ECHO, "--every", "1h", "--time-zone", "UTC"), "--time-zone"),
        (("create", "x", "hello", *_ECHO, "--every", "1h", "--pause-on-failure"), "ALLOW_ALL"),
        (("create", "x", "hello", *_ECHO, "--every", "1h", "--option", "speed=9"), "no option 'speed'"),
        (("create", "x", "hello", "--every", "1h"), "say which workflow"),
        (("update", "x", "--option", "max_attempts=1"), "give the message as well"),
    ):
        assert said in (await cli("schedule", *arguments, code=2)).err.replace("\n", " ")
