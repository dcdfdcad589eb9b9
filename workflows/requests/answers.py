"""Which requests are pending, and the answers and cancellations for them: early, repeated, queued, all bounded."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from typing import TypeAlias

from .. import limits
from ..messages import (
    ContinuedRun,
    PendingRequest,
    RefusedAnswer,
    RespondReceipt,
    RespondSignal,
    ResponseInput,
    json_bytes,
)
from .signals import RejectedAnswerError

Dropped: TypeAlias = list[tuple[RespondSignal, str]]
"""Answers that will not be delivered, each with the reason."""
_TOGETHER = "Not delivered: another response of the same call was refused."


class Answers:
    """Which requests are pending, which answers wait to be delivered, which came early."""

    def __init__(self) -> None:
        self.pending: OrderedDict[str, PendingRequest] = OrderedDict()
        self._batches: list[list[RespondSignal]] = []
        self._queued_bytes = 0
        self._delivering: list[RespondSignal] = []
        self._early: OrderedDict[str, RespondSignal] = OrderedDict()
        self._early_sizes: dict[str, int] = {}
        self._answered: OrderedDict[str, None] = OrderedDict()

    def set_pending(self, pending: list[PendingRequest], *, settled: bool) -> Dropped:
        """Take over the pending requests of a checkpoint, with the time each was first asked.

        Args:
            pending: The requests of the checkpoint.
            settled: Whether the framework's run has come to its end, so that no more requests are asked.

        Returns:
            Answers to requests that are not pending (any more).
        """
        # A request that was answered and is pending again has been asked anew, under the id of its executor's choice.
        asked = {name: request for name, request in self.pending.items() if name not in self._answered}
        self.pending = OrderedDict((request.request_id, asked.get(request.request_id, request)) for request in pending)
        self._delivering = []
        dropped = self._drop(
            {
                answer.request_id
                for batch in self._batches
                for answer in batch
                # The framework leaves out cancellations of what is not pending.
                if answer.request_id not in self.pending and not (answer.cancel and answer.call_id)
            }
        )
        for request_id in self.pending:
            self._answered.pop(request_id, None)
        for request_id in [request_id for request_id in self._early if request_id in self.pending]:
            self._queue([self._pop_early(request_id)])
        if not settled or self._batches:
            return dropped
        for answer in [answer for answer in self._early.values() if answer.call_id is not None]:
            self._pop_early(answer.request_id)
            dropped.append((answer, f"Response provided for unknown request ID: {answer.request_id}"))
        return dropped

    def _pop_early(self, request_id: str) -> RespondSignal:
        del self._early_sizes[request_id]
        return self._early.pop(request_id)

    def check(self, batch: list[RespondSignal], *, busy: bool) -> tuple[list[RespondSignal], list[RespondSignal]]:
        """Say which answers of a batch would be queued and which are early; changes nothing.

        Args:
            batch: Answers that are delivered together or, when one of a facade's call cannot be, not at all.
            busy: Whether a superstep is running, so that requests may still be asked.

        Raises:
            RejectedAnswerError: For an answered id, an unknown id of a facade call, or too many early answers.
        """
        if batch[0].cancel:
            return self._check_cancellation(batch), []
        seen: set[str] = set()
        for answer in batch:
            request_id = answer.request_id
            if request_id in self._answered or request_id in seen or request_id in self._early:
                raise RejectedAnswerError(f"Request {request_id!r} is already answered.")
            self._check_repeated(request_id)
            if request_id not in self.pending and answer.call_id is not None and not busy:
                raise RejectedAnswerError(f"Response provided for unknown request ID: {request_id}")
            seen.add(request_id)
        known = [answer for answer in batch if answer.request_id in self.pending]
        if _size(known) + self._queued_bytes > limits.MAX_QUEUED_BYTES:
            raise RejectedAnswerError(
                f"Answers of more than {limits.MAX_QUEUED_BYTES:,} bytes cannot wait at once; "
                f"{batch[0].request_id!r} is not kept. Answer with a reference to the data, or again when the answers "
                "before are taken."
            )
        early = [answer for answer in batch if answer.request_id not in self.pending]
        total = sum(self._early_sizes.values()) + _size(early)
        if early and (len(self._early) + len(early) > limits.MAX_EARLY or total > limits.MAX_EARLY_BYTES):
            raise RejectedAnswerError(
                f"{len(self._early)} answers to requests that were never asked are waiting; "
                f"{early[0].request_id!r} is not kept."
            )
        return known, early

    def _check_repeated(self, request_id: str) -> None:
        """Refuse another answer where the one before is as good as taken; else the first valid one wins."""
        before = [answer for answer in self._waiting() if answer.request_id == request_id]
        if any(answer.cancel for answer in before):
            raise RejectedAnswerError(f"Request {request_id!r} is being cancelled.")
        if len(before) > limits.MAX_REPEATED or any(answer.checked for answer in before):
            raise RejectedAnswerError(f"Request {request_id!r} is already answered.")

    def _check_cancellation(self, batch: list[RespondSignal]) -> list[RespondSignal]:
        queued = {answer.request_id for answer in self._waiting()}
        if batch[0].call_id is not None:
            # The framework leaves out what is not pending without a word.
            return [entry for entry in batch if entry.request_id not in queued]
        known = [entry for entry in batch if entry.request_id in self.pending and entry.request_id not in queued]
        if not known:
            raise RejectedAnswerError(f"Nothing to cancel: {batch[0].request_id!r} is not pending, or is answered.")
        return known

    def _waiting(self) -> Iterable[RespondSignal]:
        yield from self._delivering
        for batch in self._batches:
            yield from batch

    def add(self, batch: list[RespondSignal], *, busy: bool, at: str, checked: bool = False) -> RespondReceipt:
        """Queue a batch for delivery; see `check`, whose errors it raises. Nothing of the batch is queued then.

        Args:
            batch: See `check`.
            busy: See `check`.
            at: When it came.
            checked: Whether it was held to the response schemas.
        """
        known, early = self.check(batch, busy=busy)
        for answer in batch:
            answer.received_at = at
            answer.checked = checked
        if known:
            self._queue(known)
        for answer in early:
            self._early[answer.request_id] = answer
            self._early_sizes[answer.request_id] = _size([answer])
        return RespondReceipt(
            queued=[answer.request_id for answer in known], early=[answer.request_id for answer in early]
        )

    def force(self, batch: list[RespondSignal]) -> None:
        """Queue what a deadline says, whatever else waits."""
        self._queue(batch)

    def unanswered(self) -> list[PendingRequest]:
        """Return the pending requests that no answer or cancellation waits for."""
        queued = {answer.request_id for answer in self._waiting()}
        return [request for request in self.pending.values() if request.request_id not in queued]

    @property
    def ready(self) -> bool:
        """Whether a batch can be delivered."""
        return bool(self._batches)

    def take(self) -> list[RespondSignal]:
        """Remove and return the oldest batch; it counts as waiting until `set_pending`."""
        batch = self._batches.pop(0)
        self._queued_bytes -= _size(batch)
        self._delivering = batch
        return batch

    def delivered(self, request_id: str) -> Dropped:
        """Remember that `request_id` was answered; returns the answers to it that came too late.

        They go although the same id may be asked again at once: they were given to the question before.
        """
        self._answered[request_id] = None
        while len(self._answered) > limits.MAX_ANSWERED:
            self._answered.popitem(last=False)
        return self._drop({request_id})

    def refused(self, request_id: str, responder: str | None, error: str, *, at: str) -> None:
        """Note with a pending request that an answer to it was refused."""
        request = self.pending.get(request_id)
        if request is None:
            return
        refused = RefusedAnswer(at=at, responder=responder, error=error[: limits.MAX_REFUSED_TEXT])
        request.errors = [*(request.errors or []), refused][-limits.MAX_REFUSED :]
        total = 0
        for other in [request, *reversed(self.pending.values())]:
            total += sum(map(json_bytes, other.errors or []))
            if total > limits.MAX_REFUSED_BYTES and other is not request:
                other.errors = None

    def _drop(self, request_ids: set[str]) -> Dropped:
        dropped: Dropped = []
        for batch in self._batches if request_ids else ():
            found = [answer for answer in batch if answer.request_id in request_ids]
            if not found:
                continue
            size = _size(batch)
            dropped += [(answer, f"Request {answer.request_id!r} is already answered.") for answer in found]
            together = any(answer.call_id is not None and not answer.cancel for answer in batch)
            batch[:] = [answer for answer in batch if answer.request_id not in request_ids]
            if together:
                dropped += [(answer, _TOGETHER) for answer in batch]
                batch.clear()
            self._queued_bytes -= size - _size(batch)
        self._batches = [batch for batch in self._batches if batch]
        return dropped

    def _queue(self, batch: list[RespondSignal]) -> None:
        self._batches.append(batch)
        self._queued_bytes += _size(batch)

    def hand_on(self, continued: ContinuedRun) -> None:
        """Put everything into what a run hands to the one it continues as."""
        continued.pending = list(self.pending.values())
        continued.queued = self._batches
        continued.early = list(self._early.values())
        continued.answered = _newest(self._answered)

    def take_over(self, continued: ContinuedRun) -> None:
        """Take what `hand_on` put there."""
        self.pending = OrderedDict((request.request_id, request) for request in continued.pending)
        for batch in continued.queued:
            self._queue(batch)
        for answer in continued.early:
            self._early[answer.request_id] = answer
            self._early_sizes[answer.request_id] = _size([answer])
        self._answered = OrderedDict.fromkeys(continued.answered)

    @staticmethod
    def as_inputs(batch: list[RespondSignal]) -> list[ResponseInput]:
        """Return the batch as the superstep activity takes it."""
        return [
            ResponseInput(
                request_id=answer.request_id,
                response=answer.response,
                type=answer.type,
                responder=answer.responder,
                call_id=answer.call_id,
                received_at=answer.received_at,
            )
            for answer in batch
        ]


def _size(batch: Iterable[RespondSignal]) -> int:
    return sum(map(json_bytes, batch))


def _newest(answered: OrderedDict[str, None]) -> list[str]:
    left = limits.MAX_HANDED_ON_BYTES
    newest: list[str] = []
    for request_id in reversed(answered):
        left -= json_bytes(request_id) + 1
        if left < 0:
            break
        newest.append(request_id)
    return newest[::-1]
