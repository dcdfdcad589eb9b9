"""What comes from outside as signal or update: decoded and checked for its shape, whatever it is."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeAlias

from pydantic import Field, TypeAdapter, ValidationError
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from .. import limits
from ..flaws import answer_flaw
from ..messages import CANCEL_SIGNAL, RESPOND_SIGNAL, CancelSignal, RespondSignal
from ..unreadable import why_unreadable
from ..value_limits import MAX_DEPTH, MAX_DIGITS

MAX_COUNTED = 2_000
MAX_PLACES = 3
MAX_PLACE_TEXT = 300
_JSON = b"json/plain"
WHOLE = "argument"
"""Place of what is wrong with an argument as a whole."""
REJECTED = "AnswerRejected"
"""Type of the error a rejected update gives its sender."""
_respond = TypeAdapter(RespondSignal)
_respond_all = TypeAdapter(Annotated[list[RespondSignal], Field(fail_fast=True)])
_cancel = TypeAdapter(CancelSignal)
_SHAPES = {
    RESPOND_SIGNAL: '{"request_id": ..., "response": ...} or a list of these',
    CANCEL_SIGNAL: '{"request_ids": [...]}',
}


SIGNALS = frozenset(_SHAPES)
"""Names of what carries answers and cancellations."""


class RejectedResponseError(Exception):
    """An answer that cannot be used.

    Args:
        message: Why.
        errors: The places that are wrong, each with what is wrong there.
    """

    def __init__(self, message: str, errors: Sequence[str] = ()) -> None:
        super().__init__(message)
        self.errors: list[str] = list(errors)

    def to_failure(self) -> ApplicationError:
        """Return what the sender of an update is told; the places are its detail."""
        return ApplicationError(str(self), {"errors": self.errors or [str(self)]}, type=REJECTED, non_retryable=True)


Wanted: TypeAlias = Callable[[Sequence[str]], Sequence[str]]
"""Given request ids to cancel: those that there is something to cancel of."""


def read(name: str, arguments: Sequence[RawValue], wanted: Wanted | None = None) -> list[RespondSignal]:
    """Decode and check what came under `name`; see `parse`."""
    reason = why_unreadable(arguments)
    if reason is not None or name not in SIGNALS:
        raise refusal(name, reason)
    size = sum(argument.payload.ByteSize() for argument in arguments)
    if size > limits.MAX_SIGNAL_BYTES:
        raise refusal(name, f"it takes {size:,} bytes, over {limits.MAX_SIGNAL_BYTES:,}")
    return parse(name, [read_json(name, argument) for argument in arguments], wanted)


def refusal(name: str, reason: str | None) -> RejectedResponseError:
    """Return why a signal or update is refused whose name is unknown, or that could not be read for a reason."""
    if reason is None or name not in SIGNALS:
        return RejectedResponseError(
            f"There is no signal or update {name[:100]!r}; answers come as `{RESPOND_SIGNAL}`, cancellations as "
            f"`{CANCEL_SIGNAL}`."
        )
    return RejectedResponseError(
        f"`{name}` cannot be read: {reason}. Send it as plain JSON, and a reference instead of what is large."
    )


def parse(name: str, arguments: Sequence[Any], wanted: Wanted | None = None) -> list[RespondSignal]:
    """Check `respond`, with one answer or a list that is delivered together, or `cancel_requests`.

    Args:
        name: Of the signal or update.
        arguments: As they were decoded.
        wanted: Which cancellations to keep, of those that no call of a facade waits for; all where that is left out.

    Raises:
        RejectedResponseError: With the place of the mistake, never with the value.
    """
    if name not in SIGNALS:
        raise refusal(name, None)
    if len(arguments) != 1:
        raise RejectedResponseError(f"`{name}` takes one argument, got {len(arguments)}.")
    try:
        batch = _canceled(arguments[0], wanted) if name == CANCEL_SIGNAL else _answered(arguments[0])
    except ValidationError as error:
        where = places(error)
        raise RejectedResponseError(f"`{name}` takes {_SHAPES[name]}: {'; '.join(where)}", where) from error
    except RecursionError as error:
        raise RejectedResponseError(f"`{name}` takes {_SHAPES[name]}: it is nested too deeply.") from error
    _check_count(name, len(batch))
    for answer in batch:
        problem = answer_flaw(answer)
        if problem is not None:
            raise RejectedResponseError(problem)
    return batch


def _check_count(name: str, count: int) -> None:
    if not 1 <= count <= limits.MAX_BATCH:
        raise RejectedResponseError(f"`{name}` takes 1 to {limits.MAX_BATCH} requests at once, got {count}.")


def _answered(argument: Any) -> list[RespondSignal]:
    if isinstance(argument, list):
        _check_count(RESPOND_SIGNAL, len(argument))
        batch = _respond_all.validate_python(argument)
    else:
        batch = [_respond.validate_python(argument)]
    for answer in batch:
        if answer.cancel or answer.checked or answer.received_at is not None:
            answer.cancel = answer.checked = False
            answer.received_at = None
    return batch


def _canceled(argument: Any, wanted: Wanted | None) -> list[RespondSignal]:
    signal = _cancel.validate_python(argument)
    request_ids: Sequence[str] = list(dict.fromkeys(signal.request_ids))
    if wanted is not None and signal.call_id is None and request_ids:
        request_ids = wanted(request_ids)
    batch = [
        RespondSignal(request_id=request_id, responder=signal.responder, call_id=signal.call_id, cancel=True)
        for request_id in request_ids
    ]
    if batch:
        batch[0].streaming = False if signal.call_id is not None else None
        batch[0].own_storage = signal.own_storage
        batch[0].trace = signal.trace
        batch[0].function_invocation_kwargs = signal.function_invocation_kwargs
        batch[0].client_kwargs = signal.client_kwargs
    return batch


def places(error: ValidationError) -> list[str]:
    """Return the first places that are wrong, each with what is wrong there, never with the value."""
    if error.error_count() > MAX_COUNTED:  # To list a million takes seconds.
        return [f"{error.error_count():,} places are wrong"]
    found = error.errors(include_url=False, include_input=False, include_context=False)[:MAX_PLACES]
    return [f"{_place(item['loc'])}: {item['msg']}"[:MAX_PLACE_TEXT] for item in found]


def _place(location: tuple[int | str, ...]) -> str:
    return ".".join(map(str, location)) or WHOLE


def read_json(name: str, argument: RawValue) -> Any:
    """Decode one argument.

    Raises:
        RejectedResponseError: When it is no JSON.
    """
    encoding = argument.payload.metadata.get("encoding", b"")
    if encoding != _JSON:
        raise RejectedResponseError(f"`{name}` carries no JSON, but {encoding.decode(errors='replace')[:100]!r}.")
    try:
        return workflow.payload_converter().from_payload(argument.payload)
    except (ValueError, RuntimeError, RecursionError) as error:
        raise RejectedResponseError(
            f"`{name}` carries no JSON that can be read ({type(error).__name__}). It may be nested {MAX_DEPTH} "
            f"levels deep, its integers may have {MAX_DIGITS:,} digits, and its text must be Unicode."
        ) from error
