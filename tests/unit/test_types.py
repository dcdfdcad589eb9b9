"""The types a workflow declares: all that a checkpoint may hold, and nothing that only lies about."""

from __future__ import annotations

import enum
import subprocess
import sys
import threading
from dataclasses import dataclass
from typing import Any, Generic, Literal, NamedTuple, TypedDict, TypeVar

import agent_framework
import pytest
from agent_framework import (
    AgentExecutor,
    AgentResponse,
    Content,
    Executor,
    FileCheckpointStorage,
    FunctionTool,
    Message,
    Workflow,
    WorkflowBuilder,
    WorkflowCheckpoint,
    WorkflowContext,
    WorkflowEvent,
    WorkflowExecutor,
    handler,
    register_checkpoint_type,
    response_handler,
)
from agent_framework_temporal.adapter.errors import HostingError
from agent_framework_temporal.adapter.framework.catalog import (
    TypeCatalog,
    executors_of,
    generic_args,
    generic_origin,
    loaded_class,
    members,
    runtime_class,
    type_key,
    type_name,
)
from pydantic import BaseModel, SecretStr

from tests.parity.gallery._scripted import Prompt, Reply, scripted_agent
from tests.unit._undeclared import Undeclared, UndeclaredOuter

T = TypeVar("T")


class Kind(enum.Enum):
    ONE = 1


class Part(BaseModel):
    kind: Kind
    secret: SecretStr | None = None


class Position(NamedTuple):
    x: int


class Options(TypedDict):
    verbose: bool


@dataclass
class Whole:
    parts: dict[str, list[Part]]
    position: Position | None = None


class Envelope(BaseModel, Generic[T]):
    content: T


class Question(BaseModel):
    text: str


class Reply2(BaseModel):
    text: str


class OnlyOutput(BaseModel):
    text: str


class OnlyYielded(BaseModel):
    text: str


@dataclass
class Beside:
    """Not declared anywhere, but defined beside the executors."""

    class Nested(BaseModel):
        x: int


class NotData:
    """No data class, and not declared."""


class Client:
    """An attribute of an executor that is no state."""


class Asker(Executor):
    client: Client
    current: Whole

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.client = Client()

    @handler
    async def ask(self, value: Whole | list[Envelope[Part]], ctx: WorkflowContext[OnlyOutput, OnlyYielded]) -> None:
        """Declare the types."""

    @handler
    async def configure(self, value: Options, ctx: WorkflowContext) -> None:
        """Declare the types."""

    @response_handler
    async def answered(self, question: Question, reply: Reply2, ctx: WorkflowContext) -> None:
        """Declare the types."""


def _workflow() -> Workflow:
    return WorkflowBuilder(name="asker", start_executor=Asker(id="asker")).build()


@pytest.fixture(scope="module")
def catalog() -> TypeCatalog:
    return TypeCatalog(_workflow())


@pytest.mark.parametrize(
    "cls",
    [
        *(Whole, Part, Kind, SecretStr, Position, Envelope, Envelope[Part], OnlyOutput, OnlyYielded, Question, Reply2),
        *(Beside, Beside.Nested, Options),
        *(str, int, list, dict, object, type),
        *(Message, Content, AgentResponse, WorkflowEvent, WorkflowCheckpoint),
    ],
    ids=type_name,
)
def test_what_a_workflow_declares_may_be_stored(catalog: TypeCatalog, cls: type[Any]) -> None:
    assert catalog.is_allowed(cls)
    if "[" not in cls.__qualname__:
        assert catalog.resolve(type_key(cls)) is cls


@pytest.mark.parametrize(
    "cls",
    [
        *(NotData, Client, Undeclared, UndeclaredOuter.Inner, subprocess.Popen, threading.Thread),
        *(FileCheckpointStorage, FunctionTool, AgentExecutor, Workflow, agent_framework.Agent),
        *(agent_framework.MCPStdioTool, agent_framework.WorkflowBuilder, Executor, Asker),
    ],
    ids=type_name,
)
def test_everything_else_may_not(catalog: TypeCatalog, cls: type[Any]) -> None:
    assert not catalog.is_allowed(cls)
    assert catalog.resolve(type_key(cls)) is None


@pytest.mark.parametrize(
    "key",
    [
        "",
        ":",
        "builtins",
        "builtins:eval",
        "builtins:getattr",
        "os:system",
        "agent_framework._workflows._checkpoint:Path",
        "agent_framework._workflows._checkpoint:os",
        "agent_framework.not_loaded:Thing",
        "agent_framework:Message",
        f"{__name__}:Whole.__init__",
        f"{__name__}:subprocess.Popen",
        "agent_framework._types:Message.__init__.__globals__",
    ],
)
def test_a_key_that_names_no_allowed_class_resolves_to_nothing(catalog: TypeCatalog, key: str) -> None:
    before = set(sys.modules)
    assert catalog.resolve(key) is None
    assert set(sys.modules) == before


def test_a_lazy_module_is_not_made_to_import(monkeypatch: pytest.MonkeyPatch) -> None:
    class Lazy:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError("imported")

    monkeypatch.setitem(sys.modules, "agent_framework.lazy", Lazy())
    assert loaded_class("agent_framework.lazy:Thing") is None


def test_a_class_that_only_has_the_name_of_an_allowed_one_is_not_allowed(catalog: TypeCatalog) -> None:
    impostor = type("Whole", (), {"__module__": __name__})
    assert type_key(impostor) == type_key(Whole)
    assert not catalog.is_allowed(impostor)
    imposing_int = type("int", (), {"__module__": "builtins"})
    assert not catalog.is_allowed(imposing_int)


def test_a_class_registered_later_counts(catalog: TypeCatalog, monkeypatch: pytest.MonkeyPatch) -> None:
    from agent_framework._workflows import _checkpoint_encoding as encoding

    monkeypatch.setattr(encoding, "_REGISTERED_CHECKPOINT_TYPE_KEYS", set())
    assert not catalog.is_allowed(UndeclaredOuter.Inner)
    register_checkpoint_type(UndeclaredOuter.Inner)
    assert catalog.is_allowed(UndeclaredOuter.Inner)
    assert catalog.resolve(type_key(UndeclaredOuter.Inner)) is UndeclaredOuter.Inner


def test_types_of_sub_workflows_count() -> None:
    inner = WorkflowExecutor(_workflow(), id="inner")
    middle = WorkflowBuilder(name="middle", start_executor=inner).build()
    outer = WorkflowBuilder(name="outer", start_executor=WorkflowExecutor(middle, id="outer")).build()
    assert [executor.id for executor in executors_of(outer)] == ["outer", "inner", "asker"]
    assert TypeCatalog(outer).is_allowed(Part)


def _reply(prompt: Prompt) -> Reply:
    return Reply("")


def test_the_response_format_of_an_agent_counts() -> None:
    agent = scripted_agent("a", _reply, default_options={"response_format": UndeclaredModel})
    workflow = WorkflowBuilder(name="w", start_executor=AgentExecutor(agent, id="agent")).build()
    assert TypeCatalog(workflow).is_allowed(UndeclaredModel)


class UndeclaredModel(BaseModel):
    x: int


def test_values_of_the_first_state_count() -> None:
    catalog = TypeCatalog(WorkflowBuilder(name="w", start_executor=Plain(id="plain")).build())
    state = {"a": [{Kind.ONE: (Undeclared(), {UndeclaredModel(x=1).x})}], "b": Whole({}), "c": None}
    catalog.add_values(state, "plain")
    assert catalog.is_allowed(Whole)
    assert catalog.is_allowed(Part)
    assert not catalog.is_allowed(Undeclared)


class Plain(Executor):
    @handler
    async def take(self, value: str, ctx: WorkflowContext) -> None:
        """Declare the type."""


def test_a_declared_class_local_to_a_function_is_refused() -> None:
    class Local(BaseModel):
        x: int

    class Taker(Executor):
        @handler(input=Local)
        async def take(self, value: Any, ctx: WorkflowContext) -> None:
            """Declare the type."""

    workflow = WorkflowBuilder(name="local", start_executor=Taker(id="taker")).build()
    with pytest.raises(
        HostingError, match=r"Executor 'taker' declares '.*<locals>.Local'.*Move the class to module level"
    ):
        TypeCatalog(workflow)


@pytest.mark.parametrize(
    ("annotation", "expected"),
    [
        (str, str),
        (list[str], list),
        (dict[str, Any], dict),
        (str | None, None),
        (Any, None),
        (Literal["a"], None),
        (T, None),
        (None, None),
    ],
    ids=str,
)
def test_the_class_of_an_annotation(annotation: Any, expected: Any) -> None:
    found = runtime_class(annotation)
    assert found is expected or (annotation is Any and found in (None, Any))


def test_names_members_and_generics() -> None:
    assert members(str | None) == (str, type(None))
    assert members(list[str]) == (list[str],)
    assert type_name(Whole) == f"{__name__}:Whole"
    assert type_name(list[str]) == "list[str]"
    assert generic_origin(Envelope[Part]) is Envelope
    assert generic_args(Envelope[Part]) == (Part,)
    assert generic_origin(Whole) is Whole
    assert generic_args(Whole) == ()
