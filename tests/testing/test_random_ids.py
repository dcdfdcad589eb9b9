"""What is random in the framework does not count as a difference, and everything else still does."""

from __future__ import annotations

import ast
import dataclasses
import secrets
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Never

import agent_framework
import pytest
from agent_framework import Agent, AgentSession, Content, Message, Workflow, WorkflowBuilder, WorkflowContext, executor
from agent_framework_temporal.adapter.framework.internals import MCP_BINDING, MCP_BINDING_KEY, RANDOM_ID_PREFIXES
from agent_framework_temporal.testing import (
    Call,
    DurableTestEnvironment,
    Prompt,
    Reply,
    ScriptedChatClient,
    ToolCall,
    assert_same_as_in_process,
)
from agent_framework_temporal.testing.canonical import Canonical

_PACKAGES = (
    "agent_framework",
    "agent_framework_declarative",
    "agent_framework_openai",
    "agent_framework_orchestrations",
    "agent_framework_ag_ui",
)


def _digits(count: int) -> str:
    return uuid.uuid4().hex[:count]


_KINDS: dict[str, Callable[[], str]] = {
    "request, message, response, session, conversation": lambda: str(uuid.uuid4()),
    "checkpoint of a durable run": lambda: f"{uuid.uuid4()}.{_digits(12)}",
    "run of a newer server": lambda: "01900b0a-7f3c-7" + str(uuid.uuid4())[15:],
    "call": lambda: f"af-call-{uuid.uuid4().hex}",
    "replaced approval": lambda: f"af-call-{uuid.uuid4().hex}:replacement:{uuid.uuid4().hex}",
    "call of a hook": lambda: uuid.uuid4().hex,
    "thread of AG-UI": lambda: f"thread_{uuid.uuid4().hex}",
    "run of AG-UI": lambda: f"run_{uuid.uuid4().hex}",
    "scope": lambda: f"local:{uuid.uuid4().hex}",
    "hidden variable": lambda: f"var_{_digits(16)}",
    "agent of a workflow": lambda: f"WorkflowAgent_{_digits(8)}",
    "edge group": lambda: f"FanInEdgeGroup/{uuid.uuid4()}",
    "unnamed workflow": lambda: f"WorkflowBuilder-{uuid.uuid4()}",
    "address": lambda: f"<tool at {object.__repr__(object()).split(' at ')[1]}",
}


@pytest.mark.parametrize("made", _KINDS.values(), ids=_KINDS)
def test_a_random_id_is_no_difference(made: Callable[[], str]) -> None:
    """Alone, inside a text, as a key, in a set, and in an exception."""

    def run(one: str, other: str) -> Any:
        return {"id": one, one: f"Asked {other!r}, see {one}.", "all": {one, other}, "error": ValueError(other)}

    assert Canonical().value(run(made(), made())) == Canonical().value(run(made(), made()))


_NUMBERED = {kind: made for kind, made in _KINDS.items() if kind not in ("address", "unnamed workflow")}


@pytest.mark.parametrize("made", _NUMBERED.values(), ids=_NUMBERED)
def test_another_id_is_one(made: Callable[[], str]) -> None:
    """Where one side repeats an id and the other gives a new one, something else was meant."""
    one, other = made(), made()
    assert Canonical().value([one, one]) != Canonical().value([one, other])
    assert Canonical().value([one, other, {one}]) != Canonical().value([one, other, {other}])


@pytest.mark.parametrize(
    "text",
    [
        str(uuid.uuid5(uuid.NAMESPACE_URL, "the same")),
        "call_1a2b3c",
        "0123456789abcdef0123456789abcdef",
        "9" * 40,
        "var_x",
        "WorkflowAgent_writer",
        "a" * 64,
    ],
)
def test_what_is_computed_is_compared(text: str) -> None:
    assert Canonical().value(text) == text


def test_the_secret_of_approvals_is_no_difference() -> None:
    def state() -> Any:
        return {MCP_BINDING_KEY: secrets.token_hex(32), "request": {MCP_BINDING: secrets.token_hex(32)}}

    assert Canonical().value(state()) == Canonical().value(state())
    assert Canonical().value({MCP_BINDING: None}) != Canonical().value({MCP_BINDING: "a" * 64})


def test_times_of_waiting_are_no_difference() -> None:
    def state(seconds: float, calls: int) -> Any:
        return {"elapsed_seconds": seconds, "paused_at": seconds, "calls": calls}

    assert Canonical().value(state(1.5, 3)) == Canonical().value(state(2.5, 3))
    assert Canonical().value(state(1.5, 3)) != Canonical().value(state(1.5, 4))
    assert Canonical().value({"elapsed_seconds": 1.5}) != Canonical().value({"elapsed_seconds": 2.5})


class _Name(str):
    __slots__ = ()


class _NamedName(str):
    pass


@pytest.mark.parametrize("kind", [_Name, _NamedName, type("Count", (int,), {})])
def test_values_of_own_classes_are_compared(kind: Any) -> None:
    assert Canonical().value(kind("1")) == Canonical().value(kind("1"))
    assert Canonical().value(kind("1")) != Canonical().value(kind("2"))
    assert Canonical().value(kind("1")) != Canonical().value("1")


def test_every_random_id_of_the_framework_is_known() -> None:
    """Wherever its installed packages call for a random id, two of what they spell with it are the same to us."""
    root = Path(agent_framework.__file__).parents[1]
    found, unknown = set[str](), set[str]()
    for path in [path for name in _PACKAGES for path in sorted((root / name).rglob("*.py"))]:
        text = path.read_text()
        if "uuid4" in text or "token_hex" in text or "token_urlsafe" in text:
            for expression in _random(ast.parse(text)):
                found.add(ast.unparse(expression))
                if len({repr(Canonical().value(_evaluated(expression))) for _ in range(3)}) > 1:
                    unknown.add(ast.unparse(expression))
    assert len(found) > 10, "nothing found: how does it make its ids now?"
    # The key is told by its place, as test_the_secret_of_approvals_is_no_difference has it.
    assert unknown == {"secrets.token_hex(32)"}


_MAKERS = ("uuid4", "token_hex", "token_urlsafe", "token_bytes")


def _random(tree: ast.AST) -> Iterator[ast.expr]:
    """Yield the widest expressions that are one id: an f-string, a call that makes one, `.hex` of it, a slice."""
    if isinstance(tree, ast.expr) and (_is_made(tree) or (isinstance(tree, ast.JoinedStr) and _makes(tree))):
        yield tree
        return
    for child in ast.iter_child_nodes(tree):
        yield from _random(child)


def _makes(tree: ast.AST) -> bool:
    return any(isinstance(node, ast.Call) and _name(node.func) in _MAKERS for node in ast.walk(tree))


def _is_made(tree: ast.expr) -> bool:
    if isinstance(tree, ast.Attribute | ast.Subscript):
        return _is_made(tree.value)
    if not isinstance(tree, ast.Call):
        return False
    return _name(tree.func) in _MAKERS or (_name(tree.func) == "str" and len(tree.args) == 1 and _is_made(tree.args[0]))


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _evaluated(expression: ast.expr) -> Any:
    """Return what an expression gives, with everything but the id in it fixed."""
    if isinstance(expression, ast.JoinedStr):
        return "".join(
            str(part.value)
            if isinstance(part, ast.Constant)
            else str(_evaluated(part.value))
            if isinstance(part, ast.FormattedValue) and _makes(part.value)
            else "(fixed)"
            for part in expression.values
        )
    code = compile(ast.Expression(expression), "framework", "eval")
    value = eval(code, {"uuid": uuid, "uuid4": uuid.uuid4, "secrets": secrets})  # noqa: S307 - of installed packages
    return value if isinstance(value, str) else str(value)


def _script(prompt: Prompt) -> Reply:
    if prompt.tool_results:
        return Reply(f"It will {prompt.tool_results[-1]}.")
    return Reply(calls=(ToolCall("weather", {"city": prompt.user_texts[-1]}),))


class _WithoutIds(ScriptedChatClient):
    """Leaves the ids of calls to the framework, as a client whose provider sends none does."""

    async def _respond(self, prompt: Prompt, response_format: Any) -> Any:
        response = await super()._respond(prompt, response_format)
        for content in response.messages[0].contents:
            content.id = None
        return response


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"rain in {city}"


def forecast() -> Workflow:
    agent = Agent(_WithoutIds(name="forecaster", script=_script), id="forecaster", name="forecaster", tools=[weather])
    return WorkflowBuilder(name="forecast", start_executor=agent).build()


@dataclasses.dataclass
class Opened:
    session: AgentSession
    message: Message


@executor(id="opener")
async def opener(text: str, ctx: WorkflowContext[Never, Opened]) -> None:
    message = Message("assistant", [Content.from_text(text)], message_id=str(uuid.uuid4()))
    await ctx.yield_output(Opened(AgentSession(), message))


def sessions() -> Workflow:
    return WorkflowBuilder(name="sessions", start_executor=opener, output_from=[opener]).build()


@executor(id="refuser")
async def refuser(text: str, ctx: WorkflowContext[Never, str]) -> None:
    raise ValueError(f"{text} refused, see {uuid.uuid4().hex}")


def refusing() -> Workflow:
    return WorkflowBuilder(name="refusing", start_executor=refuser, output_from=[refuser]).build()


async def test_runs_with_random_ids_are_the_same() -> None:
    async with DurableTestEnvironment.start([forecast, sessions, refusing]) as environment:
        await assert_same_as_in_process(forecast, ["Kiel", Call(message="Bonn", stream=True)], environment)
        await assert_same_as_in_process(sessions, ["a"], environment)
        await assert_same_as_in_process(refusing, ["a"], environment)


def test_the_prefixes_are_the_frameworks() -> None:
    root = Path(agent_framework.__file__).parent
    text = "".join(path.read_text() for path in root.rglob("*.py"))
    for prefix, digits in RANDOM_ID_PREFIXES.items():
        assert f'f"{prefix}{{uuid.uuid4().hex[:{digits}]}}"' in text
