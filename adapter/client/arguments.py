"""What a caller of the facade gives, as it travels: JSON beside the names of its types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

from agent_framework import WorkflowInvocationKwargs
from pydantic import ValidationError

from ...workflows.messages import CancelSignal, RespondSignal, Value
from ..errors import PayloadError
from ..framework.internals import matches
from ..framework.values import to_json_value, wire_type
from .handle import Response
from .input_size import check_answers

_T = TypeVar("_T")


def split_message(message: Any, responses: Mapping[str, Any] | None) -> tuple[Any, Mapping[str, Any] | None]:
    """Take responses out of the message: a `Response`, or a list made only of them.

    Raises:
        ValueError: When both forms of responses are given, or two for one request.
    """
    given = [message] if isinstance(message, Response) else message
    if not isinstance(given, list) or not given or not all(isinstance(item, Response) for item in given):
        return message, responses
    if responses is not None:
        raise ValueError("Cannot provide `Response` objects together with 'responses'. Use one or the other.")
    by_id: dict[str, Any] = {}
    for response in given:
        if response.request_id in by_id:
            raise ValueError(f"Two responses for request {response.request_id!r}; a request takes one.")
        by_id[response.request_id] = response.data
    return None, by_id


def unwrap_message(message: Any, input_types: tuple[Any, ...]) -> Any:
    """Return the element of a one-element list, if the start executor takes the element and not the list."""
    if not isinstance(message, list) or len(message) != 1 or any(matches(message, kind) for kind in input_types):
        return message
    return message[0] if any(matches(message[0], kind) for kind in input_types) else message


def encode_message(message: Any) -> Value:
    """Return a message as it travels.

    Raises:
        PayloadError: When it has no JSON form.
    """
    return Value(value=to_json_value(message, "The message"), type=wire_type(message))


def encode_kwargs(name: str, kwargs: Any) -> Value | None:
    """Return `function_invocation_kwargs` or `client_kwargs` as they travel.

    Raises:
        PayloadError: When a value in them has no JSON form: a live object cannot travel to a worker.
    """
    if kwargs is None:
        return None
    if isinstance(kwargs, WorkflowInvocationKwargs):
        fields = {"global_kwargs": dict(kwargs.global_kwargs), "executor_kwargs": dict(kwargs.executor_kwargs)}
        return Value(value=to_json_value(fields, f"`{name}`"), type=wire_type(kwargs))
    if not isinstance(kwargs, Mapping):
        raise PayloadError(f"`{name}` must be a mapping or WorkflowInvocationKwargs, got {type(kwargs).__name__!r}.")
    return Value(value=to_json_value(dict(kwargs), f"`{name}`"))


def encode_responses(
    responses: Mapping[str, Any],
    *,
    call_id: str,
    streaming: bool,
    function_invocation_kwargs: Value | None,
    client_kwargs: Value | None,
) -> list[RespondSignal]:
    """Return responses as the signal carries them; what is common to the batch goes with its first.

    Raises:
        ValueError: When there are none, or a request id is no id.
        PayloadError: When a response has no JSON form, or they are too large together.
    """
    batch: list[RespondSignal] = []
    for request_id, response in responses.items():
        try:
            answer = RespondSignal(
                request_id=request_id,
                response=to_json_value(response, f"The response to request {request_id!r}"),
                type=wire_type(response),
                call_id=call_id,
            )
        except ValidationError as error:
            raise ValueError(f"Request id {request_id!r}: {error.errors()[0]['msg']}") from error
        batch.append(answer)
    if batch:
        batch[0].streaming = streaming
        batch[0].function_invocation_kwargs = function_invocation_kwargs
        batch[0].client_kwargs = client_kwargs
    check_answers(batch)
    return batch


def encode_cancellation(
    request_ids: list[str], call_id: str, function_invocation_kwargs: Value | None, client_kwargs: Value | None
) -> list[RespondSignal]:
    """Return requests to cancel as a run begins with them."""
    return [
        RespondSignal(
            request_id=request_id,
            call_id=call_id,
            cancel=True,
            streaming=False,
            function_invocation_kwargs=function_invocation_kwargs,
            client_kwargs=client_kwargs,
        )
        for request_id in request_ids
    ]


def cancel_signal(batch: list[RespondSignal]) -> CancelSignal:
    """Return requests to cancel as the signal to an open run carries them."""
    return CancelSignal(
        request_ids=[entry.request_id for entry in batch],
        call_id=batch[0].call_id,
        function_invocation_kwargs=batch[0].function_invocation_kwargs,
        client_kwargs=batch[0].client_kwargs,
    )


def refuse_tools() -> NoReturn:
    """Refuse runtime tools.

    Raises:
        PayloadError: Always.
    """
    raise PayloadError(
        "`tools` are live objects and cannot travel to the worker that runs the workflow. Give them to the agents in "
        "the workflow's factory, `Agent(..., tools=[...])`, and pass what varies by run as "
        "`function_invocation_kwargs`, which tools read from their context."
    )
