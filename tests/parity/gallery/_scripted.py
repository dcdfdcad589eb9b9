"""The chat client of the testing helpers, under the gallery's names."""

from __future__ import annotations

from agent_framework_temporal.testing import Prompt, Reply, ScriptedChatClient, scripted_agent
from agent_framework_temporal.testing import ToolCall as Call
from agent_framework_temporal.testing.scripted import Script

__all__ = ["Call", "Prompt", "Reply", "Script", "ScriptedChatClient", "scripted_agent"]
