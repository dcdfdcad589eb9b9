"""Helpers for testing framework workflows on Temporal; needs the extra `dev`."""

from __future__ import annotations

from agent_framework_temporal.workflows.exported import exported

from .environment import DurableTestEnvironment
from .replay import replay_history
from .same import Call, assert_same_as_in_process
from .scripted import Prompt, Reply, ScriptedChatClient, ToolCall, scripted_agent
from .superstep import ReplayedSuperstep, SuperstepOutcome, replay_superstep

__all__ = [
    "Call",
    "DurableTestEnvironment",
    "Prompt",
    "ReplayedSuperstep",
    "Reply",
    "ScriptedChatClient",
    "SuperstepOutcome",
    "ToolCall",
    "assert_same_as_in_process",
    "replay_history",
    "replay_superstep",
    "scripted_agent",
]

for _name in __all__:
    exported(globals()[_name], __name__)
