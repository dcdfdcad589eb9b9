"""The only place that touches private names of agent-framework; `tests/unit/test_framework_contract.py` pins each one.

Everything else in this package uses the framework's public API.
"""

from __future__ import annotations

import copy
import enum
import functools
import json
import logging
import types
import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias, cast

from agent_framework import (
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
    FunctionInvocationContext,
    FunctionInvocationLayer,
    FunctionMiddleware,
    Message,
    RawAgent,
    ResponseStream,
    Workflow,
    WorkflowContext,
    WorkflowEvent,
    WorkflowExecutor,
    WorkflowMessage,
    WorkflowRunResult,
    _tools,
)
from agent_framework import observability as _observability
from agent_framework._middleware import ChatMiddlewarePipeline, FunctionMiddlewarePipeline
from agent_framework._serialization import SerializationMixin
from agent_framework._workflows import _checkpoint_encoding as _encoding
from agent_framework._workflows import _const, _workflow
from agent_framework._workflows._edge_runner import FanInEdgeRunner
from agent_framework._workflows._runner_context import MessageType
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

activate_span = _observability._activate_span
_spanned: ContextVar[str | None] = ContextVar("agent_framework_temporal_spanned", default=None)
"""Id of the workflow whose run has its span at the caller."""


def _start_span(name: str, attributes: Any = None, *args: Any, **kwargs: Any) -> trace.Span:
    """Start a span of the framework's; of the run that has one at its caller, none: the current one stands for it."""
    if name == OtelAttr.WORKFLOW_RUN_SPAN and attributes and attributes.get(OtelAttr.WORKFLOW_ID) == _spanned.get():
        return trace.NonRecordingSpan(trace.get_current_span().get_span_context())
    return start_workflow_span(name, attributes, *args, **kwargs)


cast(Any, _workflow).start_workflow_span = _start_span


@contextmanager
def without_run_span(workflow: Workflow) -> Iterator[None]:
    """Have the framework write no span of a workflow's run in this context; those of sub-workflows it does."""
    token = _spanned.set(workflow.id)
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

    def pipeline(self: Any, middleware: Any) -> ChatMiddlewarePipeline:
        found = original(self, middleware)
        innermost = _chat_innermost() if _chat_innermost is not None else None
        return found if innermost is None else _with(found, innermost)

    cast(Any, ChatMiddlewareLayer)._get_chat_middleware_pipeline = pipeline


def _hook_function_middleware() -> None:
    original = FunctionInvocationLayer._get_function_middleware_pipeline

    def pipeline(self: Any, middleware: Any) -> FunctionMiddlewarePipeline:
        found = original(self, middleware)
        innermost = _function_innermost(not found.has_middlewares) if _function_innermost is not None else None
        return found if innermost is None else _with(found, innermost)

    cast(Any, FunctionInvocationLayer)._get_function_middleware_pipeline = pipeline


def _hook_bare_clients() -> None:
    """Reach the clients that have no layer for middleware, or nothing of the framework's at all."""
    get_response: Any = BaseChatClient.get_response
    call_client: Any = RawAgent._call_chat_client

    def bare_response(self: Any, messages: Any, **kwargs: Any) -> Any:
        innermost = None
        if _chat_innermost is not None and not isinstance(self, ChatMiddlewareLayer):
            innermost = _chat_innermost()
        if innermost is None:
            return get_response(self, messages, **kwargs)
        return _around(innermost, self, messages, kwargs, lambda: get_response(self, messages, **kwargs))

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
