"""What a burst leaves of the superstep that it had begun and not finished, for the activity that goes on with it.

A superstep that fails ends its burst before it: what had finished is committed, and an activity of its own reports the
failure as that of its first attempt, so that retries, waits and the run's end are those of any superstep. One that was
cut off, as its worker stopped, leaves its journal.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from datetime import timedelta
from typing import NoReturn

from pydantic import ValidationError
from temporalio.client import Client
from temporalio.exceptions import ApplicationError

from ..adapter.checkpoints.journals import left_by_burst
from ..workflows.messages import Calls, SuperstepFailure, SuperstepInput, WireModel
from .burst import joined, parted
from .failures import RepeatedAttemptError
from .heartbeat import Beat
from .journal.stream import EntryStream, entries_of


class _LeftOver(WireModel):
    """What there is of a superstep that was begun, beside its journal."""

    calls: Calls | None = None
    """Of the attempts so far."""
    failure: SuperstepFailure | None = None
    """What it has failed with; None where it was cut off."""
    offset: int = 0
    """Of the superstep's first event, when it failed."""
    wait: float | None = None
    """Seconds until another attempt; left out where there is none."""
    type: str | None = None


def _packed(left: _LeftOver, journal: bytes) -> bytes:
    frame = left.failure.frame if left.failure is not None else b""
    stream = EntryStream()
    stream.append(joined(left.model_dump_json().encode(), frame, journal))
    return stream.packed


def left_overs(journal: bytes, calls: Calls | None, failed: ApplicationError | None, offset: int) -> Iterator[bytes]:
    """Yield what a burst leaves, packed, ever less of it until it fits; the error always stays.

    Args:
        journal: Of the superstep that was begun.
        calls: What it has called.
        failed: What it has failed with, a `SuperstepFailure` in its details; None where it was cut off.
        offset: Of its first event.
    """
    if failed is None:
        yield _packed(_LeftOver(calls=calls), journal)
        yield _packed(_LeftOver(calls=calls), b"")
        return
    failure: SuperstepFailure = failed.details[0]
    wait = None if failed.next_retry_delay is None else failed.next_retry_delay.total_seconds()
    left = _LeftOver(
        calls=failure.calls,
        failure=failure,
        offset=offset,
        wait=None if failed.non_retryable else wait or 0.0,
        type=failed.type,
    )
    yield _packed(left, failure.journal)
    failure.journalled = None
    yield _packed(left, b"")
    failure.with_frame(b"")
    failure.checkpoint = None
    for record in failure.events:
        record.payload = record.readable = None
    yield _packed(left, b"")


async def take_left_over(client: Client, step: SuperstepInput, beat: Beat, thread_id: str) -> None:
    """Take what a burst has left of a superstep, in its first attempt: its journal, and how it has failed.

    Costs a round trip where a burst has left something.

    Raises:
        ApplicationError: What it has failed with.
    """
    if step.begun is None or step.begun_in is None or beat.has_said:
        return
    packed = await left_by_burst(client, thread_id, step.begun_in)
    try:
        head, frame, journal = parted(next(iter(entries_of(packed))))
        left = _LeftOver.model_validate_json(head)
    except (StopIteration, ValueError, struct.error, ValidationError):
        return  # It runs from its beginning.
    beat.begin_with(journal, left.calls)
    if left.failure is not None:
        left.failure.with_frame(frame)
        left.failure.with_journal(journal)
        await _report(left.failure, left, step, beat)


async def _report(failure: SuperstepFailure, left: _LeftOver, step: SuperstepInput, beat: Beat) -> NoReturn:
    failure.answers = step.superstep_id
    for record in failure.events:
        record.offset += step.offset - left.offset
    if left.wait is None:
        raise ApplicationError(failure.message, failure, type=left.type, non_retryable=True)
    await beat.failed()
    raise RepeatedAttemptError(RuntimeError(failure.message), failure, timedelta(seconds=left.wait))
