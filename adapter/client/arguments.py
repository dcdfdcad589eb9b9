"""What a caller of the facade gives, as it travels: JSON beside the names of its types."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from agent_framework import WorkflowInvocationKwargs, WorkflowMessage
from pydantic import ValidationError

from ...workflows.messages import CancelSignal, RespondSignal, Value
from ..checkpoints.handle import Response
from ..encoding.sending import encoded, encoded_mapping
from ..errors import PayloadError
from ..framework.catalog import TypeCatalog
from ..framework.internals import matches
from ..framework.values import to_json_value, wire_type
from .input_size import check_answers


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
            raise ValueError(f"Two responses for request {response.request_id!r}; a request takes only one.")
        by_id[response.request_id] = response.data
    return None, by_id


def unwrap_message(message: Any, input_types: tuple[Any, ...]) -> Any:
    """Return the element of a one-element list, if the start executor takes the element and not the list."""
    if not isinstance(message, list) or len(message) != 1 or any(matches(message, kind) for kind in input_types):
        return message
    return message[0] if any(matches(message[0], kind) for kind in input_types) else message


def encode_message(message: Any, catalog: TypeCatalog | None) -> Value:
    """Return a message as it travels.

    Args:
        message: The message. One in the framework's own wrapper goes without it: executors are given what is in it.
        catalog: The types of the workflow; None for a caller without its definition.

    Raises:
        PayloadError: When it cannot travel, or would not arrive as it is.
    """
    if isinstance(message, WorkflowMessage):
        if message.type.value != "standard":
            raise PayloadError(
                "A `WorkflowMessage` that holds a response cannot be sent as a message. Pass it as `responses=`."
            )
        message = message.data
    return encoded(message, "The message", None if catalog is None else catalog.input_types, catalog)


def given_kwargs(name: str, kwargs: Any) -> Any:
    """Return `function_invocation_kwargs` or `client_kwargs` as they were given.

    Raises:
        PayloadError: When they are no arguments by name, or a value in them has no JSON form: a live object cannot
            travel to a worker.
    """
    if kwargs is None:
        return None
    if not isinstance(kwargs, WorkflowInvocationKwargs | Mapping):
        raise PayloadError(f"`{name}` must be a mapping or WorkflowInvocationKwargs, got {type(kwargs).__name__!r}.")
    to_json_value(_fields(kwargs), f"`{name}`")
    return kwargs


def encode_kwargs(name: str, kwargs: Any, catalog: TypeCatalog | None) -> Value | None:
    """Return `function_invocation_kwargs` or `client_kwargs` as they travel.

    Raises:
        PayloadError: When a value in them would not arrive as it is.
    """
    if kwargs is None:
        return None
    key = wire_type(kwargs) if isinstance(kwargs, WorkflowInvocationKwargs) else None
    return encoded_mapping(_fields(kwargs), f"`{name}`", key, catalog)


def _fields(kwargs: Any) -> dict[str, Any]:
    if isinstance(kwargs, WorkflowInvocationKwargs):
        return {"global_kwargs": dict(kwargs.global_kwargs), "executor_kwargs": dict(kwargs.executor_kwargs)}
    return dict(kwargs)


def encode_responses(
    responses: Mapping[str, Any],
    *,
    call_id: str,
    streaming: bool,
    own_storage: bool = False,
    function_invocation_kwargs: Value | None,
    client_kwargs: Value | None,
    expected: Mapping[str, Any],
    catalog: TypeCatalog | None,
) -> list[RespondSignal]:
    """Return responses as the signal carries them; what is common to the batch goes with its first.

    Args:
        responses: By request id.
        call_id: Names the call.
        streaming: Whether agents emit updates.
        own_storage: Whether the caller has given a storage.
        function_invocation_kwargs: As they travel.
        client_kwargs: As they travel.
        expected: Response types of the requests that are known here, by request id.
        catalog: The types of the workflow; None for a caller without its definition.

    Raises:
        ValueError: When there are none, or a request id is not valid.
        PayloadError: When a response cannot travel or would not arrive as it is, or they are too large together.
    """
    batch: list[RespondSignal] = []
    for request_id, response in responses.items():
        declared = (expected[request_id],) if request_id in expected else None
        value = encoded(response, f"The response to request {request_id!r}", declared, catalog)
        try:
            answer = RespondSignal(
                request_id=request_id, response=value.value, type=value.type, typed=value.typed, call_id=call_id
            )
        except ValidationError as error:
            raise ValueError(f"Request id {request_id!r}: {error.errors()[0]['msg']}") from error
        batch.append(answer)
    if batch:
        batch[0].streaming = streaming
        batch[0].own_storage = own_storage
        batch[0].function_invocation_kwargs = function_invocation_kwargs
        batch[0].client_kwargs = client_kwargs
    check_answers(batch)
    return batch


def encode_cancellation(
    request_ids: list[str],
    call_id: str,
    own_storage: bool,
    function_invocation_kwargs: Value | None,
    client_kwargs: Value | None,
) -> list[RespondSignal]:
    """Return requests to cancel as a run begins with them."""
    return [
        RespondSignal(
            request_id=request_id,
            call_id=call_id,
            cancel=True,
            streaming=False,
            own_storage=own_storage,
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
        own_storage=batch[0].own_storage,
        trace=batch[0].trace,
        function_invocation_kwargs=batch[0].function_invocation_kwargs,
        client_kwargs=batch[0].client_kwargs,
    )


def refuse_tools() -> NoReturn:
    """Refuse runtime tools.

    Raises:
        PayloadError: Always.
    """
    raise PayloadError(
        "`tools` are live objects and cannot be sent to the worker that runs the workflow. Pass them to the agents "
        "in the workflow's factory, `Agent(..., tools=[...])`, and pass whatever differs between runs as "
        "`function_invocation_kwargs`, which tools read from their context."
    )
