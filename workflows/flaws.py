"""What comes from outside is held to the limits of a value where it arrives, and refused in words."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from .messages import CancelSignal, MessageUpdate, RespondSignal, RunInput, Value
from .value_limits import flaw_of


def input_flaw(run_input: RunInput) -> str | None:
    """Say which part of a run's input no reader could read; None if there is none."""
    if run_input.flaw is not None:
        return f"The input cannot be read: {run_input.flaw}."
    parts: list[tuple[str, Any]] = [("The message", run_input.message and run_input.message.value)]
    parts += _kwargs(run_input)
    for answer in run_input.responses or []:
        parts += _answer(answer)
    for key, rule in run_input.options.requests.items():
        parts.append((f"The default response of {key[:100]!r}", rule.default and rule.default.value))
    return _first(parts)


def message_flaw(sent: MessageUpdate) -> str | None:
    """Say which part of a message to an open run no reader could read; None if there is none."""
    return _first([("The message", sent.message), *_kwargs(sent)])


def answer_flaw(answer: RespondSignal | CancelSignal) -> str | None:
    """Say which part of an answer no reader could read; None if there is none."""
    return _first(_answer(answer))


def _answer(answer: RespondSignal | CancelSignal) -> Iterator[tuple[str, Any]]:
    if isinstance(answer, RespondSignal):
        yield f"The response to request {answer.request_id!r}", answer.response
    yield from _kwargs(answer)


def _kwargs(sent: RunInput | RespondSignal | CancelSignal | MessageUpdate) -> Iterator[tuple[str, Any]]:
    for name in ("function_invocation_kwargs", "client_kwargs"):
        value: Value | None = getattr(sent, name)
        if value is not None:
            yield f"`{name}`", value.value


def _first(parts: Any) -> str | None:
    for name, value in parts:
        found = flaw_of(value)
        if found is not None:
            return f"{name} cannot be read back: {found}. Send plain data within these limits, or a reference to it."
    return None
