"""An inner superstep that was finished is not run again, however deep it lies."""

from __future__ import annotations

import asyncio
from typing import Any, Never

import pytest
from agent_framework import (
    Executor,
    SupportsAgentRun,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    WorkflowExecutor,
    handler,
    response_handler,
)
from agent_framework_temporal.adapter.framework.catalog import TypeCatalog

from tests.journal._supersteps import Build, LostError, attempt, plain, text_of

RAN: list[str] = []
FAILS: list[str] = []


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    RAN.clear()
    FAILS.clear()


class Step(Executor):
    """Counts, keeps a trail in the inner state, and passes on."""

    def __init__(self, id: str, *, last: bool = False) -> None:
        super().__init__(id=id)
        self.count = 0
        self.last = last

    @handler
    async def go(self, text: str, ctx: WorkflowContext[str, str]) -> None:
        if self.id in FAILS:
            FAILS.remove(self.id)
            await asyncio.sleep(0.02)
            raise LostError(self.id)
        RAN.append(self.id)
        self.count += 1
        ctx.set_state("trail", [*ctx.get_state("trail", []), self.id])
        said = f"{text}>{self.id}{self.count}"
        if not self.last:
            await ctx.send_message(said)
        await ctx.yield_output(f"{said} {','.join(ctx.get_state('trail'))}")

    async def on_checkpoint_save(self) -> dict[str, Any]:
        return {"count": self.count}

    async def on_checkpoint_restore(self, state: dict[str, Any]) -> None:
        self.count = state["count"]


class Ask(Executor):
    @handler
    async def go(self, text: str, ctx: WorkflowContext[str]) -> None:
        RAN.append(self.id)
        await ctx.request_info(text, str, request_id=f"ask-{self.id}")

    @response_handler
    async def answered(self, question: str, answer: str, ctx: WorkflowContext[str]) -> None:
        RAN.append(f"{self.id} answered")
        ctx.set_state("trail", [*ctx.get_state("trail", []), answer])
        await ctx.send_message(f"{question} {answer}")


class Gather(Executor):
    @handler
    async def go(self, texts: list[str], ctx: WorkflowContext[str]) -> None:
        RAN.append(self.id)
        await ctx.send_message("+".join(texts))


class End(Executor):
    @handler
    async def end(self, text: str, ctx: WorkflowContext[Never, str]) -> None:
        RAN.append("end")
        await ctx.yield_output(f"END {text}")


def _parent(child: Workflow) -> Workflow:
    sub, end = WorkflowExecutor(child, id="sub", propagate_request=True), End(id="end")
    builder = WorkflowBuilder(name="parent", start_executor=sub, output_from=[end], intermediate_output_from=[sub])
    return builder.add_edge(sub, end).build()


def chain(*, middle: Executor | None = None) -> Workflow:
    a, b, c = Step("i1"), middle or Step("i2"), Step("i3", last=True)
    shown: list[Executor | SupportsAgentRun] = [step for step in (a, b) if isinstance(step, Step)]
    builder = WorkflowBuilder(name="child", start_executor=a, output_from=[c], intermediate_output_from=shown)
    return builder.add_edge(a, b).add_edge(b, c).build()


def one_deep() -> Workflow:
    return _parent(chain())


def two_deep() -> Workflow:
    inner = WorkflowExecutor(chain(), id="inner")
    first, last = Step("o1"), Step("o3", last=True)
    builder = WorkflowBuilder(name="outer", start_executor=first, output_from=[last], intermediate_output_from=[inner])
    return _parent(builder.add_edge(first, inner).add_edge(inner, last).build())


def asking() -> Workflow:
    return _parent(chain(middle=Ask(id="i2")))


def fanning() -> Workflow:
    a, b, c, d = Step("i1"), Step("i2"), Step("i3"), Gather(id="gather")
    e = Step("i4", last=True)
    builder = WorkflowBuilder(name="child", start_executor=a, output_from=[e], intermediate_output_from=[a, b, c])
    return _parent(builder.add_fan_out_edges(a, [b, c]).add_fan_in_edges([b, c], d).add_edge(d, e).build())


def looping() -> Workflow:
    """Step i2 gets the same text three times."""
    a, b = Step("i1"), Echo(id="echo")
    c = Step("i3", last=True)
    builder = WorkflowBuilder(name="child", start_executor=b, output_from=[c], intermediate_output_from=[a])
    builder = builder.add_edge(b, a, condition=_is_short).add_edge(a, b).add_edge(b, c, condition=_is_long)
    return _parent(builder.build())


class Echo(Executor):
    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.rounds = 0

    @handler
    async def go(self, text: str, ctx: WorkflowContext[str]) -> None:
        RAN.append(self.id)
        self.rounds += 1
        await ctx.send_message("again" if self.rounds < 4 else "long enough")

    async def on_checkpoint_save(self) -> dict[str, Any]:
        return {"rounds": self.rounds}

    async def on_checkpoint_restore(self, state: dict[str, Any]) -> None:
        self.rounds = state["rounds"]


def _is_short(text: Any) -> bool:
    return bool(text == "again")


def _is_long(text: Any) -> bool:
    return bool(text == "long enough")


@pytest.mark.parametrize(
    ("build", "fails", "taken", "again"),
    [
        (one_deep, "i3", 2, ["i3"]),
        (one_deep, "i2", 1, ["i2", "i3"]),
        (two_deep, "i3", 3, ["i3", "o3"]),
        (two_deep, "i1", 1, ["i1", "i2", "i3", "o3"]),
        (two_deep, "o3", 2, ["o3"]),
        (fanning, "i3", 2, ["i3", "gather", "i4"]),
        (fanning, "i4", 4, ["i4"]),
        (looping, "i3", 7, ["i3"]),
    ],
    ids=lambda value: value if isinstance(value, str) else getattr(value, "__name__", ""),
)
async def test_only_what_had_not_finished_runs(build: Build, fails: str, taken: int, again: list[str]) -> None:
    clean = await plain(build, message="x")
    base = clean.checkpoints[0]
    RAN.clear()
    FAILS.append(fails)
    first = await attempt(build, base=base)
    assert isinstance(first.error, LostError)
    RAN.clear()
    second = await attempt(build, first, base=base)
    assert second.error is None
    assert [name for name in RAN if name != "end"] == again
    assert second.taken == {"executor": taken}, "An inner workflow that had finished is taken as one."
    assert second.told(1) == clean.told(1)
    assert second.told(2) == clean.told(2)
    catalog = TypeCatalog(build())
    assert [text_of(found, catalog) for found in second.checkpoints[1:]] == [
        text_of(found, catalog) for found in clean.checkpoints[1:]
    ]


async def test_it_is_lost_again_and_again() -> None:
    clean = await plain(two_deep, message="x")
    base = clean.checkpoints[0]
    last = None
    RAN.clear()
    for name in ("i2", "i3", "o3"):
        FAILS.append(name)
        last = await attempt(two_deep, last, base=base)
        assert isinstance(last.error, LostError)
    last = await attempt(two_deep, last, base=base)
    assert RAN == ["o1", "i1", "i2", "i3", "o3", "end"]
    assert last.told(1) == clean.told(1)


async def test_a_request_inside_and_the_child_asked_again() -> None:
    waiting = (await plain(asking, message="x")).last
    assert list(waiting.pending_request_info_events) == ["ask-i2"]
    RAN.clear()
    # The executor around it fails after the child has asked: the child's invocations are taken, the request with them.
    FAILS.append("i3")
    answered = await attempt(asking, base=waiting, responses={"ask-i2": "yes"})
    assert isinstance(answered.error, LostError)
    assert RAN == ["i2 answered"]
    RAN.clear()
    again = await attempt(asking, answered, base=waiting, responses={"ask-i2": "yes"})
    assert again.error is None
    assert RAN == ["i3", "end"]
    undisturbed = await plain(asking, base=waiting, responses={"ask-i2": "yes"})
    assert again.said == undisturbed.said
    catalog = TypeCatalog(asking())
    assert text_of(again.last, catalog) == text_of(undisturbed.last, catalog)


class Start(Executor):
    @handler
    async def go(self, text: str, ctx: WorkflowContext[str]) -> None:
        await ctx.send_message(text)


class Flaky(Executor):
    @handler
    async def go(self, text: str, ctx: WorkflowContext[str]) -> None:
        RAN.append(self.id)
        await asyncio.sleep(0.05)
        if self.id in FAILS:
            FAILS.remove(self.id)
            raise LostError(self.id)


def beside() -> Workflow:
    start, flaky, end = Start(id="start"), Flaky(id="flaky"), End(id="end")
    sub = WorkflowExecutor(chain(middle=Ask(id="i2")), id="sub", propagate_request=True)
    builder = WorkflowBuilder(name="beside", start_executor=start, output_from=[end], intermediate_output_from=[sub])
    return builder.add_fan_out_edges(start, [sub, flaky]).add_edge(sub, end).build()


async def test_a_child_that_waits_for_a_person_is_taken_and_can_be_answered() -> None:
    clean = await plain(beside, message="x")
    base = clean.checkpoints[1]
    FAILS.append("flaky")
    first = await attempt(beside, base=base)
    assert isinstance(first.error, LostError)
    RAN.clear()
    second = await attempt(beside, first, base=base)
    assert RAN == ["flaky"]
    assert second.told(2) == clean.told(2)
    catalog = TypeCatalog(beside())
    assert text_of(second.last, catalog) == text_of(clean.last, catalog)
    answered = await attempt(beside, base=second.last, responses={"ask-i2": "yes"})
    assert answered.error is None
    undisturbed = await plain(beside, base=clean.last, responses={"ask-i2": "yes"})
    assert answered.said == undisturbed.said
