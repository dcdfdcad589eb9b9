"""Messages to a run that is open: held to their limits, and kept in the order they came until it is their turn."""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import ValidationError
from pydantic_core import to_json
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from . import limits
from .flaws import message_flaw
from .messages import (
    MESSAGE_UPDATE,
    ContinuedRun,
    MessageReceipt,
    MessageUpdate,
    QueuedMessage,
    RefusedMessage,
    SuperstepInput,
    WhenRunning,
    WithdrawSignal,
    json_bytes,
)
from .requests.schema import misfits
from .requests.signals import RejectedResponseError, places, read_json
from .unreadable import why_unreadable

BUSY = "MessageNotTaken"
"""Type of the error that the sender of an update is given when the run does not take a message now."""
REFUSED = "MessageRefused"
"""Type of the error that it is given for a message that cannot be used."""
FULL = "QueueFull"
"""Type of the error that it is given where there is no room."""
UNFIT = "MessageUnfit"
"""Type of the error that it is given for one that the start executor cannot take."""
NOT_QUEUED = "MessageNotQueued"
"""Type of the error that the sender of `withdraw` is given for a message that is not in the queue (any more)."""
_SHOWN = 120
_CUTS = ("interrupt", "rollback")
_PLAIN = (None, "builtins:dict", "builtins:list")
"""Names of types of which the JSON itself tells all: what has another, the worker builds."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """A message in the queue."""

    message: MessageUpdate
    message_id: str
    size: int


@dataclass(frozen=True, slots=True)
class Turn:
    """A message whose turn it is."""

    message: MessageUpdate
    message_id: str | None
    """None of one that was sent to a run that waits, as it has no other place in the thread."""
    message_run_id: str
    """A name that no other message of the thread has."""


class NextMessage:
    """Takes `message` and `withdraw`, by signal or update, and says whose turn is next.

    Args:
        tell: Is given each message that is not run.
    """

    def __init__(self, tell: Callable[[RefusedMessage], None]) -> None:
        self._tell = tell
        self.schema: dict[str, Any] | None = None
        """JSON Schema of what the start executor takes, where that is known."""
        self._awaited = False
        self._turns = 0
        self._made_up = 0
        self._queue: deque[_Kept] = deque()
        self._bytes = 0
        self._taken: OrderedDict[str, None] = OrderedDict()
        self._refused: deque[RefusedMessage] = deque()

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """Take a message of no `when_running` meanwhile."""
        self._awaited = True
        try:
            yield
        finally:
            self._awaited = False

    @property
    def is_there(self) -> bool:
        """Whether a message waits for its turn."""
        return bool(self._queue)

    @property
    def is_ready(self) -> bool:
        """Whether the next one may begin while requests wait."""
        return bool(self._queue) and not self._queue[0].message.waits

    @property
    def cuts(self) -> str | None:
        """How the next one ends the turn that runs; None where it waits for that."""
        when = self._queue[0].message.when_running if self._queue else None
        return when if when in _CUTS else None

    def check(self, arguments: Sequence[RawValue], *, busy: bool) -> None:
        """Refuse an update that cannot be taken; changes nothing.

        Args:
            arguments: Of the update.
            busy: Whether an answer is about to be delivered.

        Raises:
            ApplicationError: Of type `MessageNotTaken`, `QueueFull`, `MessageUnfit` or `MessageRefused`.
        """
        message = _checked(arguments)
        if message.when_running == "reject" or (message.when_running is None and self._is_busy(busy)):
            raise _failure("The run does not wait for answers, so it takes no message.", BUSY)
        if message.when_running is not None and not self._is_known(message):
            self._check_fits(message)
            self._check_room(_size(message))

    def _is_busy(self, busy: bool) -> bool:
        return busy or not self._awaited or self.is_there

    def _is_known(self, message: MessageUpdate) -> bool:
        return message.message_id is not None and (
            message.message_id in self._taken or any(kept.message_id == message.message_id for kept in self._queue)
        )

    def _check_fits(self, message: MessageUpdate) -> None:
        """Hold a message to the start executor's types before it waits, or cuts anything off."""
        if message.typed is not None or message.type not in _PLAIN:
            return
        value = message.message
        wrong = misfits(self.schema, value, "message")
        alone = isinstance(value, list) and len(value) == 1 and not misfits(self.schema, value[0], "message")
        if wrong and not alone:
            raise _failure(
                f"The start executor cannot handle input of type {type(value).__name__}: {'; '.join(wrong)}. "
                "Nothing was run for this message.",
                UNFIT,
            )

    def _check_room(self, size: int) -> None:
        if len(self._queue) >= limits.MAX_MESSAGES or self._bytes + size > limits.MAX_MESSAGES_BYTES:
            raise _failure(
                f"{len(self._queue)} messages of {self._bytes:,} bytes wait already, and there is room for "
                f"{limits.MAX_MESSAGES} of {limits.MAX_MESSAGES_BYTES:,} bytes, so this one of {size:,} bytes is not "
                "taken. Withdraw one, wait, or pass a reference instead of large data.",
                FULL,
            )

    def take(self, arguments: Sequence[RawValue], *, update_id: str, at: str) -> MessageReceipt:
        """Keep an update's message that was checked.

        Raises:
            RuntimeError: When it cannot be read now, but was when it was accepted: the workflow task is tried again.
        """
        reason = why_unreadable(arguments)
        if reason is not None:
            raise RuntimeError(f"An update that was accepted before cannot be read now: {reason}")
        message = _read(arguments)
        if message.when_running is None:
            self._put(_Kept(message, update_id, _size(message)))
            return MessageReceipt()
        message_id = message.message_id or update_id
        if not self._is_known(message):
            message.received_at = at
            self._put(_Kept(message, message_id, _size(message)))
        ids = [kept.message_id for kept in self._queue]
        return MessageReceipt(message_id=message_id, position=ids.index(message_id) if message_id in ids else 0)

    def signal(self, arguments: Sequence[RawValue], *, at: str) -> None:
        """Take the message of a signal, whose sender is told by `status` what is wrong with it."""
        self._made_up += 1
        made_up = f"{workflow.info().run_id}.signal-{self._made_up}"
        message_id = made_up
        try:
            message = _checked(arguments)
            message_id = message.message_id or made_up
            if self._is_known(message):
                return
            message.when_running = message.when_running or "enqueue"
            if message.when_running == "reject":
                raise _failure("A signal is always taken, so it cannot say `reject`.", REFUSED)
            self._check_fits(message)
            message.received_at = at
            size = _size(message)
            self._check_room(size)
        except ApplicationError as error:
            self.refuse(message_id, error.message)
            return
        self._put(_Kept(message, message_id, size))

    def _put(self, kept: _Kept) -> None:
        if kept.message.when_running in _CUTS:
            # Behind those that came before it and have not cut anything yet.
            place = sum(other.message.when_running in _CUTS for other in self._queue)
            self._queue.insert(place, kept)
        else:
            self._queue.append(kept)
        self._bytes += kept.size

    def withdraw(self, sent: WithdrawSignal, *, check: bool = False) -> None:
        """Take a message from the queue.

        Args:
            sent: Which, and who says so.
            check: Only look whether it is there.

        Raises:
            ApplicationError: Of type `MessageNotQueued`.
        """
        found = next((kept for kept in self._queue if kept.message_id == sent.message_id), None)
        if found is None:
            known = "its turn has begun already" if sent.message_id in self._taken else "there is none of that id"
            raise _failure(f"Message {sent.message_id!r} is not in the queue: {known}.", NOT_QUEUED)
        if check:
            return
        self._queue.remove(found)
        self._bytes -= found.size
        by = f" by {sent.responder}" if sent.responder else ""
        self.refuse(found.message_id, f"The message was withdrawn{by} before its turn.")

    def refuse(self, message_id: str, error: str, cut: str | None = None) -> None:
        """Note that a message is not run."""
        told = error[: limits.MAX_REFUSED_MESSAGE]
        refused = RefusedMessage(message_id=message_id, error=told, at=workflow.now().isoformat(), cut=cut)
        self._refused.append(refused)
        self._tell(refused)
        while len(self._refused) > limits.MAX_REFUSED_MESSAGES:
            self._refused.popleft()

    def note_cut(self, step: SuperstepInput) -> None:
        """Note of a message whose turn has come that the next one cuts it off before anything runs."""
        if step.message is not None and step.message.message_id is not None:
            self.refuse(step.message.message_id, "Another message has cut it off before its turn began.", self.cuts)

    def drop(self, error: str) -> None:
        """Empty the queue of a run that ends."""
        for kept in self._queue:
            self.refuse(kept.message_id, error)
        self._queue.clear()
        self._bytes = 0

    def next(self) -> Turn:
        """Return the message whose turn it is, once."""
        if not self._queue:
            raise RuntimeError("There is no message; this is a bug.")
        kept = self._queue.popleft()
        self._bytes -= kept.size
        self._turns += 1
        queued = kept.message.when_running is not None
        if queued:
            self._taken[kept.message_id] = None
            while len(self._taken) > limits.MAX_TAKEN:
                self._taken.popitem(last=False)
        name = f"{workflow.info().run_id}.{self._turns}"
        return Turn(kept.message, kept.message_id if queued else None, name)

    def shown(self) -> list[QueuedMessage]:
        """Return the queue as `status` shows it."""
        return [
            QueuedMessage(
                message_id=kept.message_id,
                received_at=kept.message.received_at or "",
                when_running=kept.message.when_running or "enqueue",
                message=to_json(kept.message.message).decode()[:_SHOWN],
                bytes=kept.size,
                responder=kept.message.responder,
            )
            for kept in self._queue
        ]

    @property
    def refused(self) -> list[RefusedMessage]:
        """The last messages that are not run."""
        return list(self._refused)

    @property
    def ids(self) -> list[str]:
        """Ids of the messages in the queue."""
        return [kept.message_id for kept in self._queue]

    def hand_on(self, continued: ContinuedRun) -> None:
        """Give the queue to the run that this one continues as."""
        messages = [kept.message.model_copy(update={"message_id": kept.message_id}) for kept in self._queue]
        continued.messages = messages or None
        continued.taken = list(self._taken) or None
        continued.refused = list(self._refused) or None

    def take_over(self, continued: ContinuedRun) -> None:
        """Take the queue of the run before."""
        for message in continued.messages or []:
            self._put(_Kept(message, message.message_id or "", _size(message)))
        self._taken.update(dict.fromkeys(continued.taken or []))
        self._refused.extend(continued.refused or [])


def _checked(arguments: Sequence[RawValue]) -> MessageUpdate:
    """Read a message.

    Raises:
        ApplicationError: Of type `MessageRefused`.
    """
    reason = why_unreadable(arguments)
    if reason is not None:
        raise _failure(f"The message cannot be read: {reason}. Send plain JSON.", REFUSED)
    size = sum(argument.payload.ByteSize() for argument in arguments)
    if size > limits.MAX_SIGNAL_BYTES or len(arguments) != 1:
        raise _failure(
            f'`{MESSAGE_UPDATE}` takes one argument, {{"message": ...}}, of {limits.MAX_SIGNAL_BYTES:,} bytes; got '
            f"{len(arguments)} of {size:,} bytes. Pass a reference instead of large data.",
            REFUSED,
        )
    try:
        message = _read(arguments)
    except ValidationError as error:
        where = "; ".join(places(error))
        raise _failure(f'`{MESSAGE_UPDATE}` takes {{"message": ...}}: {where}', REFUSED) from None
    except (RejectedResponseError, RecursionError) as error:
        raise _failure(str(error), REFUSED) from None
    try:  # Of a stranger it is no more than a start would be: where runs are sealed it has to be, too.
        workflow.payload_converter().from_payload(arguments[0].payload, MessageUpdate)
    except ValueError as error:
        raise _failure(str(error), REFUSED) from None
    known = get_args(WhenRunning)
    if message.when_running is not None and message.when_running not in known:
        raise _failure(f"`when_running` is one of {', '.join(known)}, not {message.when_running[:100]!r}.", REFUSED)
    flaw = "The message is null." if message.message is None else message_flaw(message)
    if flaw is not None:
        raise _failure(flaw, REFUSED)
    return message


def _read(arguments: Sequence[RawValue]) -> MessageUpdate:
    return MessageUpdate.model_validate(read_json(MESSAGE_UPDATE, arguments[0]))


def _size(message: MessageUpdate) -> int:
    return json_bytes(message)


def _failure(message: str, kind: str, *details: Any) -> ApplicationError:
    return ApplicationError(
        f"Thread {workflow.info().workflow_id!r}: {message}", *details, type=kind, non_retryable=True
    )
