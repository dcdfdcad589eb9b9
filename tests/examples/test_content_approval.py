"""The example and its demo: the same in process and durably, and as a person runs it, with and without a crash."""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
from collections import Counter
from pathlib import Path
from urllib.request import urlopen

import pytest
from agent_framework_temporal import DurableWorkflow
from temporalio.client import Client

from examples.content_approval import crash, ledger, options
from examples.content_approval.processes import DemoError
from examples.content_approval.supersteps import Committed
from examples.content_approval.view import View
from examples.content_approval.workflow import ApprovalDecision, ApprovalRequest, Brief, content_approval
from tests.examples._processes import Ended, attended, left_behind, unattended
from tests.parity._turns import record
from tests.parity.gallery import Row, Turn
from tests.parity.gallery._row import answer_all
from tests.support import worker

BRIEF = Brief(topic="Why we rotate keys", audience="new engineers", words=70)
TITLE = "Moving checkout payments to the new ledger service"
PROMPT = "[a]pprove, [r]eject: "


@pytest.mark.parametrize("journal", [False, True], ids=["no-journal", "journal"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streaming"])
async def test_durable_is_as_in_process(client: Client, stream: bool, journal: bool) -> None:
    feedback = ApprovalDecision(approved=False, feedback="Mention the rollback. Make it shorter")
    row = Row(
        name="content-approval",
        feature="",
        group="",
        build=content_approval,
        turns=(
            Turn(message=BRIEF, stream=stream),
            Turn(respond=answer_all(lambda request: feedback), stream=stream),
            Turn(respond=answer_all(lambda request: ApprovalDecision(approved=True)), stream=stream),
        ),
    )
    expected = await record(row, content_approval())
    async with worker(client, content_approval) as task_queue:
        durable = DurableWorkflow(
            content_approval, client=client, task_queue=task_queue, max_attempts=1, journal=journal
        )
        actual = await record(row, durable, durable.checkpoint())
    assert actual == expected
    assert [turn.state for turn in actual.turns] == ["IDLE_WITH_PENDING_REQUESTS"] * 2 + ["IDLE"]
    (published,) = actual.turns[-1].outputs
    assert "Rollback" in json.dumps(published, default=str)


async def test_the_handle_names_each_superstep_s_checkpoint_as_it_completes(client: Client) -> None:
    seen = []
    async with worker(client, content_approval) as task_queue:
        durable = DurableWorkflow(content_approval, client=client, task_queue=task_queue)
        checkpoint = durable.checkpoint()
        async for event in durable.run_stream(BRIEF, checkpoint=checkpoint):
            if event.type == "superstep_completed":
                seen.append(checkpoint.checkpoint_id)
    assert None not in seen
    assert len(set(seen)) == len(seen) == 5
    assert seen[-1] == checkpoint.checkpoint_id


def facts(output: str) -> dict[str, str]:
    """Return the labelled facts the demo prints at its end."""
    return dict(
        re.findall(r"^  (revision|supersteps|thread|checkpoint|console|Web UI|look again) +(\S.*?)\s*$", output, re.M)
    )


def assert_published(ended: Ended, *, title: str) -> dict[str, str]:
    assert ended.errors == ""
    assert ended.code == 0
    assert re.search(rf"^  {title}$", ended.output, re.M)
    found = facts(ended.output)
    page = rf"http://127\.0\.0\.1:\d+/namespaces/default/workflows/{found['thread']}/[0-9a-f-]{{36}}/history"
    assert re.fullmatch(page, found["Web UI"])
    assert re.fullmatch(rf"http://127\.0\.0\.1:\d+/threads/{found['thread']}", found["console"])
    assert f"committed, checkpoint {found['checkpoint']}\n" in ended.output
    assert f"--resume {found['thread']}" in found["look again"]
    return found


async def test_runs_unattended(tmp_path: Path) -> None:
    ended = await unattended(tmp_path)
    found = assert_published(ended, title=TITLE)
    assert (found["revision"], found["supersteps"]) == ("1", "7")
    assert ended.output.count(f"committed, checkpoint {found['checkpoint']}\n") == 1
    assert "Approved by the demo itself: standard input is no terminal" in ended.output
    assert 'calls count_words(text="# Moving checkout' in ended.output
    assert left_behind(tmp_path) == []

    again = await unattended(tmp_path, "--resume", found["thread"], "--auto-approve")
    found_again = assert_published(again, title=TITLE)
    ports = {"console": "", "Web UI": ""}
    assert found_again | ports == found | ports


async def test_a_pipe_gets_plain_lines_of_80_columns(tmp_path: Path) -> None:
    topic = "Crème brûlée \x1b[31m[bold]for[/bold] 東京 " + "a very long topic " * 6
    ended = await unattended(tmp_path, "--topic", topic, "--audience", "cooks", "--words", "60", "--auto-approve")
    assert ended.code == 0
    assert "Approved by the demo itself: --auto-approve." in ended.output
    assert "\x1b" not in ended.output
    assert "[bold]for[/bold] 東京" in ended.output
    labelled = re.compile(r"^  (topic|server|checkpoint|console|Web UI|look again) ")
    assert [line for line in ended.output.splitlines() if len(line) > 80 and not labelled.match(line)] == []


async def test_a_person_rejects_once_and_then_approves(tmp_path: Path) -> None:
    async with attended(tmp_path, "--topic", "Why we rotate keys") as terminal:
        assert "approval requested · revision 1" in await terminal.until(PROMPT)
        terminal.type("maybe")
        await terminal.until("Answer a or r")
        await terminal.until(PROMPT)
        terminal.type("r")
        await terminal.until("What should the writer change? ")
        terminal.type("Mention the rollback")
        revised = await terminal.until(PROMPT)
        assert "approval requested · revision 2" in revised
        assert "Rollback: general readers should have this settled" in revised
        terminal.type("a")
        shown = await terminal.until("until you press Enter.")
        found = facts(shown.replace("\r", "\n"))
        assert (found["revision"], found["supersteps"]) == ("2", "10")
        assert found["thread"] in found["Web UI"]
        page = await asyncio.to_thread(lambda: urlopen(found["Web UI"]).read())
        assert b"<html" in page
        console, _, thread = found["console"].partition("/threads/")
        shown = await asyncio.to_thread(lambda: urlopen(f"{console}/api/v1/threads/{thread}").read())
        assert json.loads(shown)["state"] == "idle"
        terminal.type("")
        await terminal.end()
        assert terminal.process.returncode == 0
    assert left_behind(tmp_path) == []


async def test_ctrl_c_keeps_the_thread_for_a_later_demo(tmp_path: Path) -> None:
    async with attended(tmp_path) as terminal:
        await terminal.until(PROMPT)
        terminal.process.send_signal(signal.SIGINT)
        end = (await terminal.end()).replace("\r\n", "")
        assert terminal.process.returncode == 130
    assert "demo: stopped by SIGINT. The thread is kept: make demo ARGS=" in end
    assert left_behind(tmp_path) == []
    thread = re.findall(r"--resume (\S+)", end)[0]
    found = assert_published(await unattended(tmp_path, "--resume", thread), title=TITLE)
    assert found["supersteps"] == "7"


async def test_a_killed_worker_costs_only_the_call_it_was_killed_in(tmp_path: Path) -> None:
    ended = await unattended(tmp_path, "--crash")
    found = assert_published(ended, title=TITLE)
    assert found["supersteps"] == "7"
    first, second = re.findall(r"SIGKILL to worker (\d+)|Worker (\d+) started", ended.output)
    killed, other = first[0], second[1]
    rows = [line.split() for line in ended.output.splitlines() if re.match(r"^ \d .* worker \d+", line)]
    assert [(row[0], row[1], " ".join(row[2:-3]), row[-3], row[-1]) for row in rows] == [
        ("1", "brief", "1", "1", killed),
        ("2", "researcher-facts", "1", "1", killed),
        ("2", "researcher-audience", "1", "1", killed),
        ("3", "merge-notes", "1", "1", killed),
        ("4", "writer", "2, 1 killed", "2", other),
        ("5", "approval", "1", "1", other),
        ("6", "approval", "1", "1", other),
        ("7", "publish", "1", "1", other),
    ]
    assert "Each of the 7 supersteps was committed exactly once." in ended.output
    assert "3 model calls and 2 tool calls taken from the journal, 0 repeated." in ended.output
    assert left_behind(tmp_path) == []


async def test_without_a_middle_there_is_nothing_to_prove(tmp_path: Path) -> None:
    ended = await unattended(tmp_path, "--crash", "--words", "150")
    assert ended.code == 1
    assert "The writer called its tool 1 times only" in ended.errors
    assert left_behind(tmp_path) == []


def _calls(*calls: tuple[int, str, str, str]) -> list[ledger.Entry]:
    return [ledger.Entry(crash.VICTIM, phase, pid, kind, call) for pid, phase, kind, call in calls]  # type: ignore[arg-type]


def test_a_repeated_call_would_be_seen() -> None:
    before = [(10, phase, kind, "a") for kind in ("chat", "tool") for phase in ("begun", "ended")]
    before += [(10, "begun", "chat", "b")]
    after = [(11, "begun", "chat", "b"), (11, "ended", "chat", "b")]
    step = Committed(4, ("writer",), 2, "11", "heartbeat", Counter(chat=1, tool=1))
    proof = crash.prove_journal(step, _calls(*before, *after), first=10, second=11)
    assert (proof.model_calls, proof.tool_calls, proof.repeated, proof.made) == (1, 1, 0, 1)
    with pytest.raises(DemoError, match="1 and 1 were taken from the journal, and 1 were repeated"):
        crash.prove_journal(step, _calls(*before, (11, "begun", "tool", "a")), first=10, second=11)
    fewer = Committed(4, ("writer",), 2, "11", "heartbeat", Counter(chat=1))
    with pytest.raises(DemoError, match="1 model calls and 1 tool calls by the ledger; 1 and 0 were taken"):
        crash.prove_journal(fewer, _calls(*before, *after), first=10, second=11)


def test_a_repeated_superstep_would_be_seen() -> None:
    steps = [Committed(1, ("brief",), 1, "10", ""), Committed(2, ("writer",), 2, "11", "heartbeat")]
    calls = [("brief", "begun", 10), ("brief", "ended", 10), ("writer", "begun", 10)]
    calls += [("writer", "begun", 11), ("writer", "ended", 11)]
    entries = [ledger.Entry(executor, phase, pid) for executor, phase, pid in calls]  # type: ignore[arg-type]
    assert [row.killed for row in crash.reconcile(steps, entries)] == [0, 1]
    again = [ledger.Entry("brief", "begun", 11), ledger.Entry("brief", "ended", 11)]
    with pytest.raises(DemoError, match=r"no superstep committed: \{'brief': 1\}"):
        crash.reconcile(steps, [*entries, *again])
    with pytest.raises(DemoError, match="lacks writer of superstep 2"):
        crash.reconcile(steps, entries[:3])
    with pytest.raises(DemoError, match="supersteps \\[1, 1\\]"):
        crash.reconcile([steps[0], steps[0]], entries)


@pytest.mark.parametrize(
    ("flags", "says"),
    [
        (["--words", "many"], "argument --words: invalid int value: 'many'"),
        (["--words", "0"], "this is no brief: words: Input should be greater than 0"),
        (["--topic", ""], "this is no brief: topic: String should have at least 1 character"),
        (["--brief", "/no/such.json"], "--brief /no/such.json cannot be read: No such file or directory"),
        (["--brief", "Makefile"], "--brief Makefile is no JSON"),
        (["--model", "gpt"], "--model 'gpt' is unknown; say openai:NAME"),
        (["--model", "openai:gpt-5-mini"], "set OPENAI_API_KEY, or leave --model out to run offline"),
        (["--resume", "thread", "--crash"], "--resume goes on with the thread's own brief"),
        (["--delay", "-1"], "--delay must be 0 or more"),
    ],
)
def test_says_which_flag_is_wrong(
    flags: list[str], says: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("OPENAI_API_KEY", "CONTENT_APPROVAL_MODEL", "CONTENT_APPROVAL_DELAY"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(SystemExit) as exit_info:
        options.parse(flags)
    assert exit_info.value.code == 2
    assert says in capsys.readouterr().err


def test_a_brief_is_made_of_a_file_and_flags(tmp_path: Path) -> None:
    file = tmp_path / "brief.json"
    file.write_text(json.dumps({"topic": "Keys", "audience": "operators", "words": 40}))
    assert options.parse([])[1] == Brief.model_validate_json(options.SHIPPED_BRIEF.read_text())
    assert options.parse(["--audience", "testers"])[1].audience == "testers"
    assert options.parse(["--topic", "Locks"])[1] == Brief(topic="Locks")
    assert options.parse(["--brief", str(file), "--words", "50"])[1] == Brief(
        topic="Keys", audience="operators", words=50
    )


async def test_says_why_it_failed(tmp_path: Path) -> None:
    ended = await unattended(tmp_path, "--resume", "no-such-thread")
    assert ended.code == 1
    assert ended.errors.startswith("\ndemo: Thread 'no-such-thread' has no run to continue.")
    (tmp_path / "file").touch()
    ended = await unattended(tmp_path, "--database", str(tmp_path / "file" / "demo.db"))
    assert ended.code == 1
    assert re.match(r"\ndemo: The dev server cannot keep threads in .*See --database", ended.errors)
    assert left_behind(tmp_path) == []


async def test_says_that_the_worker_is_lost(tmp_path: Path) -> None:
    async with attended(tmp_path, "--delay", "5") as terminal:
        await terminal.until("worker      process ")
        pid = int((await terminal.until("\r\n")).strip())
        await terminal.until("superstep 2 runs on worker")
        os.kill(pid, signal.SIGKILL)
        end = await terminal.end()
        assert terminal.process.returncode == 1
    assert f"demo: Worker {pid} ended by itself with exit code -9." in end
    assert "The thread is kept: make demo ARGS=" in end
    assert left_behind(tmp_path) == []


def test_text_of_others_cannot_move_the_cursor(capsys: pytest.CaptureFixture[str]) -> None:
    View().request(ApprovalRequest(draft="# \x1b[2JGone\rover\n\n- [red]x[/red]", revision=1, word_count=3, topic="t"))
    shown = capsys.readouterr().out
    assert r"# \x1b[2JGone\rover" in shown
    assert "- [red]x[/red]" in shown
