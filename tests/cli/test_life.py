"""`status`, `resume`, `run --option`, `threads`: the life of a thread at the command line."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta

import pytest
from agent_framework_temporal import DurableOptions, DurableWorkflow, ExecutorPolicy, RequestPolicy, ToolPolicy
from agent_framework_temporal.adapter.cli.options import option_names, read_options
from agent_framework_temporal.adapter.commands.exit_codes import UsageError
from temporalio.client import Client
from temporalio.common import SearchAttributeKey

from tests.cli._commands import Commands
from tests.facade._failing import MENDED, failing
from tests.flows import echo
from tests.support import unique, worker


async def test_says_why_a_thread_failed_and_resumes_it(
    cli: Commands, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = unique("thread")
    async with worker(client, failing) as queue:
        at_once = ("--option", "max_attempts=1")
        await cli("run", "x", "-w", "failing", "-q", queue, "-t", thread, *at_once, code=1)
        found = (await cli("status", thread, "--json")).json
        assert found["state"] == "failed"
        assert found["failure"] | {"at": None} == {
            "error_type": "OSError",
            "message": "failing is down",
            "executor_id": "failing",
            "superstep": 2,
            "at": None,
        }
        assert (found["since"], found["seconds"] >= 0) == (found["closed_at"], True)
        text = (await cli("status", thread)).out
        assert "failed in      superstep 2, executor failing\n" in text
        assert "│ OSError: failing is down\n" in text
        assert f"resume with    agent-framework-temporal resume {thread}\n" in text
        again = await cli("resume", thread, *at_once, code=1)
        assert "failing is down" in again.err
        monkeypatch.setenv(MENDED, "1")
        assert (await cli("resume", thread, "--json")).lines[-1]["outputs"] == ["failing done"]
        refused = await cli("resume", thread, code=8)
        assert "is idle: its run completed" in refused.err
        assert f"agent-framework-temporal run MESSAGE --thread {thread}" in refused.err
    assert "There is no thread" in (await cli("resume", unique("none"), code=7)).err


async def test_says_why_a_thread_is_paused_and_resumes_it(
    cli: Commands, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = unique("thread")
    async with worker(client, failing) as queue:
        options = ("--option", "max_attempts=1", "--option", "pause_on_failure=true")
        await cli("run", "x", "-w", "failing", "-q", queue, "-t", thread, *options, code=1)
        found = (await cli("status", thread, "--json")).json
        assert (found["state"], found["failure"]["message"]) == ("paused", "failing is down")
        assert found["failure"]["executor_id"] == "failing"
        assert datetime.fromisoformat(found["since"]) == datetime.fromisoformat(found["failure"]["at"])
        text = (await cli("status", thread)).out
        assert "state          paused\n" in text
        assert "│ OSError: failing is down\n" in text
    # Nobody answers, and it is known all the same.
    text = (await cli("status", thread)).out
    assert f"paused; no worker answers on task queue '{queue}'\n" in text
    assert "│ OSError: failing is down\n" in text
    monkeypatch.setenv(MENDED, "1")
    async with worker(client, failing, task_queue=queue):
        assert (await cli("resume", thread, "--json")).lines[-1]["outputs"] == ["failing done"]


async def test_says_which_attempt_runs_where_and_for_how_long(cli: Commands, client: Client) -> None:
    thread = unique("thread")
    async with worker(client, echo, failing) as queue:
        durable = DurableWorkflow(
            failing, client=client, task_queue=queue, retry_initial_interval=timedelta(seconds=50)
        )
        running = asyncio.ensure_future(durable.run("x", checkpoint=thread))
        while (attempt := await durable.attempt(thread)) is None or attempt.state != "waiting":
            await asyncio.sleep(0.1)
        found = (await cli("status", thread, "--json")).json
        assert (found["state"], found["attempt"]["attempt"], found["attempt"]["worker"]) == (
            "running",
            2,
            attempt.worker,
        )
        assert found["attempt"]["next_at"] is not None
        text = (await cli("status", thread)).out
        assert f"last worker    {attempt.worker}\n" in text
        assert "is running, so there is nothing to resume" in (await cli("resume", thread, code=8)).err
        await durable.cancel(thread)
        with pytest.raises(Exception, match="cancelled"):
            await running
        assert (await cli("status", thread, "--json")).json["failure"]["message"] == "it was cancelled"


def test_every_option_can_be_given() -> None:
    given = {
        "superstep_timeout": "2h",
        "heartbeat_timeout": "1m30s",
        "max_attempts": "1",
        "max_worker_losses": "7",
        "executors": '{"writer": {"timeout": "30s", "max_attempts": 2}}',
        "tools": '{"pay": {"in_doubt": "ask"}}',
        "journal": "no",
        "retry_initial_interval": "500ms",
        "retry_backoff": "1.5",
        "retry_maximum_interval": "1d",
        "worker_timeout": "5s",
        "server_timeout": "5m",
        "history_bytes_per_run": "1000",
        "supersteps_per_run": "3",
        "mirror": "backup",
        "pause_on_failure": "true",
        "requests": '{"*": {"remind_after": "1h", "deadline": "2d", "on_deadline": "cancel"}}',
        "search_attributes": '{"Customer": "c-7", "Priority": 3}',
        "when_waiting": "reject",
        "iterations_per": "answer",
        "when_running": "enqueue",
        "breakpoints": "writer, pay_*",
        "keep_journal": "true",
        "idle_timeout": "90s",
        "priority": "1",
        "fairness_key": "acme",
        "fairness_weight": "0.5",
        "burst": "5s",
        "console_url": "https://agents.example",
    }
    known = {name.removesuffix("=") for name in option_names()}
    options = DurableOptions(**read_options([f"{name}={value}" for name, value in given.items()]))
    assert known == given.keys()
    assert (options.when_running, options.breakpoints, options.keep_journal) == ("enqueue", ["writer", "pay_*"], True)
    assert (options.idle_timeout, options.burst) == (timedelta(seconds=90), timedelta(seconds=5))
    assert (options.priority, options.fairness_key, options.fairness_weight) == (1, "acme", 0.5)
    assert options.superstep_timeout == timedelta(hours=2)
    assert options.heartbeat_timeout == timedelta(seconds=90)
    assert options.retry_initial_interval == timedelta(milliseconds=500)
    assert (options.max_attempts, options.retry_backoff, options.journal, options.pause_on_failure) == (
        1,
        1.5,
        False,
        True,
    )
    assert options.executors == {"writer": ExecutorPolicy(timeout=timedelta(seconds=30), max_attempts=2)}
    assert options.tools == {"pay": ToolPolicy(in_doubt="ask")}
    assert options.requests == {
        "*": RequestPolicy(remind_after=timedelta(hours=1), deadline=timedelta(days=2), on_deadline="cancel")
    }
    assert options.own_attributes[SearchAttributeKey.for_int("Priority")] == 3
    alone = read_options(['requests={"deadline": "1h"}', "supersteps_per_run=none", "search_attributes=false"])
    assert alone == {
        "requests": RequestPolicy(deadline=timedelta(hours=1)),
        "supersteps_per_run": None,
        "search_attributes": False,
    }
    assert option_names("retry_b") == ["retry_backoff="]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ("max_attempt=1", "there is no option 'max_attempt'; the options are superstep_timeout, "),
        ("max_attempts", "'max_attempts' is not NAME=VALUE"),
        ("max_attempts=many", "max_attempts: invalid literal"),
        ("max_attempts=0", "must be from 1 to 1,000,000"),
        ("superstep_timeout=long", "'long' is not a valid duration; use for example 30s, 5m, 1h30m or 2d"),
        ("superstep_timeout=5", "'5' is not a valid duration"),
        ("superstep_timeout=99999999999999w", "is too long"),
        ("journal=perhaps", "it is true or false, got 'perhaps'"),
        ("when_waiting=never", "it is one of take, reject, got 'never'"),
        ("executors=[1]", "it takes a JSON object"),
        ('executors={"a": {"speed": 1}}', "has no 'speed', but heartbeat_timeout, idle_timeout, in_doubt"),
        ('executors={"a": {"timeout": 30}}', "'timeout' takes a duration in quotes"),
        ('executors={"a": 3}', "'a' takes a JSON object"),
        ("requests=" + "[" * 5000, "requests: "),
        ('search_attributes={"a": null}', "'a' takes a text, a number"),
    ],
)
def test_says_what_is_wrong_with_an_option(given: str, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_options([given])
    assert text in str(caught.value)


async def test_an_option_is_wrong_before_anything_is_sent(cli: Commands, client: Client) -> None:
    thread = unique("thread")
    done = await cli("run", "x", "-w", "echo", "-t", thread, "--option", "nothing=1", code=2)
    assert "there is no option 'nothing'" in done.err
    assert "20 tags" in (await cli("run", "x", "-w", "echo", "-t", thread, "--tag", "", code=2)).err
    await cli("status", thread, code=7)
