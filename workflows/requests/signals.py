"""What comes from outside as signal or update: decoded and checked for its shape, whatever it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import TypeAdapter, ValidationError
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from .. import limits
from ..messages import CANCEL_SIGNAL, RESPOND_SIGNAL, CancelSignal, RespondSignal

REJECTED = "AnswerRejected"
"""Type of the error a rejected update gives its sender."""
_respond = TypeAdapter(RespondSignal)
_respond_all = TypeAdapter(list[RespondSignal])
_cancel = TypeAdapter(CancelSignal)
_SHAPES = {
    RESPOND_SIGNAL: '{"request_id": ..., "response": ...} or a list of these',
    CANCEL_SIGNAL: '{"request_ids": [...]}',
}


class RejectedAnswerError(Exception):
    """An answer that cannot be used.

    Args:
        message: Why.
        errors: The places that are wrong, each with what is wrong there.
    """

    def __init__(self, message: str, errors: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.errors = list(errors)

    def to_failure(self) -> ApplicationError:
        """Return what the sender of an update is told; the places are its detail."""
        return ApplicationError(str(self), {"errors": self.errors or [str(self)]}, type=REJECTED, non_retryable=True)


def read(name: str, arguments: Sequence[RawValue]) -> list[RespondSignal]:
    """Decode and check what came under `name`; see `parse`."""
    return parse(name, [_json(name, argument) for argument in arguments])


def parse(name: str, arguments: Sequence[Any]) -> list[RespondSignal]:
    """Check `respond`, with one answer or a list that is delivered together, or `cancel_requests`.

    Raises:
        RejectedAnswerError: With the place of the mistake, never with the value.
    """
    if name not in _SHAPES:
        raise RejectedAnswerError(
            f"There is no signal or update {name[:100]!r}; answers come as `{RESPOND_SIGNAL}`, cancellations as "
            f"`{CANCEL_SIGNAL}`."
        )
    if len(arguments) != 1:
        raise RejectedAnswerError(f"`{name}` takes one argument, got {len(arguments)}.")
    try:
        batch = _canceled(arguments[0]) if name == CANCEL_SIGNAL else _answered(arguments[0])
    except ValidationError as error:
        where = [f"{_place(item['loc'])}: {item['msg']}" for item in error.errors()[:3]]
        raise RejectedAnswerError(f"`{name}` takes {_SHAPES[name]}: {'; '.join(where)}", where) from error
    except RecursionError as error:
        raise RejectedAnswerError(f"`{name}` takes {_SHAPES[name]}: it is nested too deeply.") from error
    if not 1 <= len(batch) <= limits.MAX_BATCH:
        raise RejectedAnswerError(f"`{name}` takes 1 to {limits.MAX_BATCH} requests at once, got {len(batch)}.")
    return batch


def _answered(argument: Any) -> list[RespondSignal]:
    if isinstance(argument, list):
        batch = _respond_all.validate_python(argument)
    else:
        batch = [_respond.validate_python(argument)]
    for answer in batch:
        answer.cancel = answer.checked = False
        answer.received_at = None
    return batch


def _canceled(argument: Any) -> list[RespondSignal]:
    signal = _cancel.validate_python(argument)
    batch = [
        RespondSignal(request_id=request_id, responder=signal.responder, call_id=signal.call_id, cancel=True)
        for request_id in dict.fromkeys(signal.request_ids)
    ]
    if batch:
        batch[0].streaming = False if signal.call_id is not None else None
        batch[0].function_invocation_kwargs = signal.function_invocation_kwargs
        batch[0].client_kwargs = signal.client_kwargs
    return batch


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or "argument"


def _json(name: str, argument: RawValue) -> Any:
    try:
        return workflow.payload_converter().from_payload(argument.payload)
    except (ValueError, RuntimeError, KeyError, NotImplementedError, RecursionError) as error:
        raise RejectedAnswerError(f"`{name[:100]}` carries no JSON: {type(error).__name__}") from error
