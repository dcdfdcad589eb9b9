"""Two agents discuss a motto; a person reviews what the critic says before the chat goes on."""

from __future__ import annotations

from agent_framework import Workflow
from agent_framework.orchestrations import GroupChatBuilder, GroupChatState
from agent_framework_temporal.testing import Prompt, Reply, scripted_agent


def _poet(prompt: Prompt) -> Reply:
    rounds = sum("Motto:" in text for text in prompt.texts)
    return Reply(("Motto: slow is smooth.", "Motto: smooth is fast.", "Motto: we wait well.")[min(rounds, 2)])


def _critic(prompt: Prompt) -> Reply:
    last = next((text for text in reversed(prompt.texts) if "Motto:" in text), "nothing")
    told = [text for text in prompt.user_texts if "shorter" in text]
    return Reply(f"The critic finds '{last}' {'too long' if told else 'fine'}.")


def in_turn(state: GroupChatState) -> str:
    """Let the participants speak one after the other."""
    return list(state.participants)[state.current_round % len(state.participants)]


def build() -> Workflow:
    """Build the chat; the agents are scripted, so that it runs without a model. Put your own agents in their place."""
    poet = scripted_agent("poet", _poet, description="Writes mottos")
    critic = scripted_agent("critic", _critic, description="Judges mottos")
    builder = GroupChatBuilder(name="motto-chat", participants=[poet, critic], selection_func=in_turn, max_rounds=4)
    return builder.with_request_info(agents=["critic"]).build()
