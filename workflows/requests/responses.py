"""Which requests are pending, and the answers and cancellations for them: early, repeated, queued, all bounded.

Each question about a request is one look at an index, never a search: anybody can send a thousand answers at once, and
a workflow task has two seconds.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

from pydantic_core import to_json

from .. import limits
from ..messages import (
    ContinuedRun,
    PendingRequest,
    RefusedResponse,
    RespondReceipt,
    RespondSignal,
    ResponseInput,
    json_bytes,
)
from .pending import packed
from .signals import RejectedResponseError

Dropped: TypeAlias = list[tuple[RespondSignal, str]]
"""Answers that will not be delivered, each with the reason."""
_DISPLACED = "It repeats another answer or does not fit the request, and too many answers wait."
UNKNOWN_REQUEST = "Response provided for unknown request ID:"
"""The framework's words."""
_TOGETHER = "Not delivered: another response of the same call was refused."
_LEAST_BYTES = 18
"""Of an answer as JSON, beside its request id."""


class _Batch:
    """Answers that are delivered together, by request id."""

    __slots__ = ("entries", "together")

    def __init__(self, answers: Sequence[RespondSignal]) -> None:
        self.entries = {answer.request_id: _Entry(answer, self) for answer in answers}
        self.together = any(answer.call_id is not None and not answer.cancel for answer in answers)

    def answers(self) -> list[RespondSignal]:
        return [entry.answer for entry in self.entries.values()]


class _Entry:
    """One answer that waits, with its size and, once somebody asks, what it says and whether it may fit."""

    __slots__ = ("_key", "answer", "batch", "fits", "size")

    def __init__(self, answer: RespondSignal, batch: _Batch) -> None:
        self.answer = answer
        self.batch = batch
        self.size = json_bytes(answer)
        self.fits: bool | None = None
        self._key: bytes | None = None

    @property
    def key(self) -> bytes:
        """See `_key`."""
        if self._key is None:
            self._key = _key(self.answer)
        return self._key


class Responses:
    """Which requests are pending, which answers wait to be delivered, which came early.

    Args:
        fits: Whether a response may fit its request, as far as can be told without its type. Where too many answers
            to one request wait, one that may fit takes the place of one that does not, or that only repeats another.
    """

    def __init__(self, fits: Callable[[PendingRequest, Any], bool] = lambda _request, _response: True) -> None:
        self.pending: OrderedDict[str, PendingRequest] = OrderedDict()
        self.displaced: Dropped = []
        """Answers that gave way to others, until somebody takes them."""
        self._fits = fits
        self._batches: deque[_Batch] = deque()
        """Those that were emptied since are passed over."""
        self._ready = 0
        self._queued_bytes = 0
        self._waiting: dict[str, list[_Entry]] = {}
        """By request id, in the order they came; those that are being delivered come first."""
        self._large: dict[_Entry, None] = {}
        """Those of them that take much of the room."""
        self._delivering: _Batch | None = None
        self._early: OrderedDict[str, list[RespondSignal]] = OrderedDict()
        self._early_count = self._early_bytes = 0
        self._answered: OrderedDict[str, None] = OrderedDict()
        self._refused: OrderedDict[str, int] = OrderedDict()
        """Size of what a request tells of its refused answers, the last that was refused at the end."""
        self._refused_bytes = 0

    def set_pending(self, pending: list[PendingRequest], *, run_ended: bool) -> Dropped:
        """Take over the pending requests of a checkpoint, with the time each was first asked.

        Args:
            pending: The requests of the checkpoint.
            run_ended: Whether the framework's run has come to its end, so that no more requests are asked.

        Returns:
            Answers to requests that are not pending (any more).
        """
        # A request that was answered and is pending again has been asked anew, under the id of its executor's choice.
        asked = {name: request for name, request in self.pending.items() if name not in self._answered}
        for request in pending:  # As has one whose data is another now, which a later message has asked.
            before = asked.get(request.request_id)
            if before is not None and _is_another(before, request):
                del asked[request.request_id]
        self.pending = OrderedDict((request.request_id, asked.get(request.request_id, request)) for request in pending)
        self._delivered()
        dropped: Dropped = []
        for request_id in [request_id for request_id in self._waiting if request_id not in self.pending]:
            # The framework leaves out cancellations of what is not pending.
            dropped += self._drop(request_id, keep=lambda answer: answer.cancel and answer.call_id is not None)
        for request_id in self.pending:
            self._answered.pop(request_id, None)
        for request_id in [request_id for request_id in self._early if request_id in self.pending]:
            dropped += self._ask(self.pending[request_id])
        self._forget_refused()
        if not run_ended or self.ready:
            return dropped
        for request_id, answers in list(self._early.items()):
            if any(answer.call_id is not None for answer in answers):
                reason = f"{UNKNOWN_REQUEST} {request_id}"
                for answer in self._pop_early(request_id):
                    if answer.call_id is None:
                        self._add_early(answer)
                    else:
                        dropped.append((answer, reason))
        return dropped

    def _ask(self, request: PendingRequest) -> Dropped:
        """Queue what came early for a request, one by one: whichever is refused, the next may be good."""
        answers = self._pop_early(request.request_id)
        surplus = len(answers) - 1 - limits.MAX_REPEATED
        dropped: Dropped = []
        for answer in reversed(answers):
            if surplus > 0 and not self._fits(request, answer.response):
                dropped.append((answer, _DISPLACED))
                surplus -= 1
        gone = {id(answer) for answer, _ in dropped}
        kept = [answer for answer in answers if id(answer) not in gone]
        for answer in kept[: limits.MAX_REPEATED + 1]:
            self._queue([answer])
        return dropped + [(answer, _DISPLACED) for answer in kept[limits.MAX_REPEATED + 1 :]]

    def check(self, batch: list[RespondSignal], *, busy: bool) -> tuple[list[RespondSignal], list[RespondSignal]]:
        """Say which answers of a batch would be queued and which are early; changes nothing.

        Args:
            batch: Answers that are delivered together or, when one of a facade's call cannot be, not at all.
            busy: Whether a superstep is running, so that requests may still be asked.

        Raises:
            RejectedResponseError: For an answered id, an unknown id of a facade call, or too many early responses.
        """
        if batch[0].cancel:
            return self._check_cancellation(batch), []
        seen: set[str] = set()
        known: list[RespondSignal] = []
        early: list[RespondSignal] = []
        for answer in batch:
            request_id = answer.request_id
            if request_id in self._answered or request_id in seen:
                raise _already(request_id)
            seen.add(request_id)
            if request_id in self.pending:
                known.append(answer)
            elif answer.call_id is not None and not busy:
                raise RejectedResponseError(f"{UNKNOWN_REQUEST} {request_id}")
            else:
                early.append(answer)
        self._check_sizes(known, early)
        for answer in known:
            self._check_repeated(answer)
        for answer in early:
            if len(self._early.get(answer.request_id, ())) >= limits.MAX_EARLY_REPEATED:
                raise RejectedResponseError(
                    f"Too many answers to request {answer.request_id!r}, which is not asked yet, are waiting."
                )
        return known, early

    def _check_sizes(self, known: list[RespondSignal], early: list[RespondSignal]) -> None:
        if known:
            self._make_room(known)
        if early and (
            self._early_count + len(early) > limits.MAX_EARLY
            or self._early_bytes + _size(early) > limits.MAX_EARLY_BYTES
        ):
            raise RejectedResponseError(
                f"{self._early_count} answers to requests that were never asked are waiting; "
                f"{early[0].request_id!r} is not kept."
            )

    def _make_room(self, known: list[RespondSignal]) -> list[_Entry]:
        """Return which answers give way, as there is no room, to some that may fit: those that do not.

        Raises:
            RejectedResponseError: When that is not enough.
        """
        # Many that cannot be taken, however small each is, must not be measured and looked at one by one.
        least = sum(len(answer.request_id) + _LEAST_BYTES for answer in known)
        if self._queued_bytes + least > limits.MAX_QUEUED_BYTES and len(known) > limits.MAX_DISPLACING:
            raise _no_room(known[0].request_id)
        over = self._queued_bytes + _size(known) - limits.MAX_QUEUED_BYTES
        if over <= 0:
            return []
        if len(known) > limits.MAX_DISPLACING:
            raise _no_room(known[0].request_id)
        going: dict[_Entry, None] = {}
        for answer in known:
            if not self._fits(self.pending[answer.request_id], answer.response):
                raise _no_room(answer.request_id)
            for entry in [*self._waiting.get(answer.request_id, ()), *self._large]:
                if over > 0 and entry not in going and self._is_unfit(entry):
                    going[entry] = None
                    over -= entry.size
        if over > 0:
            raise _no_room(known[0].request_id)
        return list(going)

    def _is_unfit(self, entry: _Entry) -> bool:
        """Tell whether an answer that waits cannot fit, as far as can be told."""
        request = self.pending.get(entry.answer.request_id)
        if request is None or entry.answer.cancel or entry.batch is self._delivering:
            return False
        if entry.fits is None:
            entry.fits = self._fits(request, entry.answer.response)
        return not entry.fits

    def _check_repeated(self, answer: RespondSignal) -> None:
        """Refuse another answer where the one before is as good as taken; else the first valid one wins."""
        before = self._waiting.get(answer.request_id)
        if before is None:
            return
        if any(entry.answer.cancel for entry in before):
            raise RejectedResponseError(f"Request {answer.request_id!r} is being cancelled.")
        if any(entry.answer.checked for entry in before):
            raise _already(answer.request_id)
        if len(before) > limits.MAX_REPEATED and self._weakest(answer) is None:
            raise _already(answer.request_id)

    def _weakest(self, answer: RespondSignal) -> _Entry | None:
        """Return which of too many answers to a request gives way to one more: a repeated one, or one that cannot fit.

        None where that is but a repeated one itself, or may fit no better.
        """
        request = self.pending[answer.request_id]
        before = self._waiting.get(answer.request_id, [])
        keys = {entry.key for entry in before}
        if len(before) <= limits.MAX_REPEATED or _key(answer) in keys:
            return None
        fits = self._fits(request, answer.response)
        for entry in reversed(before):
            if entry.batch is self._delivering:
                continue
            if sum(entry.key == other.key for other in before) > 1 or (fits and self._is_unfit(entry)):
                return entry
        return None

    def cancellable(self, request_ids: Sequence[str]) -> list[str]:
        """Return which requests there is something to cancel of.

        Raises:
            RejectedResponseError: When there are none.
        """
        found = [name for name in request_ids if name in self.pending and name not in self._waiting]
        if not found:
            raise RejectedResponseError(f"Nothing to cancel: {request_ids[0]!r} is not pending, or is answered.")
        return found

    def _check_cancellation(self, batch: list[RespondSignal]) -> list[RespondSignal]:
        if batch[0].call_id is None:
            wanted = set(self.cancellable([entry.request_id for entry in batch]))
        else:
            # The framework leaves out what is not pending without a word, so a superstep does, which tells the caller.
            wanted = {entry.request_id for entry in batch if entry.request_id not in self._waiting}
            if not wanted:
                raise _already(batch[0].request_id)
        found = [entry for entry in batch if entry.request_id in wanted]
        if self._queued_bytes + _size(found) > limits.MAX_QUEUED_BYTES:
            raise _no_room(found[0].request_id)
        return found

    def add(self, batch: list[RespondSignal], *, busy: bool, at: str, checked: bool = False) -> RespondReceipt:
        """Queue a batch for delivery; see `check`, whose errors it raises. Nothing of the batch is queued then.

        What gives way to it is found in `displaced`.

        Args:
            batch: See `check`.
            busy: See `check`.
            at: When it came.
            checked: Whether those of it whose requests are pending were held to the response schemas.
        """
        known, early = self.check(batch, busy=busy)
        for entry in self._make_room(known) if known and not known[0].cancel else ():
            if entry.answer.request_id in entry.batch.entries:  # Else it went with another.
                self.displaced += self._remove(entry, _DISPLACED)
        for answer in known:
            weakest = None if answer.cancel else self._weakest(answer)
            if weakest is not None:
                self.displaced += self._remove(weakest, _DISPLACED)
        for answer in [*known, *early]:
            answer.received_at = at
        for answer in known if checked else ():
            answer.checked = True
        if known:
            self._queue(known)
        for answer in early:
            self._add_early(answer)
        return RespondReceipt(
            queued=[answer.request_id for answer in known], early=[answer.request_id for answer in early]
        )

    def force(self, batch: list[RespondSignal]) -> None:
        """Queue what a deadline says, whatever else waits."""
        self._queue(batch)

    def unanswered(self) -> list[PendingRequest]:
        """Return the pending requests that no answer or cancellation waits for."""
        return [request for request in self.pending.values() if request.request_id not in self._waiting]

    @property
    def ready(self) -> bool:
        """Whether a batch can be delivered."""
        return self._ready > 0

    @property
    def has_early(self) -> bool:
        """Whether answers wait for requests that are not asked yet."""
        return bool(self._early)

    @property
    def executors(self) -> list[str]:
        """Executors whose requests the oldest batch answers: the next superstep runs them."""
        batch = next((batch for batch in self._batches if batch.entries), None)
        found = [self.pending[name].executor_id for name in (batch.entries if batch else ()) if name in self.pending]
        return list(dict.fromkeys(found))

    def take(self) -> list[RespondSignal]:
        """Remove and return the oldest batch; it counts as waiting until `set_pending`."""
        self._delivered()
        batch = self._batches.popleft()
        while not batch.entries:
            batch = self._batches.popleft()
        self._ready -= 1
        self._queued_bytes -= sum(entry.size for entry in batch.entries.values())
        self._delivering = batch
        return batch.answers()

    def delivered(self, request_id: str) -> Dropped:
        """Remember that `request_id` was answered; returns the answers to it that came too late.

        They go although the same id may be asked again at once: they were given to the question before.
        """
        self._answered[request_id] = None
        while len(self._answered) > limits.MAX_ANSWERED:
            self._answered.popitem(last=False)
        return self._drop(request_id)

    def refused(self, request_id: str, responder: str | None, error: str, *, at: str) -> None:
        """Note with a pending request that an answer to it was refused."""
        request = self.pending.get(request_id)
        if request is None:
            return
        refused = RefusedResponse(at=at, responder=responder, error=error[: limits.MAX_REFUSED_TEXT])
        request.errors = [*(request.errors or []), refused][-limits.MAX_REFUSED :]
        self._note_refused(request)
        while self._refused_bytes > limits.MAX_REFUSED_BYTES and len(self._refused) > 1:
            oldest, size = self._refused.popitem(last=False)
            self._refused_bytes -= size
            self.pending[oldest].errors = None

    def _note_refused(self, request: PendingRequest) -> None:
        size = sum(map(json_bytes, request.errors or []))
        self._refused_bytes += size - self._refused.pop(request.request_id, 0)
        self._refused[request.request_id] = size

    def _forget_refused(self) -> None:
        """Forget of requests that are answered, or asked anew."""
        for request_id, size in list(self._refused.items()):
            request = self.pending.get(request_id)
            if request is None or not request.errors:
                self._refused_bytes -= size
                del self._refused[request_id]

    def _drop(self, request_id: str, keep: Callable[[RespondSignal], bool] = lambda _answer: False) -> Dropped:
        dropped: Dropped = []
        for entry in list(self._waiting.get(request_id, ())):
            # Others of its batch may have taken it along by now.
            if request_id in entry.batch.entries and entry.batch is not self._delivering and not keep(entry.answer):
                dropped += self._remove(entry, f"Request {request_id!r} is already answered.")
        return dropped

    def _remove(self, entry: _Entry, reason: str) -> Dropped:
        """Take an answer out of the queue, with those that are only delivered together with it."""
        batch = entry.batch
        dropped: Dropped = [(entry.answer, reason)]
        gone = [entry]
        if batch.together:
            others = [other for other in batch.entries.values() if other is not entry]
            dropped += [(other.answer, _TOGETHER) for other in others]
            gone += others
        for found in gone:
            del batch.entries[found.answer.request_id]
            self._queued_bytes -= found.size
            self._forget(found)
        if not batch.entries:
            self._ready -= 1
        return dropped

    def _forget(self, entry: _Entry) -> None:
        self._large.pop(entry, None)
        waiting = self._waiting[entry.answer.request_id]
        waiting.remove(entry)
        if not waiting:
            del self._waiting[entry.answer.request_id]

    def _delivered(self) -> None:
        if self._delivering is not None:
            for entry in self._delivering.entries.values():
                self._forget(entry)
        self._delivering = None

    def _queue(self, answers: list[RespondSignal]) -> None:
        batch = _Batch(answers)
        self._batches.append(batch)
        self._ready += 1
        for request_id, entry in batch.entries.items():
            self._queued_bytes += entry.size
            self._waiting.setdefault(request_id, []).append(entry)
            if entry.size > limits.LARGE_BYTES:
                self._large[entry] = None

    def _add_early(self, answer: RespondSignal) -> None:
        self._early.setdefault(answer.request_id, []).append(answer)
        self._early_count += 1
        self._early_bytes += json_bytes(answer)

    def _pop_early(self, request_id: str) -> list[RespondSignal]:
        answers = self._early.pop(request_id)
        self._early_count -= len(answers)
        self._early_bytes -= _size(answers)
        return answers

    def hand_on(self, continued: ContinuedRun) -> None:
        """Put everything into what a run hands to the one it continues as."""
        continued.pending, continued.schemas = packed(self.pending.values())
        continued.queued = [batch.answers() for batch in self._batches if batch.entries]
        continued.early = [answer for answers in self._early.values() for answer in answers]
        continued.answered = _newest(self._answered)

    def take_over(self, continued: ContinuedRun) -> None:
        """Take what `hand_on` put there."""
        self.pending = OrderedDict((request.request_id, request) for request in continued.pending)
        for request in continued.pending:
            if request.errors:
                self._note_refused(request)
        for batch in continued.queued:
            self._queue(batch)
        for answer in continued.early:
            self._add_early(answer)
        self._answered = OrderedDict.fromkeys(continued.answered)

    @staticmethod
    def as_inputs(batch: list[RespondSignal]) -> list[ResponseInput]:
        """Return the batch as the superstep activity takes it."""
        return [
            ResponseInput(
                request_id=answer.request_id,
                response=answer.response,
                type=answer.type,
                typed=answer.typed,
                responder=answer.responder,
                call_id=answer.call_id,
                received_at=answer.received_at,
            )
            for answer in batch
        ]


def _already(request_id: str) -> RejectedResponseError:
    return RejectedResponseError(f"Request {request_id!r} is already answered.")


def _no_room(request_id: str) -> RejectedResponseError:
    return RejectedResponseError(
        f"Answers of more than {limits.MAX_QUEUED_BYTES:,} bytes cannot wait at once; {request_id!r} is not kept. "
        "Answer with a reference to the data, or again when the answers before are taken."
    )


def _key(answer: RespondSignal) -> bytes:
    """Return what two answers have in common that say the same."""
    return hashlib.blake2b(to_json([answer.type, answer.response]), digest_size=16).digest()


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


def _is_another(before: PendingRequest, request: PendingRequest) -> bool:
    """Tell whether a request of the same id asks something else; where its data was left out nobody can tell."""
    if (before.executor_id, before.request_type) != (request.executor_id, request.request_type):
        return True
    return before.request is not None and request.request is not None and before.request != request.request
