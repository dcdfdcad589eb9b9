"""Reading what a superstep that failed for good has left in history: the journal that it is retried with."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from temporalio.api.common.v1 import Payload
from temporalio.api.enums.v1 import EventType
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import Client

from ...workflows.messages import JournalPart, JournalRef, LiveWindow, SuperstepFailure, SuperstepResult
from ..errors import CheckpointCorruptedError, NotSealedError
from .history import HistoryGoneError, decode, of_superstep, reverse_events, superstep_outcome

_LOGGER = logging.getLogger("agent_framework_temporal.worker")
_ENDED = (
    EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_FAILED,
    EventType.EVENT_TYPE_ACTIVITY_TASK_TIMED_OUT,
    EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED,
)
_MOST = 5
"""Attempts that are looked at for one: after a superstep that was cut off, messages may have been refused."""


async def left_journal(client: Client, thread_id: str, ref: JournalRef) -> list[bytes]:
    """Return the journal that a superstep has left: in its failure, its cancellation, or its last heartbeat.

    Costs a round trip, as the failure is among the last events of its run.

    Args:
        client: A client with our payload converter.
        thread_id: Temporal workflow id.
        ref: The run, and the superstep where it is known.

    Returns:
        The journal's parts; none where there is no journal, or nobody can read it: the superstep then runs from its
        beginning.
    """
    try:
        looked = 0
        async for event in reverse_events(client, thread_id, ref.run_id):
            if event.event_type not in _ENDED:
                continue
            found = await journal_of(client, thread_id, ref, event)
            looked += 1
            if found or ref.superstep_id is None or looked == _MOST:
                return found
    except (NotSealedError, CheckpointCorruptedError, HistoryGoneError) as error:
        _LOGGER.warning(
            "The journal of a failed superstep of thread %r cannot be read, so the whole superstep runs again: %s",
            thread_id,
            error,
        )
    return []


async def left_by_burst(client: Client, thread_id: str, ref: JournalRef) -> bytes:
    """Return what a burst has left of the superstep that it had begun and not finished; empty where nobody can read it.

    Costs a round trip, as the burst's end is among the last events of its run.
    """
    try:
        async for event in reverse_events(client, thread_id, ref.run_id):
            if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
                outcome = await superstep_outcome(client, event, of_superstep(client, thread_id))
                if isinstance(outcome, SuperstepResult) and outcome.answers == ref.superstep_id:
                    return outcome.journal
    except (NotSealedError, CheckpointCorruptedError, HistoryGoneError) as error:
        _LOGGER.warning(
            "What a burst of thread %r kept of its last superstep cannot be read, so that superstep runs again: %s",
            thread_id,
            error,
        )
    return b""


async def journal_of(client: Client, thread_id: str, ref: JournalRef, event: HistoryEvent) -> list[bytes]:
    """Return the journal in the event that an attempt has ended with, in parts, oldest first.

    Raises:
        NotSealedError: When nobody with a key has written it there.
    """
    place = of_superstep(client, thread_id)
    failed = event.activity_task_failed_event_attributes.failure.application_failure_info.details.payloads
    timed_out = event.activity_task_timed_out_event_attributes.failure
    if failed:
        return _parts([await decode(client, failed[0], SuperstepFailure, place)], ref)
    cancelled = event.activity_task_canceled_event_attributes.details.payloads
    last = timed_out.timeout_failure_info.last_heartbeat_details.payloads
    return await journal_in_beat(client, thread_id, ref, cancelled or last)


async def journal_in_beat(client: Client, thread_id: str, ref: JournalRef, payloads: Sequence[Payload]) -> list[bytes]:
    """Return the journal in the details of a heartbeat, in parts, oldest first.

    Raises:
        NotSealedError: When nobody with a key has written it there.
    """
    place = of_superstep(client, thread_id)
    found: list[LiveWindow | JournalPart] = [
        await decode(client, payload, JournalPart if number else LiveWindow, place)
        for number, payload in enumerate(payloads)
    ]
    # Older parts come after the newest in a heartbeat.
    return _parts([*found[1:], *found[:1]], ref)


def _parts(found: Sequence[SuperstepFailure | LiveWindow | JournalPart], ref: JournalRef) -> list[bytes]:
    return [
        part.journal
        for part in found
        if part.journal and ref.superstep_id in (None, part.answers) and getattr(part, "of", None) is None
    ]
