"""What Temporal's Web UI shows of a run beside its history: Markdown, made anew at each step, at no history cost."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence

from .messages import ErrorDetails, PendingRequest, RunState

COMMAND = "agent-framework-temporal"
_MAX_REQUESTS = 10
_MAX_EXECUTORS = 20
_MAX_TEXT = 300


def current_details(
    *,
    thread_id: str,
    state: RunState,
    superstep: int,
    executors: Sequence[str],
    pending: Sequence[PendingRequest],
    failure: ErrorDetails | None = None,
) -> str:
    """Describe where a run stands.

    Args:
        thread_id: Temporal workflow id.
        state: State of the run.
        superstep: The last superstep that was committed.
        executors: Whom the next superstep runs.
        pending: Requests that wait.
        failure: What the run is paused for.

    Returns:
        Markdown; what comes from people or models is in code spans, so that it cannot format itself.
    """
    lines = [f"**{state}**, {superstep} supersteps committed"]
    if state == "running" and executors:
        names = ", ".join(_code(name) for name in executors[:_MAX_EXECUTORS])
        more = f" and {len(executors) - _MAX_EXECUTORS} more" if len(executors) > _MAX_EXECUTORS else ""
        lines.append(f"Superstep {superstep + 1} runs {names}{more}.")
    if failure is not None:
        lines.append(f"Paused for {_code(f'{failure.error_type}: {failure.message}')}. Try again:")
        lines.append(_block(f"{COMMAND} retry {shlex.quote(thread_id)}"))
    if pending:
        lines.append(f"### {len(pending)} pending request{'s' if len(pending) > 1 else ''}")
    for request in pending[:_MAX_REQUESTS]:
        lines += _request(thread_id, request)
    if len(pending) > _MAX_REQUESTS:
        lines.append(f"And {len(pending) - _MAX_REQUESTS} more: query `pending_requests` has all of them.")
    return "\n\n".join(lines)


def _request(thread_id: str, request: PendingRequest) -> list[str]:
    deadline = f", by {request.deadline[:16]}, then {request.on_deadline}" if request.deadline else ""
    text = request.request if isinstance(request.request, str) else json.dumps(request.request, ensure_ascii=False)
    return [
        f"{_code(request.executor_id)} asks {_code(request.request_id)} since {request.asked_at[:16]}{deadline}:",
        _code(text),
        _block(f"{COMMAND} respond {shlex.quote(thread_id)} {shlex.quote(request.request_id)}"),
    ]


def _code(text: str) -> str:
    """Return text as a code span of one line; a backtick would end it."""
    line = " ".join(text[: 2 * _MAX_TEXT].split()).replace("`", "'")
    return f"`{line if len(line) <= _MAX_TEXT else line[: _MAX_TEXT - 1] + '…'}`"


def _block(command: str) -> str:
    return "```\n" + " ".join(command.split()).replace("`", "'") + "\n```"
