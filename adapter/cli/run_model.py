"""What a live view shows of a run: made from its events, without a terminal."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from agent_framework import WorkflowEvent

from ...workflows.display import one_line, terminal_text
from ...workflows.messages import Calls
from ...workflows.usage import add_calls, calls_text
from ..client.event_position import LiveEventsDiscarded, calls_of, position_of
from .text import MAX_LINE, short, text_of

ExecutorState = Literal["idle", "running", "done", "failed", "asking"]


@dataclass(slots=True)
class ExecutorView:
    """One executor."""

    state: ExecutorState = "idle"
    invoked: int = 0
    since: float = 0.0
    text: str = ""
    """What it has said in the superstep that is running."""


@dataclass(slots=True)
class RequestView:
    """A request that waits."""

    request_id: str
    executor_id: str
    data: Any
    response_type: str


@dataclass
class RunModel:
    """A run as far as its events tell.

    Args:
        executors: Ids of executors that are known before they are seen, in the order of the graph.
    """

    executors: dict[str, ExecutorView] = field(default_factory=dict)
    requests: dict[str, RequestView] = field(default_factory=dict)
    superstep: int = 0
    attempt: int = 1
    state: str = "starting"
    speaking: str | None = None
    """The executor that spoke last."""
    _calls: Calls | None = None
    """Of the supersteps that are over."""
    _attempt_calls: Calls | None = None
    """Of the attempt that runs, so far."""

    @classmethod
    def of(cls, executor_ids: Iterable[str]) -> RunModel:
        """Return the model of a run that has not begun."""
        return cls(executors={name: ExecutorView() for name in executor_ids})

    def apply(self, event: WorkflowEvent[Any]) -> None:
        """Take note of an event."""
        if isinstance(event, LiveEventsDiscarded):
            self._void()
            return
        self._attempt_calls = calls_of(event) or self._attempt_calls
        position = position_of(event)
        if position is not None and position.attempt is not None:
            self.attempt = position.attempt
        if event.type == "superstep_started":
            self.superstep = event.iteration or self.superstep
        elif event.type == "superstep_completed":
            self.superstep = event.iteration or self.superstep
            self.attempt = 1
            self._calls, self._attempt_calls = add_calls(self._calls, self._attempt_calls), None
        elif event.type == "status" and event.state is not None:
            self.state = event.state.name.lower().replace("_", " ")
        elif event.type == "request_info":
            self._ask(event)
        elif event.executor_id is not None:
            self._executor(event, event.executor_id)

    def _executor(self, event: WorkflowEvent[Any], name: str) -> None:
        view = self.executors.setdefault(name, ExecutorView())
        if event.type == "executor_invoked":
            view.state, view.since, view.text = "running", time.monotonic(), ""
            view.invoked += 1
        elif event.type == "executor_completed":
            view.state = "asking" if any(asked.executor_id == name for asked in self.requests.values()) else "done"
        elif event.type == "executor_failed":
            view.state = "failed"
        elif event.type in ("intermediate", "output", "data"):
            text = text_of(event.data)
            if text is not None and is_update(event.data):
                view.text += terminal_text(text)
                self.speaking = name

    def _ask(self, event: WorkflowEvent[Any]) -> None:
        kind: Any = getattr(event, "response_type", None)
        named = getattr(kind, "__name__", None) or str(kind)
        executor_id = event.source_executor_id
        self.requests[event.request_id] = RequestView(event.request_id, executor_id, event.data, named)
        self.executors.setdefault(executor_id, ExecutorView()).state = "asking"

    @property
    def taken(self) -> str:
        """What was taken from the journal and what was made, where something was taken."""
        calls = add_calls(self._calls, self._attempt_calls)
        return calls_text(calls.made, calls.taken) if calls is not None and calls.taken else ""

    def _void(self) -> None:
        self._attempt_calls = None
        for view in self.executors.values():
            view.text = ""
            if view.state == "running":
                view.state = "idle"
                view.invoked -= 1

    def settle(self, waiting: Collection[str]) -> None:
        """Take note of which requests wait at the end; no event tells that one was answered."""
        self.requests = {name: request for name, request in self.requests.items() if name in waiting}
        asking = {request.executor_id for request in self.requests.values()}
        for name, view in self.executors.items():
            if view.state == "asking" and name not in asking:
                view.state = "done"


def is_update(data: Any) -> bool:
    """Tell whether data is a piece of an agent's response, typed or as JSON."""
    if isinstance(data, dict):
        return data.get("type") == "agent_response_update"
    return type(data).__name__ == "AgentResponseUpdate"


def event_line(event: WorkflowEvent[Any]) -> str | None:
    """Return an event as one line for people; None for one that says nothing new."""
    who = event.executor_id or ""
    if isinstance(event, LiveEventsDiscarded):
        return "  the superstep restarts in another attempt; what it had said is void"
    match event.type:
        case "superstep_started":
            return f"superstep {event.iteration}"
        case "superstep_completed" if (calls := calls_of(event)) is not None and calls.taken:
            return f"  {calls_text(calls.made, calls.taken)}"
        case "superstep_completed" | "started":
            return None
        case "executor_invoked":
            return f"  {who} begins"
        case "executor_completed":
            return f"  {who} is done"
        case "executor_failed" | "failed":
            message = event.details.message if event.details is not None else ""
            return f"  {who or 'the run'} failed: {one_line(message, MAX_LINE)}"
        case "request_info":
            return f"  {event.source_executor_id} asks, request {event.request_id}: {short(event.data)}"
        case "status":
            return f"status {event.state.name}" if event.state is not None else None
        case "output" | "intermediate" | "data":
            return None if is_update(event.data) else f"  {who} {event.type}: {short(event.data)}"
        case _:
            return f"  {who} {event.type}: {short(event.data)}" if event.data is not None else f"  {who} {event.type}"
