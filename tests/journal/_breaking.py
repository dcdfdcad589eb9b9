"""Workflows whose workers are killed in odd places: what they did is in a ledger of begun and ended effects."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any, Never

from agent_framework import (
    AgentExecutor,
    Case,
    Default,
    Executor,
    FunctionInvocationContext,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    WorkflowExecutor,
    handler,
    response_handler,
    tool,
)
from agent_framework_temporal import once
from agent_framework_temporal.testing import Prompt, Reply, ToolCall, scripted_agent

from tests.flows import LEDGER, Decision, Order

FAST: dict[str, Any] = {
    "heartbeat_timeout": timedelta(seconds=1),
    "retry_initial_interval": timedelta(milliseconds=20),
}
"""Options with which a killed worker is noticed soon."""
STOPS = "TESTS_STOPS"
"""`name=kill` or `name=fail`, separated by blanks: what becomes of the first effect of that name."""


async def effect(name: str, answer: Any = None) -> Any:
    """Do something that counts; where it is so said its worker dies in it, or it raises."""
    path = Path(os.environ[LEDGER])
    _write(f"begin {name}")
    for stop in os.environ.get(STOPS, "").split():
        where, how = stop.split("=")
        mark = Path(f"{path}.{where}.{how}")
        if where == name and not mark.exists():
            await asyncio.sleep(0.6)
            mark.touch()
            if how == "kill":
                os.kill(os.getpid(), signal.SIGKILL)
            if how == "fail":
                raise ConnectionError(name)
    _write(f"end {name}")
    return name if answer is None else answer


def _write(text: str) -> None:
    with Path(os.environ[LEDGER]).open("a") as file:
        file.write(f"{text}\n")


class Start(Executor):
    @handler
    async def start(self, order: Order, ctx: WorkflowContext[Order]) -> None:
        await ctx.send_message(order)


class Do(Executor):
    """Has an effect named after it, and counts its invocations."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.seen: list[str] = []

    @handler
    async def go(self, order: Order, ctx: WorkflowContext[Order, str]) -> None:
        self.seen.append(order.item)
        ctx.set_state(f"{self.id} saw", list(self.seen))
        await effect(f"{self.id}.{order.item}")
        await ctx.yield_output(f"{self.id} {self.seen}")
        await ctx.send_message(Order(item=f"{order.item}{self.id}", price=order.price))

    async def on_checkpoint_save(self) -> dict[str, Any]:
        return {"seen": self.seen}

    async def on_checkpoint_restore(self, state: dict[str, Any]) -> None:
        self.seen = list(state["seen"])


class Ask(Executor):
    """Asks a person at once, beside others that are slow."""

    @handler
    async def ask(self, order: Order, ctx: WorkflowContext[Order, str]) -> None:
        await effect(f"{self.id}.{order.item}")
        await ctx.request_info(order, Decision, request_id=f"approve-{order.item}")

    @response_handler
    async def told(self, order: Order, decision: Decision, ctx: WorkflowContext[Order, str]) -> None:
        await effect(f"{self.id}.told")
        await ctx.yield_output(f"{order.item} {decision.approved}")


class SavesNothing(Do):
    """Raises where its state is to be saved, once it has any."""

    async def on_checkpoint_save(self) -> dict[str, Any]:
        if self.seen:
            raise ValueError("cannot be saved")
        return {"seen": []}


class Unencodable(Do):
    """Saves what no checkpoint can hold."""

    async def on_checkpoint_save(self) -> dict[str, Any]:
        return {"seen": self.seen, "lock": asyncio.Lock()}


class CallsOnce(Executor):
    """Makes calls of its own."""

    @handler
    async def go(self, order: Order, ctx: WorkflowContext[Never, str]) -> None:
        first = await once(ctx, "first", effect, "first")
        second = await once(ctx, "second", effect, "second")
        third = await once(ctx, "second", effect, "third")
        await ctx.yield_output(f"{first} {second} {third}")


def _works(*ids: str) -> list[Any]:
    return [Do(id) for id in ids]


def _fan(name: str, works: list[Any], *, out: list[Any] | None = None) -> WorkflowBuilder:
    start = Start(id="start")
    return WorkflowBuilder(name=name, start_executor=start, output_from=out or works).add_fan_out_edges(start, works)


def beside_a_question() -> Workflow:
    """Two beside one that asks a person."""
    return _fan("brk-question", [*_works("a"), Ask(id="ask"), *_works("c")]).build()


def two_sources() -> Workflow:
    """One executor is given messages of two in the same superstep."""
    a, b, x, y = _works("a", "b", "x", "y")
    return _fan("brk-sources", [a, b], out=[x, y]).add_edge(a, x).add_edge(b, x).add_edge(b, y).build()


def switch() -> Workflow:
    """Conditions say who is next, beside another."""
    a, cheap, dear, beside = _works("a", "cheap", "dear", "beside")
    builder = WorkflowBuilder(name="brk-switch", start_executor=a, output_from=[cheap, dear, beside])
    builder.add_switch_case_edge_group(
        a, [Case(condition=lambda order: order.price > 10, target=dear), Default(target=cheap)]
    )

    async def is_pen(order: Order) -> bool:
        await asyncio.sleep(0)
        return order.item.startswith("pen")

    return builder.add_edge(a, beside, condition=is_pen).build()


def selection() -> Workflow:
    """A selection function says who is next."""
    a, *works = _works("a", "b", "c", "d")
    builder = WorkflowBuilder(name="brk-selection", start_executor=a, output_from=works)
    return builder.add_multi_selection_edge_group(
        a, works, selection_func=lambda order, ids: [id for id in ids if id != "c"]
    ).build()


def raises_on_save() -> Workflow:
    return _fan("brk-raises", [*_works("a"), SavesNothing(id="bad"), *_works("c")]).build()


def unencodable() -> Workflow:
    return _fan("brk-unencodable", [*_works("a"), Unencodable(id="bad"), *_works("c")]).build()


def inner_steps() -> Workflow:
    """A sub-workflow of three steps, beside another executor."""
    a, b, c = _works("a", "b", "c")
    inner = WorkflowBuilder(name="brk-inner", start_executor=a, output_from=[c]).add_edge(a, b).add_edge(b, c).build()
    return _fan("brk-steps", [WorkflowExecutor(inner, id="sub"), *_works("beside")]).build()


def fan_in_sub() -> Workflow:
    """A sub-workflow whose inner executors run beside each other."""
    inner_start = Start(id="inner-start")
    works = _works("a", "b", "c")
    inner = WorkflowBuilder(name="brk-inner-fan", start_executor=inner_start, output_from=works)
    sub = WorkflowExecutor(inner.add_fan_out_edges(inner_start, works).build(), id="sub")
    return WorkflowBuilder(name="brk-fan-in-sub", start_executor=sub).build()


def once_in_executor() -> Workflow:
    return WorkflowBuilder(name="brk-once", start_executor=CallsOnce(id="calls")).build()


def once_in_sub_workflow() -> Workflow:
    inner = WorkflowBuilder(name="brk-once-inner", start_executor=CallsOnce(id="calls")).build()
    sub = WorkflowExecutor(inner, id="sub", allow_direct_output=True)
    return WorkflowBuilder(name="brk-once-sub", start_executor=sub).build()


@tool(approval_mode="never_require")
async def settle(item: str, ctx: FunctionInvocationContext) -> str:
    """Settle a bill in three calls."""
    first = await once(ctx, "first", effect, "first")
    second = await once(None, "second", effect, "second")
    third = await once(ctx, "second", effect, "third")
    return f"{first} {second} {third}"


@tool(approval_mode="never_require")
async def charge(item: str) -> str:
    """Charge."""
    return str(await effect(f"charge.{item}"))


def _settling(prompt: Prompt) -> Reply:
    if prompt.tool_results:
        return Reply(prompt.tool_results[-1])
    return Reply(calls=(ToolCall("settle", {"item": "pen"}),))


def once_in_tool() -> Workflow:
    return WorkflowBuilder(
        name="brk-once-tool", start_executor=AgentExecutor(scripted_agent("agent", _settling, tools=[settle]))
    ).build()


def _charging(prompt: Prompt) -> Reply:
    match len(prompt.tool_results):
        case 2:
            return Reply(f"charged {', '.join(prompt.tool_results)}")
        case found:
            return Reply(calls=(ToolCall("charge", {"item": f"{prompt.user_texts[0]}-{found}"}),))


def shared_session() -> Workflow:
    """Two agents in a row that share a session, and so its history."""
    one, two = scripted_agent("one", _charging, tools=[charge]), scripted_agent("two", _second, tools=[charge])
    session = one.create_session()
    first, second = AgentExecutor(one, session=session, id="one"), AgentExecutor(two, session=session, id="two")
    return WorkflowBuilder(name="brk-shared", start_executor=first).add_edge(first, second).build()


def shared_beside() -> Workflow:
    """Two agents beside each other that share a session."""
    one, two = scripted_agent("one", _charging, tools=[charge]), scripted_agent("two", _say, tools=[charge])
    session = one.create_session()
    start = Hand(id="start")
    works: list[Any] = [AgentExecutor(one, session=session, id="one"), AgentExecutor(two, session=session, id="two")]
    builder = WorkflowBuilder(name="brk-shared-beside", start_executor=start, output_from=works)
    return builder.add_fan_out_edges(start, works).build()


class Hand(Executor):
    @handler
    async def start(self, text: str, ctx: WorkflowContext[str]) -> None:
        await ctx.send_message(text)


def _say(prompt: Prompt) -> Reply:
    return Reply(f"two saw {len(prompt.texts)}")


def _second(prompt: Prompt) -> Reply:
    if len(prompt.tool_results) == 2:
        return Reply(calls=(ToolCall("charge", {"item": "second"}),))
    return Reply(f"two after {len(prompt.texts)}: {prompt.tool_results}")


def agent() -> Workflow:
    """An agent that calls a tool twice."""
    executor = AgentExecutor(scripted_agent("agent", _charging, tools=[charge]), id="agent")
    return WorkflowBuilder(name="brk-agent", start_executor=executor).build()


def agent_in_sub_workflow() -> Workflow:
    inner = AgentExecutor(scripted_agent("agent", _charging, tools=[charge]), id="agent")
    sub = WorkflowExecutor(
        WorkflowBuilder(name="brk-agent-inner", start_executor=inner).build(), id="sub", allow_direct_output=True
    )
    return WorkflowBuilder(name="brk-agent-sub", start_executor=sub).build()


@tool(approval_mode="never_require")
async def settle_asking(item: str, ctx: FunctionInvocationContext) -> str:
    """Settle a bill in two calls; of the second a person is asked if its end is not known."""
    first = await once(ctx, "first", effect, "first")
    second = await once(ctx, "second", effect, "second", in_doubt="ask")
    return f"{first} {second}"


def _settling_asking(prompt: Prompt) -> Reply:
    match len(prompt.tool_results):
        case 0:
            return Reply(calls=(ToolCall("charge", {"item": "before"}),))
        case 1:
            return Reply(calls=(ToolCall("settle_asking", {"item": "pen"}),))
        case _:
            return Reply(f"settled: {prompt.tool_results[-1]}")


def tool_asks() -> Workflow:
    agent = scripted_agent("agent", _settling_asking, tools=[settle_asking, charge])
    return WorkflowBuilder(name="brk-tool-asks", start_executor=AgentExecutor(agent, id="agent")).build()


class Many(Executor):
    """Makes many calls, and notes each that is acknowledged."""

    @handler
    async def go(self, order: Order, ctx: WorkflowContext[Never, str]) -> None:
        for number in range(order.price):
            name = f"{order.item}.{number}"
            await once(ctx, name, effect, name)
            _write(f"acknowledged {name}")
        await ctx.yield_output("done")


def many() -> Workflow:
    return WorkflowBuilder(name="brk-many", start_executor=Many(id="many")).build()


def counts(ledger: Path, what: str) -> Counter[str]:
    """Return how often the ledger says that each effect has begun, or ended."""
    return Counter(
        line.removeprefix(f"{what} ") for line in ledger.read_text().splitlines() if line.startswith(f"{what} ")
    )
