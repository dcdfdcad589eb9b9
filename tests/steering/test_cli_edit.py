"""Editing from the command line: in a real editor, by a real process, and what `show` and `diff` say afterwards."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from agent_framework_temporal import DurableWorkflow
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment

from tests.cli._commands import Commands, started
from tests.flows import Order, chain, shop
from tests.steering._essays import essay, nested, talk
from tests.support import unique, worker

_EDITOR = """\
#!{python}
import pathlib, sys
path, log = pathlib.Path(sys.argv[-1]), pathlib.Path({log!r})
count = len(list(log.iterdir()))
(log / f"{{count:02}}").write_text(path.read_text())
changes = {changes!r}
for before, after in changes[min(count, len(changes) - 1)]:
    assert before in path.read_text(), before
    path.write_text(path.read_text().replace(before, after))
"""


class Editor:
    """An editor that replaces texts, others each time it is opened, and keeps what it was shown."""

    def __init__(self, folder: Path, *changes: list[tuple[str, str]]) -> None:
        self.log = folder / unique("shown")
        self.log.mkdir()
        self.path = folder / unique("editor")
        self.path.write_text(_EDITOR.format(python=sys.executable, log=str(self.log), changes=changes))
        self.path.chmod(0o755)

    @property
    def shown(self) -> list[str]:
        """What it was shown, each time."""
        return [path.read_text() for path in sorted(self.log.iterdir())]


@pytest.fixture(scope="module")
def cli(server: WorkflowEnvironment) -> Commands:
    return Commands(server.client.service_client.config.target_host)


@pytest.fixture(scope="module")
async def queue(client: Client) -> AsyncIterator[str]:
    async with worker(client, essay, nested, chain, shop) as task_queue:
        yield task_queue


@pytest.fixture
async def waiting(client: Client, queue: str) -> DurableWorkflow:
    """Return a facade whose own thread waits for a response."""
    durable = DurableWorkflow(essay, client=client, task_queue=queue)
    await durable.run("trains")
    return durable


def set_editor(monkeypatch: pytest.MonkeyPatch, editor: Editor) -> None:
    monkeypatch.setenv("EDITOR", str(editor.path))
    monkeypatch.delenv("VISUAL", raising=False)


ESSAY = ("--workflow", "tests.steering._essays:essay")


async def test_fork_with_an_editor(
    cli: Commands, waiting: DurableWorkflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    thread = waiting.checkpoint().thread_id
    infos = await waiting.checkpoints()
    thread, chosen = infos[0].thread_id, infos[1].checkpoint_id
    editor = Editor(tmp_path, [('"dull"', '"vivid"'), ('"words": 10', '"words": 3')])
    set_editor(monkeypatch, editor)
    forked = unique("forked")
    done = await cli("fork", thread, chosen, "--edit", "--by", "ada", "--into", forked, *ESSAY)
    assert "trains in vivid style, 3 words" in done.out
    assert len(editor.shown) == 1
    document = json.loads("".join(line for line in editor.shown[0].splitlines() if not line.startswith("#")))
    assert document["state"]["style"] == {"$type": "tests.steering._essays:Style", "name": "dull", "words": 10}
    assert document["messages"] == [{"from": "planner", "data": "trains"}]
    assert document["executor_state"]["writer"]["tally"]["$type"] == "tests.steering._essays:Tally"

    listed = await cli("checkpoints", forked, "--json")
    first = listed.json[0]
    assert (first["kind"], first["edited_by"], first["previous_checkpoint_id"]) == ("edit", "ada", chosen)
    assert first["edited_at"]
    assert "edit by ada at 20" in (await cli("checkpoints", forked)).out

    shown = (await cli("show", first["checkpoint_id"])).out
    assert f"follows        {chosen}" in shown
    assert "edited         by ada, 20" in shown
    assert "vivid" in shown
    assert "planner" in shown
    assert (await cli("show", first["checkpoint_id"], "--json")).json["state"]["style"]["words"] == 3

    told = (await cli("diff", chosen, first["checkpoint_id"], "--json")).json
    assert told == [
        {"kind": "changed", "before": "dull", "after": "vivid", "place": "state.style.name"},
        {"kind": "changed", "before": 10, "after": 3, "place": "state.style.words"},
    ]
    assert "~ state.style.name" in (await cli("diff", chosen, first["checkpoint_id"])).out
    same = await cli("diff", chosen, chosen)
    assert "No differences" in same.out
    between = (await cli("diff", infos[1].checkpoint_id, infos[-1].checkpoint_id, "--thread", thread, "--json")).json
    places = {change["place"]: change["kind"] for change in between}
    assert places["messages[0]"] == "removed"
    assert places["pending_requests.publish"] == "added"
    assert places["executor_state.writer.drafts[0]"] == "added"


async def test_the_visual_editor_comes_first_and_may_have_flags(
    cli: Commands, waiting: DurableWorkflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    infos = await waiting.checkpoints()
    editor = Editor(tmp_path, [('"dull"', '"vivid"')])
    monkeypatch.setenv("EDITOR", "false")
    monkeypatch.setenv("VISUAL", f"{sys.executable} {editor.path} --wait")
    done = await cli("fork", infos[0].thread_id, infos[1].checkpoint_id, "--edit", *ESSAY)
    assert "vivid" in done.out
    found = await cli("checkpoints", _thread_of(done.out, infos[0].thread_id), "--json")
    assert found.json[0]["edited_by"] == "tester"


def _thread_of(out: str, other: str) -> str:
    return next(word for word in out.split() if word.startswith("essay-edited-") and word != other)


async def test_what_is_refused_opens_again_with_the_reason(
    cli: Commands, waiting: DurableWorkflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    infos = await waiting.checkpoints()
    editor = Editor(
        tmp_path,
        [('"words": 10', '"words": "many"')],
        [('"words": "many"', '"words": many')],
        [('"words": many', '"words": 4')],
    )
    set_editor(monkeypatch, editor)
    done = await cli("fork", infos[0].thread_id, infos[1].checkpoint_id, "--edit", *ESSAY)
    assert "4 words" in done.out
    first, second, third = editor.shown
    assert "# The edit is refused" not in first
    assert "# The edit is refused:\n# `state['style']`: expected tests.steering._essays:Style: words:" in second
    assert '"words": "many"' in second
    assert "# Not valid JSON: " in third


@pytest.mark.parametrize(
    ("changes", "code", "text"),
    [
        ([[]], 0, "Nothing changed"),
        ([[('"dull"', '"x"'), ('"x"', '"dull"')]], 0, "Nothing changed"),
        ([[('"words": 10', '"words": 0')], []], 2, "the edit is refused, so nothing was done"),
        ([[('"$kept"', '"$other"')], []], 2, "what JSON cannot express must stay as it was"),
    ],
)
async def test_nothing_is_done(
    cli: Commands,
    client: Client,
    waiting: DurableWorkflow,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    changes: list[list[tuple[str, str]]],
    code: int,
    text: str,
) -> None:
    infos = await waiting.checkpoints()
    chosen = infos[-1].checkpoint_id
    forked = unique("forked")
    for command in (("fork", infos[0].thread_id, chosen, "--edit", "--into", forked), ("edit", infos[0].thread_id)):
        set_editor(monkeypatch, Editor(tmp_path, *changes))
        done = await cli(*command, *ESSAY, code=code)
        assert text in done.out + done.err
    await cli("checkpoints", forked, code=7)
    assert await waiting.checkpoints() == infos


async def test_an_editor_that_fails_or_is_not_there(
    cli: Commands, waiting: DurableWorkflow, monkeypatch: pytest.MonkeyPatch
) -> None:
    infos = await waiting.checkpoints()
    for command, text in (("false", "has ended with code 1"), ("/no/editor", "cannot be run")):
        monkeypatch.setenv("EDITOR", command)
        monkeypatch.delenv("VISUAL", raising=False)
        done = await cli("edit", infos[0].thread_id, *ESSAY, code=2)
        assert text in done.err
    done = await cli("edit", infos[0].thread_id, code=2)
    assert "--workflow package.module:attr" in done.err


async def test_a_thread_that_waits_goes_on_from_an_edit(
    cli: Commands, client: Client, waiting: DurableWorkflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    infos = await waiting.checkpoints()
    thread = infos[0].thread_id
    editor = Editor(tmp_path, [('"name": "trains in dull style', '"name": "by hand')])
    set_editor(monkeypatch, editor)
    done = await cli("edit", thread, "--by", "eve", *ESSAY)
    assert "by hand" in done.out
    listed = (await cli("checkpoints", thread, "--json")).json
    kinds = [(info["kind"], info["edited_by"]) for info in listed]
    assert kinds.count(("edit", "eve")) == 1
    assert listed[-1]["state"] == "waiting"
    await cli("respond", thread, "publish", "--data", "true")
    assert "published: by hand" in (await cli("stream", thread)).out


async def test_changes_on_the_command_line(cli: Commands, client: Client, queue: str) -> None:
    durable = DurableWorkflow(shop, client=client, task_queue=queue)
    await durable.run(Order(item="pen"))
    infos = await durable.checkpoints()
    thread, last = infos[0].thread_id, infos[-1].checkpoint_id
    where = ("--workflow", "tests.flows:shop")
    changes, answer = '{"state": {"orders": 7}}', '{"approve-pen": {"approved": true}}'
    done = await cli("fork", thread, last, "--changes", changes, "--responses", answer, *where)
    assert "pen approved by nobody, order 7" in done.out
    refused = await cli("fork", thread, last, "--changes", '{"state": {"orders": "x"}}', *where, code=8)
    assert "`state['orders']`: expected int, got a text" in refused.err
    await cli("fork", thread, last, "--changes", "[]", *where, code=2)
    in_place = await cli("edit", thread, "--changes", changes, "--json", *where)
    assert in_place.lines[-1]["pending_requests"][0]["request_id"] == "approve-pen"


async def test_show_and_diff_need_no_worker_and_no_types(cli: Commands, client: Client) -> None:
    async with worker(client, nested) as task_queue:
        durable = DurableWorkflow(nested, client=client, task_queue=task_queue)
        await durable.run("trains")
        infos = await durable.checkpoints()
    shown = await cli("show", infos[-1].checkpoint_id)
    assert "sub-workflow child: shared state" in shown.out
    assert "writer asks, request publish" in shown.out
    found = (await cli("show", infos[-1].checkpoint_id, "--json")).json
    assert found["sub_workflows"]["child"]["executor_state"]["writer"]["tally"]["count"] == 1
    assert found["pending_requests"]["publish"]["executor_id"] == "child"
    told = (await cli("diff", infos[0].checkpoint_id, infos[-1].checkpoint_id, "--json")).json
    assert "pending_requests.publish" in {change["place"] for change in told}
    await cli("show", "no-checkpoint", code=7)
    await cli("diff", infos[0].checkpoint_id, f"{infos[0].run_id}.000000000000", code=7)


async def test_a_conversation_is_shown_as_one(cli: Commands, client: Client) -> None:
    async with worker(client, talk) as task_queue:
        durable = DurableWorkflow(talk, client=client, task_queue=task_queue)
        await durable.run("hello")
        infos = await durable.checkpoints()
    shown = (await cli("show", infos[-1].checkpoint_id)).out
    assert "full_conversation:" in shown
    assert "user: hello" in shown
    assert "ada: said after ['hello']" in shown
    told = (await cli("diff", infos[1].checkpoint_id, infos[-1].checkpoint_id)).out
    assert "+ executor_state.bob.full_conversation[0]" in told


async def test_the_terminal_is_the_editors(cli: Commands, waiting: DurableWorkflow, tmp_path: Path) -> None:
    """The editor has the command's own standard input, as a person types into it."""
    infos = await waiting.checkpoints()
    script = tmp_path / "typed"
    script.write_text(
        f"#!{sys.executable}\nimport pathlib, sys\npath = pathlib.Path(sys.argv[1])\n"
        "path.write_text(path.read_text().replace('dull', sys.stdin.readline().strip()))\n"
    )
    script.chmod(0o755)
    variables = {"TEMPORAL_ADDRESS": cli.address, "EDITOR": str(script), "VISUAL": "", "PATH": os.environ["PATH"]}
    command = ("fork", infos[0].thread_id, infos[1].checkpoint_id, "--edit", *ESSAY)
    async with started(*command, variables=variables) as process:
        out, err = await process.communicate(b"typed\n")
    assert process.returncode == 0, err
    assert b"trains in typed style" in out
