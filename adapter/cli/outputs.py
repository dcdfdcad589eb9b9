"""What a run has put out, as blocks for people: the pieces of one streamed response are one block."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from agent_framework import WorkflowEvent

from .run_model import is_update
from .text import short, text_of

_MAX = 4000


@dataclass(slots=True)
class _Response:
    """The pieces of one response."""

    pieces: list[Any] = field(default_factory=list)

    def text(self) -> str:
        """Return what it says, message by message; empty where it says nothing."""
        messages: dict[Any, list[str]] = {}
        for piece in self.pieces:
            messages.setdefault(_attribute(piece, "message_id"), []).append(text_of(piece) or "")
        return "\n".join(text for parts in messages.values() if (text := "".join(parts)))


def output_blocks(events: Iterable[WorkflowEvent[Any]]) -> list[str]:
    """Return the outputs of a run, in the order in which each began; a response without text is left out.

    Args:
        events: The run's.
    """
    blocks: list[Any] = []
    open_responses: dict[tuple[str | None, Any], _Response] = {}
    for event in events:
        if event.type == "executor_completed":
            # Another call of the same executor is another response, even where its client gives no ids.
            for key in [key for key in open_responses if key[0] == event.executor_id]:
                del open_responses[key]
        if event.type != "output":
            continue
        if not is_update(event.data):
            blocks.append(text_of(event.data) or short(event.data, _MAX))
            continue
        key = (event.executor_id, _attribute(event.data, "response_id"))
        if key not in open_responses:
            open_responses[key] = _Response()
            blocks.append(open_responses[key])
        open_responses[key].pieces.append(event.data)
    shown = [block.text() if isinstance(block, _Response) else block for block in blocks]
    return [text for text in shown if text]


def _attribute(piece: Any, name: str) -> Any:
    return piece.get(name) if isinstance(piece, dict) else getattr(piece, name, None)
