"""What an error tells a user of the command line to do is a command, never Python."""

from __future__ import annotations

import ast
import copy
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from agent_framework_temporal import DurableWorkflow
from agent_framework_temporal.adapter import errors
from agent_framework_temporal.adapter.advice import Advice, Step, Way
from agent_framework_temporal.adapter.cli.advice import said_by
from agent_framework_temporal.adapter.cli.command import Session, carry_out
from agent_framework_temporal.adapter.cli.output import Output
from agent_framework_temporal.adapter.commands.connection import ConnectionSettings
from temporalio.client import Client

from tests.cli._commands import ROOT, Commands
from tests.flows import Order, echo, shop
from tests.support import unique, worker

_PYTHON = re.compile(
    r"AgentFrameworkPlugin|DurableWorkflow|DurableOptions|ExecutorPolicy\(|run_stream|\bdurable\.|sealing_data_converter"
    r"|\b(responses|checkpoint|checkpoint_id|checkpoint_storage|when_waiting|when_running|live|terminate)=|\(\.\.\.|=\.\.\."
    r"|`await |\bfacade\b"
)
"""What only a caller of the API could do something with."""

_NOT_OF_THE_COMMAND_LINE = {
    # Logged: a command shows errors only, and a worker has no other way to say it.
    "adapter/client/call_reader.py": ["To let it continue: `await durable"],
    "adapter/client/stream_mirror.py": ["`DurableWorkflow.copy_checkpoints`"],
    "adapter/client/waiting.py": ["Deliver responses (responses=...)"],
    "activities/mirrors.py": ["`DurableWorkflow.copy_checkpoints`"],
    # About arguments that no command gives.
    "adapter/checkpoints/storage.py": ["`DurableWorkflow.run(checkpoint_id=...)`"],
    "adapter/client/arguments.py": ["`responses=`", "`Agent(..., tools=[...])`"],
    "adapter/client/calls.py": ["create the facade from its factory", "responses={list(responses)"],
    "adapter/client/durable_workflow.py": [
        "Use the facade",
        "create the facade from",
        "`checkpoint=durable.checkpoint()`",
    ],
    "adapter/client/threads.py": ["datetime(..., tzinfo=UTC)"],
    "adapter/client/workflow_interface.py": ["create the facade"],
    "adapter/plugin.py": ["AgentFrameworkPlugin"],
    "adapter/temporal/converter.py": ["AgentFrameworkPlugin"],
    # Histories hold these words; whoever reads them finds the step in them.
    "workflows/requests/requests.py": ["`responses=`"],
    "workflows/start.py": ["Start runs with `DurableWorkflow`"],
    # About the code of a workflow, which its reader has to change.
    "adapter/framework/definition.py": ["WorkflowBuilder(name=...)"],
    "activities/capturing_storage.py": ["is not available inside a superstep"],
    "activities/hosting.py": ["`name=...` of their builders"],
    "adapter/checkpoints/logged_events.py": ["`request_id` to `request_info`"],
}
_FOLDERS = ("adapter", "activities", "workflows")
_SAID_ELSEWHERE = ("adapter/advice.py", "adapter/http", "adapter/testing", "adapter/commands/codec_server.py")


def _session() -> Session:
    return Session(ConnectionSettings(address="somewhere:1"), Output(as_json=False))


def _texts(path: Path) -> Iterator[str]:
    """Yield the texts of a module's code, without docstrings; of an f-string with its expressions."""
    tree = ast.parse(path.read_text())
    passed = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            passed |= {id(part) for part in node.values}
            yield ast.unparse(node)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in passed:
            yield node.value


def test_no_text_in_the_code_speaks_python_but_as_a_step() -> None:
    """A text that would is written as `Advice`, so that the command line can say the command instead."""
    found: list[str] = []
    for folder in _FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            name = str(path.relative_to(ROOT))
            if name.startswith(_SAID_ELSEWHERE):
                continue
            known = _NOT_OF_THE_COMMAND_LINE.get(name, [])
            found += [
                f"{name}: {text}"
                for text in _texts(path)
                if " " in text and _PYTHON.search(text) and not any(part in text for part in known)
            ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("way", Way)
def test_every_step_is_a_command_or_a_flag_on_the_command_line(way: Way) -> None:
    session = _session()
    for subject in ("some-thread", ""):
        said = said_by(session, Step(way, subject))
        assert not _PYTHON.search(said), said
        assert "agent-framework-temporal" not in said or "somewhere:1" in said, "it connects as this command has"
    assert Step(way).python


def _all(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for each in kind.__subclasses__():
        yield from _all(each)


@pytest.mark.parametrize("as_json", [False, True])
@pytest.mark.parametrize("kind", sorted({*_all(errors.DurableWorkflowError), ValueError}, key=str))
def test_every_error_reaches_a_user_of_the_command_line_as_commands(
    kind: type[Exception], as_json: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    error = kind(Advice("It does not go. ", *(Step(way, "some-thread") for way in Way)))
    assert "run_stream" in str(error), "a caller of the API reads Python"

    async def fail() -> None:
        raise error

    session = Session(ConnectionSettings(), Output(as_json=as_json))
    assert carry_out(session, fail) != 0
    said = capsys.readouterr().err
    assert "agent-framework-temporal resume some-thread" in said
    if as_json:
        told = json.loads(said)
        assert told["error"] == kind.__name__
        said = told["message"]
    assert not _PYTHON.search(said)


def test_an_advice_is_a_text_that_stays_what_it_is() -> None:
    advice = Advice("a ", Advice("b ", Step(Way.RESPOND, "t")), "!")
    assert advice == "a b `responses=`!"
    assert copy.deepcopy(advice).parts == advice.parts == ("a ", "b ", Step(Way.RESPOND, "t"), "!")
    read = Advice.found_in("Answer with `responses=`, or `responses=`.", Step(Way.FOLLOW), Step(Way.RESPOND, "t"))
    assert read.told(lambda step: f"{step.way.name} {step.subject}") == "Answer with RESPOND t, or RESPOND t."
    lines = Advice.lines(["one", Advice("two ", Step(Way.PENDING))])
    assert lines.told(lambda step: step.way.name) == "one\ntwo PENDING"


async def test_real_errors_say_the_command(cli: Commands, client: Client, queue: str) -> None:
    durable = DurableWorkflow(shop, client=client, task_queue=queue)
    thread = durable.checkpoint()
    await durable.run(Order(item="kettle"), checkpoint=thread)
    ours = "agent-framework-temporal"
    rejecting = ["run", "--data", '{"item": "pan"}', "-t", thread.thread_id, "-o", "when_waiting=reject"]
    waits = await cli(*rejecting, code=8)
    assert f"Answer with `{ours} respond {thread.thread_id}`" in waits.err
    assert "another `--thread ID`" in waits.err
    assert f"`{ours} cancel {thread.thread_id}`" in json.loads((await cli(*rejecting, "--json", code=8)).err)["message"]
    assert f"`{ours} resume {thread.thread_id}`" in (await cli("retry", thread.thread_id, code=8)).err
    gone = f"{thread.run_id}.{'0' * 12}"
    chosen = await cli("show", gone, "-t", thread.thread_id, code=7)
    assert f"`{ours} checkpoints {thread.thread_id}`" in chosen.err
    assert f"`{ours} import FILE --into ID`" in chosen.err
    assert "see `agent-framework-temporal checkpoints THREAD`" in (await cli("show", "nonsense", code=7)).err
    for done in (waits, chosen):
        assert not _PYTHON.search(done.err)


async def test_a_run_that_ended_says_how_to_resume_it(cli: Commands, client: Client, queue: str) -> None:
    durable = DurableWorkflow(shop, client=client, task_queue=queue)
    thread = durable.checkpoint()
    await durable.run(Order(item="kettle"), checkpoint=thread)
    await client.get_workflow_handle(thread.thread_id).terminate("enough")
    ended = await cli("stream", thread.thread_id, code=1)
    assert f"Continue from it with `agent-framework-temporal resume {thread.thread_id}`" in ended.err


async def test_a_worker_that_does_not_host_the_workflow_is_told_how(cli: Commands, client: Client) -> None:
    async with worker(client, echo) as queue:
        done = await cli("run", "hello", "-w", "unheard", "-q", queue, "-t", unique("thread"), code=6)
    assert "does not host workflow 'unheard'; it hosts ['echo']" in done.err
    assert f"`agent-framework-temporal worker --workflow MODULE:ATTR --task-queue {queue}`" in done.err
    assert not _PYTHON.search(done.err)
