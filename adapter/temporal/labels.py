"""What a thread's runs are labelled with when they start: its workflow, its tags, and search attributes of its owner.

The latest run's labels are the thread's: who starts the next one hands them on, or they would be lost with it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from temporalio.api.workflow.v1 import WorkflowExecutionInfo
from temporalio.client import Client
from temporalio.common import Priority, TypedSearchAttributes
from temporalio.converter import decode_typed_search_attributes

from ...workflows.search_attributes import TAGS, first_attributes
from .server import MEMO_WORKFLOW_NAME, memo_value

MEMO_TAGS = "agent_framework_tags"
"""Where the namespace does not know the search attribute for them; else they are there, and not in the memo."""
_OURS = "AgentFramework"
_SERVERS = ("Temporal", "BuildIds", "BinaryChecksums")


@dataclass(frozen=True, slots=True)
class Labels:
    """What a thread is found by, beside what its runs show of themselves."""

    tags: tuple[str, ...] = ()
    attributes: TypedSearchAttributes = TypedSearchAttributes.empty
    """Search attributes that are not ours."""

    def with_attributes(self, others: TypedSearchAttributes) -> Labels:
        """Return them with other search attributes, which come first."""
        keys = {pair.key.name for pair in others}
        kept = [pair for pair in self.attributes if pair.key.name not in keys]
        return Labels(self.tags, TypedSearchAttributes([*others, *kept]))


NO_LABELS = Labels()


async def labels_of(client: Client, info: WorkflowExecutionInfo) -> Labels:
    """Return the labels of a run; no round trip.

    Raises:
        ValueError: When they are sealed, and no key of this process opens them.
    """
    shown = attributes_of(info)
    tags: Any = shown.get(TAGS)
    if tags is None:
        tags = await memo_value(client, info, MEMO_TAGS)
    own = [pair for pair in shown if not pair.key.name.startswith((_OURS, *_SERVERS))]
    is_list = isinstance(tags, list | tuple)
    return Labels(tuple(tag for tag in tags if isinstance(tag, str)) if is_list else (), TypedSearchAttributes(own))


def attributes_of(info: WorkflowExecutionInfo) -> TypedSearchAttributes:
    """Return the search attributes of a run."""
    return decode_typed_search_attributes(info.search_attributes)


def priority_in(info: WorkflowExecutionInfo) -> Priority:
    """Return the priority of a run, as far as it was given one."""
    found = info.priority
    return Priority(found.priority_key or None, found.fairness_key or None, found.fairness_weight or None)


def start_labels(
    workflow_name: str, thread_id: str, labels: Labels, *, shows: bool
) -> tuple[dict[str, Any], TypedSearchAttributes]:
    """Return memo and search attributes that a run starts with.

    Args:
        workflow_name: Name of the framework workflow.
        thread_id: The thread.
        labels: Its own.
        shows: Whether the namespace knows our search attributes, and the run shows them.
    """
    memo: dict[str, Any] = {MEMO_WORKFLOW_NAME: workflow_name}
    if labels.tags and not shows:
        memo[MEMO_TAGS] = list(labels.tags)
    ours: Iterable[Any] = ()
    if shows:
        ours = first_attributes(workflow_name, thread_id, datetime.now(UTC), labels.tags)
    return memo, TypedSearchAttributes([*ours, *labels.attributes])
