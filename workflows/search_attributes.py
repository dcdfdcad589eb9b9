"""The search attributes of a run: what a namespace can be searched for, where it knows them."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from temporalio import workflow
from temporalio.common import (
    SearchAttributeKey,
    SearchAttributePair,
    SearchAttributeUpdate,
    TypedSearchAttributes,
)

from .messages import RunState

WORKFLOW_NAME = SearchAttributeKey.for_keyword("AgentFrameworkWorkflow")
STATE = SearchAttributeKey.for_keyword("AgentFrameworkState")
PENDING_REQUESTS = SearchAttributeKey.for_int("AgentFrameworkPendingRequests")
THREAD_ID = SearchAttributeKey.for_keyword("AgentFrameworkThread")
SINCE = SearchAttributeKey.for_datetime("AgentFrameworkSince")
TAGS = SearchAttributeKey.for_keyword_list("AgentFrameworkTags")
ALL_KEYS = (WORKFLOW_NAME, STATE, PENDING_REQUESTS, THREAD_ID, SINCE, TAGS)


def first_attributes(
    workflow_name: str, thread_id: str, since: datetime, tags: Iterable[str] = ()
) -> TypedSearchAttributes:
    """Return those a run starts with; they cost no event.

    Args:
        workflow_name: Name of the framework workflow.
        thread_id: The thread.
        since: When it starts, by the clock of who starts it.
        tags: Of the thread.
    """
    pairs: list[SearchAttributePair[Any]] = [
        SearchAttributePair(WORKFLOW_NAME, workflow_name),
        SearchAttributePair(STATE, "running"),
        SearchAttributePair(PENDING_REQUESTS, 0),
        SearchAttributePair(THREAD_ID, thread_id),
        SearchAttributePair(SINCE, since),
    ]
    chosen = list(tags)
    if chosen:
        pairs.append(SearchAttributePair(TAGS, chosen))
    return TypedSearchAttributes(pairs)


class Attributes:
    """Upserts state, since when, and number of pending requests when they change: one history event each time.

    Only a run that was started with them does: so the server knows them. It would refuse to set one that is not
    registered, and the run would be stuck.

    Args:
        enabled: Whether they are wanted.
        fresh: Whether they are what a run starts with, and not what the run before has left.
    """

    def __init__(self, *, enabled: bool, fresh: bool) -> None:
        known = workflow.info().typed_search_attributes if enabled else ()
        self._enabled = enabled and all(key in known for key in (STATE, PENDING_REQUESTS))
        self._timed = SINCE in known
        self._state = known.get(STATE) if self._enabled and isinstance(known, TypedSearchAttributes) else None
        self._last: tuple[RunState, int] | None = ("running", 0) if fresh else None

    def show(self, state: RunState, pending: int) -> None:
        """Show where the run stands, if that has changed."""
        if not self._enabled or (state, pending) == self._last:
            return
        self._last = (state, pending)
        updates: list[SearchAttributeUpdate[Any]] = [STATE.value_set(state), PENDING_REQUESTS.value_set(pending)]
        if self._timed and state != self._state:  # One that continues as new while it waits goes on waiting.
            updates.append(SINCE.value_set(workflow.now()))
        self._state = state
        workflow.upsert_search_attributes(updates)
