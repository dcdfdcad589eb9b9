"""Two agents in a row whose clients report usage: the first looks things up, and may lose its attempt on the way."""

from __future__ import annotations

from collections import Counter

from agent_framework import Workflow, WorkflowBuilder
from agent_framework_temporal.testing import Prompt, Reply, ToolCall, scripted_agent

LOOK_UPS = 2
FAIL = "fail "
"""Begins a message that names what fails once, after its look-ups."""
FAILED: Counter[str] = Counter()


def look_up(topic: str) -> str:
    """Look a topic up."""
    return f"all about {topic}"


def _research(prompt: Prompt) -> Reply:
    found = len(prompt.tool_results)
    if found < LOOK_UPS:
        return Reply(calls=(ToolCall("look_up", {"topic": f"{prompt.user_texts[-1]} {found}"}),))
    asked = prompt.user_texts[-1]
    if asked.startswith(FAIL) and not FAILED[asked]:
        FAILED[asked] += 1
        raise OSError("told to fail")
    return Reply(f"{found} things found")


def _edit(prompt: Prompt) -> Reply:
    return Reply(f"edited: {prompt.texts[-1]}")


def research() -> Workflow:
    """Build the workflow."""
    researcher, editor = scripted_agent("researcher", _research, tools=[look_up]), scripted_agent("editor", _edit)
    return WorkflowBuilder(name="research", start_executor=researcher).add_edge(researcher, editor).build()
