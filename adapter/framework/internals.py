"""The only place that touches private names of agent-framework; `tests/unit/test_framework_contract.py` pins each one.

Everything else in this package uses the framework's public API.
"""

from __future__ import annotations

import asyncio
import copy
import enum
import functools
import json
import logging
import types
import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, aclosing, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, cast

from agent_framework import (
    AgentExecutor,
    AgentResponse,
    AgentResponseUpdate,
    AgentSession,
    BaseChatClient,
    ChatContext,
    ChatMiddleware,
    ChatMiddlewareLayer,
    ChatResponse,
    ChatResponseUpdate,
    CheckpointStorage,
    Content,
    Executor,
    FunctionalWorkflow,
    FunctionExecutor,
    FunctionInvocationContext,
    FunctionInvocationLayer,
    FunctionMiddleware,
    Message,
    RawAgent,
    ResponseStream,
    RunContext,
    RunnerContext,
    StepWrapper,
    Workflow,
    WorkflowCheckpoint,
    WorkflowContext,
    WorkflowErrorDetails,
    WorkflowEvent,
    WorkflowEventSource,
    WorkflowExecutor,
    WorkflowMessage,
    WorkflowRunResult,
    _tools,
)
from agent_framework import observability as _observability
from agent_framework._middleware import ChatMiddlewarePipeline, FunctionMiddlewarePipeline
from agent_framework._serialization import SerializationMixin
from agent_framework._workflows import _checkpoint_encoding as _encoding
from agent_framework._workflows import _const, _functional, _workflow
from agent_framework._workflows._edge_runner import FanInEdgeRunner
from agent_framework._workflows._runner_context import MessageType
from agent_framework._workflows._state import State
from agent_framework._workflows._typing_utils import is_instance_of, try_coerce_to_type
from agent_framework._workflows._workflow import _coerce_request_info_response
from agent_framework.observability import OtelAttr, start_workflow_span
from opentelemetry import trace
from pydantic import BaseModel

from .static import ABSENT, MAIN, class_attribute, has_base, main_module

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
RENAMED: dict[str, str] = {}
"""Key of a class in stored data, written before the framework moved it -> its key today.

Checkpoints, events and failures name private modules of the framework, which may move with each of its releases: so
entries are only ever added. `tests/unit/framework_classes.txt` has every key that stored data may hold, and the test
beside it says which entry is lacking.
"""

RANDOM_ID_PREFIXES = {"WorkflowAgent_": 8, "var_": 16}
"""What stands before an id that is cut from a random UUID -> how many hexadecimal digits it keeps."""
MCP_BINDING_KEY = "_declarative_mcp_header_binding_key"
"""Key in a declarative workflow's state of a random secret."""
MCP_BINDING = "header_binding"
"""Field of its approval requests, computed with that secret."""
PAUSED_BUDGET = frozenset({"elapsed_seconds", "paused_at"})
"""Keys of the times in a session's state while an agent waits for approvals."""

Handler: TypeAlias = Callable[[Any, WorkflowContext[Any, Any]], Awaitable[None]]

_WORKFLOW_LOGGER = logging.getLogger("agent_framework._workflows._workflow")


def registered_type_keys() -> frozenset[str]:
    """Return the `module:qualname` keys given to the framework's `register_checkpoint_type`."""
    keys = _encoding._REGISTERED_CHECKPOINT_TYPE_KEYS
    return frozenset(key.replace(f"{MAIN}:", f"{main_module()}:") if key.startswith(MAIN) else key for key in keys)


def current_key(key: str) -> str:
    """Return the key that a class has today by the key that stored data has of it."""
    return RENAMED.get(key, key)


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
    declared = class_attribute(cls, "__dataclass_fields__") is not ABSENT
    return declared or has_base(cls, enum.Enum, BaseModel, *_DATA_CLASSES)


def drops_raw_only(getstate: Any, attributes: Mapping[str, Any]) -> bool:
    """Tell whether a `__getstate__` of the framework's leaves out `raw_representation` and nothing else.

    Args:
        getstate: The function.
        attributes: Those of the instance it would be called with.
    """
    return getstate is SerializationMixin.__getstate__ or (
        getstate is Content.__getstate__ and attributes.get("annotations") is None
    )


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

FRAMEWORK_STATE = frozenset(
    {
        EXECUTOR_STATE,
        _const.EDGE_STATE_KEY,
        _const.WORKFLOW_RUN_KWARGS_KEY,
        _const.RESOLVED_WORKFLOW_RUN_KWARGS_KEY,
        _const.ROUTED_WORKFLOW_RUN_KWARGS_KEY,
        _const.RAW_FUNCTION_INVOCATION_KWARGS_KEY,
        _const.RAW_CLIENT_KWARGS_KEY,
    }
)
"""Keys of a checkpoint's state that the framework keeps for itself; all others are the executors'."""
SUB_WORKFLOW = "sub_workflow_checkpoint"
"""Key of a sub-workflow's executor state that holds the sub-workflow's own checkpoint."""
AGENT_REQUESTS, AGENT_REQUEST_ORDER = "pending_agent_requests", "pending_request_order"
"""Keys of an agent executor's state: which of the agent's requests wait, and the order in which they were asked."""


REQUEST_FIELDS = {
    "request_id": "_request_id",
    "executor_id": "_source_executor_id",
    "request": "data",
    "response_type": "_response_type",
}
"""What is told of a request_info event, by the names of its attributes."""
BUFFERS = (_const.EDGE_STATE_KEY, FanInEdgeRunner._BUFFER_KEY)
"""Keys of a checkpoint's state, and of each edge group's in there, that lead to the messages in fan-ins."""


def internal_source(executor_id: str) -> str:
    """Return the source of what the framework itself sends to an executor: a run's message, a response."""
    return _const.INTERNAL_SOURCE_ID(executor_id)


def is_response(message: WorkflowMessage) -> bool:
    """Tell whether a message is a response to a request."""
    return message.type is MessageType.RESPONSE


def buffered_messages(state: Mapping[str, Any]) -> list[WorkflowMessage]:
    """Return the messages that wait in fan-ins for those of other sources, from the state of a checkpoint."""
    fan_ins = [found.get(FanInEdgeRunner._BUFFER_KEY, {}) for found in state.get(_const.EDGE_STATE_KEY, {}).values()]
    return [message for by_source in fan_ins for messages in by_source.values() for message in messages]


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


def give_threads(runner: Any, thread_of: Callable[[str, str | None], Any]) -> None:
    """Let AG-UI's `AgentFrameworkWorkflow` run what stands for a thread; its `workflow_factory` takes only workflows.

    Args:
        runner: It, without a workflow (agent-framework-ag-ui 1.7, `_workflow.py`).
        thread_of: Returns the stand-in of an AG-UI thread id, and of the scope it is in.
    """
    runner._resolve_workflow = thread_of


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


def count_anew(workflow: Workflow) -> None:
    """Have the framework count supersteps from zero again, as it does for a message; sub-workflows too."""
    workflow._runner.reset_iteration_count()
    for executor in workflow.executors.values():
        if isinstance(executor, WorkflowExecutor):
            count_anew(executor.workflow)


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
        await drop_restored_events_of(executor)


async def drop_restored_events_of(executor: Executor) -> None:
    """Do so for one executor, if it has a sub-workflow."""
    if isinstance(executor, WorkflowExecutor):
        await executor.workflow._runner_context.drain_events()
        await drop_restored_events(executor.workflow)


def invocation_path(workflow: Workflow, ctx: WorkflowContext[Any, Any]) -> tuple[str | int, ...]:
    """Return where in a workflow an executor was invoked.

    Returns:
        Its id; in a sub-workflow after the id of the executor around it and the superstep there, as several run within
        one of the parent. Empty where it is in neither.
    """
    if recorded_context(ctx._runner_context) is workflow._runner_context:
        return (ctx._executor_id,)
    for executor in workflow.executors.values():
        if isinstance(executor, WorkflowExecutor):
            path = invocation_path(executor.workflow, ctx)
            if path:
                return (executor.id, executor.workflow._runner._iteration, *path)
    return ()


def wrap_handlers(executor: Executor, wrap: Callable[[Executor, Handler], Handler]) -> None:
    """Let `wrap` replace each handler that an executor looks up for a message; done once for an executor.

    Unlike a wrapper of `execute` it is inside the events: the framework tells of what the wrapper raises.
    """
    if "_find_handler" in vars(executor):
        return
    find = executor._find_handler

    def find_wrapped(message: Any) -> Handler:
        return wrap(executor, find(message))

    executor._find_handler = find_wrapped  # type: ignore[method-assign]


def plain_handler(executor: Executor, message: Any) -> Handler:
    """Return the handler that an executor has for a message, as it was before `wrap_handlers`."""
    found: Handler = type(executor)._find_handler(executor, message)
    return found


Execute: TypeAlias = Callable[[Any, list[str], State, RunnerContext], Awaitable[None]]


def wrap_execute(executor: Executor, wrap: Callable[[Execute, Any, list[str], State, Any], Awaitable[None]]) -> None:
    """Let `wrap` run each invocation of an executor; done once for an executor.

    It is outside the events, and outside the lock that lets an executor have one invocation at a time.
    """
    if "execute" in vars(executor):
        return
    execute = executor.execute

    async def execute_wrapped(
        message: Any,
        source_executor_ids: list[str],
        state: State,
        runner_context: RunnerContext,
        trace_contexts: list[dict[str, str]] | None = None,
        source_span_ids: list[str] | None = None,
    ) -> None:
        async def run(message: Any, sources: list[str], state: State, context: RunnerContext) -> None:
            await execute(message, sources, state, context, trace_contexts, source_span_ids)

        await wrap(run, message, source_executor_ids, state, runner_context)

    executor.execute = execute_wrapped  # type: ignore[method-assign]


Record: TypeAlias = Callable[..., None]
"""Takes what an invocation does: a name and the arguments that repeat it."""


class RecordingContext:
    """A runner's context that notes what one invocation tells it.

    Args:
        recorded: The context.
        record: Takes the notes.
        invoked: Takes the framework's copy of the message, before the executor is given it.
    """

    def __init__(self, recorded: RunnerContext, record: Record, invoked: Callable[[Any], None]) -> None:
        self.recorded = recorded
        self.record = record
        self.invoked = invoked

    def __getattr__(self, name: str) -> Any:
        """Give what is not noted."""
        return getattr(self.recorded, name)

    async def send_message(self, message: WorkflowMessage) -> None:
        """Send a message."""
        self.record("message", message)
        await self.recorded.send_message(message)

    async def add_event(self, event: WorkflowEvent[Any]) -> None:
        """Add an event; one that repeats the message is noted without it."""
        if event.type == "executor_invoked" and event.origin is WorkflowEventSource.FRAMEWORK:
            self.record("invoked")
            self.invoked(event.data)
        else:
            self.record("event", event)
        await self.recorded.add_event(event)

    async def add_request_info_event(self, event: WorkflowEvent[Any]) -> None:
        """Add a request."""
        self.record("request", event)
        await self.recorded.add_request_info_event(event)


class RecordingState(State):
    """A workflow's state that notes what one invocation writes.

    It is the state: both hold the same values. What is noted is a copy, as what the state keeps is.

    Args:
        recorded: The state.
        record: Takes the notes.
    """

    def __init__(self, recorded: State, record: Record) -> None:
        vars(self).update(vars(recorded))
        self.record: Record = record
        if isinstance(recorded, RecordingState):
            outer = recorded.record

            def record_both(*noted: Any) -> None:
                record(*noted)
                outer(*noted)

            self.record = record_both

    def set(self, key: str, value: Any) -> None:
        """Set a value."""
        super().set(key, value)
        self.record("set", key, copy.deepcopy(value))

    def delete(self, key: str) -> None:
        """Delete a value."""
        super().delete(key)
        self.record("delete", key)

    def clear(self) -> None:
        """Delete all values."""
        super().clear()
        self.record("clear")


def recorded_context(context: Any) -> Any:
    """Return the context behind a `RecordingContext`, or several; any other as it is."""
    while isinstance(context, RecordingContext):
        context = context.recorded
    return context


def state_values(state: State) -> dict[str, Any]:
    """Return what an executor sees of a workflow's state now, without what the framework keeps there of others."""
    seen = State()
    vars(seen).update({name: dict(found) for name, found in vars(state).items() if isinstance(found, dict)})
    seen.commit()
    left_out = (EXECUTOR_STATE, _const.EDGE_STATE_KEY)
    return {key: value for key, value in seen.export_state().items() if key not in left_out}


def state_of(values: dict[str, Any]) -> State:
    """Return a state that holds values."""
    state = State()
    state.import_state(values)
    return state


async def invoke(
    workflow: Workflow, executor: Executor, message: Any, sources: list[str], state: State, record: Record
) -> None:
    """Run one invocation of an executor outside of a run of its workflow.

    Args:
        workflow: Whose runner context it is told.
        executor: Who runs.
        message: What it is given.
        sources: Who has sent that.
        state: The state that it reads and writes.
        record: Takes what it does.
    """
    traces, spans = (getattr(message, name, None) for name in ("trace_contexts", "source_span_ids"))
    context: Any = RecordingContext(workflow._runner_context, record, lambda _: None)
    await executor.execute(message, sources, RecordingState(state, record), context, traces, spans)


async def apply_recorded(
    executor: Executor, message: Any, state: State, context: RunnerContext, name: str, arguments: Sequence[Any]
) -> None:
    """Do what a recording context or state has noted.

    Args:
        executor: Whose invocation it was.
        message: What it was given.
        state: The state to write.
        context: The context to tell.
        name: What was noted.
        arguments: And with what.
    """
    if name == "invoked":
        data = copy.deepcopy(message.data if isinstance(message, WorkflowMessage) else message)
        origin = WorkflowEventSource.FRAMEWORK
        await context.add_event(new_event("executor_invoked", executor_id=executor.id, data=data, origin=origin))
    elif name == "message":
        await context.send_message(*arguments)
    elif name == "event":
        await context.add_event(*arguments)
    elif name == "request":
        await context.add_request_info_event(*arguments)
    elif name == "set":
        state.set(*arguments)
    elif name == "delete":
        if state.has(*arguments):  # A sibling's write, which it had seen, may be gone.
            state.delete(*arguments)
    elif name == "clear":
        state.clear()


def message_parts(message: Any) -> tuple[Any, str | None]:
    """Return what an executor is given, and the id of the request that it answers, if it does."""
    if not isinstance(message, WorkflowMessage):
        return message, None
    request = message.original_request_info_event
    return message.data, request.request_id if request is not None else None


def is_made_of_calls(executor: Executor) -> bool:
    """Tell whether an executor is the framework's: what it does lies in the calls and executors within."""
    if isinstance(executor, AgentExecutor | WorkflowExecutor):
        return True
    return is_framework_module(type(executor).__module__) and not isinstance(executor, FunctionExecutor)


def add_response_handler(executor: Executor, request: type[Any], response: type[Any], handle: Any) -> None:
    """Let an executor take answers to requests of a type, before any of its own handlers; done once."""
    handlers = vars(executor).get("_response_handlers", {})
    if (request, response) not in handlers:
        cast(Any, executor)._response_handlers = {(request, response): handle, **handlers}


def add_cancellation(executor: Executor, cancelled: Callable[[str, WorkflowContext[Any, Any]], None]) -> None:
    """Let a function hear of each request of an executor that is cancelled, after the executor has; done once."""
    if "_cancel_pending_request" in vars(executor):
        return
    cancel = executor._cancel_pending_request

    async def cancel_and_tell(request_id: str, context: WorkflowContext[Any, Any]) -> None:
        await cancel(request_id, context)
        cancelled(request_id, context)

    executor._cancel_pending_request = cancel_and_tell  # type: ignore[method-assign, assignment]


def stand_for(ctx: WorkflowContext[Any, Any], sources: list[str], request_id: str | None) -> None:
    """Let the context of an answer be the one of another invocation of its executor."""
    ctx._source_executor_ids = sources
    ctx._request_id = request_id


def sessions_of(executors: Iterable[Executor]) -> list[tuple[Any, AgentSession]]:
    """Return which executors have an agent session, each with it."""
    found = ((executor, getattr(executor, "_session", None)) for executor in executors)
    return [(executor, session) for executor, session in found if isinstance(session, AgentSession)]


def share_restored(before: list[tuple[Any, AgentSession]]) -> None:
    """Let executors that have restored their agent session go on with the one they had, as it is restored.

    Another executor that shares it may be running with it.

    Args:
        before: What `sessions_of` returned before.
    """
    for holder, session in before:
        restored = holder._session
        if restored is session or restored.session_id != session.session_id:
            continue
        holder._session = session
        vars(session).update({name: value for name, value in vars(restored).items() if name != "state"})
        for key, value in restored.state.items():
            known = session.state.get(key)
            if isinstance(known, dict) and isinstance(value, dict):
                known.clear()  # Whoever holds it goes on to do so.
                known.update(value)
            else:
                session.state[key] = value


def session_groups(executors: Iterable[Executor]) -> list[list[int]]:
    """Return which executors of a freshly built workflow share one agent session, by their positions."""
    holders: dict[int, list[int]] = {}
    for position, executor in enumerate(executors):
        session = getattr(executor, "_session", None)
        if isinstance(session, AgentSession):
            holders.setdefault(id(session), []).append(position)
    return [positions for positions in holders.values() if len(positions) > 1]


def share_sessions(executors: Iterable[Executor], groups: Iterable[Sequence[int]]) -> None:
    """Give restored executors one session again where they had one: each has restored a copy of its own.

    All copies of a checkpoint are of the same moment. One that another session has replaced since is left alone.
    """
    found: list[Any] = list(executors)
    for positions in groups:
        first, *others = (found[position] for position in positions)
        for other in others:
            if other._session.session_id == first._session.session_id:
                other._session = first._session


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

activate_span: Callable[[trace.Span], AbstractContextManager[None]] = _observability._activate_span
_spanned: ContextVar[tuple[str, str] | None] = ContextVar("agent_framework_temporal_spanned", default=None)
"""Id and name of the workflow whose run has its span at the caller."""


def _start_span(name: str, attributes: Any = None, *args: Any, **kwargs: Any) -> trace.Span:
    """Start a span of the framework's; of the run that has one at its caller, none: the current one stands for it."""
    spanned = _spanned.get()
    if spanned is not None and name == OtelAttr.WORKFLOW_RUN_SPAN and attributes and _names(attributes, *spanned):
        return trace.NonRecordingSpan(trace.get_current_span().get_span_context())
    return start_workflow_span(name, attributes, *args, **kwargs)


def _names(attributes: Mapping[str, Any], workflow_id: str, name: str) -> bool:
    """Tell whether a span is of a workflow; that of a functional one has no id."""
    found = attributes.get(OtelAttr.WORKFLOW_ID)
    return bool(found == workflow_id if found is not None else attributes.get(OtelAttr.WORKFLOW_NAME) == name)


cast(Any, _workflow).start_workflow_span = _start_span
cast(Any, _functional).start_workflow_span = _start_span


@contextmanager
def without_run_span(workflow: Workflow) -> Iterator[None]:
    """Have the framework write no span of a workflow's run in this context; those of sub-workflows it does."""
    token = _spanned.set((workflow.id, workflow.name))
    try:
        yield
    finally:
        _spanned.reset(token)


@contextmanager
def without_pending_warning() -> Iterator[None]:
    """Silence the framework's warning about pending requests in this context."""
    token = _quiet.set(True)
    try:
        yield
    finally:
        _quiet.reset(token)


STEP_CACHE = "_step_cache"
"""Key of a checkpoint's state under which the framework keeps what the steps of a functional workflow returned."""


def first_checkpoint(workflow: FunctionalWorkflow, message: Any) -> WorkflowCheckpoint:
    """Return what the framework would save of a functional workflow that has taken a message and finished no step."""
    return WorkflowCheckpoint(
        workflow_name=workflow.name,
        graph_signature_hash=workflow.graph_signature_hash,
        state={STEP_CACHE: {}, f"{STEP_CACHE}_auto_request_info_counts": {}, "_original_message": message},
    )


def step_name(key: str) -> str:
    """Return the name of the step of a key."""
    decoded = _functional._decode_versioned_step_cache_key(key)
    return decoded[1] if decoded is not None else key.rpartition("::")[0]


def functional_storage(workflow: FunctionalWorkflow) -> CheckpointStorage | None:
    """Return the checkpoint storage a functional workflow was built with."""
    return workflow._checkpoint_storage


def functional_steps(workflow: FunctionalWorkflow) -> tuple[list[StepWrapper[Any]], list[Callable[..., Any]]]:
    """Return the steps that a functional workflow's code reaches, by name, and the functions of all that code."""
    function: Callable[..., Any] = cast(Any, workflow).__wrapped__
    steps, _ = FunctionalWorkflow._discover_workflow_dependencies(function)
    found = sorted(steps, key=lambda wrapper: wrapper.name)
    return found, [function, *(cast(Any, wrapper).__wrapped__ for wrapper in found)]


@dataclass
class FinishedStep:
    """What a step of a functional workflow has come to."""

    value: Any
    requests: int
    """Requests without an id of their own that it has asked: the framework numbers them over the whole run."""
    events: list[WorkflowEvent[Any]]
    """All that were told while it ran, by steps within it as well, from its `executor_invoked` to its end."""
    state: dict[str, Any]
    """What it has written into the run's state."""
    nested: list[str]
    """Keys of the steps that have finished within it."""
    order: int
    """Events of the run that were told before it finished."""
    overlaps: bool
    """Whether some of them, since it began, were another step's beside it."""


class RunObserver(Protocol):
    """Is told of what goes on in one run of a functional workflow, and knows what has finished in it before."""

    streaming: bool
    """Whether the caller streams."""
    context: RunContext | None
    """The run's, once it has begun."""

    def fitting(self, event: WorkflowEvent[Any]) -> WorkflowEvent[Any]:
        """Return an event as it can be stored."""

    def told(self, event: WorkflowEvent[Any]) -> None:
        """Take an event as it is made; in process it is told when the run pauses or ends."""

    def known(self, key: str) -> FinishedStep | None:
        """Return what an earlier attempt has left of a step, once."""

    def begins(self, key: str, name: str) -> None:
        """Note, in the step's own task, that it begins."""

    def leaves(self) -> None:
        """Note, in the step's own task, that the last that began there has ended, failed or been cancelled."""

    async def begun(self, key: str, name: str) -> None:
        """Note, where somebody may want to know of it, that a step is about to run; what is raised it raises."""

    async def failed(self, key: str, name: str) -> None:
        """Note that a step has raised."""

    async def finished(self, key: str, name: str, step: FinishedStep) -> None:
        """Keep what a step has come to; it is told of, and saved in a checkpoint, after this."""


@dataclass
class _RunningStep:
    key: str
    name: str
    around: _RunningStep | None
    task: asyncio.Task[Any] | None
    depth: int
    """How many steps that task runs within each other, with this one."""
    before: int
    """Events of the run that were told before it began."""
    events: list[WorkflowEvent[Any]] = field(default_factory=list)
    nested: list[str] = field(default_factory=list)
    written: set[str] = field(default_factory=set)
    read: dict[str, Any] = field(default_factory=dict)

    def chain(self) -> Iterator[_RunningStep]:
        step: _RunningStep | None = self
        while step is not None:
            yield step
            step = step.around


_observer: ContextVar[RunObserver | None] = ContextVar("agent_framework_temporal_observer", default=None)
_step: ContextVar[_RunningStep | None] = ContextVar("agent_framework_temporal_step", default=None)
_PLAIN = (str, bytes, int, float, complex, bool, type(None))
_ABSENT = object()


class _ObservedContext(RunContext):
    """The context of a run that is observed.

    The framework collects the events of a run and gives them at its end, and it saves what its steps returned, but not
    what they told or wrote: a run that begins again would tell of `executor_bypassed`. Here a step that an earlier
    attempt has finished is told of as it was then.
    """

    observer: RunObserver
    called: str | None = None
    """Of the step that is being called, until it begins."""
    replayed: FinishedStep | None = None
    told: int = 0
    """How many events of the run were told."""
    replaying: Sequence[FinishedStep] = ()
    """The steps that are being told of."""

    def is_streaming(self) -> bool:
        return self.observer.streaming  # The run itself is always a stream.

    def set_state(self, key: str, value: Any) -> None:
        super().set_state(key, value)
        running = self.running()
        for step in running.chain() if running is not None else ():
            step.written.add(key)

    def get_state(self, key: str, default: Any = None) -> Any:
        value = super().get_state(key, default)
        running = self.running()
        if running is not None and self.has_state(key) and not isinstance(value, _PLAIN):
            for step in running.chain():
                if key not in step.read:
                    step.read[key] = _copied(value)
        return value

    def has_state(self, key: str) -> bool:
        return super().get_state(key, _ABSENT) is not _ABSENT

    async def add_event(self, event: WorkflowEvent[Any]) -> None:
        if self.replayed is not None and event.type == "executor_bypassed":
            replayed, self.replayed = self.replayed, None
            await self.replay(replayed)
            return
        running = self.running()
        if self.called is not None and event.type == "executor_invoked":
            task, depth = self.depth()
            running = self.running(depth - 1)
            running = _RunningStep(self.called, event.executor_id or "", running, task, depth, self.told)
            _step.set(running)
            self.called = None
            self.observer.begins(running.key, running.name)
            event = self.observer.fitting(event)
        await self.tell(event)
        if running is None or event.executor_id != running.name:
            return
        if event.type == "executor_invoked":
            try:
                await self.observer.begun(running.key, running.name)
            except Exception as error:  # It has not been called yet: the framework tells of no failure.
                details = WorkflowErrorDetails.from_exception(error)
                await self.add_event(new_event("executor_failed", executor_id=running.name, details=details))
                raise
        elif event.type == "executor_failed":
            _step.set(running.around)
            self.observer.leaves()
            await self.observer.failed(running.key, running.name)
        elif event.type == "executor_completed":
            _step.set(running.around)
            self.observer.leaves()
            await self.finish(running)

    async def tell(self, event: WorkflowEvent[Any]) -> None:
        await super().add_event(event)
        self.told += 1
        running = self.running()
        for step in running.chain() if running is not None else ():
            step.events.append(event)
        self.observer.told(event)

    async def replay(self, step: FinishedStep) -> None:
        """Tell of a step as it was told of then, and in the order of then where others are replayed beside it."""
        task = asyncio.current_task()
        assert task is not None  # noqa: S101 - a coroutine runs in one
        self._active_step_tasks[task] = self._active_step_tasks.get(task, 0) + 1
        self.replaying = [*self.replaying, step]
        try:
            first, *others = step.events
            await self.tell(first)
            if step.overlaps:
                await asyncio.sleep(0)
                while any(found.order < step.order for found in self.replaying):  # noqa: ASYNC110 - never for long
                    await asyncio.sleep(0)
            for event in others:
                await self.tell(event)
            for key, value in step.state.items():
                self.set_state(key, value)
            if self._on_step_completed is not None:
                await self._on_step_completed()  # The checkpoint that was saved then.
        finally:
            self.replaying = [found for found in self.replaying if found is not step]
            self._active_step_tasks[task] -= 1
            if not self._active_step_tasks[task]:
                del self._active_step_tasks[task]

    def depth(self) -> tuple[asyncio.Task[Any] | None, int]:
        task = asyncio.current_task()
        return task, self._active_step_tasks.get(task, 0) if task is not None else 0

    def running(self, depth: int | None = None) -> _RunningStep | None:
        """Return the step that runs; one that was cancelled has ended without a word."""
        task, active = self.depth()
        found = _step.get()
        while found is not None and found.task is task and found.depth > (active if depth is None else depth):
            found = found.around
            _step.set(found)
            self.observer.leaves()
        return found

    async def finish(self, step: _RunningStep) -> None:
        if step.around is not None:
            for outer in step.around.chain():
                outer.nested.append(step.key)
        if step.key in self._non_replayable_step_cache_keys:
            return
        read = {key: before for key, before in step.read.items() if self.has_state(key)}
        changed = {key for key, before in read.items() if before != super(_ObservedContext, self).get_state(key)}
        written = sorted({*changed, *filter(self.has_state, step.written)})
        finished = FinishedStep(
            value=self._step_cache[step.key],
            requests=self._step_cache_auto_request_info_counts.get(step.key, 0),
            events=step.events,
            state={key: _copied(super(_ObservedContext, self).get_state(key)) for key in written},
            nested=step.nested,
            order=self.told,
            overlaps=self.told - step.before != len(step.events),
        )
        await self.observer.finished(step.key, step.name, finished)

    def _get_legacy_step_cache_key(self, step_name: str) -> str:
        self.called = super()._get_legacy_step_cache_key(step_name)
        return self.called

    def _get_automatic_step_cache_key(self, step_name: str, wrapper_identity: str, identity: str) -> str:
        self.called = super()._get_automatic_step_cache_key(step_name, wrapper_identity, identity)
        return self.called

    def _get_explicit_step_cache_key(self, step_name: str, wrapper_identity: str, identity: str) -> str:
        self.called = super()._get_explicit_step_cache_key(step_name, wrapper_identity, identity)
        return self.called

    def _get_cached_result(self, key: str) -> tuple[bool, Any]:
        found, value = super()._get_cached_result(key)
        if found or key != self.called:
            return found, value
        step = self.observer.known(key)
        if step is None:
            return False, None
        self.replayed = step
        self.keep(key, step)
        running = self.running()
        for outer in running.chain() if running is not None else ():
            outer.nested += [key, *step.nested]
        for nested in step.nested:
            inner = self.observer.known(nested)
            if inner is not None:
                self.count(nested)
                self.keep(nested, inner)
        self.called = None
        return True, step.value

    def _export_step_cache(self) -> dict[str, Any]:
        if self._workflow_interruption is not None:
            return super()._export_step_cache()
        # What cannot be replayed is refused in process only where it would have to be: at a pause, and by a storage.
        left_out = self._non_replayable_step_cache_keys
        return {key: value for key, value in self._step_cache.items() if key not in left_out}

    def keep(self, key: str, step: FinishedStep) -> None:
        self._set_cached_result(key, step.value)
        self._set_cached_step_auto_request_info_count(key, step.requests)

    def count(self, key: str) -> None:
        """Count a step that is not called as its outer one is not run, so that others get the keys they had."""
        decoded = _functional._decode_versioned_step_cache_key(key)
        if decoded is None:
            super()._get_legacy_step_cache_key(step_name(key))
            return
        kind, name, wrapper, identity, _ = decoded
        super()._get_legacy_step_cache_key(name)
        if kind == "explicit":
            super()._get_explicit_step_cache_key(name, wrapper, identity)
        else:
            super()._get_automatic_step_cache_key(name, wrapper, identity)


def _copied(value: Any) -> Any:
    try:
        return copy.deepcopy(value)
    except Exception:  # Copying is the value's own code.
        return value


_init_context = RunContext.__init__


def _init_observed(self: RunContext, *args: Any, **kwargs: Any) -> None:
    _init_context(self, *args, **kwargs)
    observer = _observer.get()
    if observer is not None and type(self) is RunContext:
        _observer.set(None)  # Workflows that this one runs by itself are none of ours.
        self.__class__ = _ObservedContext
        cast(_ObservedContext, self).observer = observer
        observer.context = self


cast(Any, RunContext).__init__ = _init_observed


@contextmanager
def observed_run(observer: RunObserver) -> Iterator[None]:
    """Let an observer be told of the functional workflow's run that the body begins."""
    token, step = _observer.set(observer), _step.set(None)
    try:
        yield
    finally:
        _observer.reset(token)
        _step.reset(step)


def function_began(context: RunContext | None) -> bool:
    """Tell whether the function of a run was called: what is raised before that is the framework's refusal."""
    return context is not None and context._root_task is not None


def running_step() -> str | None:
    """Return the key of the step of a functional workflow that runs; None outside of one."""
    found = _step.get()
    return found.key if found is not None else None


_chat_innermost: Callable[[], ChatMiddleware | None] | None = None
_function_innermost: Callable[[bool], FunctionMiddleware | None] | None = None


def run_innermost(
    chat: Callable[[], ChatMiddleware | None], function: Callable[[bool], FunctionMiddleware | None]
) -> None:
    """Have middleware run innermost, next to the model and to the tool, whichever client or agent calls it.

    An agent's `middleware` would miss those who lead a group chat or a Magentic team, and would lie outside of what
    keeps the history of each service call. The pipelines that the framework caches stay as they are: what is added
    belongs to one call.

    Args:
        chat: Returns what to run around a call of a chat client; None for nothing. Asked before each.
        function: The same for the calls of tools. Given whether it is the only one there: with none the framework takes
            `MiddlewareTermination` of a tool for an error like any other.
    """
    global _chat_innermost, _function_innermost
    _chat_innermost, _function_innermost = chat, function
    _hook_calls()


@functools.cache
def _hook_calls() -> None:
    _hook_chat_middleware()
    _hook_bare_clients()
    _hook_function_middleware()


def _hook_chat_middleware() -> None:
    original = ChatMiddlewareLayer._get_chat_middleware_pipeline

    @functools.wraps(original)
    def pipeline(self: Any, middleware: Any) -> ChatMiddlewarePipeline:
        found = original(self, middleware)
        innermost = _chat_innermost() if _chat_innermost is not None else None
        return found if innermost is None else _with(found, innermost)

    cast(Any, ChatMiddlewareLayer)._get_chat_middleware_pipeline = pipeline


def _hook_function_middleware() -> None:
    original = FunctionInvocationLayer._get_function_middleware_pipeline

    @functools.wraps(original)
    def pipeline(self: Any, middleware: Any) -> FunctionMiddlewarePipeline:
        found = original(self, middleware)
        innermost = _function_innermost(not found.has_middlewares) if _function_innermost is not None else None
        return found if innermost is None else _with(found, innermost)

    cast(Any, FunctionInvocationLayer)._get_function_middleware_pipeline = pipeline


def _hook_bare_clients() -> None:
    """Reach the clients that have no layer for middleware, or nothing of the framework's at all."""
    get_response: Any = BaseChatClient.get_response
    call_client: Any = RawAgent._call_chat_client

    @functools.wraps(get_response)
    def bare_response(self: Any, messages: Any, **kwargs: Any) -> Any:
        innermost = None
        if _chat_innermost is not None and not isinstance(self, ChatMiddlewareLayer):
            innermost = _chat_innermost()
        if innermost is None:
            return get_response(self, messages, **kwargs)
        return _around(innermost, self, messages, kwargs, lambda: get_response(self, messages, **kwargs))

    @functools.wraps(call_client)
    def call_foreign(self: Any, context: Any, *, stream: bool) -> Any:
        innermost = None
        if _chat_innermost is not None and not isinstance(self.client, BaseChatClient | ChatMiddlewareLayer):
            innermost = _chat_innermost()
        if innermost is None:
            return call_client(self, context, stream=stream)
        kwargs = {"stream": stream, "options": context["chat_options"]}
        messages = context["session_messages"]
        return _around(innermost, self.client, messages, kwargs, lambda: call_client(self, context, stream=stream))

    cast(Any, BaseChatClient).get_response = bare_response
    cast(Any, RawAgent)._call_chat_client = call_foreign


_PipelineT = typing.TypeVar("_PipelineT", ChatMiddlewarePipeline, FunctionMiddlewarePipeline)


def _with(pipeline: _PipelineT, innermost: Any) -> _PipelineT:
    longer = copy.copy(pipeline)
    longer._middleware = [*pipeline._middleware, innermost]
    return longer


def _around(innermost: ChatMiddleware, client: Any, messages: Any, kwargs: Any, call: Callable[[], Any]) -> Any:
    """Run a middleware around a client's call, as `ChatMiddlewareLayer.get_response` does."""
    stream = bool(kwargs.get("stream"))
    given = {name: kwargs[name] for name in ("compaction_strategy", "tokenizer") if kwargs.get(name) is not None}
    context = ChatContext(client=client, messages=messages, options=kwargs.get("options"), stream=stream, kwargs=given)
    run = ChatMiddlewarePipeline(innermost).execute(context, lambda _: call())
    return ResponseStream.from_awaitable(cast(Any, run)) if stream else run


async def compact_again(context: ChatContext) -> None:
    """Do to the messages of a chat call what its client does before it sends them: nothing, or compaction.

    It changes the messages that the caller keeps, which have to be the same where the call itself is not made.
    """
    client: Any = context.client
    if not isinstance(client, BaseChatClient):
        return
    names = ("compaction_strategy", "tokenizer")
    overrides = client._resolve_compaction_overrides(**{name: context.kwargs.get(name) for name in names})
    if overrides:
        await client._prepare_messages_for_model_call(context.messages, **overrides)


def without_value(response: ChatResponse[Any]) -> tuple[ChatResponse[Any], bool]:
    """Return a response without what is parsed from its text, and whether there was such a thing.

    The format is a class of the caller's, which is no part of any state; the value follows from it and the text.
    """
    if response._response_format is None:
        return response, False
    bare = copy.copy(response)
    vars(bare).update(_response_format=None, _value=None, _value_parsed=False)
    return bare, True


def give_format(response: ChatResponse[Any], response_format: Any) -> None:
    """Have a response parse its text, when it is asked for its value."""
    response._response_format = response_format


def result_carrier(context: FunctionInvocationContext) -> list[Any] | None:
    """Return what a tool has left beside its result, for the framework to lay around it: MCP tools do so."""
    carrier = context.metadata.get(_tools._FUNCTION_RESULT_CARRIER_CONTEXT_KEY)
    if not isinstance(carrier, _tools._FunctionResultCarrier):
        return None
    budget = context.metadata.get(_tools._FUNCTION_RESULT_PAYLOAD_BUDGET_CONTEXT_KEY)
    return [
        carrier.additional_properties,
        carrier.item_additional_properties,
        sorted(carrier.exclusive_outer_keys),
        sorted(carrier.exclusive_item_keys),
        carrier.result_already_parsed,
        budget.limit_bytes if isinstance(budget, _tools._FunctionResultPayloadBudget) else None,
    ]


def give_carrier(context: FunctionInvocationContext, found: Sequence[Any]) -> None:
    """Leave beside a result what `result_carrier` had returned of it.

    Raises:
        TypeError: For what it cannot have returned.
        ValueError: The same.
    """
    outer, inner, outer_keys, inner_keys, parsed, limit = found
    if not (isinstance(outer, dict) and isinstance(inner, dict)):
        raise TypeError("properties are dictionaries")
    context.metadata[_tools._FUNCTION_RESULT_CARRIER_CONTEXT_KEY] = _tools._FunctionResultCarrier(
        outer, inner, frozenset(map(str, outer_keys)), frozenset(map(str, inner_keys)), bool(parsed)
    )
    budget = context.metadata.get(_tools._FUNCTION_RESULT_PAYLOAD_BUDGET_CONTEXT_KEY)
    if isinstance(budget, _tools._FunctionResultPayloadBudget) and isinstance(limit, int):
        for kept in outer.values():
            budget.reserve(len(json.dumps(kept).encode()), limit)


def is_generated_call_id(call_id: str) -> bool:
    """Tell whether a call's id is one that the framework makes up, anew each time, where a model gives none."""
    return call_id.startswith("af-call-")


def has_not_run(error: BaseException) -> bool:
    """Tell whether a tool's call was refused before the tool's function: for its arguments."""
    return isinstance(error, _tools._FunctionArgumentValidationError | _tools._FunctionArgumentsChangedAfterApproval)


def ask_for_approval(context: FunctionInvocationContext, reason: str) -> Content:
    """Return the framework's request that a person approves a tool's call; as a call's result it makes the agent ask.

    Args:
        context: The call. Its metadata has the approval that it comes from, if any: the request gets another id.
        reason: For the person.

    Raises:
        Exception: The framework's, for arguments that a request cannot hold.
    """
    arguments = _tools.FunctionTool._arguments_as_mapping(context.arguments) or {}
    call_id = context.metadata["call_id"]
    occurrence = context.metadata.get("function_call_occurrence_id") or call_id
    earlier = context.metadata.get("approval_response")
    if earlier is None:
        request_id = occurrence
    else:
        request_id = f"{earlier.additional_properties.get(_tools._APPROVAL_REQUEST_ID_KEY) or earlier.id}:again"
    call = Content.from_function_call(
        call_id=call_id,
        name=context.function.name,
        arguments=_tools._replacement_arguments(context.function, arguments),
        id=occurrence,
    )
    properties: dict[str, Any] = {"reason": reason, _tools._APPROVAL_REQUEST_ID_KEY: request_id}
    if earlier is not None:
        properties["_replacement_approval_request"] = True
    return Content.from_function_approval_request(id=request_id, function_call=call, additional_properties=properties)
