"""The load: a loop, a fan-out, an agent with a tool, and requests; every invocation leaves its key in the ledger."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from typing import Annotated, Any, Never

from agent_framework import (
    AgentExecutor,
    AgentExecutorResponse,
    Executor,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    handler,
    response_handler,
    tool,
)
from agent_framework_temporal import current_superstep, idempotency_key

from tests.parity.gallery._scripted import Call, Prompt, Reply, scripted_agent

LEDGER = "CHAOS_LEDGER"
"""Environment variable: the file that executors append to."""
ROUNDS = 8


def record(kind: str, key: str, what: str) -> None:
    """Append one line, whole, whoever else does and whoever is killed."""
    path = os.environ.get(LEDGER)
    if path is None:
        return
    step = current_superstep()
    line = f"{kind} {step.thread_id if step else '-'} {key} {what} {step.attempt if step else 0} {os.getpid()}\n"
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    try:
        os.write(file, line.encode())
    finally:
        os.close(file)


async def _work(ctx: WorkflowContext[Any, Any], executor_id: str) -> None:
    """Begin, take a while that no two invocations share, and end."""
    key = idempotency_key(ctx)
    record("begin", key, executor_id)
    await asyncio.sleep(random.uniform(0.0, 0.3))
    record("end", key, executor_id)


class Loop(Executor):
    """Counts down with another, and keeps a sum of its own in its checkpoint."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self._sum = 0

    @handler
    async def count(self, left: int, ctx: WorkflowContext[int, str]) -> None:
        await _work(ctx, self.id)
        self._sum += left
        ctx.set_state("total", ctx.get_state("total", 0) + left)
        await ctx.yield_output(f"{self.id} {left} {self._sum} {ctx.get_state('total')}")
        if left:
            await ctx.send_message(left - 1)

    async def on_checkpoint_save(self) -> dict[str, Any]:
        return {"sum": self._sum}

    async def on_checkpoint_restore(self, state: dict[str, Any]) -> None:
        self._sum = state["sum"]


class Split(Executor):
    @handler
    async def split(self, left: int, ctx: WorkflowContext[int]) -> None:
        await _work(ctx, self.id)
        await ctx.send_message(left)


class Part(Executor):
    @handler
    async def part(self, left: int, ctx: WorkflowContext[str]) -> None:
        await _work(ctx, self.id)
        await ctx.send_message(f"{left}:{self.id}")


class Join(Executor):
    @handler
    async def join(self, parts: list[str], ctx: WorkflowContext[int, str]) -> None:
        await _work(ctx, self.id)
        await ctx.yield_output(" ".join(sorted(parts)))
        left = int(parts[0].split(":")[0])
        if left:
            await ctx.send_message(left - 1)


class Asker(Executor):
    """Asks twice at once, again and again."""

    @handler
    async def ask(self, left: int, ctx: WorkflowContext[Never, str]) -> None:
        await _work(ctx, self.id)
        for side in ("left", "right"):
            await ctx.request_info(f"{left} {side}", str, request_id=f"{left}-{side}")

    @response_handler
    async def answered(self, question: str, answer: str, ctx: WorkflowContext[Never, str]) -> None:
        await _work(ctx, self.id)
        await ctx.yield_output(f"{question}: {answer}")
        count = ctx.get_state("answers", 0) + 1
        ctx.set_state("answers", count)
        left = int(question.split()[0])
        if count % 2 == 0 and left:
            for side in ("left", "right"):
                await ctx.request_info(f"{left - 1} {side}", str, request_id=f"{left - 1}-{side}")


@tool(approval_mode="never_require")
async def look_up(word: Annotated[str, "A word"]) -> str:
    """Look a word up, outside."""
    record("tool", word, "look_up")
    await asyncio.sleep(random.uniform(0.0, 0.3))
    return f"{word} means {word[::-1]}"


def _look_things_up(prompt: Prompt) -> Reply:
    if not prompt.tool_results:
        return Reply(calls=(Call("look_up", {"word": prompt.user_texts[-1]}),))
    return Reply(text=prompt.tool_results[-1])


class Teller(Executor):
    @handler
    async def tell(self, response: AgentExecutorResponse, ctx: WorkflowContext[str, str]) -> None:
        await _work(ctx, self.id)
        await ctx.yield_output(response.agent_response.text)
        words = ctx.get_state("words", 0) + 1
        ctx.set_state("words", words)
        if words < ROUNDS // 2:
            await ctx.send_message(f"word{words}")


def loop() -> Workflow:
    """Build the loop."""
    tick, tock = Loop(id="tick"), Loop(id="tock")
    return WorkflowBuilder(name="chaos-loop", start_executor=tick).add_edge(tick, tock).add_edge(tock, tick).build()


def fan_out() -> Workflow:
    """Build the fan-out that joins and begins again."""
    split, join = Split(id="split"), Join(id="join")
    parts = [Part(id=f"part-{number}") for number in range(3)]
    builder = WorkflowBuilder(name="chaos-fan-out", start_executor=split).add_fan_out_edges(split, list(parts))
    return builder.add_fan_in_edges(list(parts), join).add_edge(join, split).build()


def agent() -> Workflow:
    """Build the agent whose tool reaches outside."""
    scholar = AgentExecutor(scripted_agent("scholar", _look_things_up, tools=[look_up]), id="scholar")
    teller = Teller(id="teller")
    builder = WorkflowBuilder(name="chaos-agent", start_executor=scholar)
    return builder.add_edge(scholar, teller).add_edge(teller, scholar).build()


def ask() -> Workflow:
    """Build the one that waits for people."""
    return WorkflowBuilder(name="chaos-ask", start_executor=Asker(id="asker")).build()


LOADS: dict[str, tuple[Callable[[], Workflow], Any]] = {
    "loop": (loop, ROUNDS),
    "fan_out": (fan_out, ROUNDS // 4),
    "agent": (agent, "word0"),
    "ask": (ask, ROUNDS // 4),
}
"""Factory and first message of each."""


def answer_to(request_id: str) -> str:
    """Return what the responder answers."""
    return f"answer to {request_id}"


async def expected_outputs(name: str) -> list[str]:
    """Run a load in process; the order of outputs within a superstep is open."""
    factory, message = LOADS[name]
    workflow = factory()
    result = await workflow.run(message)
    outputs = list(result.get_outputs())
    while requests := result.get_request_info_events():
        answers = {str(request.request_id): answer_to(str(request.request_id)) for request in requests}
        result = await workflow.run(responses=answers)
        outputs += result.get_outputs()
    return texts(outputs)


def texts(outputs: list[Any]) -> list[str]:
    """Return the outputs of our own executors; what an agent yields depends on whether it is streamed."""
    return sorted(output for output in outputs if isinstance(output, str))
