"""A message that comes while requests wait: held to its limits, and kept until a superstep takes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from pydantic import ValidationError
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from . import limits
from .flaws import message_flaw
from .messages import MESSAGE_UPDATE, MessageUpdate
from .requests.signals import RejectedResponseError, places, read_json
from .unreadable import why_unreadable

BUSY = "MessageNotTaken"
"""Type of the error that the sender of an update is given when the run does not wait for answers."""
REFUSED = "MessageRefused"
"""Type of the error that it is given for a message that cannot be used."""


class NextMessage:
    """Takes update `message`, one at a time and only while the run waits for answers."""

    def __init__(self) -> None:
        self._awaited = False
        self._turns = 0
        self.taken: MessageUpdate | None = None

    @contextmanager
    def awaited(self) -> Iterator[None]:
        """Take a message meanwhile."""
        self._awaited = True
        try:
            yield
        finally:
            self._awaited = False

    def check(self, arguments: Sequence[RawValue], *, busy: bool) -> None:
        """Refuse a message that cannot be taken; changes nothing.

        Args:
            arguments: Of the update.
            busy: Whether an answer is about to be delivered.

        Raises:
            ApplicationError: Of type `MessageNotTaken` or `MessageRefused`.
        """
        if busy or not self._awaited or self.taken is not None:
            raise _failure("The run does not wait for answers, so it takes no message.", BUSY)
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
        flaw = "The message is null." if message.message is None else message_flaw(message)
        if flaw is not None:
            raise _failure(flaw, REFUSED)

    def take(self, arguments: Sequence[RawValue]) -> None:
        """Keep a message that was checked.

        Raises:
            RuntimeError: When it cannot be read now, but was when it was accepted: the workflow task is tried again.
        """
        reason = why_unreadable(arguments)
        if reason is not None:
            raise RuntimeError(f"An update that was accepted before cannot be read now: {reason}")
        self.taken = _read(arguments)

    def next(self) -> tuple[MessageUpdate, str]:
        """Return the message that was taken, once, and a name that no other message of the thread has."""
        if self.taken is None:
            raise RuntimeError("There is no message; this is a bug.")
        message, self.taken = self.taken, None
        self._turns += 1
        return message, f"{workflow.info().run_id}.{self._turns}"


def _read(arguments: Sequence[RawValue]) -> MessageUpdate:
    return MessageUpdate.model_validate(read_json(MESSAGE_UPDATE, arguments[0]))


def _failure(message: str, kind: str) -> ApplicationError:
    return ApplicationError(f"Thread {workflow.info().workflow_id!r}: {message}", type=kind, non_retryable=True)
