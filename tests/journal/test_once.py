"""`once`: a call of people's own code is taken from the journal, like any other."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import Mapping
from typing import Any, Never

import pytest
from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler, response_handler
from agent_framework_temporal import InDoubt, InDoubtError, once
from agent_framework_temporal.workflows.messages import ExecutorRule
from temporalio.testing import ActivityEnvironment

from tests.journal._supersteps import Attempt, LostError, attempt, plain

CALLS: list[str] = []
STOPS: set[str] = set()
"""Calls that do not come back."""
RAISES: set[str] = set()


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    CALLS.clear()
    STOPS.clear()
    RAISES.clear()


async def call(name: str, *, number: int = 0) -> dict[str, Any]:
    """Note the call."""
    CALLS.append(name)
    if name in STOPS:
        await asyncio.sleep(600)
    if name in RAISES:
        RAISES.discard(name)
        raise ConnectionError(name)
    return {"name": name, "number": number}


def blocking(name: str) -> str:
    """Note the call, as a function that is not async."""
    CALLS.append(name)
    return name


IN_DOUBT: dict[int, Any] = {0: None}


class Worker(Executor):
    """Makes five calls, and asks a person first."""

    @handler
    async def begin(self, text: str, ctx: WorkflowContext[str]) -> None:
        await ctx.request_info(text, str, request_id="size")

    @response_handler
    async def sized(self, text: str, size: str, ctx: WorkflowContext[str]) -> None:
        CALLS.append("handler")
        ctx.set_state("seen", ctx.get_state("seen", 0) + 1)
        found = [
            await once(ctx, "reserve", call, "reserve", number=1),
            await once(ctx, "reserve", call, "reserve again", number=2),
            await self._paid(ctx),
            await once(None, "blocking", blocking, "blocking"),
            await asyncio.create_task(once(ctx, "tell", call, "tell")),
        ]
        names = [one if isinstance(one, str) else one["name"] for one in found]
        await ctx.send_message(f"{text} {size} {names} {ctx.get_state('seen')}")

    async def _paid(self, ctx: WorkflowContext[str]) -> Any:
        try:
            return await once(ctx, "pay", call, "pay", in_doubt=IN_DOUBT[0])
        except InDoubtError:
            if not IN_DOUBT.get(1):
                raise
            return "another way"


class Done(Executor):
    @handler
    async def done(self, text: str, ctx: WorkflowContext[Never, str]) -> None:
        await ctx.yield_output(text)


def build() -> Workflow:
    """Build the workflow."""
    work, done = Worker(id="work"), Done(id="done")
    return WorkflowBuilder(name="once", start_executor=work, output_from=[done]).add_edge(work, done).build()


ALL = ["handler", "reserve", "reserve again", "pay", "blocking", "tell"]
OUTPUT = "pen big ['reserve', 'reserve again', 'pay', 'blocking', 'tell'] 1"


async def _asked() -> Any:
    return (await plain(build, message="pen")).last


async def _answer(base: Any, before: Attempt | None = None, *, stop: str = "", **arguments: Any) -> Attempt:
    CALLS.clear()
    if stop:
        STOPS.add(stop)
    until = (lambda: stop in CALLS) if stop else None
    found = await attempt(build, before, base=base, until=until, responses={"size": "big"}, **arguments)
    STOPS.clear()
    return found


def _output(found: Attempt) -> Any:
    assert found.error is None, found.error
    (output,) = [event.data for event in found.events if event.type == "output"]
    return output


async def test_in_process_it_calls() -> None:
    await plain(build, base=await _asked(), responses={"size": "big"})
    assert CALLS == ALL


@pytest.mark.parametrize("stop", ALL[1:4] + ALL[5:])
async def test_what_had_finished_is_not_called_again(stop: str) -> None:
    base = await _asked()
    first = await _answer(base, stop=stop)
    assert isinstance(first.error, LostError)
    second = await _answer(base, first)
    assert _output(second) == OUTPUT
    assert ["handler", *ALL[ALL.index(stop) :]] == CALLS
    assert second.taken.get("once", 0) == ALL.index(stop) - 1


async def test_a_call_that_raises_has_no_result() -> None:
    base = await _asked()
    RAISES.add("pay")
    first = await _answer(base)
    assert isinstance(first.error, ConnectionError)
    second = await _answer(base, first)
    assert _output(second) == OUTPUT
    assert CALLS == ["handler", "pay", "blocking", "tell"]


async def test_an_error_for_what_is_in_doubt(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(IN_DOUBT, 0, "error")
    base = await _asked()
    first = await _answer(base, stop="pay")
    second = await _answer(base, first)
    assert isinstance((await _answer(base, second)).error, InDoubtError), "Nobody has looked yet."
    assert isinstance(second.error, InDoubtError)
    assert str(second.error).startswith("The call 'pay' of executor 'work' had started in attempt 1, at 20")
    assert CALLS == ["handler"]
    # Who lets it go on has looked: it is called.
    again = dataclasses.replace(ActivityEnvironment.default_info(), activity_id="of the retry")
    environment = ActivityEnvironment()
    environment.info = again
    third = await environment.run(_answer, base, second)
    assert _output(third) == OUTPUT
    assert CALLS == ["handler", "pay", "blocking", "tell"]


@pytest.mark.parametrize("rules", [None, {"work": ExecutorRule(in_doubt="ask")}], ids=["call", "executor"])
async def test_a_person_is_asked(rules: Mapping[str, ExecutorRule] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    if rules is None:
        monkeypatch.setitem(IN_DOUBT, 0, "ask")
    base = await _asked()
    first = await _answer(base, stop="pay", executors=rules)
    second = await _answer(base, first, executors=rules)
    assert CALLS == []
    (event,) = [event for event in second.events if event.type == "request_info"]
    assert isinstance(event.data, InDoubt)
    assert (event.data.executor_id, event.data.call) == ("work", "pay")
    CALLS.clear()
    answer = {event.request_id: True}
    third = await attempt(build, base=second.last, responses=answer, executors=rules)
    assert _output(third) == OUTPUT
    assert CALLS == ["handler", "pay", "blocking", "tell"]


async def test_a_person_says_no(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(IN_DOUBT, 0, "ask")
    base = await _asked()
    second = await _answer(base, await _answer(base, stop="pay"))
    (request,) = second.last.pending_request_info_events
    CALLS.clear()
    third = await attempt(build, base=second.last, responses={request: False})
    assert isinstance(third.error, InDoubtError)
    assert str(third.error).startswith("The call 'pay' of executor 'work' is not run again: a person has said no.")
    assert CALLS == ["handler"]
    monkeypatch.setitem(IN_DOUBT, 1, True)
    fourth = await attempt(build, base=second.last, responses={request: False})
    assert _output(fourth) == OUTPUT.replace("pay", "another way")
    assert CALLS == ["handler", "handler", "blocking", "tell"]


async def test_asked_and_lost_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(IN_DOUBT, 0, "ask")
    base = await _asked()
    second = await _answer(base, await _answer(base, stop="reserve again"))
    assert _output(second) == OUTPUT
    base = (await _answer(base, await _answer(base, stop="pay"))).last
    for stop, made in (("pay", ["handler", "pay"]), ("pay", ["handler", "pay"])):
        (request,) = base.pending_request_info_events
        CALLS.clear()
        STOPS.add(stop)
        lost = await attempt(build, base=base, until=lambda: "pay" in CALLS, responses={request: True})
        assert made == CALLS
        STOPS.clear()
        base = (await attempt(build, lost, base=base, responses={request: True})).last
    (request,) = base.pending_request_info_events
    CALLS.clear()
    last = await attempt(build, base=base, responses={request: True})
    assert _output(last) == OUTPUT
    assert CALLS == ["handler", "pay", "blocking", "tell"]


@pytest.mark.parametrize("wrong", [{"name": ""}, {"in_doubt": "never"}])
async def test_it_says_what_is_wrong(wrong: dict[str, Any]) -> None:
    given: dict[str, Any] = {"name": "pay", "in_doubt": None, **wrong}
    with pytest.raises(ValueError, match="name" if "name" in wrong else "in_doubt"):
        await once(None, given["name"], call, "x", in_doubt=given["in_doubt"])
