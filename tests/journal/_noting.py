"""A workflow whose executor keeps entries in the journal itself, and then ends in one of many ways."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from typing import Never

from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler
from agent_framework_temporal.activities.journal.journal import current_scope

from tests.flows import note

ENTRIES = 20
ENDING = "TESTS_ENDING"
SIZE = "TESTS_ENTRY_SIZE"
PAUSE = "TESTS_ENTRY_PAUSE"


class Noting(Executor):
    """Comes to `ENTRIES` results, each noted; ends in `ENDING` the first time that it has worked for all of them."""

    @handler
    async def work(self, text: str, ctx: WorkflowContext[Never, str]) -> None:
        scope = current_scope()
        assert scope is not None
        journal, taken, made = scope.journal, 0, 0
        size = int(os.environ.get(SIZE, "0"))
        for number in range(ENTRIES):
            key = f"{text} {number}"
            found = journal.take("once", key)
            if found is not None:
                assert found.value == [number, found.value[1]]
                taken += 1
                continue
            note(f"made {number}")
            await asyncio.sleep(float(os.environ.get(PAUSE, "0")))
            await journal.end("once", key, "work", [number, os.urandom(size // 2).hex()])
            made += 1
        note(f"taken {taken} made {made}")
        if made:
            await _end(os.environ.get(ENDING, ""))
        await ctx.yield_output(f"taken {taken} made {made}")


async def _end(ending: str) -> None:
    if ending == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if ending == "raise":
        raise OSError("not yet")
    if ending == "block":
        time.sleep(8)  # noqa: ASYNC251 - that is the point.
    if ending == "hang":
        try:
            await asyncio.sleep(600)
        except asyncio.CancelledError:
            note("cancelled")
            raise


def noting() -> Workflow:
    """Build the workflow."""
    return WorkflowBuilder(name="noting", start_executor=Noting(id="noting")).build()
