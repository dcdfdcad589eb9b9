"""`replay`: one superstep of a thread in the command's own process, with a debugger if wanted."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import pytest
from agent_framework_temporal import Checkpoint, DurableWorkflow
from temporalio.client import Client

from tests.cli._commands import Commands
from tests.steering._flows import BROKEN, CHANGED, STOPPING, desk
from tests.support import worker

_DESK = ("--workflow", "tests.steering._flows:desk")


async def _thread(client: Client, word: str, *, keep_journal: bool = False) -> Checkpoint:
    async with worker(client, desk) as queue:
        durable = DurableWorkflow(desk, client=client, task_queue=queue, max_attempts=1, keep_journal=keep_journal)
        checkpoint = durable.checkpoint()
        with contextlib.suppress(RuntimeError, ValueError):
            await durable.run(word, checkpoint=checkpoint)
    return checkpoint


async def test_a_superstep_that_is_as_recorded(cli: Commands, client: Client) -> None:
    thread = (await _thread(client, "boat", keep_journal=True)).thread_id
    done = await cli("replay", thread, "--superstep", "1", *_DESK)
    assert "superstep 1\n  asker begins\n  asker is done\n" in done.out
    assert "superstep      1, recorded as committed\n" in done.out
    assert "calls          3 from the journal (2 chat, 1 tool)\n" in done.out
    assert "result         the same as recorded: events, messages and state\n" in done.out
    found = (await cli("replay", thread, *_DESK, "--json")).json
    assert (found["superstep"], found["same"], found["taken"]) == (2, True, {})
    assert [event["data"] for event in found["events"] if event["type"] == "output"] == ["I FOUND: BOAT IS A WORD"]


async def test_one_that_is_different_is_told_by_the_exit_code(
    cli: Commands, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = (await _thread(client, "boat", keep_journal=True)).thread_id
    monkeypatch.setenv(CHANGED, "1")
    done = await cli("replay", thread, "--superstep", "1", *_DESK, code=1)
    assert "result         not as recorded: events of 'asker', messages of 'asker'\n" in done.out
    assert "│ +" in done.out
    assert "is a word!" in json.dumps((await cli("replay", thread, "-s", "1", *_DESK, "--json", code=1)).json)


async def test_no_model_is_called_unless_that_is_allowed(cli: Commands, client: Client) -> None:
    thread = (await _thread(client, "boat")).thread_id
    refused = await cli("replay", thread, "--superstep", "1", *_DESK, code=1)
    assert "would be called" in refused.err and "--live" in refused.err
    assert "3 made (2 chat, 1 tool)" in (await cli("replay", thread, "-s", "1", *_DESK, "--live")).out
    assert "no superstep 7" in (await cli("replay", thread, "--superstep", "7", *_DESK, code=7)).err
    assert "replay runs your code" in (await cli("replay", thread, "--workflow", "desk", code=2)).err


async def test_the_debugger_opens_where_an_executor_has_raised(
    cli: Commands, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(BROKEN, "1")
    thread = (await _thread(client, "stumble")).thread_id
    done = await cli("replay", thread, *_DESK, "--pdb", text="p word, self.id\nq\n")
    assert "('stumble', 'asker')" in done.out
    assert "error          RuntimeError: stumbled over 'stumble'\n" in done.out
    assert "leave out --pdb or --json" in (await cli("replay", thread, *_DESK, "--pdb", "--json", code=2)).err


async def test_a_breakpoint_in_an_executor_is_hit(
    cli: Commands, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = (await _thread(client, "boat", keep_journal=True)).thread_id
    monkeypatch.setenv(STOPPING, "1")
    arguments = ("replay", thread, "--superstep", "1", *_DESK)
    done = await cli(*arguments, text="p word, self.id\nc\n")
    assert "('boat', 'asker')" in done.out and "the same as recorded" in done.out
    await cli(*arguments, text="q\n", code=130)


async def test_from_a_file_and_without_a_server(cli: Commands, client: Client, tmp_path: Path) -> None:
    thread = (await _thread(client, "boat", keep_journal=True)).thread_id
    file = tmp_path / "exported.jsonl"
    file.write_text((await cli("export", thread)).out)
    nowhere = Commands("localhost:1")
    done = await nowhere("replay", thread, "--from-file", str(file), "--superstep", "1", *_DESK)
    assert "result         the same as recorded" in done.out
