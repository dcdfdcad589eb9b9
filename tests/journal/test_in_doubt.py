"""What had begun and whose end nobody knows: again, an error, or a person is asked."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Never

import pytest
from agent_framework import (
    Executor,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    WorkflowEvent,
    WorkflowExecutor,
    handler,
)
from agent_framework_temporal import InDoubt, InDoubtError
from agent_framework_temporal.workflows.messages import ExecutorRule

from tests.journal._supersteps import Attempt, Build, LostError, attempt

RAN: list[str] = []
LOST: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    RAN.clear()
    LOST.clear()


@dataclass
class Order:
    item: str


async def _work(name: str) -> str:
    RAN.append(name)
    if name in LOST:
        await asyncio.sleep(600)  # Until a sibling gives the attempt up.
    return f"{name} done"


class Charge(Executor):
    """Takes money, and can be told to fail."""

    def __init__(self, id: str = "charge") -> None:
        super().__init__(id=id)
        self.count = 0

    @handler
    async def charge(self, order: Order, ctx: WorkflowContext[str]) -> None:
        self.count += 1
        if order.item == "bad":
            RAN.append("bad")
            raise ConnectionError("refused")
        await _work(self.id)
        await ctx.send_message(f"{order.item} charged {self.count}")

    async def on_checkpoint_save(self) -> dict[str, Any]:
        return {"count": self.count}

    async def on_checkpoint_restore(self, state: dict[str, Any]) -> None:
        self.count = state["count"]


class Watch(Executor):
    """Fails a little later than the others have come to where they stay."""

    @handler
    async def watch(self, order: Order, ctx: WorkflowContext) -> None:
        if LOST:
            await asyncio.sleep(0.1)
            LOST.clear()
            raise LostError


class Done(Executor):
    @handler
    async def done(self, text: str, ctx: WorkflowContext[Never, str]) -> None:
        await ctx.yield_output(text)


class Start(Executor):
    @handler
    async def start(self, item: str, ctx: WorkflowContext[Order]) -> None:
        await ctx.send_message(Order(item))


def _beside(work: Executor) -> Workflow:
    start, watch, done = Start(id="start"), Watch(id="watch"), Done(id="done")
    builder = WorkflowBuilder(name="pay", start_executor=start, output_from=[done])
    return builder.add_fan_out_edges(start, [work, watch]).add_edge(work, done).build()


def charging() -> Workflow:
    return _beside(Charge())


def within() -> Workflow:
    """In a sub-workflow whose requests its parent takes, and which has finished an executor before."""
    first, charge = Note(id="first"), Charge()
    child = WorkflowBuilder(name="child", start_executor=first).add_edge(first, charge).add_edge(charge, Out(id="out"))
    return _beside(WorkflowExecutor(child.build(), id="sub"))


class Note(Executor):
    @handler
    async def go(self, order: Order, ctx: WorkflowContext[Order]) -> None:
        RAN.append("first")
        await ctx.send_message(order)


class Out(Executor):
    @handler
    async def go(self, text: str, ctx: WorkflowContext[Never, str]) -> None:
        RAN.append("out")
        await ctx.yield_output(text)


def _rule(in_doubt: str) -> Mapping[str, ExecutorRule]:
    return dict.fromkeys(["charge", "sub/charge"], ExecutorRule(in_doubt=in_doubt))


async def _begun(build: Build, rules: Mapping[str, ExecutorRule]) -> tuple[Any, Attempt]:
    """Run until `charge` works, and lose the attempt."""
    LOST.append("charge")
    first = await attempt(build, message="pen", executors=rules)
    assert isinstance(first.error, LostError)
    base = next(found for found in first.checkpoints if found.iteration_count == 1)
    return base, first


def _asked(found: Attempt) -> WorkflowEvent[Any]:
    assert found.error is None, found.error
    (event,) = [event for event in found.events if event.type == "request_info"]
    assert isinstance(event.data, InDoubt)
    assert event.response_type is bool
    return event


def _outputs(found: Attempt) -> list[Any]:
    assert found.error is None, found.error
    return [event.data for event in found.events if event.type == "output"]


async def test_again_is_the_rule() -> None:
    base, first = await _begun(charging, {})
    again = await attempt(charging, first, base=base)
    assert RAN == ["charge", "charge"]
    assert _outputs(again) == ["pen charged 1"]


async def test_an_error_is_final_until_somebody_has_looked() -> None:
    base, first = await _begun(charging, _rule("error"))
    second = await attempt(charging, first, base=base, executors=_rule("error"))
    assert isinstance(second.error, InDoubtError)
    assert str(second.error).startswith("Executor 'charge' had started in attempt 1, at 20")
    assert "retry" in str(second.error)
    assert RAN == ["charge"]


@pytest.mark.parametrize("build", [charging, within])
async def test_a_person_says_that_it_may_run_again(build: Build) -> None:
    base, first = await _begun(build, _rule("ask"))
    second = await attempt(build, first, base=base, executors=_rule("ask"))
    event = _asked(second)
    path = "charge" if build is charging else "sub/charge"
    assert event.data.executor_id == path
    assert event.data.call is None
    assert event.data.attempt == 1
    assert event.data.message == '{"item": "pen"}'
    assert RAN.count("charge") == 1
    # Lost once more, it asks no second time: what it asked is in the journal.
    third = await attempt(build, second, base=base, executors=_rule("ask"))
    assert third.taken == {"executor": 1}
    request = _asked(third)
    answered = await attempt(build, base=third.last, responses={request.request_id: True}, executors=_rule("ask"))
    assert RAN.count("charge") == 2
    assert _outputs(answered) == ["pen charged 1"]
    assert RAN.count("first") == (0 if build is charging else 1), "What had finished inside is not run again."
    assert not [key for key in answered.last.state if key.startswith("_in_doubt")]


async def test_a_person_says_no() -> None:
    base, first = await _begun(charging, _rule("ask"))
    second = await attempt(charging, first, base=base, executors=_rule("ask"))
    request = _asked(second)
    answered = await attempt(charging, base=second.last, responses={request.request_id: False}, executors=_rule("ask"))
    assert isinstance(answered.error, InDoubtError)
    assert str(answered.error).startswith("Executor 'charge' is not run again: a person has said no.")
    assert RAN == ["charge"]


async def test_what_a_person_has_let_run_is_in_doubt_again() -> None:
    base, first = await _begun(charging, _rule("ask"))
    second = await attempt(charging, first, base=base, executors=_rule("ask"))
    answer = {_asked(second).request_id: True}
    LOST.append("charge")
    rules, base = _rule("ask"), second.last
    ran = len(RAN)
    lost = await attempt(charging, base=base, responses=answer, executors=rules, until=lambda: len(RAN) > ran)
    LOST.clear()
    again = await attempt(charging, lost, base=second.last, responses=answer, executors=_rule("ask"))
    request = _asked(again)
    assert RAN == ["charge", "charge"]
    done = await attempt(charging, base=again.last, responses={request.request_id: True}, executors=_rule("ask"))
    assert _outputs(done) == ["pen charged 1"]
    assert RAN == ["charge"] * 3


async def test_a_failure_is_an_end_that_everybody_knows() -> None:
    first = await attempt(charging, message="bad", executors=_rule("ask"))
    assert isinstance(first.error, ConnectionError)
    base = next(found for found in first.checkpoints if found.iteration_count == 1)
    second = await attempt(charging, first, base=base, executors=_rule("ask"))
    assert isinstance(second.error, ConnectionError)
    assert RAN == ["bad", "bad"]
