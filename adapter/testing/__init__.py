"""Helpers for testing framework workflows on Temporal; needs the extra `dev`."""

from __future__ import annotations

from ._environment import DurableTestEnvironment
from ._replay import replay_history
from ._same import Turn, assert_same_as_in_process
from ._scripted import Prompt, Reply, ScriptedChatClient, ToolCall, scripted_agent

__all__ = [
    "DurableTestEnvironment",
    "Prompt",
    "Reply",
    "ScriptedChatClient",
    "ToolCall",
    "Turn",
    "assert_same_as_in_process",
    "replay_history",
    "scripted_agent",
]
