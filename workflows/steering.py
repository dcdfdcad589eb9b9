"""What steers a run that is open, by signals and updates: messages, `withdraw`, `pause`, `continue`, `breakpoints`.

A signal and an update of a name are of the same shape. Of a signal nobody is told what is wrong with it, but for a
message, of which `status` tells; it changes nothing then.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from pydantic import ValidationError
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from . import limits
from .messages import (
    BREAKPOINTS_SIGNAL,
    CONTINUE_SIGNAL,
    MESSAGE_UPDATE,
    PAUSE_SIGNAL,
    WITHDRAW_SIGNAL,
    BreakpointsSignal,
    PauseSignal,
    SteeringReceipt,
    WireModel,
    WithdrawSignal,
)
from .next_message import REFUSED, NextMessage
from .pause import Hold
from .requests.signals import RejectedResponseError, places, read_json
from .unreadable import why_unreadable

NOT_PAUSED = "NotPaused"
"""Type of the error that the sender of update `continue` is given where nothing holds the run."""
_SHAPES = {
    WITHDRAW_SIGNAL: '{"message_id": ...}',
    PAUSE_SIGNAL: '{"reason"?: ..., "responder"?: ...}, or nothing',
    CONTINUE_SIGNAL: '{"responder"?: ...}, or nothing',
    BREAKPOINTS_SIGNAL: '{"executors": [...]}',
}
NAMES = frozenset(_SHAPES)
_Model = TypeVar("_Model", bound=WireModel)


class Steering:
    """Carries out what steers the run.

    Args:
        message: The queue.
        hold: Holds the run.
    """

    def __init__(self, message: NextMessage, hold: Hold) -> None:
        self._message = message
        self._hold = hold
        self.is_news: bool = False
        """Whether what was carried out last may hold the run where it would not have been held before."""

    def signal(self, name: str, arguments: Sequence[RawValue], at: str) -> bool:
        """Take a signal; returns whether it was for us."""
        self.is_news = False
        if name == MESSAGE_UPDATE:
            self._message.signal(arguments, at=at)
            return True
        if name not in NAMES:
            return False
        try:
            self._act(name, arguments, check=False)
        except ApplicationError as error:
            if not workflow.unsafe.is_replaying():
                workflow.logger.warning("Signal %r is refused: %s", name, error)
        return True

    def check(self, name: str, arguments: Sequence[RawValue]) -> None:
        """Refuse an update that cannot be carried out; changes nothing.

        Raises:
            ApplicationError: In words for its sender.
        """
        self._act(name, arguments, check=True)

    def update(self, name: str, arguments: Sequence[RawValue]) -> SteeringReceipt:
        """Carry out an update that was checked; returns how the run stands after it."""
        self.is_news = False
        self._act(name, arguments, check=False)
        return SteeringReceipt(
            queued=self._message.ids, pause=self._hold.reason, breakpoints=list(self._hold.breakpoints)
        )

    def _act(self, name: str, arguments: Sequence[RawValue], *, check: bool) -> None:
        if name == WITHDRAW_SIGNAL:
            self._message.withdraw(_read(name, arguments, WithdrawSignal), check=check)
        elif name == PAUSE_SIGNAL:
            pause = _read(name, arguments, PauseSignal)
            if not check:
                self._hold.ask(pause)
                self.is_news = True
        elif name == CONTINUE_SIGNAL:
            _read(name, arguments, PauseSignal)
            if self._hold.reason is None:
                raise _failure("Nothing holds the run, so there is nothing to continue.", NOT_PAUSED)
            if not check:
                self._hold.release()
        else:
            sent = _read(name, arguments, BreakpointsSignal)
            if not check:
                self.is_news = self.is_news or bool(set(sent.executors) - set(self._hold.breakpoints))
                self._hold.breakpoints = sent.executors


def _read(name: str, arguments: Sequence[RawValue], model: type[_Model]) -> _Model:
    reason = why_unreadable(arguments)
    size = sum(argument.payload.ByteSize() for argument in arguments)
    if reason is None and size > limits.MAX_SIGNAL_BYTES:
        reason = f"it takes {size:,} bytes, over {limits.MAX_SIGNAL_BYTES:,}"
    if reason is not None:
        raise _failure(f"`{name}` cannot be read: {reason}. Send plain JSON.", REFUSED)
    if not arguments and model is PauseSignal:
        return model()
    try:
        if len(arguments) != 1:
            raise RejectedResponseError(f"got {len(arguments)} arguments")
        return model.model_validate(read_json(name, arguments[0]))
    except (ValidationError, RejectedResponseError, RecursionError) as error:
        where = "; ".join(places(error)) if isinstance(error, ValidationError) else str(error)
        raise _failure(f"`{name}` takes {_SHAPES[name]}: {where}", REFUSED) from None


def _failure(message: str, kind: str) -> ApplicationError:
    return ApplicationError(f"Thread {workflow.info().workflow_id!r}: {message}", type=kind, non_retryable=True)
