"""The loop as a workflow of the framework, for all that hosts those."""

from __future__ import annotations

from typing import Any

from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler

from benchmarks.peers._case import advanced, is_done


class Stepper(Executor):
    """Does a step and passes the state on: in the shared state (loop), or in the message (conversation)."""

    @handler
    async def step(self, state: dict, ctx: WorkflowContext[dict, int]) -> None:  # type: ignore[type-arg]
        """Do a step."""
        shared: dict[str, Any] = ctx.get_state("state") or state
        found = advanced(shared if state["case"] == "loop" else state)
        if state["case"] == "loop":
            ctx.set_state("state", found)
        if is_done(found):
            await ctx.yield_output(int(found["number"]))
        else:
            await ctx.send_message({"case": "loop"} if state["case"] == "loop" else found)


def steps() -> Workflow:
    """Build it."""
    left, right = Stepper(id="left"), Stepper(id="right")
    builder = WorkflowBuilder(name="steps", start_executor=left, max_iterations=10_000)
    return builder.add_edge(left, right).add_edge(right, left).build()
