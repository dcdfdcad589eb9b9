"""The text of messages and responses, and values in short."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from ...workflows.display import json_text, one_line
from ...workflows.usage import calls_text, tokens_text
from ..client.usage import RunUsage
from ..client.usage_details import token_counts
from ..framework.values import preview

MAX_LINE = 400
"""Of a value shown on a line, in characters."""


def short(value: Any, limit: int = MAX_LINE) -> str:
    """Return a value as one line: its text, if it has some, else JSON."""
    text = text_of(value)
    if text is None:
        text = json_text(preview(value)[0])
    return one_line(text, limit)


def text_of(value: Any) -> str | None:
    """Return the text of a string, a message, or an agent's response or update, typed or as JSON; None for others."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        return _text_of_json(value)
    if isinstance(value, list) and value and all(_is_message(item) for item in value):
        texts = [text_of(item) or "" for item in value]
        return "\n".join(text for text in texts if text)
    text = getattr(value, "text", None)
    # A pydantic model of a user's may well have a field of this name, and others beside it.
    return text if isinstance(text, str) and type(value).__module__.startswith("agent_framework.") else None


def _is_message(value: Any) -> bool:
    return type(value).__name__ == "Message" or (isinstance(value, dict) and "contents" in value)


def _text_of_json(value: dict[str, Any]) -> str | None:
    if isinstance(value.get("messages"), list) and "response_id" in value:
        return text_of(value["messages"])
    contents = value.get("contents")
    if not isinstance(contents, list) or "role" not in value:
        return None
    texts = [item.get("text") for item in contents if isinstance(item, dict) and item.get("type") == "text"]
    return "".join(text for text in texts if isinstance(text, str))


def elapsed(since: datetime | None, until: datetime) -> str:
    """Return the time between as `0:07`, `1:02:03` or `3 d 4 h`; `?` where its begin is not known."""
    return "?" if since is None else duration(until - since)


def duration(time: timedelta) -> str:
    """Return a duration as `0:07`, `1:02:03` or `3 d 4 h`."""
    seconds = max(0, int(time.total_seconds()))
    days, rest = divmod(seconds, 86400)
    hours, rest = divmod(rest, 3600)
    if days:
        return f"{days} d {hours} h"
    minutes, seconds = divmod(rest, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def size(count: int) -> str:
    """Return a number of bytes as `512 B`, `12.3 KB` or `1.2 MB`."""
    if count < 1000:
        return f"{count} B"
    return f"{count / 1000:.1f} KB" if count < 1_000_000 else f"{count / 1_000_000:.1f} MB"


def usage_facts(usage: RunUsage | None) -> list[tuple[str, str]]:
    """Return what a run has called and what that cost as labelled facts; empty ones where nothing was called."""
    if usage is None:
        return []
    return [
        ("calls", calls_text(usage.calls_made, usage.calls_taken)),
        ("cost", tokens_text(token_counts(usage.usage))),
    ]
