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
from ..workflows.messages import SuperstepFailure, SuperstepInput, WireModel
from .burst import joined, parted
from .failures import RepeatedAttemptError
from .heartbeat import Beat
from .journal.stream import EntryStream, entries_of


class _Failed(WireModel):
    """How a superstep has failed."""

    failure: SuperstepFailure
    offset: int
    """Of the superstep's first event, when it ran."""
    wait: float | None = None
    """Seconds until another attempt; left out where there is none."""
    type: str | None = None


def left_over(journal: bytes, failed: ApplicationError | None = None, offset: int = 0) -> bytes:
    """Pack what a burst leaves.

    Args:
        journal: Of the superstep that was cut off.
        failed: What it has failed with, a `SuperstepFailure` in its details that has the journal.
        offset: Of the superstep's first event.
    """
    stream = EntryStream()
    if failed is None:
        stream.append(joined(b"", b"", journal))
        return stream.packed
    failure: SuperstepFailure = failed.details[0]
    wait = None if failed.next_retry_delay is None else failed.next_retry_delay.total_seconds()
    head = _Failed(failure=failure, offset=offset, wait=None if failed.non_retryable else wait or 0.0, type=failed.type)
    stream.append(joined(head.model_dump_json().encode(), failure.frame, failure.journal))
    return stream.packed


def smaller_left_overs(journal: bytes, failed: ApplicationError | None, offset: int) -> Iterator[bytes]:
    """Yield what a burst leaves, ever less of it, until it fits; the error always stays.

    Args:
        journal: Of the superstep that was begun.
        failed: See `left_over`.
        offset: See `left_over`.
    """
    yield left_over(journal, failed, offset)
    if failed is None:
        yield b""
        return
    failure: SuperstepFailure = failed.details[0]
    failure.with_journal(b"")
    failure.journalled = None
    yield left_over(b"", failed, offset)
    failure.with_frame(b"")
    failure.checkpoint = None
    for record in failure.events:
        record.payload = record.readable = None
    yield left_over(b"", failed, offset)


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
        failed = _Failed.model_validate_json(head) if head else None
    except (StopIteration, ValueError, struct.error, ValidationError):
        return  # It runs from its beginning.
    beat.begin_with(journal)
    if failed is not None:
        await _report(failed, frame, journal, step, beat)


async def _report(failed: _Failed, frame: bytes, journal: bytes, step: SuperstepInput, beat: Beat) -> NoReturn:
    failure = failed.failure
    failure.answers = step.superstep_id
    for record in failure.events:
        record.offset += step.offset - failed.offset
    failure.with_frame(frame)
    failure.with_journal(journal)
    if failed.wait is None:
        raise ApplicationError(failure.message, failure, type=failed.type, non_retryable=True)
    await beat.failed()
    raise RepeatedAttemptError(RuntimeError(failure.message), failure, timedelta(seconds=failed.wait))
