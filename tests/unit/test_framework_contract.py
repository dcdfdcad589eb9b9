"""What this package relies on in the framework beyond its public API, one test each: a failure says what changed.

When one of these fails after an upgrade of agent-framework-core, nothing else in this package is to be trusted: mend
`adapter/framework/internals.py` first, which is the only module that touches private names.
"""

from __future__ import annotations

import ast
import asyncio
import inspect
from pathlib import Path
from typing import Any, get_type_hints

import pytest
from agent_framework import (
    Agent,
    AgentExecutor,
    AgentExecutorCheckpointState,
    AgentResponse,
    Annotation,
    BaseChatClient,
    ChatContext,
    ChatMiddleware,
    ChatMiddlewareLayer,
    ChatResponse,
    Content,
    Executor,
    FunctionInvocationContext,
    FunctionInvocationLayer,
    FunctionMiddleware,
    FunctionTool,
    InMemoryCheckpointStorage,
    Message,
    RawAgent,
    RunContext,
    SlidingWindowStrategy,
    Workflow,
    WorkflowBuilder,
    WorkflowCheckpoint,
    WorkflowContext,
    WorkflowEvent,
    WorkflowExecutor,
    WorkflowMessage,
    WorkflowRunResult,
    WorkflowRunState,
    handler,
    register_checkpoint_type,
    step,
    tool,
)
from agent_framework import _tools as framework_tools
from agent_framework import (
    workflow as functional_workflow,
)
from agent_framework._middleware import ChatMiddlewarePipeline, FunctionMiddlewarePipeline
from agent_framework._serialization import SerializationMixin
from agent_framework._workflows import _checkpoint_encoding, _const, _functional, _typing_utils, _workflow
from agent_framework._workflows._edge_runner import FanInEdgeRunner
from agent_framework._workflows._runner import RunnerImpl
from agent_framework._workflows._runner_context import InProcRunnerContext, MessageType
from agent_framework._workflows._state import State
from agent_framework_ag_ui import AgentFrameworkWorkflow
from agent_framework_ag_ui._workflow_run import _pending_request_events
from agent_framework_temporal.adapter.framework import internals as _framework
from agent_framework_temporal.adapter.framework.internals import (
    FinishedStep,
    add_cancellation,
    ask_for_approval,
    buffered_messages,
    built_storage,
    cancellation,
    coerce_response,
    coerce_value,
    compact_again,
    drops_raw_only,
    event_types,
    finalize_events,
    first_checkpoint,
    forget_updates,
    functional_steps,
    functional_storage,
    give_carrier,
    give_format,
    has_not_run,
    internal_source,
    is_generated_call_id,
    is_response,
    matches,
    new_event,
    observed_run,
    pending_events,
    registered_type_keys,
    request_types,
    result_carrier,
    run_innermost,
    running_step,
    session_groups,
    share_sessions,
    step_name,
    validate_run_params,
    without_value,
    wrap_handlers,
)
from agent_framework_temporal.adapter.framework.static import class_attribute
from agent_framework_temporal.testing import Reply, ScriptedChatClient, ToolCall, scripted_agent
from pydantic import BaseModel

from tests.parity.gallery.human import Approval, Buyer, Purchase

SOURCE = Path(_framework.__file__)


def _parameters(function: Any) -> list[str]:
    return list(inspect.signature(function).parameters)


def _changed(name: str) -> str:
    return f"agent-framework-core has changed {name}; see adapter/framework/internals.py."


class Append(Executor):
    @handler
    async def append(self, text: str, ctx: WorkflowContext[str]) -> None:
        """Declare the type."""


def _append() -> Workflow:
    return WorkflowBuilder(name="append", start_executor=Append(id="append")).build()


# The private names, by existence and signature.


@pytest.mark.parametrize(
    ("owner", "name", "parameters"),
    [
        (_workflow, "_coerce_request_info_response", ["value", "response_type", "request_id"]),
        (_typing_utils, "is_instance_of", ["data", "target_type"]),
        (_typing_utils, "try_coerce_to_type", ["data", "target_type"]),
        (Workflow, "_validate_run_params", ["message", "responses", "checkpoint_id"]),
        (Workflow, "_finalize_events", ["events", "include_status_events"]),
        (
            Workflow,
            "_run_workflow_with_tracing",
            [
                "self",
                "initial_executor_fn",
                "is_continuation",
                "streaming",
                "tools",
                "function_invocation_kwargs",
                "client_kwargs",
            ],
        ),
        (InProcRunnerContext, "set_streaming", ["self", "streaming"]),
        (InProcRunnerContext, "get_pending_request_info_events", ["self"]),
        (InProcRunnerContext, "has_messages", ["self"]),
        (RunnerImpl, "reset_iteration_count", ["self"]),
        (InProcRunnerContext, "drain_events", ["self"]),
        (ChatMiddlewareLayer, "_get_chat_middleware_pipeline", ["self", "middleware"]),
        (FunctionInvocationLayer, "_get_function_middleware_pipeline", ["self", "runtime_middleware"]),
        (RawAgent, "_call_chat_client", ["self", "context", "stream"]),
        (BaseChatClient, "_resolve_compaction_overrides", ["self", "compaction_strategy", "tokenizer"]),
        (
            BaseChatClient,
            "_prepare_messages_for_model_call",
            ["self", "messages", "compaction_strategy", "tokenizer"],
        ),
        (FunctionTool, "_arguments_as_mapping", ["arguments"]),
        (framework_tools, "_replacement_arguments", ["tool", "arguments"]),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_a_private_function_has_the_signature_we_call(owner: Any, name: str, parameters: list[str]) -> None:
    function = getattr(owner, name, None)
    assert function is not None, _changed(f"{owner.__name__}.{name}: it is gone")
    assert _parameters(function) == parameters, _changed(f"the parameters of {owner.__name__}.{name}")


def test_private_attributes_are_where_we_look() -> None:
    workflow = _append()
    assert isinstance(workflow._runner, RunnerImpl), _changed("Workflow._runner")
    assert isinstance(workflow._runner_context, InProcRunnerContext), _changed("Workflow._runner_context")
    assert workflow._runner.context is workflow._runner_context, _changed("the runner's context")
    assert workflow._runner._previous_checkpoint_id is None, _changed("RunnerImpl._previous_checkpoint_id")
    event: WorkflowEvent[Any] = WorkflowEvent.request_info("i", "e", "data", bool)
    assert event_types(event) == (str, bool), _changed("WorkflowEvent._request_type and ._response_type")
    assert event_types(WorkflowEvent.started()) == (None, None), _changed("events without request types")
    assert workflow._runner._iteration == 0, _changed("RunnerImpl._iteration")
    ctx: WorkflowContext[str] = WorkflowContext(Append(id="a"), ["b"], workflow._runner.state, workflow._runner_context)
    assert (ctx._executor_id, ctx._runner_context) == ("a", workflow._runner_context), _changed("WorkflowContext")
    assert {"_source_executor_ids", "_request_id"} <= set(vars(ctx)), _changed("WorkflowContext")


def test_the_prefixes_of_the_frameworks_modules_are_known() -> None:
    assert _checkpoint_encoding._FRAMEWORK_MODULE_PREFIXES == ("agent_framework.", "agent_framework_orchestrations."), (
        _changed("_FRAMEWORK_MODULE_PREFIXES: look whether the new packages' classes are data")
    )
    assert _checkpoint_encoding._OPENAI_MODULE_PREFIX == "openai.types.", _changed("_OPENAI_MODULE_PREFIX")


def test_registered_types_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_checkpoint_encoding, "_REGISTERED_CHECKPOINT_TYPE_KEYS", set())
    assert registered_type_keys() == frozenset()
    register_checkpoint_type(Purchase)
    assert registered_type_keys() == {"tests.parity.gallery.human:Purchase"}, _changed("register_checkpoint_type")


def test_the_frameworks_data_leaves_out_the_providers_object_and_nothing_else() -> None:
    """What `drops_raw_only` says is not asked of each message of a conversation."""
    session = AgentResponse(messages=[Message("user", ["x"], raw_representation=1)], raw_representation=2)
    annotated = Content.from_text("x", annotations=[Annotation(type="citation", raw_representation=3)])
    for value in (session, session.messages[0], session.messages[0].contents[0], annotated):
        getstate = class_attribute(type(value), "__getstate__")
        assert getstate in (SerializationMixin.__getstate__, Content.__getstate__), _changed("the data's __getstate__")
        expected = {name: item for name, item in vars(value).items() if name != "raw_representation"}
        same = value.__getstate__() == expected
        assert drops_raw_only(getstate, vars(value)) is same, _changed(f"{type(value).__name__}.__getstate__")
    assert not drops_raw_only(object(), {})


def test_response_handlers_declare_their_types() -> None:
    assert request_types(Buyer(id="buyer")) == [(Purchase, Approval)], _changed("Executor._response_handlers")
    assert request_types(Append(id="a")) == []


@step
async def _doubled(number: int) -> int:
    return number * 2


@functional_workflow
async def _doubling(number: int, ctx: RunContext) -> int:
    """Call a step."""
    _seen.append(ctx)
    return await _doubled(number)


_seen: list[RunContext] = []


class _Observer:
    streaming = False
    context: RunContext | None = None

    def __init__(self, known: FinishedStep | None = None) -> None:
        self.given = known
        self.kept: list[FinishedStep] = []

    def fitting(self, event: WorkflowEvent[Any]) -> WorkflowEvent[Any]:
        return event

    def told(self, event: WorkflowEvent[Any]) -> None: ...

    def known(self, key: str) -> FinishedStep | None:
        return self.given if step_name(key) == "_doubled" else None

    def begins(self, key: str, name: str) -> None:
        assert self.context is not None
        task = asyncio.current_task()
        assert task is not None
        assert self.context._active_step_tasks[task] == 1, _changed("RunContext._active_step_tasks")
        assert running_step() == key

    def leaves(self) -> None: ...

    async def begun(self, key: str, name: str) -> None:
        assert running_step() == key

    async def failed(self, key: str, name: str) -> None: ...

    async def finished(self, key: str, name: str, step: FinishedStep) -> None:
        assert self.context is not None
        assert self.context._step_cache == {key: 4}, _changed("RunContext._step_cache")
        assert self.context._step_cache_auto_request_info_counts == {key: 0}, _changed("the counts of requests")
        assert self.context._non_replayable_step_cache_keys == set(), _changed("_non_replayable_step_cache_keys")
        self.kept.append(step)


async def test_a_functional_run_is_observed_and_a_step_is_replayed() -> None:
    """The context asks for a step's key, then for its result, then tells of it.

    `_get_legacy_step_cache_key`, `_get_automatic_step_cache_key` or `_get_explicit_step_cache_key`;
    `_get_cached_result`; `add_event`. A result is set by `_set_cached_result` and
    `_set_cached_step_auto_request_info_count`.
    """
    flow = _doubling.build(checkpoint_storage=InMemoryCheckpointStorage())
    assert functional_storage(flow) is flow._checkpoint_storage, _changed("FunctionalWorkflow._checkpoint_storage")
    steps, functions = functional_steps(flow)
    assert steps == [_doubled], _changed("FunctionalWorkflow._discover_workflow_dependencies")
    assert functions == [vars(found)["__wrapped__"] for found in (flow, _doubled)], _changed(
        "the functions' __wrapped__"
    )
    observer = _Observer()
    with observed_run(observer):
        undisturbed = [event async for event in flow.run(2, stream=True)]
    assert _seen[-1] is observer.context
    assert observer.context is not None
    assert not observer.context.is_streaming(), _changed("RunContext.__init__")
    assert observer.context._on_step_completed is not None, _changed("RunContext._on_step_completed")
    assert observer.context._workflow_interruption is None, _changed("RunContext._workflow_interruption")
    assert observer.context._export_step_cache() == observer.context._step_cache, _changed("_export_step_cache")
    assert observer.context._root_task is not None, _changed("RunContext._root_task")
    storage = InMemoryCheckpointStorage()
    await storage.save(first_checkpoint(flow, 2))
    [entry] = await storage.list_checkpoints(workflow_name="_doubling")
    restored = await flow.run(checkpoint_id=entry.checkpoint_id, checkpoint_storage=storage)
    assert restored.get_outputs() == [4], _changed("what a functional workflow's checkpoint holds")
    again = _Observer(observer.kept[0])
    with observed_run(again):
        replayed = [event async for event in _doubling.build().run(2, stream=True)]
    assert [(event.type, event.data) for event in replayed] == [(event.type, event.data) for event in undisturbed]
    assert not again.kept
    assert type(_seen[-1]) is not RunContext
    await _doubling.build().run(2)
    assert type(_seen[-1]) is RunContext, "In process nothing acts."
    [key] = observer.context._step_cache
    kind, name, _wrapper, _identity, occurrence = _functional._decode_versioned_step_cache_key(key) or [None] * 5
    assert (kind, name, occurrence) == ("auto", "_doubled", 0), _changed("_decode_versioned_step_cache_key")


def _private_names() -> set[str]:
    tree = ast.parse(SOURCE.read_text())
    found = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute) and node.attr.startswith("_")}
    return {name for name in found if not name.startswith("__")} | {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("agent_framework._")
        for alias in node.names
    }


def test_every_private_name_in_use_is_pinned_here() -> None:
    """Who adds one to adapter/framework/internals.py adds a test to this file."""
    text = Path(__file__).read_text()
    strings = {"_response_handlers"}  # Read by getattr, as not every executor has it.
    unpinned = {name for name in _private_names() | strings if name not in text}
    assert not unpinned


# Their behaviour, as far as it matters.


class Model(BaseModel):
    x: int


def test_coercion_is_lenient_with_models_and_strict_with_scalars() -> None:
    assert coerce_value({"x": "1"}, Model) == Model(x=1)
    assert coerce_value("1", int) == "1"
    assert coerce_value(1, float) == 1.0
    assert coerce_value({"y": 1}, Model) == {"y": 1}
    assert matches([1], list[int])
    assert not matches([1], list[str])
    assert matches(None, str | None)


def test_a_response_of_the_wrong_type_is_refused_in_the_frameworks_words() -> None:
    assert coerce_response({"x": 1}, Model, "id") == Model(x=1)
    with pytest.raises(ValueError, match="Response type mismatch for request ID id: expected"):
        coerce_response("yes", bool, "id")


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("m", {"a": 1}, None), "Cannot provide both 'message' and 'responses'"),
        (("m", None, "c"), "Cannot provide both 'message' and 'checkpoint_id'"),
        ((None, None, None), "Must provide at least one of"),
    ],
)
def test_arguments_that_exclude_each_other_are_refused(arguments: tuple[Any, Any, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        validate_run_params(*arguments)
    validate_run_params("m", None, None)
    validate_run_params(None, {"a": 1}, "c")


async def test_an_executor_tells_of_its_requests_that_are_cancelled() -> None:
    told: list[str] = []
    executor = Append(id="a")
    for _ in range(2):
        add_cancellation(executor, lambda request_id, _: told.append(request_id))
    assert inspect.iscoroutinefunction(Executor._cancel_pending_request), _changed("Executor._cancel_pending_request")
    context: Any = None
    await executor._cancel_pending_request("asked", context)
    assert told == ["asked"]


async def test_a_cancellation_is_handed_out_before_it_begins() -> None:
    workflow = WorkflowBuilder(name="buyer", start_executor=Buyer(id="buyer")).build()
    asked = (await workflow.run(Purchase(item="pen", price=1_000))).get_request_info_events()
    storage = InMemoryCheckpointStorage()
    stream = await cancellation(workflow, [asked[0].request_id], storage)
    assert len(await pending_events(workflow)) == len(asked), _changed("Workflow.cancel_pending_requests")
    events = [event.type async for event in stream]
    assert events == ["started", "status", "superstep_started", "superstep_completed", "status"], _changed("its events")
    assert await pending_events(workflow) == {}
    (checkpoint,) = await storage.list_checkpoints(workflow_name="buyer")
    assert checkpoint.pending_request_info_events == {}
    assert not workflow._runner_context.has_checkpointing(), _changed("clear_runtime_checkpoint_storage")


def test_events_are_collected_as_run_does() -> None:
    events = [new_event("status", state=WorkflowRunState.IDLE), new_event("output", data=1, executor_id="e")]
    for include in (True, False):
        result = finalize_events(events, include_status_events=include)
        assert isinstance(result, WorkflowRunResult)
        assert result.get_outputs() == [1]
        assert [event.type for event in result] == (["status", "output"] if include else ["output"])
        assert result.get_final_state() is WorkflowRunState.IDLE


def test_content_is_built_from_the_text_of_a_response() -> None:
    assert coerce_response("hi", Content, "id").text == "hi"


async def test_events_a_stream_keeps() -> None:
    stream = WorkflowBuilder(name="kept", start_executor=Append(id="append")).build().run("a", stream=True)
    await anext(aiter(stream))
    await anext(aiter(stream))
    assert len(stream._updates) == 2, _changed("ResponseStream._updates")
    forget_updates(stream)
    assert not stream.updates
    rest = [event async for event in stream]
    assert list(stream.updates) == rest
    assert (await stream.get_final_response()).get_outputs() == []


async def test_a_wrapped_handler_is_inside_the_executors_events() -> None:
    start = Append(id="append")
    workflow = WorkflowBuilder(name="wrapped", start_executor=start).build()
    times: list[Any] = []

    def failing(executor: Executor, handle: Any) -> Any:
        async def fail(message: Any, ctx: Any) -> None:
            times.append((executor, message))
            raise LookupError("wrapped")

        return fail

    wrap_handlers(start, failing)
    wrap_handlers(start, lambda executor, handle: handle)  # Only the first counts.
    events: list[str] = []
    with pytest.raises(LookupError, match="wrapped"):
        async for event in workflow.run("a", stream=True):
            events.append(event.type)
    assert times == [(start, "a")], _changed("Executor._find_handler")
    assert events[-4:] == ["executor_invoked", "executor_failed", "failed", "status"], _changed("Executor.execute")


async def test_agents_that_share_a_session_restore_one_each() -> None:
    def build() -> list[AgentExecutor]:
        writer, reviewer = (scripted_agent(name, lambda prompt: Reply("said")) for name in ("writer", "reviewer"))
        session = writer.create_session()
        return [AgentExecutor(agent, session=session, id=agent.name) for agent in (writer, reviewer)]

    executors = build()
    assert session_groups([Append(id="a"), *executors]) == [[1, 2]], _changed("AgentExecutor._session")
    states = [await executor.on_checkpoint_save() for executor in executors]
    restored = build()
    for executor, state in zip(restored, states, strict=True):
        await executor.on_checkpoint_restore(state)
    first, second = restored
    assert first._session is not second._session
    share_sessions(restored, [[0, 1]])
    assert first._session is second._session
    second._session = first._agent.create_session()
    share_sessions(restored, [[0, 1]])
    assert first._session is not second._session


def test_storage_a_workflow_was_built_with() -> None:
    storage = InMemoryCheckpointStorage()
    builder = WorkflowBuilder(name="built", start_executor=Append(id="append"), checkpoint_storage=storage)
    assert built_storage(builder.build()) is storage
    assert built_storage(WorkflowBuilder(name="built", start_executor=Append(id="append")).build()) is None


async def test_the_run_span_is_started_by_name() -> None:
    """`internals.without_run_span` stands in for the function that `Workflow.run` starts its span with."""
    source = inspect.getsource(_workflow.Workflow._run_workflow_with_tracing)
    assert "start_workflow_span(OtelAttr.WORKFLOW_RUN_SPAN, attributes)" in source
    assert vars(_workflow)["start_workflow_span"] is _framework._start_span
    assert "with _activate_span(span):" in source
    assert list(inspect.signature(_framework.activate_span).parameters) == ["span"]


@pytest.fixture
def innermost(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Have middleware of ours run innermost for the length of a test; returns what it notes."""
    noted: list[str] = []

    class Chat(ChatMiddleware):
        async def process(self, context: ChatContext, call_next: Any) -> None:
            noted.append(f"chat {len(context.messages)}")
            await call_next()

    class Function(FunctionMiddleware):
        async def process(self, context: FunctionInvocationContext, call_next: Any) -> None:
            noted.append(f"tool {context.function.name}")
            assert context.metadata["call_id"], _changed("metadata['call_id'] of a tool's call")
            await call_next()

    for name in ("_chat_innermost", "_function_innermost"):
        monkeypatch.setattr(_framework, name, getattr(_framework, name))
    run_innermost(Chat, lambda alone: Function())
    return noted


@tool(approval_mode="never_require")
async def look(place: str) -> str:
    """Look."""
    return f"seen {place}"


def _looks(prompt: Any) -> Reply:
    return Reply("done") if prompt.tool_results else Reply(calls=(ToolCall("look", {"place": "here"}),))


@pytest.mark.parametrize("stream", [False, True])
async def test_middleware_runs_innermost(stream: bool, innermost: list[str]) -> None:
    class Outer(ChatMiddleware):
        async def process(self, context: ChatContext, call_next: Any) -> None:
            innermost.append("outer")
            await call_next()

    agent = scripted_agent("agent", _looks, tools=[look], middleware=[Outer()])
    response = await (agent.run("?", stream=True).get_final_response() if stream else agent.run("?"))
    assert response.text == "done"
    assert innermost == ["outer", "chat 1", "tool look", "outer", "chat 3"], _changed("the pipelines of middleware")


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("kind", ["without layers", "foreign"])
async def test_middleware_runs_innermost_without_the_layers(kind: str, stream: bool, innermost: list[str]) -> None:
    class Bare(BaseChatClient[Any]):
        def _inner_get_response(self, *, messages: Any, stream: bool, options: Any, **kwargs: Any) -> Any:
            scripted: Any = ScriptedChatClient(name="m", script=lambda prompt: Reply("hi"))
            return scripted._inner_get_response(messages=messages, stream=stream, options=options)

    class Foreign:
        additional_properties: dict[str, Any] = {}  # noqa: RUF012 - as the protocol has it.

        def get_response(self, messages: Any, *, stream: bool = False, **kwargs: Any) -> Any:
            return Bare()._inner_get_response(messages=messages, stream=stream, options={})

    agent: Any = Agent(Bare() if kind == "without layers" else Foreign(), name="agent")
    response = await (agent.run("?", stream=True).get_final_response() if stream else agent.run("?"))
    assert response.text == "hi"
    assert innermost == ["chat 1"], _changed("BaseChatClient.get_response or RawAgent._call_chat_client")


def test_pipelines_are_kept_and_ours_are_not(innermost: list[str]) -> None:
    client = ScriptedChatClient(name="m", script=_looks)
    ours = client._get_chat_middleware_pipeline([])
    assert isinstance(ours, ChatMiddlewarePipeline)
    assert len(ours._middleware) == 1, _changed("ChatMiddlewarePipeline._middleware")
    assert isinstance(client._get_function_middleware_pipeline([]), FunctionMiddlewarePipeline)
    for cached in (client._cached_chat_middleware_pipeline, client._cached_function_middleware_pipeline):
        assert cached is not None, _changed("the pipelines that a client keeps")
        assert not cached.has_middlewares, _changed("has_middlewares")


async def test_compaction_is_what_a_client_does_to_messages() -> None:
    client = ScriptedChatClient(name="m", script=_looks)
    messages = [Message("user", [str(number)]) for number in range(4)]
    await compact_again(ChatContext(client=client, messages=messages, options={}))
    assert not any(message.additional_properties for message in messages)
    strategy = {"compaction_strategy": SlidingWindowStrategy(keep_last_groups=1)}
    await compact_again(ChatContext(client=client, messages=messages, options={}, kwargs=strategy))
    assert [bool(message.additional_properties.get("_excluded")) for message in messages] == [True] * 3 + [False], (
        _changed("BaseChatClient._prepare_messages_for_model_call")
    )


def test_a_response_parses_its_text_by_its_format() -> None:
    class Answer(BaseModel):
        number: int

    response: ChatResponse[Any] = ChatResponse(messages=Message("assistant", ['{"number": 1}']), response_format=Answer)
    assert response.value == Answer(number=1)
    bare, has_format = without_value(response)
    assert has_format, _changed("ChatResponse._response_format")
    assert Answer not in map(type, vars(bare).values()), _changed("ChatResponse._value")
    assert Answer not in vars(bare).values()
    give_format(bare, Answer)
    assert bare.value == Answer(number=1), _changed("ChatResponse._value_parsed")
    plain: ChatResponse[Any] = ChatResponse(messages=[], value=1)
    assert without_value(plain) == (plain, False)


def _call(**metadata: Any) -> FunctionInvocationContext:
    return FunctionInvocationContext(function=look, arguments={"place": "here"}, metadata=metadata)


def test_what_lies_beside_a_result() -> None:
    carrier_key, budget_key = (
        framework_tools._FUNCTION_RESULT_CARRIER_CONTEXT_KEY,
        framework_tools._FUNCTION_RESULT_PAYLOAD_BUDGET_CONTEXT_KEY,
    )
    budget = framework_tools._FunctionResultPayloadBudget({"limit_bytes": 100, "retained_bytes": 7})
    carrier = framework_tools._FunctionResultCarrier(
        {"_meta": {"a": 1}}, {"b": 2}, frozenset("c"), frozenset("d"), True
    )
    assert result_carrier(_call()) is None
    kept = result_carrier(_call(**{carrier_key: carrier, budget_key: budget}))
    assert kept == [{"_meta": {"a": 1}}, {"b": 2}, ["c"], ["d"], True, 100], _changed("_FunctionResultCarrier")
    fresh = framework_tools._FunctionResultPayloadBudget()
    context = _call(**{budget_key: fresh})
    give_carrier(context, kept)
    assert context.metadata[carrier_key] == carrier
    assert (fresh.limit_bytes, fresh.retained_bytes) == (100, len('{"a": 1}')), _changed("_FunctionResultPayloadBudget")


async def test_a_call_that_is_refused_for_its_arguments_has_not_run() -> None:
    with pytest.raises(TypeError) as refused:
        await look.invoke(arguments={"place": 1})
    assert has_not_run(refused.value), _changed("_FunctionArgumentValidationError")
    assert has_not_run(framework_tools._FunctionArgumentsChangedAfterApproval({}))
    assert not has_not_run(TypeError())


def test_ids_that_the_framework_makes_up_for_calls() -> None:
    assert is_generated_call_id(framework_tools._generate_function_call_occurrence_id()), _changed("ids of calls")
    assert not is_generated_call_id("call_1")


def test_a_request_for_approval_is_the_frameworks_own() -> None:
    asked = ask_for_approval(_call(call_id="call_1", function_call_occurrence_id="id_1"), "why")
    key = framework_tools._APPROVAL_REQUEST_ID_KEY
    assert (asked.type, asked.id, asked.user_input_request) == ("function_approval_request", "id_1", True)
    assert asked.additional_properties == {"reason": "why", key: "id_1"}
    assert asked.function_call is not None
    assert (asked.function_call.call_id, asked.function_call.id) == ("call_1", "id_1")
    assert (asked.function_call.name, asked.function_call.arguments) == ("look", {"place": "here"})
    response = asked.to_function_approval_response(True)
    assert response.additional_properties[key] == "id_1", _changed("to_function_approval_response")
    again = ask_for_approval(
        _call(call_id="call_1", function_call_occurrence_id="id_1", approval_response=response), "why"
    )
    assert again.id == "id_1:again"
    made = framework_tools._replacement_approval_request(asked.function_call, {"place": "there"}, look)
    assert set(made.additional_properties) == set(again.additional_properties), _changed(
        "_replacement_approval_request"
    )


# An invocation as a value.


def test_executors_are_run_by_execute_with_the_arguments_we_pass_on() -> None:
    names = ["self", "message", "source_executor_ids", "state", "runner_context", "trace_contexts", "source_span_ids"]
    assert _parameters(Executor.execute) == names, _changed("Executor.execute")


async def test_an_invocation_writes_what_a_recording_context_and_state_note() -> None:
    """A context or state with another way to be written would make a taken invocation lack something."""
    public = {name for name in vars(State) if not name.startswith("_")}
    written = {"set", "delete", "clear"}
    others = {"get", "has", "commit", "discard", "export_state", "import_state"}
    assert public == written | others, _changed("State: see RecordingState")
    noted: list[tuple[Any, ...]] = []
    state = State()
    recording = _framework.RecordingState(state, lambda *step: noted.append(step))
    recording.set("a", [1])
    assert state.get("a") == [1], _changed("State: a recording one has to be the same")
    recording.delete("a")
    assert noted == [("set", "a", [1]), ("delete", "a")]
    told = {"send_message", "add_event", "add_request_info_event"}
    assert all(hasattr(InProcRunnerContext, name) for name in told), _changed("RunnerContext: see RecordingContext")


async def test_an_invocation_elsewhere_sees_what_it_would_see_here() -> None:
    """What is committed, and what siblings have written since; what it writes itself is noted by two recordings."""
    state = State()
    state.import_state({"a": 1, "b": 2, "c": [3], _const.EDGE_STATE_KEY: {}, _framework.EXECUTOR_STATE: {}})
    recording = _framework.RecordingState(state, lambda *step: None)
    recording.set("b", 4)
    recording.delete("a")
    assert _framework.state_values(recording) == {"b": 4, "c": [3]}, _changed("State: see state_values")
    assert (state.export_state()["a"], state.has("a")) == (1, False), _changed("State: it has to stay as it is")
    noted: list[tuple[Any, ...]] = []
    workflow, (append,) = (found := _append()), found.executors.values()
    message = WorkflowMessage(data="x", source_id="s")

    def record(*step: Any) -> None:
        noted.append(step)

    outer = _framework.RecordingState(_framework.state_of({"b": 4}), record)
    _framework.RecordingState(outer, lambda *step: None).set("d", 5)
    assert noted.pop() == ("set", "d", 5)
    await _framework.invoke(workflow, append, message, ["s"], _framework.state_of({}), record)
    assert noted[0] == ("invoked",)
    assert noted[-1][1].type == "executor_completed", _changed("Executor.execute")


async def test_the_path_of_an_invocation_is_found_behind_a_recording_context() -> None:
    workflow = _append()
    context = _framework.RecordingContext(workflow._runner_context, lambda *step: None, lambda data: None)
    (append,) = workflow.executors.values()
    given: Any = context
    ctx: WorkflowContext[Any, Any] = WorkflowContext(append, ["x"], State(), given)
    assert _framework.invocation_path(workflow, ctx) == ("append",)
    _framework.stand_for(ctx, ["y"], "r")
    assert (ctx.source_executor_ids, ctx.request_id) == (["y"], "r"), _changed("WorkflowContext")


async def test_an_executor_tells_a_copy_of_its_message_before_it_may_change_it() -> None:
    seen: list[Any] = []

    class Changing(Executor):
        @handler
        async def change(self, message: list[str], ctx: WorkflowContext) -> None:
            """Change what it was given."""
            assert seen == [["a"]], _changed("Executor.execute: executor_invoked")
            message.append("b")

    workflow = WorkflowBuilder(name="changing", start_executor=Changing(id="changing")).build()
    context: Any = _framework.RecordingContext(workflow._runner_context, lambda *step: None, seen.append)
    (executor,) = workflow.executors.values()
    await executor.execute(["a"], ["x"], State(), context)
    assert seen == [["a"]], _changed("Executor.execute: executor_invoked")


def test_answers_are_looked_up_where_a_handler_is_added() -> None:
    def handle(request: Any, answer: Any, ctx: Any) -> None:
        """Take the answer."""

    append = Append(id="append")
    _framework.add_response_handler(append, int, bool, handle)
    found: Any = append._find_response_handler(1, True)
    assert found is not None, _changed("Executor._response_handlers")
    assert found.func is handle


def test_what_an_edit_finds_in_a_checkpoint() -> None:
    """Which keys of a checkpoint's state are the framework's own, and where messages and requests lie in there."""
    source = inspect.getsource(_const)
    keys = {name: value for name, value in vars(_const).items() if name.endswith("_KEY")}
    assert {value for name, value in keys.items() if name != "GLOBAL_KWARGS_KEY"} == set(_framework.FRAMEWORK_STATE), (
        _changed("the reserved keys of State") + source
    )
    assert internal_source("a") == "internal:a", _changed("INTERNAL_SOURCE_ID")
    assert _framework.BUFFERS[1] == FanInEdgeRunner._BUFFER_KEY, _changed("FanInEdgeRunner._BUFFER_KEY")
    message = WorkflowMessage(data="x", source_id="a")
    assert not is_response(message)
    message.type = MessageType.RESPONSE
    assert is_response(message)
    assert buffered_messages({_const.EDGE_STATE_KEY: {"group": {"buffer": {"a": [message]}}}}) == [message]
    event = WorkflowEvent.request_info(request_id="r", source_executor_id="a", request_data="x", response_type=bool)
    attributes = {ours: vars(event)[theirs] for ours, theirs in _framework.REQUEST_FIELDS.items()}
    assert attributes == {"request_id": "r", "executor_id": "a", "request": "x", "response_type": bool}
    kept = set(get_type_hints(AgentExecutorCheckpointState))
    assert {_framework.AGENT_REQUESTS, _framework.AGENT_REQUEST_ORDER} <= kept, _changed("an agent executor's state")


async def test_a_sub_workflows_checkpoint_lies_in_its_executors_state() -> None:
    state = await WorkflowExecutor(_append(), id="child").on_checkpoint_save()
    assert isinstance(state[_framework.SUB_WORKFLOW], WorkflowCheckpoint), _changed("WorkflowExecutor's state")


def test_ag_uis_runner_asks_one_function_for_the_workflow_of_a_thread() -> None:
    """`give_threads`; what that returns need not be a `Workflow`, and tells what is pending as for `WorkflowAgent`."""
    resolve = inspect.signature(AgentFrameworkWorkflow._resolve_workflow)
    assert list(resolve.parameters) == ["self", "thread_id", "snapshot_scope"]
    source = inspect.getsource(AgentFrameworkWorkflow.run)
    assert source.count("self._resolve_workflow(thread_id, snapshot_scope)") == 1
    assert "self._workflow_factory" not in source
    assert 'getattr(workflow, "_runner_context"' in inspect.getsource(_pending_request_events)
