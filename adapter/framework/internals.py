"""The only place that touches private names of agent-framework; `tests/unit/test_framework_contract.py` pins each one.

Everything else in this package uses the framework's public API.
"""

from __future__ import annotations

import dataclasses
import enum
import logging
import types
import typing
from collections.abc import AsyncIterator, Collection, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from contextvars import ContextVar
from typing import Any, cast

from agent_framework import (
    AgentResponse,
    AgentResponseUpdate,
    AgentSession,
    ChatResponse,
    ChatResponseUpdate,
    CheckpointStorage,
    Content,
    Executor,
    Message,
    ResponseStream,
    Workflow,
    WorkflowContext,
    WorkflowEvent,
    WorkflowExecutor,
    WorkflowRunResult,
)
from agent_framework._workflows import _checkpoint_encoding as _encoding
from agent_framework._workflows._typing_utils import is_instance_of, try_coerce_to_type
from agent_framework._workflows._workflow import _coerce_request_info_response
from pydantic import BaseModel

_FRAMEWORK_PREFIXES = (*_encoding._FRAMEWORK_MODULE_PREFIXES, _encoding._OPENAI_MODULE_PREFIX)
_DATA_CLASSES = (
    AgentResponse,
    AgentResponseUpdate,
    AgentSession,
    ChatResponse,
    ChatResponseUpdate,
    Content,
    Message,
    WorkflowEvent,
    WorkflowRunResult,
)
"""The framework's data that is neither a dataclass nor an enum nor a pydantic model."""

_WORKFLOW_LOGGER = logging.getLogger("agent_framework._workflows._workflow")


def registered_type_keys() -> frozenset[str]:
    """Return the `module:qualname` keys given to the framework's `register_checkpoint_type`."""
    return frozenset(_encoding._REGISTERED_CHECKPOINT_TYPE_KEYS)


def is_framework_module(module: str) -> bool:
    """Tell whether `module` belongs to the framework, its orchestrations or the OpenAI types it hands out."""
    return module.startswith(_FRAMEWORK_PREFIXES)


def is_framework_data(cls: type[Any]) -> bool:
    """Tell whether `cls` is data of the framework, which may always be part of a checkpoint.

    Narrower than the framework's own rule, which allows every class that can be reached through one of its modules,
    agents, tools and storages among them, whose constructors create folders or connect.
    """
    if not is_framework_module(cls.__module__):
        return False
    return dataclasses.is_dataclass(cls) or issubclass(cls, (enum.Enum, BaseModel, *_DATA_CLASSES))


def coerce_value(value: Any, target: Any) -> Any:
    """Build `target` from JSON data the framework's way; return `value` unchanged where that is not possible."""
    return try_coerce_to_type(value, target)


def matches(value: Any, target: Any) -> bool:
    """Tell whether `value` is an instance of the annotation `target`, as the framework's routing decides it."""
    try:
        return bool(is_instance_of(value, target))
    except TypeError:
        return False


def coerce_response(value: Any, response_type: Any, request_id: str) -> Any:
    """Validate a response as `Workflow.run` does.

    Raises:
        ValueError: The framework's "Response type mismatch".
    """
    return _coerce_request_info_response(value, response_type, request_id)


def validate_run_params(message: Any, responses: Mapping[str, Any] | None, checkpoint_id: str | None) -> None:
    """Check the combination of arguments as `Workflow.run` does.

    Raises:
        ValueError: With the framework's text.
    """
    Workflow._validate_run_params(message, responses, checkpoint_id)


def finalize_events(events: Sequence[WorkflowEvent[Any]], *, include_status_events: bool) -> WorkflowRunResult:
    """Collect events as `Workflow.run` does."""
    return Workflow._finalize_events(events, include_status_events=include_status_events)


def request_types(executor: Any) -> list[tuple[Any, Any]]:
    """Return the (request, response) types an executor's response handlers declare."""
    return list(getattr(executor, "_response_handlers", {}))


EXECUTOR_STATE = "_executor_state"
"""Key of a checkpoint's state under which the framework keeps the executors' own, by executor id."""

EXECUTOR_ATTRIBUTES = frozenset(vars(Executor(id="probe", defer_discovery=True))) | {
    "_response_handlers",
    "_response_handler_specs",
    "is_request_response_capable",
}
"""What every executor has; anything else on one is the user's."""

_EDGE_KINDS = {
    "FanInEdgeGroup": "fan-in",
    "FanOutEdgeGroup": "fan-out",
    "SwitchCaseEdgeGroup": "switch",
    "InternalEdgeGroup": "internal",
}


def edge_kind(group: Any) -> str:
    """Return what joins an edge group's executors: fan-in, fan-out, switch, internal; empty for a single edge."""
    return _EDGE_KINDS.get(type(group).__name__, "")


def give_pending_requests(stand_in: Any, source: Any) -> None:
    """Let a stand-in for a workflow tell the framework's `WorkflowAgent` what is pending (core 1.23, `_agent.py`).

    Args:
        stand_in: What the agent takes for its workflow.
        source: Has `get_pending_request_info_events`.
    """
    stand_in._runner_context = source


def built_storage(workflow: Workflow) -> CheckpointStorage | None:
    """Return the checkpoint storage a workflow was built with."""
    storage: CheckpointStorage | None = getattr(workflow._runner_context, "_checkpoint_storage", None)
    return storage


def forget_updates(stream: ResponseStream[Any, Any]) -> None:
    """Drop the events that a stream keeps for its final response.

    Nobody asks for that of a worker's, and each event holds a copy of its message: a run of many supersteps would keep
    all that was ever said.
    """
    stream._updates.clear()


def set_streaming(workflow: Workflow, streaming: bool) -> None:
    """Set what agents emit. The run must be a stream to be stopped after a superstep, whatever the caller asked for."""
    workflow._runner_context.set_streaming(streaming)


async def pending_events(workflow: Workflow) -> dict[str, WorkflowEvent[Any]]:
    """Return the pending request_info events of a restored workflow."""
    return dict(await workflow._runner_context.get_pending_request_info_events())


async def cancellation(
    workflow: Workflow, request_ids: Collection[str], storage: CheckpointStorage, **kwargs: Any
) -> ResponseStream[WorkflowEvent[Any], WorkflowRunResult]:
    """Return the events of the framework's `cancel_pending_requests` as a stream, which can be left after a superstep.

    The method itself runs to the end. It is made to hand out what it is about to run: its cancelling, as the beginning
    of a run like any other.

    Args:
        workflow: The restored workflow.
        request_ids: What to cancel.
        storage: Takes the checkpoints.
        **kwargs: Invocation kwargs of the run.
    """
    run = workflow._run_workflow_with_tracing
    begun: dict[str, Any] = {}
    nothing: list[WorkflowEvent[Any]] = []

    async def hand_out(**arguments: Any) -> AsyncIterator[WorkflowEvent[Any]]:
        begun.update(arguments)
        for event in nothing:
            yield event

    workflow._run_workflow_with_tracing = hand_out  # type: ignore[method-assign, assignment]
    try:
        await workflow.cancel_pending_requests(request_ids, **kwargs)
    finally:
        del workflow._run_workflow_with_tracing

    async def events() -> AsyncIterator[WorkflowEvent[Any]]:
        context = workflow._runner_context
        context.set_runtime_checkpoint_storage(storage)
        try:
            async with aclosing(run(**begun)) as stream:
                async for event in stream:
                    yield event
        finally:
            context.clear_runtime_checkpoint_storage()

    return ResponseStream(events(), finalizer=lambda found: finalize_events(found, include_status_events=True))


async def has_messages(workflow: Workflow) -> bool:
    """Tell whether messages wait for a next superstep, so that the framework would refuse a new message."""
    return bool(await workflow._runner_context.has_messages())


def set_previous_checkpoint_id(workflow: Workflow, checkpoint_id: str | None) -> None:
    """Set the parent of the next checkpoint."""
    workflow._runner._previous_checkpoint_id = checkpoint_id


async def drop_restored_events(workflow: Workflow) -> None:
    """Clear the event queues of sub-workflows that a restore has filled with their pending requests.

    `WorkflowExecutor.process_workflow` does not filter them, so that a child that is given new input would ask again
    (core 1.23, `_workflow_executor.py`: the filter of `_handle_response` is missing there).
    """
    for executor in workflow.executors.values():
        if isinstance(executor, WorkflowExecutor):
            await executor.workflow._runner_context.drain_events()
            await drop_restored_events(executor.workflow)


def invocation_path(workflow: Workflow, ctx: WorkflowContext[Any, Any]) -> tuple[str | int, ...]:
    """Return where in a workflow an executor was invoked.

    Returns:
        Its id; in a sub-workflow after the id of the executor around it and the superstep there, as several run within
        one of the parent. Empty where it is in neither.
    """
    if ctx._runner_context is workflow._runner_context:
        return (ctx._executor_id,)
    for executor in workflow.executors.values():
        if isinstance(executor, WorkflowExecutor):
            path = invocation_path(executor.workflow, ctx)
            if path:
                return (executor.id, executor.workflow._runner._iteration, *path)
    return ()


def is_generic_annotation(value: Any) -> bool:
    """Tell whether `value` is a parametrized or special type such as `list[str]` or `str | None`."""
    if value is typing.Any:
        return True
    # A class may have a metaclass of typing (protocols, typed dictionaries) and is a class all the same.
    special = type(value).__module__ == "typing" and not isinstance(value, type)
    return special or isinstance(value, types.GenericAlias | types.UnionType)


def event_types(event: WorkflowEvent[Any]) -> tuple[Any, Any]:
    """Return request and response type of a request_info event; (None, None) for others."""
    return event._request_type, event._response_type


def new_event(kind: str, **fields: Any) -> WorkflowEvent[Any]:
    """Build an event of any type; `WorkflowEventType` is a closed literal that mypy cannot narrow from data."""
    return WorkflowEvent(cast(Any, kind), **fields)


_quiet: ContextVar[bool] = ContextVar("agent_framework_temporal_quiet", default=False)


class _PendingWarning(logging.Filter):
    """Drops the warning that a run meets pending requests where an inner run, not a caller, caused it."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (_quiet.get() and "request_info event(s) are still pending" in str(record.msg))


_WORKFLOW_LOGGER.addFilter(_PendingWarning())


@contextmanager
def without_pending_warning() -> Iterator[None]:
    """Silence the framework's warning about pending requests in this context."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)
