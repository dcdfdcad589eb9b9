"""What a command tells to do next is what there is to do: what waits, who is there, what is missing."""

from __future__ import annotations

import base64
import io
import json
import os
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from agent_framework_temporal import DurableWorkflow, sealing_data_converter
from agent_framework_temporal.adapter.cli.dev import SourceFilter
from agent_framework_temporal.adapter.cli.example import example_of, message_words
from agent_framework_temporal.adapter.cli.output import Output
from temporalio.client import Client
from watchfiles import Change

from tests.cli._briefs import Brief, build_brief
from tests.cli._commands import Commands, started
from tests.flows import Order, echo, shop
from tests.support import unique, worker, worker_process

OURS = "agent-framework-temporal"


async def _two_requests(client: Client, queue: str) -> str:
    durable = DurableWorkflow(shop, client=client, task_queue=queue)
    checkpoint = durable.checkpoint()
    await durable.run([Order(item="kettle"), Order(item="pan")], checkpoint=checkpoint)
    return checkpoint.thread_id


@pytest.mark.parametrize("terminal", [False, True])
async def test_the_closing_hint_of_stream_lists_what_still_waits(
    cli: Commands, client: Client, tmp_path: Path, terminal: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if terminal:
        monkeypatch.setenv("FORCE_COLOR", "1")  # Taken for one.
    exported = tmp_path / "thread.jsonl"
    async with worker(client, shop) as queue:
        thread = await _two_requests(client, queue)
        answers = [f"respond {thread} approve-{item}" for item in ("kettle", "pan")]
        asked = (await cli("stream", thread)).out
        assert [answer in asked for answer in answers] == [True, True]
        await cli("respond", thread, "approve-kettle", "--data", '{"approved": true}', "--stream")
        answered = (await cli("stream", thread)).out
        assert [answer in answered for answer in answers] == [False, True]
        exported.write_text((await cli("export", thread)).out)
    # No worker can tell any more, and the last checkpoint can.
    alone = await cli("stream", thread, code=6)
    assert [answer in alone.out for answer in answers] == [False, True]
    read = (await cli("stream", thread, "--from-file", str(exported), "--json")).lines[-1]
    assert [request["request_id"] for request in read["pending_requests"]] == ["approve-pan"]
    if terminal:
        shown = (await cli("stream", thread, "--from-file", str(exported))).out
        assert "waits for an answer" in shown
        assert "request approve-kettle" not in shown.rpartition("waits for an answer")[2]


def test_a_table_never_cuts_its_last_column(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids of edited checkpoints name their thread, whose id may have a thousand characters."""
    long = f"{'t' * 990}~{'e' * 24}"
    for columns in ("20", "80", "120"):
        for terminal in (None, "1"):
            monkeypatch.setenv("COLUMNS", columns)
            monkeypatch.delenv("FORCE_COLOR", raising=False)
            if terminal:
                monkeypatch.setenv("FORCE_COLOR", terminal)
            written = io.StringIO()
            monkeypatch.setattr(sys, "stdout", written)
            output = Output(as_json=False)
            output.table(
                ["step", "kind", "checkpoint"], [["1", "edit by somebody", long], ["2", "entry", "b"]], keep=True
            )
            monkeypatch.undo()
            assert long in written.getvalue()
            assert "edit by somebody" in written.getvalue()
            assert max(map(len, written.getvalue().splitlines()[1:])) < 1_100
            assert not any(line.endswith(" ") for line in written.getvalue().splitlines())


@pytest.mark.parametrize("columns", ["20", "200"])
async def test_checkpoints_gives_whole_ids_at_any_width(
    cli: Commands, client: Client, queue: str, columns: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    durable = DurableWorkflow(echo, client=client, task_queue=queue)
    checkpoint = durable.checkpoint(unique("t" * 200))
    await durable.run("hello", checkpoint=checkpoint)
    monkeypatch.setattr("tests.cli._commands.environment", lambda extra: {**os.environ, **extra, "COLUMNS": columns})
    out = (await cli("checkpoints", checkpoint.thread_id)).out
    ids = [info.checkpoint_id for info in await durable.checkpoints(checkpoint)]
    assert ids
    assert [each in out for each in ids] == [True] * len(ids)


async def test_doctor_counts_workers_that_are_alive(cli: Commands, client: Client) -> None:
    queue = unique("queue")

    async def counted() -> list[str]:
        found = {item["what"]: item for item in (await cli("doctor", "-q", queue, "--json", code=None)).json}
        return [found[f"workers, {what}"]["found"].split()[0] for what in ("workflows", "supersteps")]

    async with worker_process(client, queue) as stays:
        async with worker_process(client, queue) as goes, worker_process(client, queue) as killed:
            assert await counted() == ["3", "3"]
            killed.kill()
            await killed.wait()
            goes.send_signal(signal.SIGTERM)
            await goes.wait()
            assert await counted() == ["1", "1"]
        stays.kill()
        await stays.wait()
    assert await counted() == ["none", "none"]


def test_dev_watches_the_project_and_no_environment(tmp_path: Path) -> None:
    takes = SourceFilter(tmp_path)
    for name in ("mine", "deep/er"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "deep" / "pyvenv.cfg").touch()
    taken = ["app.py", "mine/flow.py", "mine/venv.py", "tests/test_flow.py"]
    left = [
        *(
            ".venv/lib/a.py",
            "venv/lib/a.py",
            "x/venv/a.py",
            "node_modules/a/b.py",
            ".git/hooks/a.py",
            "__pycache__/a.py",
        ),
        *("deep/er/a.py", "deep/a.py", "env/lib/python3.12/site-packages/pip/a.py", ".tox/a.py", "mine/a.txt"),
    ]
    for name in taken:
        assert takes(Change.modified, str(tmp_path / name)), name
    for name in left:
        assert not takes(Change.modified, str(tmp_path / name)), name
    # A project may itself lie in a folder of such a name.
    inside = tmp_path / "venv" / "src" / "project"
    assert SourceFilter(inside)(Change.added, str(inside / "app.py"))


async def test_dev_has_no_flag_that_it_would_refuse(cli: Commands) -> None:
    for flag in ("--address", "--profile", "--config-file"):
        assert f"No such option: {flag}" in (await cli("dev", flag, "x", "-w", "tests.flows:echo", code=2)).err
    assert "--namespace" in (await cli("dev", "--help")).out


@dataclass
class Ticket:
    number: int
    urgent: bool = False


def test_an_example_fits_its_type() -> None:
    words = message_words([Brief])
    assert words[0] == "--data"
    assert Brief.model_validate_json(words[1]) == Brief(topic="...", words=50, sources=["..."])
    assert Ticket(**example_of([Ticket])).number == 1
    assert message_words([Brief, str]) == message_words([Any]) == message_words([]) == ["a message"]
    assert example_of([list[Ticket]]) == [example_of([Ticket])]


async def test_a_model_as_start_type_is_given_as_json(cli: Commands, client: Client) -> None:
    async with worker(client, build_brief) as queue:
        typed = await cli("run", "trains", "-w", "tests.cli._briefs:build_brief", "-q", queue, code=2)
        assert "takes tests.cli._briefs:Brief, not text" in typed.err
        assert """--data '{"topic": "...", "words": 50, "sources": ["..."]}'""" in typed.err
        named = await cli("run", "trains", "-w", "brief", "-q", queue, code=1)
        assert f"Give the message as JSON: {OURS} run --data JSON --thread brief-" in named.err
        data = example_of([Brief])
        await cli("run", "--data", json.dumps(data), "-w", "tests.cli._briefs:build_brief", "-q", queue)


async def test_a_sealed_thread_says_how_to_give_the_keys(cli: Commands, client: Client) -> None:
    key = os.urandom(32)
    address = client.service_client.config.target_host
    sealed = await Client.connect(address, data_converter=sealing_data_converter(keys={"k1": key}))
    async with worker(sealed, shop) as queue:
        thread = await _two_requests(sealed, queue)
        for words in (["status"], ["stream"], ["checkpoints"], ["cost"], ["respond"]):
            done = await cli(*words, thread, code=1)
            assert f"Thread '{thread}' cannot be read" in done.err, words
            assert "it is sealed" in done.err
            assert "`export AGENT_FRAMEWORK_TEMPORAL_KEYS=ID=BASE64`" in done.err
        keys = {"AGENT_FRAMEWORK_TEMPORAL_KEYS": f"k1={base64.b64encode(key).decode()}", "TEMPORAL_ADDRESS": address}
        async with started("status", thread, variables=keys) as process:
            out, _ = await process.communicate()
    assert process.returncode == 0
    assert b"approve-pan" in out
