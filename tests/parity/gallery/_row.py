"""A row of the gallery: one workflow and the turns it is run through."""

import itertools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from agent_framework import Workflow, WorkflowInvocationKwargs

Respond = Callable[[Mapping[str, Any]], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Turn:
    """One call of ``Workflow.run``: a message, or responses to what is pending."""

    message: Any = None
    respond: Respond | None = None
    """From the pending requests ``{request_id: request data}`` to the responses ``{request_id: response}``."""
    stream: bool = False
    raises: type[BaseException] | None = None
    match: str = ""
    function_invocation_kwargs: WorkflowInvocationKwargs | Mapping[str, Any] | None = None
    client_kwargs: WorkflowInvocationKwargs | Mapping[str, Any] | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """A workflow of the gallery and its turns, all of which run on one instance."""

    name: str
    feature: str
    group: str
    build: Callable[[], Workflow]
    turns: tuple[Turn, ...]
    checkpoints: bool = True
    """Whether checkpoints are compared too: not where in process a failed superstep leaves its traces in live objects,
    which the next checkpoint then shows, while durably the next superstep begins from the last good checkpoint; nor of
    functional workflows, whose answers in process follow no checkpoint: tests/functional compares theirs."""
    side_by_side: bool = False
    """Whether a sub-workflow runs beside another executor in one superstep: its inner executors wait until it is kept
    that they have ended, so which of the two ends first is not always as in process, where nothing waits."""

    def in_order(self, events: list[Any]) -> list[Any]:
        """Return events in canonical form in an order that does not depend on which of two executors ends first."""
        if not self.side_by_side:
            return events
        found: list[Any] = []
        for ended, group in itertools.groupby(events, lambda event: event["type"] == "executor_completed"):
            together = list(group)
            found += sorted(together, key=lambda event: str(event["executor_id"])) if ended else together
        return found


def answer_all(answer: Callable[[Any], Any]) -> Respond:
    """Respond to every pending request with ``answer(request data)``."""

    def respond(pending: Mapping[str, Any]) -> dict[str, Any]:
        return {request_id: answer(data) for request_id, data in pending.items()}

    return respond


def answer(**answers: Any) -> Respond:
    """Respond to the named requests with the given values, and leave the others pending."""

    def respond(pending: Mapping[str, Any]) -> dict[str, Any]:
        return dict(answers)

    return respond
