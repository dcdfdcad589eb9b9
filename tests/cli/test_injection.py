"""No command lets data act where it prints it: every command, with the whole corpus in everything it may show.

The commands are found, not listed: one that is new fails `test_every_command_is_here` until it has its line, and
`test_every_parameter` gives it the corpus in each of its parameters without one.
"""

from __future__ import annotations

import asyncio
import inspect
import io
import json
import os
import pty
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args
from unittest import mock

import pytest
import typer
from agent_framework_temporal import DurableWorkflow, export_thread
from agent_framework_temporal.adapter.cli import app as _app
from agent_framework_temporal.adapter.cli.output import Output
from agent_framework_temporal.adapter.temporal.server import MEMO_WORKFLOW_NAME
from agent_framework_temporal.workflows.messages import WORKFLOW_TYPE
from rich.console import Group
from rich.panel import Panel
from rich.table import Table
from rich.text import Text
from temporalio.client import Client, ScheduleState

from tests.cli._commands import MODULE, ROOT, Commands, environment, started
from tests.hostile.corpus import ALL, EVIL, unseen
from tests.hostile.flows import FORGED, NAME, REQUEST, Ask, build
from tests.support import unique, worker

pytestmark = [pytest.mark.hostile("E"), pytest.mark.timeout(180)]
_EVIL_JSON = json.dumps({EVIL: [EVIL], "choice": EVIL})
_SECONDS = 60
_STREAMS = ("run", "stream", "resume", "fork", "edit", "dev", "export", "import")
"""Commands that write a line for each of many things."""


@dataclass
class Scene:
    """Threads in which everything is hostile, and the server they are on."""

    address: str
    queue: str
    waiting: str
    taking: str
    early: str
    idle: str
    turns: str
    failed: str
    paused: str
    checkpoint: str
    file: str
    """The waiting thread, exported."""
    steered: str
    """Another that waits, with what steers it."""
    schedule: str
    _made: int = field(default=0, init=False)

    def fresh(self) -> str:
        """Return the id of a thread that is not there yet."""
        self._made += 1
        return f"{EVIL}{unique('fresh')}"


@pytest.fixture(scope="module")
async def scene(client: Client, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Scene]:
    queue = f"{EVIL}{unique('queue')}"
    async with worker(client, build, task_queue=queue):
        durable = DurableWorkflow(build, client=client, task_queue=queue, max_attempts=1)
        pausing = DurableWorkflow(build, client=client, task_queue=queue, max_attempts=1, pause_on_failure=True)
        threads = {
            name: durable.checkpoint(f"{EVIL}{unique(name)}", tags=[EVIL[:100]])
            for name in ("ask", "take", "early", "say", "turn", "fail", "steer")
        }
        await durable.run(Ask(kind="ask"), checkpoint=threads["ask"])
        await durable.run(Ask(kind="ask"), checkpoint=threads["take"])
        await durable.run(Ask(kind="ask"), checkpoint=threads["early"])
        await durable.run(Ask(kind="ask"), checkpoint=threads["steer"])
        await client.get_workflow_handle(threads["steer"].thread_id).signal("message", EVIL)  # It is refused.
        schedule = f"{EVIL}{unique('schedule')}"
        scheduled = await durable.schedule(
            schedule, Ask(kind="say"), cron="0 3 1 1 *", tags=[EVIL[:100]], state=ScheduleState(note=EVIL)
        )
        await durable.run(Ask(kind="say"), checkpoint=threads["say"])
        await durable.run(Ask(kind="say"), checkpoint=threads["turn"])
        with pytest.raises(ValueError, match="owned"):
            await durable.run(Ask(kind="fail"), checkpoint=threads["fail"])
        paused = pausing.checkpoint(f"{EVIL}{unique('pause')}")
        async for event in pausing.run_stream(Ask(kind="fail"), checkpoint=paused):
            if event.type == "failed":
                break
        # An answer that does not fit: what is refused is shown with the request, by whom and why.
        wrong = {"request_id": REQUEST, "response": {EVIL: [EVIL], "choice": EVIL}, "responder": EVIL[:500]}
        handle = client.get_workflow_handle(threads["ask"].thread_id)
        await handle.signal("respond", wrong)
        async with asyncio.timeout(20):
            while not (await durable.pending_requests(threads["ask"]))[0].errors:
                await asyncio.sleep(0.05)
        file = tmp_path_factory.mktemp("exported") / "thread.jsonl"
        with file.open("w") as lines:
            async for line in export_thread(client, threads["ask"]):
                lines.write(line)
        yield Scene(
            client.service_client.config.target_host,
            queue,
            waiting=threads["ask"].thread_id,
            taking=threads["take"].thread_id,
            early=threads["early"].thread_id,
            idle=threads["say"].thread_id,
            turns=threads["turn"].thread_id,
            failed=threads["fail"].thread_id,
            paused=paused.thread_id,
            checkpoint=threads["ask"].checkpoint_id or "",
            file=str(file),
            steered=threads["steer"].thread_id,
            schedule=schedule,
        )
        await scheduled.delete()


def _calls(scene: Scene) -> dict[str, list[tuple[list[str], int]]]:
    """Return for each command what it is called with, and the exit code."""
    flows, ask = "tests.hostile.flows:build", json.dumps({"kind": "ask"})
    where = ["-w", flows, "-q", scene.queue]
    return {
        "run": [
            (["--data", ask, *where, "-t", scene.fresh()], 0),
            (["--data", '{"kind": "agent"}', *where, "-t", scene.fresh()], 0),
            (["--data", '{"kind": "fail"}', *where, "-t", scene.fresh()], 1),
            # The thread's name alone: no types.
            (["--data", '{"kind": "say"}', "-t", scene.turns], 0),
            ([EVIL, "-t", scene.turns], 1),
            # It waits for an answer, and takes a message too.
            (["--data", '{"kind": "say"}', "-t", scene.taking], 0),
        ],
        "stream": [([scene.waiting], 0), ([scene.idle], 0), ([scene.failed], 1), ([scene.failed, "-w", flows], 1)],
        "inbox": [([], 0), (["-w", NAME], 0)],
        "respond": [
            ([scene.waiting, "--data", _EVIL_JSON], 8),
            ([scene.waiting, REQUEST, "--data", _EVIL_JSON, "--responder", EVIL[:400]], 8),
            (
                [
                    scene.early,
                    f"{EVIL[:300]}{unique('early')}",
                    "--early",
                    "--data",
                    _EVIL_JSON,
                    "--responder",
                    EVIL[:400],
                ],
                0,
            ),
            ([scene.waiting], 2),
            ([scene.idle, EVIL[:300], "--data", _EVIL_JSON], 8),
        ],
        "status": [
            ([scene.steered], 0),
            ([scene.waiting], 0),
            ([scene.idle], 0),
            ([scene.failed], 0),
            ([scene.paused], 0),
            ([EVIL], 7),
        ],
        "checkpoints": [([scene.waiting], 0), ([scene.failed], 0), ([EVIL], 7)],
        "show": [([scene.checkpoint], 0), ([EVIL], 7), ([scene.checkpoint, "-t", EVIL], 7)],
        "diff": [([scene.checkpoint, scene.checkpoint, "-t", scene.waiting], 0), ([scene.checkpoint, EVIL], 7)],
        "edit": [
            (
                [
                    scene.idle,
                    "-w",
                    flows,
                    "--changes",
                    json.dumps({"state": {EVIL: scene.fresh()}}),
                    "--by",
                    EVIL[:400],
                ],
                0,
            ),
            ([scene.idle, "-w", flows, "--changes", json.dumps({EVIL: EVIL})], 8),
            ([scene.idle, "-w", flows, "--changes", json.dumps({"executor_state": {EVIL: {}}})], 8),
            ([scene.idle, "--changes", "{}"], 2),
            ([EVIL], 7),
        ],
        "pause": [([scene.steered, "--reason", EVIL, "--responder", EVIL[:300]], 0), ([scene.idle], 7), ([EVIL], 7)],
        "breakpoints": [([scene.steered, EVIL[:200]], 0), ([scene.steered, EVIL * 20], 2), ([scene.idle], 7)],
        "continue": [([scene.waiting, "--responder", EVIL[:300]], 8), ([scene.idle], 7), ([EVIL], 7)],
        "withdraw": [([scene.steered, EVIL[:100]], 8), ([scene.idle, EVIL[:100]], 7), ([EVIL, EVIL], 7)],
        "fork": [
            ([scene.waiting, scene.checkpoint, "--into", scene.fresh(), "-w", flows], 0),
            ([scene.waiting, EVIL, "--into", scene.fresh()], 7),
            ([scene.waiting, scene.checkpoint, "--into", scene.idle], 8),
        ],
        "resume": [([scene.failed], 1), ([scene.idle], 8), ([scene.waiting], 8), ([scene.idle, "-o", EVIL], 2)],
        "cost": [([scene.waiting], 0), ([scene.failed], 0), ([EVIL], 7)],
        "export": [([scene.waiting], 0), ([scene.failed], 0), ([EVIL], 7)],
        "import": [
            ([scene.file], 0),
            ([scene.file, "--replay"], 0),
            ([scene.file, "--into", scene.fresh(), *where], 0),
            ([scene.file, "--into", scene.fresh(), *where, "--checkpoint", EVIL], 7),
            ([scene.file, "--into", scene.idle, *where], 8),
            ([f"{EVIL[:40]}.jsonl"], 2),
        ],
        "threads": [
            ([], 0),
            (["-w", NAME, "--state", "failed", "--tag", EVIL[:100]], 0),
            (["--state", EVIL], 2),
            (["--older-than", EVIL], 2),
            (["--query", EVIL], 1),
        ],
        "threads delete": [
            (["-w", NAME, "--state", "idle"], 0),
            ([scene.idle], 0),
            ([scene.waiting], 8),
            ([EVIL], 7),
        ],
        "replay": [
            ([scene.waiting, "-w", flows], 0),
            ([scene.failed, "-w", flows], 0),
            ([scene.waiting, "-w", flows, "--run", EVIL], 7),
            ([EVIL, "-w", flows], 7),
            ([scene.waiting, "-w", EVIL], 3),
        ],
        "schedule create": [
            (
                [scene.fresh(), *where, "--data", ask, "--cron", "0 3 1 1 *", "--note", EVIL, "--tag", EVIL[:100]],
                0,
            ),
            ([scene.schedule, *where, "--data", ask, "--cron", EVIL], 1),
            ([scene.schedule, *where, "--data", ask, "--every", EVIL], 2),
            ([scene.schedule, *where, "--data", ask, "--every", "1d", "--overlap", EVIL], 2),
        ],
        "schedule list": [([], 0), (["-w", EVIL], 0)],
        "schedule show": [([scene.schedule], 0), ([EVIL], 7)],
        "schedule pause": [([scene.schedule, "--note", EVIL], 0), ([EVIL], 7)],
        "schedule unpause": [([scene.schedule, "--note", EVIL], 0), ([EVIL], 7)],
        "schedule trigger": [([scene.schedule], 0), ([scene.schedule, "--overlap", EVIL], 2), ([EVIL], 7)],
        "schedule update": [([scene.schedule, "--every", "366d"], 0), ([EVIL, "--every", "1d"], 7)],
        "schedule delete": [([EVIL], 7)],
        "retry": [([scene.paused], 0), ([EVIL], 7)],
        "cancel": [([scene.waiting, "-r", EVIL[:300]], 8), ([scene.idle, "-r", EVIL[:300]], 7), ([EVIL], 7)],
        "graph": [([flows], 0), ([flows, "-f", "mermaid"], 0), ([flows, "-f", "dot"], 0), ([f"{EVIL}:build"], 3)],
        "doctor": [(["-q", scene.queue], 0), (["-q", EVIL], 1), (["--namespace", EVIL], 4)],
        "init": [([EVIL], 2)],
        "dev": [(["-w", f"{EVIL}:build"], 3)],
        "console": [
            (["-w", f"{EVIL}:build"], 3),
            (["--host", EVIL], 2),
            (["--allowed-host", EVIL], 2),
            (["--origin", EVIL], 2),
            (["--base-url", EVIL], 2),
            (["--temporal-ui", EVIL], 2),
        ],
        "worker": [(["--workflow", f"{EVIL}:build", "--task-queue", EVIL], 3), (["--workflow", flows, EVIL], 2)],
        "attributes register": [(["--namespace", EVIL], 4)],
    }


def _commands() -> dict[str, inspect.Signature]:
    found: dict[str, inspect.Signature] = {}
    groups = [("", _app.app), *((f"{group.name} ", group.typer_instance) for group in _app.app.registered_groups)]
    for group in _app.app.registered_groups:
        entry = group.typer_instance.registered_callback if group.typer_instance is not None else None
        if entry is not None and entry.callback is not None:
            found[str(group.name)] = inspect.signature(entry.callback)
    for prefix, app in groups:
        for command in app.registered_commands if app is not None else ():
            assert command.callback is not None
            found[f"{prefix}{command.name or command.callback.__name__}"] = inspect.signature(command.callback)
    return found


@dataclass
class Said:
    """What a command has written in this process."""

    code: int
    out: str
    err: str


def _in_process(address: str, words: list[str]) -> Said:
    buffers = [io.BytesIO(), io.BytesIO()]
    out, err = (io.TextIOWrapper(buffer, encoding="utf-8") for buffer in buffers)
    variables = environment({} if words[0] == "dev" else {"TEMPORAL_ADDRESS": address})
    with (
        mock.patch.dict(os.environ, variables, clear=True),
        mock.patch.object(sys, "argv", ["agent-framework-temporal", *words]),
        mock.patch.object(sys, "stdout", out),
        mock.patch.object(sys, "stderr", err),
        mock.patch.object(sys, "__stderr__", err),
    ):
        code = _app.main()
        texts = []
        for stream, written in zip((out, err), buffers, strict=True):
            stream.flush()
            texts.append(written.getvalue().decode())
    return Said(code, *texts)


async def _said(scene: Scene, words: list[str]) -> Said:
    if words[0] == "worker":  # It takes signals, which only a main thread can.
        async with started(*words, variables={"TEMPORAL_ADDRESS": scene.address}) as process:
            out, err = await process.communicate()
        said = Said(process.returncode or 0, out.decode(), err.decode())
    else:
        said = await asyncio.to_thread(_in_process, scene.address, words)
    assert unseen(said.out + said.err) == set(), (words, said)
    # No line of a text passes for one of the command's own.
    assert not [line for line in (said.out + said.err).splitlines() if line.startswith(("thread         forged", "# "))]
    assert not [line for line in said.out.splitlines() if line.startswith(FORGED) and "agent-framework" not in line]
    return said


def test_every_command_is_here(record_property: Callable[[str, object], None]) -> None:
    calls = _calls(Scene(*[""] * 13))
    assert _commands().keys() == calls.keys()
    count = sum(map(len, calls.values()))
    record_property("figure", f"{len(ALL)} sequences in every field of {count} calls of {len(calls)} commands")


@pytest.mark.parametrize("command", _commands())
async def test_people_see_data_as_data(scene: Scene, command: str) -> None:
    for words, code in _calls(scene)[command]:
        said = await _said(scene, [*command.split(), *words])
        assert said.code == code, (words, said)


@pytest.mark.parametrize("command", sorted(_commands().keys() - {"worker"}))
async def test_programs_read_the_same_values(scene: Scene, command: str) -> None:
    for words, code in _calls(scene)[command]:
        if command == "retry" and code == 0:
            continue  # It has been tried again.
        said = await _said(scene, [*command.split(), *words, "--json"])
        assert said.code == code, (words, said)
        lines = [said.out] if command not in _STREAMS else said.out.splitlines()
        values = [json.loads(line) for line in lines if line]
        if code == 0 and command in ("run", "stream", "status", "graph", "inbox"):
            assert any(EVIL in text for text in _texts(values)), said.out
        if said.err and not said.err.startswith("Usage"):
            json.loads(said.err.splitlines()[-1])


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list):
        for item in value:
            yield from _texts(item)
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from (key, *_texts(item))


def _arguments(signature: inspect.Signature, evil: str) -> list[str]:
    """Return words for a command: the corpus for each argument, and for one option."""
    words: list[str] = []
    for name, parameter in signature.parameters.items():
        infos = [part for part in get_args(parameter.annotation) if isinstance(part, typer.models.ParameterInfo)]
        info = infos[0] if infos else None
        if isinstance(info, typer.models.ArgumentInfo):
            words.append(EVIL)
        elif name == evil and info is not None:
            flags = [flag for flag in info.param_decls or () if flag.startswith("--")]
            words = [flags[0] if flags else f"--{name.replace('_', '-')}", EVIL, *words]
    return words


@pytest.mark.parametrize("command", sorted(_commands().keys() - {"worker"}))
async def test_every_parameter(scene: Scene, command: str) -> None:
    signature = _commands()[command]
    for name in signature.parameters:
        if name == "address":
            continue  # Of no server; the error is that of `namespace`.
        said = await _said(scene, [*command.split(), *_arguments(signature, name)])
        assert "Traceback" not in said.err
    said = await _said(scene, [*command.split(), f"--{EVIL}"])
    assert said.code == 2


@pytest.mark.parametrize("text", [*ALL.values(), EVIL], ids=[*ALL, "all"])
def test_what_a_command_forgets_to_make_visible(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A command of tomorrow may print data by the console itself."""
    output = Output(as_json=False)
    output.console.print(text, Text(text), f"[bold]{text}[/bold]")
    table = Table(text, title=Text(text))
    table.add_row(text)
    output.console.print(Group(table, Panel(text, title=Text(text))))
    assert unseen(capsys.readouterr().out) == set()


async def _in_a_terminal(scene: Scene, *words: str, typed: bytes = b"", until: bytes = b"") -> str:
    master, slave = pty.openpty()
    process = await asyncio.create_subprocess_exec(
        *(*MODULE, *words),
        cwd=ROOT,
        env=environment({"TEMPORAL_ADDRESS": scene.address, "TERM": "xterm-256color", "PYTHONIOENCODING": "utf-8"}),
        stdin=slave,
        stdout=slave,
        stderr=slave,
    )
    os.close(slave)

    def read() -> str:
        seen, answered = b"", False
        while True:
            try:
                piece = os.read(master, 65536)
            except OSError:  # Nobody writes any more.
                return seen.decode()
            seen += piece
            if typed and not answered and until in seen:
                os.write(master, typed)
                answered = True

    try:
        async with asyncio.timeout(_SECONDS):
            seen = await asyncio.to_thread(read)
            await process.wait()
    finally:
        if process.returncode is None:
            process.kill()
        os.close(master)
    return seen.replace("\r\n", "\n")


@pytest.mark.parametrize("command", ["stream", "run", "status", "inbox", "respond"])
async def test_a_terminal_is_not_moved(scene: Scene, command: str) -> None:
    words, typed, until = [*_calls(scene)[command][0][0]], b"", b""
    if command == "stream":
        words = [scene.failed]
    if command == "respond":  # Shows what is asked, and why an answer was refused, and asks field by field.
        words, typed, until = [scene.waiting], b"\n\n", b"choice"
    shown = await _in_a_terminal(scene, command, *words, typed=typed, until=until)
    assert unseen(shown, terminal=True) == set(), shown
    assert r"\x1b]0;owned\x07" in shown
    assert "[/]:smiley:" in shown.replace("\n", "")  # Markup of the library that prints is text, too.
    if command == "respond":
        assert "refused answer" in shown
        assert not [line for line in shown.splitlines() if line.startswith(FORGED)]
        assert f"│ {FORGED}" in "".join(shown.split("\x1b[2m")).replace("\x1b[0m", "")


async def test_a_thread_does_not_choose_what_is_imported(cli: Commands, client: Client, tmp_path: Path) -> None:
    """Whoever starts a thread gives it the name of its workflow; it may be that of a module where a person works."""
    (tmp_path / "planted.py").write_text("from pathlib import Path\nrun = lambda: Path('owned').touch()\nrun()\n")
    thread = unique("forged")
    memo = {"agent_framework_workflow": "planted:run"}
    assert set(memo) == {MEMO_WORKFLOW_NAME}
    await client.start_workflow(WORKFLOW_TYPE, id=thread, task_queue=unique("nobody"), memo=memo)
    calls = (
        ["status", thread],
        ["checkpoints", thread],
        ["respond", thread, "q", "--data", "1"],
        ["cancel", thread, "-r", "q"],
        ["retry", thread],
    )

    async def call(words: list[str]) -> None:
        async with started(*words, folder=tmp_path, variables={"TEMPORAL_ADDRESS": cli.address}) as process:
            async with asyncio.timeout(_SECONDS):
                _, errors = await process.communicate()
        assert b"planted" not in errors or b"there is no module" not in errors

    await asyncio.gather(*map(call, calls))
    assert not (tmp_path / "owned").exists()
