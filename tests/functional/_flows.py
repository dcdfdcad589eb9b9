"""Functional workflows whose steps note in a ledger that they ran."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent_framework import RunContext, WorkflowEvent, step, workflow
from agent_framework_temporal import idempotency_key
from agent_framework_temporal.testing import Prompt, Reply, scripted_agent
from pydantic import BaseModel

from tests.flows import LEDGER, note

GATE = "TESTS_GATE"
"""Environment variable: a file for which steps that may block wait."""
FAIL = "TESTS_FAIL"
"""Environment variable: `no` lets `always_fails` succeed."""


async def gate() -> None:
    """Wait until the test opens the gate, if it has one."""
    name = os.environ.get(GATE)
    while name and not Path(name).exists():
        await asyncio.sleep(0.02)


class Draft(BaseModel):
    """What a person is asked to look at."""

    title: str
    words: int


@dataclass
class Verdict:
    """What a person says of a draft."""

    accepted: bool
    remark: str = ""


@step
async def fetch(number: int) -> int:
    """Double a number."""
    note(f"fetch {number}")
    await asyncio.sleep(0)
    return number * 2


@step
async def write(title: str, words: int) -> Draft:
    """Make a draft."""
    note(f"write {title}")
    return Draft(title=title, words=words)


@step
async def publish(title: str, ctx: RunContext) -> str:
    """Count what was published in the state, and tell of it."""
    note(f"publish {title}")
    ctx.set_state("published", [*ctx.get_state("published", []), title])
    await ctx.add_event(WorkflowEvent("data", data={"published": title}, executor_id="publish"))
    return f"published {title}"


@workflow
async def pipeline(number: int) -> str:
    """Fetch in parallel, then write and publish."""
    first, second = await asyncio.gather(fetch(number), fetch(number + 1))
    draft = await write(f"draft-{first + second}", 7)
    return await publish(draft.title)


@workflow
async def review(title: str, ctx: RunContext) -> str:
    """Ask a person whether a draft is to be published, and then who is told."""
    draft = await write(title, 3)
    verdict: Verdict = await ctx.request_info(draft, Verdict)
    if not verdict.accepted:
        return f"{title} rejected: {verdict.remark}"
    reader: str = await ctx.request_info({"who reads": title}, str)
    published = await publish(title)
    return f"{published} for {reader}"


@step
async def gated(number: int) -> int:
    """Note that it has begun, wait for the gate, note that it ended."""
    note(f"begin {number}")
    await gate()
    note(f"end {number}")
    return number


@workflow
async def halting(number: int) -> list[Any]:
    """Run steps of which the third waits for the gate."""
    found = [await fetch(number), await fetch(number + 1)]
    return [*found, await gated(number)]


@step
async def fails_once(number: int) -> int:
    """Fail the first time that a ledger sees it."""
    ledger = Path(os.environ[LEDGER])
    seen = ledger.read_text() if ledger.exists() else ""
    note(f"fails_once {number}")
    if f"fails_once {number}" not in seen:
        raise RuntimeError("503 at the first try")
    return number + 1


@step
async def always_fails(number: int) -> int:
    """Fail unless the environment says otherwise."""
    note(f"always_fails {number}")
    if os.environ.get(FAIL) != "no":
        raise RuntimeError("no such luck")
    return number


@step
async def outer(number: int, ctx: RunContext) -> int:
    """Call another step, and write state."""
    note(f"outer {number}")
    found = await fetch(number)
    ctx.set_state("outer", found)
    return found + 1


@workflow
async def retried(number: int, ctx: RunContext) -> dict[str, Any]:
    """Nested, parallel and plain steps before one that fails once."""
    nested, (first, second) = await outer(number), await asyncio.gather(fetch(number), fetch(number + 5))
    published = await publish(f"p{first}")
    last = await fails_once(number)
    ctx.set_state("calls", ctx.get_state("calls", 0) + 1)
    return {"found": [nested, first, second, published, last], "state": ctx.get_state("outer")}


@workflow
async def unlucky(number: int) -> int:
    """Fail after a step."""
    return await always_fails(await fetch(number))


@workflow(name="versioned")
async def version_one(number: int, ctx: RunContext) -> int:
    """Ask after a step."""
    found = await fetch(number)
    return found + int(await ctx.request_info("more?", int))


@workflow(name="versioned")
async def version_two(number: int, ctx: RunContext) -> int:
    """Ask after a step, and count on."""
    found = await fetch(number) + 1
    await write("more", found)
    return found + int(await ctx.request_info("more?", int))


class Connection:
    """What no checkpoint holds."""


_CONNECTION = Connection()


@step(replay_key=lambda connection, number: str(number))
async def load(connection: object, number: int) -> int:
    """Take an argument that cannot be stored."""
    note(f"load {number}")
    assert isinstance(connection, Connection)
    return number


@workflow
async def opaque(number: int) -> int:
    """Pass a connection to a step."""
    return await load(_CONNECTION, number) + await fails_once(number)


@step
async def connect(number: int) -> Any:
    """Return what cannot be stored."""
    return Connection()


@workflow
async def unstorable(number: int) -> int:
    """Call a step whose result cannot be stored."""
    await connect(number)
    return number


@step
async def pay(amount: int, ctx: RunContext) -> str:
    """Note the key of a payment."""
    key = idempotency_key(ctx)
    note(f"key {amount} {key}")
    return key


@workflow
async def paying(amount: int, ctx: RunContext) -> list[str]:
    """Pay twice, from a step and from the function, and fail once."""
    keys = list(await asyncio.gather(pay(amount), pay(amount + 1)))
    note(f"key body {idempotency_key(ctx)}")
    await fails_once(amount)
    return keys


@step
async def slow(number: int) -> int:
    """Take long the first time that a ledger sees it."""
    ledger = Path(os.environ[LEDGER])
    first = not ledger.exists() or f"slow {number}" not in ledger.read_text()
    note(f"slow {number}")
    await asyncio.sleep(60 if first else 0)
    return number


@workflow
async def impatient(number: int) -> list[int]:
    """Give up on a step and go on."""
    try:
        async with asyncio.timeout(0.1):
            await slow(number)
    except TimeoutError:
        pass
    return [await fetch(number), await fails_once(number)]


@workflow
async def patient(number: int) -> int:
    """Wait for a step for as long as its policy lets it."""
    return await slow(await fetch(number))


@step
async def delegate(number: int) -> list[Any]:
    """Run another functional workflow in process."""
    result = await pipeline.build().run(number)
    return list(result.get_outputs())


@workflow
async def delegating(number: int) -> list[Any]:
    """Call a step that runs another workflow."""
    return [await delegate(number), await fails_once(number)]


@workflow
async def many(count: int) -> int:
    """Run many steps."""
    total = 0
    for number in range(count):
        total += await fetch(number)
    return total


def build_pipeline() -> Any:
    """Build one, as a factory does."""
    return pipeline.build()


async def build_pipeline_later() -> Any:
    """Build one, as an async factory does."""
    return pipeline


instance = pipeline.build()


@workflow
async def stumbling(number: int, ctx: RunContext) -> int:
    """Fail outside of steps: before an answer or after it, unless the environment says otherwise."""
    if number < 0 and os.environ.get(FAIL) != "no":
        raise RuntimeError("no such luck")
    answered: int = await ctx.request_info("how many?", int)
    if os.environ.get(FAIL) != "no":
        raise RuntimeError("no such luck")
    return number + answered


def _writes(prompt: Prompt) -> Reply:
    note(f"model {prompt.texts[-1]}")
    return Reply(f"on {prompt.texts[-1]} {prompt.instructions}")


@step(replay_key=lambda topic, number: f"{topic} {number}")
async def ask_model(topic: str, number: int) -> str:
    """Ask a model, as its neighbour does with the same words, and fail once."""
    answer = await scripted_agent("writer", _writes).run(topic)
    await fail_once_after(number)
    return f"{number} {answer.text}"


async def fail_once_after(number: int) -> None:
    """Fail the first time that a ledger sees it, after a pause in which others finish."""
    seen = Path(os.environ[LEDGER]).read_text()
    note(f"after {number}")
    await asyncio.sleep(0.2)
    if number == 2 and f"after {number}" not in seen:
        raise RuntimeError("503 at the first try")


@workflow
async def asking_models(topic: str) -> list[str]:
    """Ask models side by side within steps, and once outside of them."""
    before = await scripted_agent("writer", _writes).run(topic)
    found = list(await asyncio.gather(*(ask_model(topic, number) for number in (1, 2))))
    return [before.text, *found]
