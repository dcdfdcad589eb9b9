"""What this package relies on in the framework beyond its public API, one test each: a failure says what changed.

When one of these fails after an upgrade of agent-framework-core, nothing else in this package is to be trusted: mend
`adapter/framework/internals.py` first, which is the only module that touches private names.
"""

from __future__ import annotations

import ast
import inspect
from pathlib import Path
from typing import Any

import pytest
from agent_framework import (
    Content,
    Executor,
    InMemoryCheckpointStorage,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    WorkflowEvent,
    WorkflowRunResult,
    WorkflowRunState,
    handler,
    register_checkpoint_type,
)
from agent_framework._workflows import _checkpoint_encoding, _typing_utils, _workflow
from agent_framework._workflows._runner import RunnerImpl
from agent_framework._workflows._runner_context import InProcRunnerContext
from agent_framework_temporal.adapter.framework import internals as _framework
from agent_framework_temporal.adapter.framework.internals import (
    built_storage,
    cancellation,
    coerce_response,
    coerce_value,
    event_types,
    finalize_events,
    forget_updates,
    matches,
    new_event,
    pending_events,
    registered_type_keys,
    request_types,
    validate_run_params,
)
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
        (InProcRunnerContext, "drain_events", ["self"]),
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


def test_response_handlers_declare_their_types() -> None:
    assert request_types(Buyer(id="buyer")) == [(Purchase, Approval)], _changed("Executor._response_handlers")
    assert request_types(Append(id="a")) == []


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


def test_storage_a_workflow_was_built_with() -> None:
    storage = InMemoryCheckpointStorage()
    builder = WorkflowBuilder(name="built", start_executor=Append(id="append"), checkpoint_storage=storage)
    assert built_storage(builder.build()) is storage
    assert built_storage(WorkflowBuilder(name="built", start_executor=Append(id="append")).build()) is None
