"""Executors that had finished are not run again, and what they did shows as if the superstep had been undisturbed."""

from __future__ import annotations

import asyncio
from typing import Any, Never

import pytest
from agent_framework import (
    Executor,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    handler,
    response_handler,
)
from agent_framework_temporal.adapter.framework.catalog import TypeCatalog

from tests.journal._supersteps import Attempt, Build, LostError, attempt, plain, text_of

RAN: list[str] = []
FAILS: set[str] = set()


@pytest.fixture(autouse=True)
def _nothing_ran() -> None:
    RAN.clear()
    FAILS.clear()


def _begin(name: str) -> None:
    RAN.append(name)


def _end(name: str) -> None:
    if name in FAILS:
        FAILS.discard(name)
        raise LostError(name)


class Start(Executor):
    @handler
    async def go(self, text: str, ctx: WorkflowContext[str]) -> None:
        ctx.set_state("topic", text)
        ctx.set_state("old", text)
        await ctx.send_message(text)


class Dear(Executor):
    """Counts, writes state, yields an output early and another late."""

    def __init__(self, id: str, seconds: float = 0.0) -> None:
        super().__init__(id=id)
        self.seconds = seconds
        self.count = 0

    @handler
    async def go(self, text: str, ctx: WorkflowContext[str, list[str]]) -> None:
        _begin(self.id)
        self.count += 1
        said = [f"{self.id} begins"]
        await ctx.yield_output(said)
        await asyncio.sleep(self.seconds)
        said.append("goes on")
        ctx.set_state("last", self.id)
        ctx.set_state(self.id, ctx.get_state("topic") + "!")
        await ctx.yield_output(said)
        await ctx.send_message(f"{self.id} {self.count}")
        _end(self.id)

    async def on_checkpoint_save(self) -> dict[str, Any]:
        return {"count": self.count}

    async def on_checkpoint_restore(self, state: dict[str, Any]) -> None:
        self.count = state["count"]


class Ask(Executor):
    @handler
    async def go(self, text: str, ctx: WorkflowContext[str]) -> None:
        _begin("ask")
        await ctx.request_info({"about": text}, str, request_id="r1")

    @response_handler
    async def answered(self, question: dict[str, str], answer: str, ctx: WorkflowContext[str]) -> None:
        _begin("answered")
        await ctx.send_message(f"ask {answer}")


class Flaky(Executor):
    @handler
    async def go(self, text: str, ctx: WorkflowContext[str]) -> None:
        _begin("flaky")
        await asyncio.sleep(0.15)
        _end("flaky")
        ctx.state.delete("old")
        await ctx.send_message("flaky")


class Join(Executor):
    @handler
    async def join(self, texts: list[str], ctx: WorkflowContext[Never, str]) -> None:
        await ctx.yield_output("+".join(texts))


def fan() -> Workflow:
    start, ask, flaky, join = Start(id="start"), Ask(id="ask"), Flaky(id="flaky"), Join(id="join")
    slow, quick = Dear("slow", 0.08), Dear("quick", 0.02)
    builder = WorkflowBuilder(name="fan", start_executor=start, output_from=[join, slow, quick])
    builder = builder.add_fan_out_edges(start, [slow, quick, ask, flaky])
    return builder.add_fan_in_edges([slow, quick, ask, flaky], join).build()


async def _retried(build: Build, base: Any, fails: str, **arguments: Any) -> tuple[Attempt, Attempt]:
    FAILS.add(fails)
    first = await attempt(build, base=base, **arguments)
    assert isinstance(first.error, LostError)
    RAN.append("|")
    second = await attempt(build, first, base=base, **arguments)
    assert second.error is None, second.error
    return first, second


@pytest.mark.parametrize("streaming", [True, False])
async def test_a_failed_sibling_lets_nothing_run_again(streaming: bool) -> None:
    clean = await plain(fan, message="x", streaming=streaming)
    base = clean.checkpoints[1]
    assert base.iteration_count == 1
    RAN.clear()
    _, second = await _retried(fan, base, "flaky", streaming=streaming)
    assert RAN == ["slow", "quick", "ask", "flaky", "|", "flaky"]
    assert second.taken == {"executor": 3}
    assert second.told(2) == clean.told(2)
    catalog = TypeCatalog(fan())
    assert text_of(second.last, catalog) == text_of(clean.last, catalog)
    RAN.clear()
    joined = await attempt(fan, base=second.last, responses={"r1": "yes"})
    assert RAN == ["answered"]
    (output,) = [event.data for event in joined.events if event.type == "output"]
    assert output == "slow 1+quick 1+ask yes+flaky"
