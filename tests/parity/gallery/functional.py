"""Rows of functional workflows: functions with `@workflow`, their steps, requests and state."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, cast

from agent_framework import FunctionalWorkflowDefinition, RunContext, WorkflowEvent, get_run_context, step, workflow
from agent_framework_temporal.adapter.framework.functional import FunctionalFactory
from pydantic import BaseModel

from tests.parity.gallery._row import Row, Turn, answer, answer_all
from tests.parity.gallery._scripted import Reply, scripted_agent


class Parcel(BaseModel):
    """What is sent."""

    name: str
    grams: int = 100


@dataclass
class Stamp:
    """What a clerk answers with."""

    price: int


@step
async def weigh(parcel: Parcel) -> int:
    """Weigh a parcel; a model is an argument that the framework numbers by order."""
    return parcel.grams


@step
async def label(name: str, *, copies: int = 1) -> list[str]:
    """Print labels."""
    await asyncio.sleep(0)
    return [f"{name}-{number}" for number in range(copies)]


@step(name="ship", replay_key=lambda parcel, *, by: f"{parcel.name}/{by}")
async def send(parcel: Parcel, *, by: str) -> str:
    """Send a parcel."""
    return f"{parcel.name} sent by {by}"


@step
async def log(line: str, ctx: RunContext) -> int:
    """Keep a line in the state, and tell of it."""
    lines = ctx.get_state("lines", [])
    lines.append(line)
    ctx.set_state("lines", lines)
    await ctx.add_event(WorkflowEvent("data", executor_id="log", data=Parcel(name=line)))
    return len(lines)


@step
async def both(name: str) -> list[Any]:
    """A step that calls others, side by side."""
    return list(await asyncio.gather(label(name), label(name, copies=2), log(name)))


@step
async def stamp(name: str, ctx: RunContext) -> int:
    """Ask for a stamp from within a step."""
    given: Stamp = await ctx.request_info(Parcel(name=name), Stamp, request_id=f"stamp-{name}")
    return given.price


@step
async def broken(name: str) -> str:
    """Fail."""
    await asyncio.sleep(0)
    raise LookupError(f"no {name}")


@workflow
async def _plain(text: str) -> str:
    return text.upper()


@workflow(name="functional-typed", description="Weighs and labels.")
async def _typed(parcel: Parcel) -> dict[str, Any]:
    return {"grams": await weigh(parcel), "labels": await label(parcel.name, copies=2), "parcel": parcel}


@workflow
async def _parallel(names: list[str]) -> list[Any]:
    found = await asyncio.gather(*(label(name) for name in names))
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(log(name)) for name in names]
    return [*found, *(task.result() for task in tasks)]


@workflow
async def _nested(name: str) -> list[Any]:
    return await both(name)


@workflow
async def _looping(count: int, ctx: RunContext) -> int:
    total = 0
    for number in range(count):
        if number % 2:
            total += len(await label("odd", copies=number))
        else:
            total += await log(f"even {number}")
    ctx.set_state("total", total)
    return total


@workflow
async def _silent(text: str) -> None:
    await log(text)


@workflow
async def _keyed(name: str) -> list[str]:
    return list(await asyncio.gather(*(send(Parcel(name=name), by=by) for by in ("rail", "road"))))


@workflow
async def _asking(name: str, ctx: RunContext) -> str:
    grams = await weigh(Parcel(name=name))
    paid: Stamp = await ctx.request_info(Parcel(name=name, grams=grams), Stamp, request_id="stamp")
    await log(f"{name} {paid.price}")
    return f"{name} for {paid.price}"


@workflow
async def _asking_twice(name: str, ctx: RunContext) -> str:
    first: str = await ctx.request_info(f"first for {name}", str)
    await log(first)
    second: int = await ctx.request_info(Parcel(name=first), int)
    return f"{first} {second} {ctx.get_state('lines')}"


@workflow
async def _asking_in_step(name: str) -> str:
    price = await stamp(name)
    return f"{price} {await log('stamped')}"


@workflow
async def _asking_in_parallel(names: list[str]) -> list[int]:
    return list(await asyncio.gather(*(stamp(name) for name in names)))


@workflow
async def _failing(name: str) -> str:
    await log(name)
    return await broken(name)


@workflow
async def _failing_body(name: str, ctx: RunContext) -> str:
    ctx.set_state("seen", True)
    await label(name)
    raise ValueError(f"not {name}")


@workflow
async def _caught(name: str) -> str:
    try:
        return await broken(name)
    except LookupError as error:
        return f"{error} {await log('caught')}"


@workflow
async def _streams(text: str, ctx: RunContext) -> bool:
    current = get_run_context()
    assert current is not None
    return ctx.is_streaming() and current.is_streaming()


@workflow
async def _agents(question: str) -> str:
    first = scripted_agent("asker", lambda _prompt: Reply("why?"))
    second = scripted_agent("knower", lambda prompt: Reply(f"because of {prompt.texts[-1]}"))
    asked = await first.run(question)
    known = await second.run(asked.messages)
    return f"{asked.text} {known.text}"


def _row(name: str, feature: str, flow: FunctionalWorkflowDefinition, *turns: Turn) -> Row:
    named = workflow(name=name, description=flow.description)(cast(Any, flow).__wrapped__)
    build = FunctionalFactory(named)
    return Row(name=name, feature=feature, group="Functional workflows", build=build, turns=turns, checkpoints=False)


ROWS = (
    _row("functional-plain", "A function without steps", _plain, Turn(message="hello"), Turn(message="again")),
    _row("functional-typed", "A model as message and as a step's argument", _typed, Turn(message=Parcel(name="box"))),
    _row(
        "functional-parallel",
        "Steps side by side: `asyncio.gather`, `TaskGroup`",
        _parallel,
        Turn(message=["a", "b", "c"], stream=True),
    ),
    _row("functional-nested", "Steps within steps", _nested, Turn(message="inner", stream=True)),
    _row("functional-loop", "Loops and branches of Python, state", _looping, Turn(message=5), Turn(message=2)),
    _row("functional-no-output", "A function that returns nothing", _silent, Turn(message="x")),
    _row("functional-replay-key", "`replay_key` of steps side by side", _keyed, Turn(message="a", stream=True)),
    _row(
        "functional-request",
        "`request_info` and its response",
        _asking,
        Turn(message="pen", stream=True),
        Turn(respond=answer(stamp=Stamp(3)), stream=True),
        Turn(message="ink"),
        Turn(respond=answer(stamp=Stamp(4))),
    ),
    _row(
        "functional-requests",
        "One request after the other; all answers are given again",
        _asking_twice,
        Turn(message="pen"),
        Turn(respond=answer(**{"auto::0": "red"})),
        Turn(respond=answer(**{"auto::0": "red", "auto::1": 5})),
    ),
    _row(
        "functional-request-in-step",
        "`request_info` within a step",
        _asking_in_step,
        Turn(message="pen"),
        Turn(respond=answer_all(lambda parcel: Stamp(7))),
    ),
    _row(
        "functional-requests-parallel",
        "Requests of steps side by side",
        _asking_in_parallel,
        Turn(message=["pen", "ink"], stream=True),
        Turn(respond=answer_all(lambda parcel: Stamp(parcel.grams)), stream=True),
        Turn(respond=answer(**{"stamp-pen": Stamp(100), "stamp-ink": Stamp(2)})),
    ),
    _row(
        "functional-no-request",
        "An answer to nothing",
        _plain,
        Turn(message="hello"),
        Turn(respond=answer(x=1), raises=ValueError, match="do not correspond to any pending request"),
    ),
    _row(
        "functional-step-fails",
        "A step that fails",
        _failing,
        Turn(message="pen", stream=True, raises=LookupError, match="no pen"),
        Turn(message="ink", raises=LookupError, match="no ink"),
    ),
    _row(
        "functional-body-fails",
        "The function itself fails",
        _failing_body,
        Turn(message="pen", stream=True, raises=ValueError, match="not pen"),
    ),
    _row("functional-caught", "A step's error that the function handles", _caught, Turn(message="pen", stream=True)),
    _row(
        "functional-streaming",
        "Whether the caller streams",
        _streams,
        Turn(message="x", stream=True),
        Turn(message="x"),
    ),
    _row("functional-agents", "Agents called from the function", _agents, Turn(message="so?")),
)
