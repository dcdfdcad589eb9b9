"""A travel report: two sources are read side by side, a person picks the title, and the report is filed."""

from __future__ import annotations

import asyncio

from agent_framework import RunContext, step, workflow
from pydantic import BaseModel

calls: list[str] = []
"""Which steps ran, for the demo; a step's effect on the world in real life."""


class Report(BaseModel):
    """The workflow's output."""

    title: str
    text: str
    number: int


@step
async def read(source: str) -> str:
    """Read a source; a call of a model or a service in real life."""
    calls.append(f"read {source}")
    await asyncio.sleep(0.1)
    return f"The {source} says that night trains are back."


@step
async def file(title: str) -> int:
    """File the report; the archive is down at the first try."""
    calls.append(f"file {title!r}")
    if calls.count(f"file {title!r}") == 1:
        raise ConnectionError("the archive does not answer")
    return 42


@workflow(name="travel-report")
async def travel_report(topic: str, ctx: RunContext) -> Report:
    """Write the report."""
    texts = await asyncio.gather(read("timetable"), read("newspaper"))
    title: str = await ctx.request_info(f"A title for the report on {topic}?", str)
    return Report(title=title, text=" ".join(texts), number=await file(title))
