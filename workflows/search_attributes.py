"""The search attributes of a run: what a namespace can be searched for, where it knows them."""

from __future__ import annotations

from temporalio import workflow
from temporalio.common import SearchAttributeKey, SearchAttributePair, TypedSearchAttributes

from .messages import RunState

WORKFLOW_NAME = SearchAttributeKey.for_keyword("AgentFrameworkWorkflow")
STATE = SearchAttributeKey.for_keyword("AgentFrameworkState")
PENDING_REQUESTS = SearchAttributeKey.for_int("AgentFrameworkPendingRequests")
THREAD_ID = SearchAttributeKey.for_keyword("AgentFrameworkThread")
ALL_KEYS = (WORKFLOW_NAME, STATE, PENDING_REQUESTS, THREAD_ID)


def first_attributes(workflow_name: str, thread_id: str) -> TypedSearchAttributes:
    """Return those a run starts with; they cost no event."""
    return TypedSearchAttributes(
        [
            SearchAttributePair(WORKFLOW_NAME, workflow_name),
            SearchAttributePair(STATE, "running"),
            SearchAttributePair(PENDING_REQUESTS, 0),
            SearchAttributePair(THREAD_ID, thread_id),
        ]
    )


class Attributes:
    """Upserts state and number of pending requests when they change: one history event each time.

    Args:
        enabled: Whether the namespace knows the attributes.
        fresh: Whether they are what a run starts with, and not what the run before has left.
    """

    def __init__(self, *, enabled: bool, fresh: bool) -> None:
        self._enabled = enabled
        self._last: tuple[RunState, int] | None = ("running", 0) if fresh else None

    def show(self, state: RunState, pending: int) -> None:
        """Show where the run stands, if that has changed."""
        if not self._enabled or (state, pending) == self._last:
            return
        self._last = (state, pending)
        workflow.upsert_search_attributes([STATE.value_set(state), PENDING_REQUESTS.value_set(pending)])
