"""Helpers for testing framework workflows on Temporal; needs the extra `dev`."""

from __future__ import annotations

from .environment import DurableTestEnvironment
from .replay import replay_history
from .same import Turn, assert_same_as_in_process
from .scripted import Prompt, Reply, ScriptedChatClient, ToolCall, scripted_agent

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
