"""What Temporal's Web UI shows of a run beside its history: Markdown, made anew at each step, at no history cost."""

from __future__ import annotations

from collections.abc import Sequence

from .display import json_text, markdown, markdown_block, markdown_code, one_line, shell_command
from .messages import Calls, ErrorDetails, PauseReason, PendingRequest, RunState
from .usage import calls_text, sum_of, tokens_text

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
    attempts: int = 1,
    failure: ErrorDetails | None = None,
    calls: Calls | None = None,
    pause: PauseReason | None = None,
    queued: int = 0,
) -> str:
    """Describe where a run stands.

    Args:
        thread_id: Temporal workflow id.
        state: State of the run.
        superstep: The last superstep that was committed.
        executors: Whom the next superstep runs.
        pending: Requests that wait.
        attempts: How many the last superstep took.
        failure: What the run is paused for.
        calls: What it has called.
        pause: What it is held for, or will be before its next superstep.
        queued: Messages that wait for their turn.

    Returns:
        Markdown; what comes from people or models cannot format itself, nor end the block of a command.
    """
    taken = f", the last one in attempt {attempts}" if attempts > 1 else ""
    lines = [f"**{state}**, {superstep} supersteps committed{taken}"]
    if state == "running" and executors:
        names = ", ".join(_code(name) for name in executors[:_MAX_EXECUTORS])
        more = f" and {len(executors) - _MAX_EXECUTORS} more" if len(executors) > _MAX_EXECUTORS else ""
        lines.append(f"Superstep {superstep + 1} runs {names}{more}.")
    if calls is not None:
        called = (calls_text(calls.made, calls.taken), tokens_text(sum_of(calls.tokens.values())))
        lines += [f"{markdown(one_line(text, _MAX_TEXT))}." for text in called if text]
    if failure is not None:
        lines.append(f"Paused for {_code(f'{failure.error_type}: {failure.message}')}. Try again:")
        lines.append(markdown_block(shell_command([COMMAND, "retry"], [thread_id])))
    if pause is not None:
        at = f" before {', '.join(_code(name) for name in pause.executors[:_MAX_EXECUTORS])}" if pause.executors else ""
        why = f" ({_code(pause.reason)})" if pause.reason else ""
        lines.append(f"Held{at}{why}. Let it go on:")
        lines.append(markdown_block(shell_command([COMMAND, "continue"], [thread_id])))
    if queued:
        lines.append(f"{queued} queued message{'s' if queued > 1 else ''}.")
    if pending:
        lines.append(f"### {len(pending)} pending request{'s' if len(pending) > 1 else ''}")
    for request in pending[:_MAX_REQUESTS]:
        lines += _request(thread_id, request)
    if len(pending) > _MAX_REQUESTS:
        lines.append(f"And {len(pending) - _MAX_REQUESTS} more: query `pending_requests` has all of them.")
    return "\n\n".join(lines)


def _request(thread_id: str, request: PendingRequest) -> list[str]:
    asked = markdown(request.asked_at[:16])
    deadline = f", by {markdown(request.deadline[:16])}, then {request.on_deadline}" if request.deadline else ""
    text = request.request if isinstance(request.request, str) else json_text(request.request)
    return [
        f"{_code(request.executor_id)} asks {_code(request.request_id)} since {asked}{deadline}:",
        _code(text),
        markdown_block(shell_command([COMMAND, "respond"], [thread_id, request.request_id])),
    ]


def _code(text: str) -> str:
    return markdown_code(one_line(text, _MAX_TEXT))
