"""The chat client of the testing helpers, under the gallery's names."""

from __future__ import annotations

from agent_framework_temporal.testing import Prompt, Reply, ScriptedChatClient, scripted_agent
from agent_framework_temporal.testing import ToolCall as Call

__all__ = ["Call", "Prompt", "Reply", "ScriptedChatClient", "scripted_agent"]
