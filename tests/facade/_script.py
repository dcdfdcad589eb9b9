"""A sample with its types and its `main()` in one file, run as a script against a worker that has imported it.

Its last line on standard output is JSON: what came of each call.
"""

from __future__ import annotations

import asyncio
import json
import sys
from dataclasses import dataclass
from typing import Any

from agent_framework import (
    Executor,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    handler,
    register_checkpoint_type,
    response_handler,
)
from agent_framework_temporal import DurableWorkflow
from pydantic import BaseModel
from temporalio.client import Client


@dataclass
class Order:
    """A message."""

    item: str
    notes: Any = None


class Ask(BaseModel):
    """A request."""

    text: str


@dataclass
class Verdict:
    """A response."""

    ok: bool
    why: Any = None


class Note:
    """Nothing declares it."""


class SoldOutError(Exception):
    """An error of its own."""


register_checkpoint_type(Note)


class Shop(Executor):
    """Asks whether to sell."""

    @handler
    async def take(self, order: Order, ctx: WorkflowContext[Any, Any]) -> None:
        """Take an order."""
        if order.item == "none":
            raise SoldOutError("sold out")
        ctx.set_state("note", Note())
        await ctx.yield_output(order)
        await ctx.request_info(Ask(text=f"sell {order.item}?"), Verdict, request_id="r")

    @response_handler
    async def sell(self, ask: Ask, verdict: Verdict, ctx: WorkflowContext[Any, Any]) -> None:
        """Take the verdict."""
        await ctx.yield_output(verdict)


def build() -> Workflow:
    """Build the workflow."""
    return WorkflowBuilder(name="script", start_executor=Shop(id="shop")).build()


async def main(address: str, task_queue: str) -> None:
    """Run it, and tell whether what comes back is of this script's classes."""
    client = await Client.connect(address)
    durable = DurableWorkflow(build, client=client, task_queue=task_queue, max_attempts=1)
    checkpoint = durable.checkpoint()
    found: list[Any] = []
    for notes in (None, (1, Ask(text="typed"))):
        checkpoint = durable.checkpoint()
        result = await durable.run(Order("tea", notes), checkpoint=checkpoint)
        found.append(result.get_outputs() == [Order("tea", notes)])
        found += [isinstance(event.data, Ask) for event in result.get_request_info_events()]
        asked_at = checkpoint.checkpoint_id
        verdict = Verdict(ok=True, why=notes)
        found.append((await durable.run(responses={"r": verdict}, checkpoint=checkpoint)).get_outputs() == [verdict])
        forked = durable.checkpoint()
        result = await durable.run(responses={"r": verdict}, checkpoint_id=asked_at, checkpoint=forked)
        found.append(result.get_outputs() == [verdict])
    try:
        await durable.run(Order("none"), checkpoint=durable.checkpoint())
    except SoldOutError as error:
        found.append(str(error) == "sold out")
    print(json.dumps(found), flush=True)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
