"""The trail of requests in the event log: who answered what, when, and what became of it."""

from __future__ import annotations

from typing import Any

from pydantic_core import to_json
from temporalio import workflow

from .. import limits
from ..log import EventLog
from ..messages import LoggedEvent, PendingRequest, RefusedMessage, RespondSignal, ResponseInput

MAX_DATA_BYTES = 4 * 1024
"""Of a response in the audit; the signal in history has all of it."""


class Audit:
    """Writes the audit, without coming between the events of a superstep.

    While a superstep runs it numbers its events from the offset it was given, so records wait until it is committed.

    Args:
        log: The event log.
    """

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._deferred: list[LoggedEvent] = []
        self._told = 0
        self._untold = 0

    def answered(self, answer: ResponseInput, request: PendingRequest | None, error: str | None) -> None:
        """Tell what became of an answer that a superstep took: at once, as the superstep's events come after it."""
        self._log.append(_response_event(answer, request, error))

    def cancelled(self, answer: ResponseInput, request: PendingRequest | None, error: str | None) -> None:
        """Tell of a cancellation that a superstep took: at once."""
        record = _record("request_cancelled", request)
        record.request_id = answer.request_id
        record.at = answer.received_at or record.at
        record.responder = answer.responder
        record.call_id = answer.call_id
        record.error = error
        self._log.append(record)

    def rejected_batch(self, batch: list[RespondSignal], error: str) -> None:
        """Tell of answers that were rejected together; of a call of the facade at least its first."""
        for answer in batch[: limits.MAX_REJECTED]:
            self.rejected(answer, error)
        if len(batch) > limits.MAX_REJECTED:
            self.malformed(f"{len(batch) - limits.MAX_REJECTED} more answers of the same batch: {error}")

    def rejected(self, answer: RespondSignal, error: str) -> None:
        """Tell of an answer that no superstep took."""
        self._refuse(
            LoggedEvent(
                offset=0,
                type="response_rejected",
                at=answer.received_at or workflow.now().isoformat(),
                request_id=answer.request_id,
                responder=answer.responder,
                call_id=answer.call_id,
                error=error,
            )
        )

    def message_refused(self, message: RefusedMessage) -> None:
        """Tell of a message that is not run: `data` is its id."""
        self._refuse(
            LoggedEvent(offset=0, type="message_refused", at=message.at, data=message.message_id, error=message.error)
        )

    def malformed(self, error: str) -> None:
        """Tell of a signal that is no answer."""
        self._refuse(_refused(error))

    def request(self, kind: str, request: PendingRequest, data: Any = None) -> None:
        """Tell of a request that was reminded of, has expired, or went with another that was cancelled."""
        record = _record(kind, request)
        record.data = data
        self._deferred.append(record)

    def _refuse(self, record: LoggedEvent) -> None:
        # A caller of the facade waits for its verdict, so that is told while there is room.
        waited_for = record.call_id is not None
        self._told += not waited_for
        room = 2 * limits.MAX_DEFERRED if waited_for else limits.MAX_DEFERRED
        if len(self._deferred) < room and (waited_for or self._told <= limits.MAX_TOLD):
            self._deferred.append(record)
        else:
            self._untold += 1

    def flush(self, *, counted: bool = False) -> None:
        """Write what waits; only between supersteps.

        Args:
            counted: Write also how many were only counted, whether or not they are many.
        """
        for record in self._deferred:
            self._log.append(record)
        self._deferred.clear()
        if self._untold and (counted or self._untold >= limits.MAX_TOLD):
            error = f"{self._untold:,} more answers and signals were refused."
            self._untold = 0
            self._log.append(_refused(error))


def _refused(error: str) -> LoggedEvent:
    return LoggedEvent(offset=0, type="response_rejected", at=workflow.now().isoformat(), error=error)


def _record(kind: str, request: PendingRequest | None) -> LoggedEvent:
    record = LoggedEvent(offset=0, type=kind, at=workflow.now().isoformat())
    if request is not None:
        record.request_id = request.request_id
        record.source_executor_id = request.executor_id
        record.request_type = request.request_type
        record.response_type = request.response_type
    return record


def _response_event(answer: ResponseInput, request: PendingRequest | None, error: str | None) -> LoggedEvent:
    record = _record("response_accepted" if error is None else "response_rejected", request)
    record.request_id = answer.request_id
    record.at = answer.received_at or record.at
    record.responder = answer.responder
    record.call_id = answer.call_id
    record.error = error
    size = len(to_json(answer.response))
    if error is not None or size > MAX_DATA_BYTES:
        record.data_bytes = size
    else:
        record.data = answer.response
    return record
