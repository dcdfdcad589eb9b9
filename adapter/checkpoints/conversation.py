"""An agent's conversation, which its checkpoint holds twice: what it hands on, and what its session tells the model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from agent_framework import Message

from ..encoding.differences import difference

CONVERSATION, SESSION = "full_conversation", "agent_session"
"""Keys of the framework's `AgentExecutorCheckpointState`."""


def bring_session_in_step(before: dict[str, Any], after: dict[str, Any]) -> None:
    """Let an agent's session say what its edited conversation says, where it has said the same and was left alone.

    Args:
        before: The state of the agent's executor, as it was.
        after: As it is. Its session is replaced, never changed.
    """
    old, new, session = before.get(CONVERSATION), after.get(CONVERSATION), after.get(SESSION)
    if not (_are_messages(old) and _are_messages(new)) or not isinstance(session, dict) or not old:
        return
    if difference(old, new) is None or difference(before.get(SESSION), session) is not None:
        return
    state = session.get("state")
    if isinstance(state, dict):
        after[SESSION] = {**session, "state": {key: _followed(held, old, new or []) for key, held in state.items()}}


def _followed(held: Any, old: Sequence[Message], new: Sequence[Message]) -> Any:
    """Return what a provider keeps in a session, with the new messages where the old ones are."""
    messages = held.get("messages") if isinstance(held, dict) else None
    if not isinstance(messages, list) or not all(isinstance(message, dict) for message in messages):
        return held
    known, wanted = [_text(message) for message in messages], [_text(message.to_dict()) for message in old]
    for start in range(len(known) - len(wanted) + 1):
        if known[start : start + len(wanted)] == wanted:
            told = [message.to_dict() for message in new]
            return {**held, "messages": [*messages[:start], *told, *messages[start + len(wanted) :]]}
    return held


def _are_messages(found: Any) -> bool:
    return isinstance(found, list) and all(isinstance(message, Message) for message in found)


def _text(message: dict[str, Any]) -> str:
    return json.dumps(message, sort_keys=True, default=str)
