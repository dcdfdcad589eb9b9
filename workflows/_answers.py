"""Answers to pending requests: validation of the signal, early and repeated answers, all bounded."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ._messages import RESPOND_SIGNAL, ContinuedRun, PendingRequest, RespondSignal, ResponseInput

MAX_EARLY = 1_000
"""Answers kept for requests that are not asked yet."""
MAX_EARLY_BYTES = 256 * 1024
"""Their total size: anybody can send them, and a run that continues as new hands them on in one payload."""
MAX_QUEUED_BYTES = 512 * 1024
"""Total size of answers to pending requests that wait for their superstep; each of them must fit its input too."""
MAX_ANSWERED = 10_000
"""Ids remembered as answered, to tell a repeated answer from an early one."""
MAX_HANDED_ON = 2_000
"""Of these ids, how many a run that continues as new hands on."""
MAX_BATCH = 1_000

_signal = TypeAdapter(RespondSignal | list[RespondSignal])


class RejectedAnswerError(Exception):
    """An answer that cannot be used; the text says why."""


def parse(name: str, arguments: list[Any]) -> list[RespondSignal]:
    """Validate a signal: `respond` with one answer, or with a list of answers that are delivered together.

    Raises:
        RejectedAnswerError: With the place of the mistake, never with the value.
    """
    if name != RESPOND_SIGNAL:
        raise RejectedAnswerError(f"There is no signal {name[:100]!r}; answers come as signal `{RESPOND_SIGNAL}`.")
    if len(arguments) != 1:
        raise RejectedAnswerError(f"Signal `respond` takes one argument, got {len(arguments)}.")
    try:
        answers = _signal.validate_python(arguments[0])
    except ValidationError as error:
        where = "; ".join(
            f"{'.'.join(map(str, item['loc'][1:])) or 'argument'}: {item['msg']}" for item in error.errors()[:3]
        )
        raise RejectedAnswerError(
            f'Signal `respond` takes {{"request_id": ..., "response": ...}} or a list of these: {where}'
        ) from error
    batch = answers if isinstance(answers, list) else [answers]
    if not 1 <= len(batch) <= MAX_BATCH:
        raise RejectedAnswerError(f"Signal `respond` takes 1 to {MAX_BATCH} answers at once, got {len(batch)}.")
    return batch


class Answers:
    """Which requests are pending, which answers wait to be delivered, which came early."""

    def __init__(self) -> None:
        self.pending: OrderedDict[str, PendingRequest] = OrderedDict()
        self._batches: list[list[RespondSignal]] = []
        self._queued_bytes = 0
        self._early: OrderedDict[str, RespondSignal] = OrderedDict()
        self._early_sizes: dict[str, int] = {}
        self._answered: OrderedDict[str, None] = OrderedDict()

    def set_pending(self, pending: list[PendingRequest], *, settled: bool) -> list[RespondSignal]:
        """Take over the pending requests of a checkpoint, with the time each was first asked.

        Args:
            pending: The requests of the checkpoint.
            settled: Whether the framework's run has come to its end, so that no more requests are asked.

        Returns:
            Answers of facade calls to requests that are not pending now: their callers wait for a verdict.
        """
        # A request that was answered and is pending again has been asked anew, under the id of its executor's choice.
        asked = {name: request for name, request in self.pending.items() if name not in self._answered}
        self.pending = OrderedDict((request.request_id, asked.get(request.request_id, request)) for request in pending)
        for request_id in self.pending:
            self._answered.pop(request_id, None)
        for request_id in [request_id for request_id in self._early if request_id in self.pending]:
            self._queue([self._pop_early(request_id)])
        if not settled or self._batches:
            return []
        unknown = [answer for answer in self._early.values() if answer.call_id is not None]
        for answer in unknown:
            self._pop_early(answer.request_id)
        return unknown

    def _pop_early(self, request_id: str) -> RespondSignal:
        del self._early_sizes[request_id]
        return self._early.pop(request_id)

    def add(self, batch: list[RespondSignal], *, busy: bool) -> None:
        """Queue a batch for delivery.

        Args:
            batch: Answers that are delivered together or, when one of a facade's call cannot be, not at all.
            busy: Whether a superstep is running, so that requests may still be asked.

        Raises:
            RejectedAnswerError: For an answered id, an unknown id of a facade call, or too many early answers; nothing
                of the batch is queued then.
        """
        queued = {answer.request_id for waiting in self._batches for answer in waiting} | self._early.keys()
        for answer in batch:
            if answer.request_id in self._answered or answer.request_id in queued:
                raise RejectedAnswerError(f"Request {answer.request_id!r} is already answered.")
            if answer.request_id not in self.pending and answer.call_id is not None and not busy:
                raise RejectedAnswerError(f"Response provided for unknown request ID: {answer.request_id}")
            queued.add(answer.request_id)
        known = [answer for answer in batch if answer.request_id in self.pending]
        if _size(known) + self._queued_bytes > MAX_QUEUED_BYTES:
            raise RejectedAnswerError(
                f"Answers of more than {MAX_QUEUED_BYTES:,} bytes cannot wait at once; {batch[0].request_id!r} is not "
                "kept. Answer with a reference to the data, or again when the answers before are taken."
            )
        early = {answer.request_id: answer for answer in batch if answer.request_id not in self.pending}
        sizes = {request_id: _size([answer]) for request_id, answer in early.items()}
        total = sum(self._early_sizes.values()) + sum(sizes.values())
        if early and (len(self._early) + len(early) > MAX_EARLY or total > MAX_EARLY_BYTES):
            raise RejectedAnswerError(
                f"{len(self._early)} answers to requests that were never asked are waiting; {next(iter(early))!r} is "
                "not kept."
            )
        if known:
            self._queue(known)
        self._early.update(early)
        self._early_sizes.update(sizes)

    @property
    def ready(self) -> bool:
        """Whether a batch can be delivered."""
        return bool(self._batches)

    def take(self) -> list[RespondSignal]:
        """Remove and return the oldest batch."""
        batch = self._batches.pop(0)
        self._queued_bytes -= _size(batch)
        return batch

    def _queue(self, batch: list[RespondSignal]) -> None:
        self._batches.append(batch)
        self._queued_bytes += _size(batch)

    def hand_on(self, continued: ContinuedRun) -> None:
        """Put everything into what a run hands to the one it continues as."""
        continued.pending = list(self.pending.values())
        continued.queued = self._batches
        continued.early = list(self._early.values())
        continued.answered = list(self._answered)[-MAX_HANDED_ON:]

    def take_over(self, continued: ContinuedRun) -> None:
        """Take what `hand_on` put there."""
        self.pending = OrderedDict((request.request_id, request) for request in continued.pending)
        for batch in continued.queued:
            self._queue(batch)
        for answer in continued.early:
            self._early[answer.request_id] = answer
            self._early_sizes[answer.request_id] = _size([answer])
        self._answered = OrderedDict.fromkeys(continued.answered)

    def delivered(self, request_id: str) -> None:
        """Remember that `request_id` was answered."""
        self._answered[request_id] = None
        while len(self._answered) > MAX_ANSWERED:
            self._answered.popitem(last=False)

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
            )
            for answer in batch
        ]


def _size(batch: list[RespondSignal]) -> int:
    return sum(len(answer.model_dump_json()) for answer in batch)
