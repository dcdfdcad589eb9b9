"""The workflow `chain` of a later build, which has another graph."""

from __future__ import annotations

from agent_framework import Workflow, WorkflowBuilder

from tests.flows import STEPS, Step


def chain() -> Workflow:
    """Build it without its third step."""
    steps = [Step(id=name) for name in STEPS if name != "third"]
    return WorkflowBuilder(name="chain", start_executor=steps[0]).add_chain(list(steps)).build()
