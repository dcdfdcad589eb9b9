"""Functional workflows whose steps note in a ledger that they ran."""

from __future__ import annotations

import asyncio
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agent_framework import RunContext, WorkflowEvent, step, workflow
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
