"""The loop as a LangGraph graph, for both packages that run those on Temporal."""

from __future__ import annotations

from typing import Any, TypedDict

from langgraph.graph import END, START, StateGraph

from benchmarks.peers._case import advanced, is_done


class State(TypedDict):
    """What a node is given."""

    state: dict[str, Any]


async def step(state: State) -> dict[str, Any]:
    """Do a step."""
    return {"state": advanced(state["state"])}


def more(state: State) -> str:
    """Say where to go on."""
    return END if is_done(state["state"]) else "step"


async def more_later(state: State) -> str:
    """Say where to go on, in an event loop that has no threads: Temporal's."""
    return more(state)


def build(*, asynchronous: bool, **options: Any) -> Any:
    """Build the graph."""
    builder = StateGraph(State)
    builder.add_node("step", step, **options)
    builder.add_edge(START, "step")
    builder.add_conditional_edges("step", more_later if asynchronous else more, ["step", END])
    return builder
