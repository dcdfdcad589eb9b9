"""What the package exports, under which names, and what importing it does not import."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args, get_type_hints

import agent_framework_temporal
import agent_framework_temporal.testing
import pytest
from agent_framework_temporal import Checkpoint, DurableWorkflow, HistoryCheckpointStorage
from agent_framework_temporal.workflows.exported import PACKAGE
from agent_framework_temporal.workflows.workflow import AgentFrameworkWorkflow
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner
from temporalio.workflow import _Definition

from tests.architecture.rooms import room_of
from tests.architecture.sources import ROOT, SOURCES, module_name

EXPORTED = sorted(set(agent_framework_temporal.__all__))
EXPORTED_FOR_TESTS = sorted(agent_framework_temporal.testing.__all__)


def test_the_stub_lists_each_name_once_and_says_where_it_is() -> None:
    """Type checkers read the stub, and so does the package: there is no second list."""
    listed = [
        (node.module, alias.name, alias.asname)
        for node in ast.parse((ROOT / "__init__.pyi").read_text()).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    ]
    assert sorted(name for _, name, _ in listed) == EXPORTED
    assert all(name == again for _, name, again in listed)
    assert dir(agent_framework_temporal) == agent_framework_temporal.__all__


@pytest.mark.parametrize("name", EXPORTED)
def test_an_exported_name_is_permanent_and_documented(name: str) -> None:
    found = getattr(agent_framework_temporal, name)
    if inspect.isclass(found) or inspect.isfunction(found):
        assert found.__module__ == PACKAGE, "mark it with @exported"
        assert found.__doc__
        assert pickle.loads(pickle.dumps(found)) is found  # noqa: S301 - what was just written


@pytest.mark.parametrize("name", EXPORTED_FOR_TESTS)
def test_a_name_for_tests_is_permanent_and_documented(name: str) -> None:
    found = getattr(agent_framework_temporal.testing, name)
    assert found.__module__ == agent_framework_temporal.testing.__name__
    assert found.__doc__


def _parts(annotation: Any) -> Iterator[type[Any]]:
    """Yield the classes that an annotation is made of."""
    if inspect.isclass(annotation) and not get_args(annotation):
        yield annotation
    for argument in get_args(annotation):
        for part in argument if isinstance(argument, list) else [argument]:
            yield from _parts(part)


def _public(found: Any) -> Iterator[Any]:
    """Yield what carries the public annotations of a class or function."""
    yield found
    for name, member in vars(found).items() if inspect.isclass(found) else ():
        if not name.startswith("_") or (name == "__init__" and found not in _MADE_BY_US):
            function = member.fget if isinstance(member, property) else getattr(member, "__func__", member)
            if inspect.isfunction(function):
                yield inspect.unwrap(function)


_MADE_BY_US = (agent_framework_temporal.CheckpointEdit, agent_framework_temporal.DevServer)
"""Classes that users are given and never make themselves."""


@pytest.mark.parametrize("name", [*EXPORTED, *EXPORTED_FOR_TESTS])
def test_what_is_exported_speaks_of_what_is_exported(name: str) -> None:
    """Annotations can be resolved, by pydantic for one, and name no class that users cannot import from the package."""
    package = agent_framework_temporal if name in EXPORTED else agent_framework_temporal.testing
    found = getattr(package, name)
    if not (inspect.isclass(found) or inspect.isfunction(found)) or name in _OF_OTHERS:
        return  # An alias; and annotations of the framework, and of extras, are for type checkers only.
    hints = [hint for carrier in _public(found) for key, hint in get_type_hints(carrier).items() if key[0] != "_"]
    inside = [part for hint in hints for part in _parts(hint) if part.__module__.startswith(f"{PACKAGE}.")]
    assert [part for part in inside if part.__name__ not in agent_framework_temporal.testing.__all__] == []


_OF_OTHERS = ("ScriptedChatClient", "ag_ui_workflow", "codec_app", "mcp_server")

_NOT_OF_A_THREAD = (
    DurableWorkflow.checkpoint,  # Makes a handle of an id.
    agent_framework_temporal.testing.replay_history,  # Reads a file.
    HistoryCheckpointStorage.save,  # Takes the framework's checkpoint.
)


@pytest.mark.parametrize("name", [*EXPORTED, *EXPORTED_FOR_TESTS])
def test_an_argument_that_means_a_thread_is_called_checkpoint(name: str) -> None:
    """It takes a handle or an id."""
    package = agent_framework_temporal if name in EXPORTED else agent_framework_temporal.testing
    found = getattr(package, name)
    functions = [carrier for carrier in _public(found) if inspect.isfunction(carrier)]
    for function in [] if dataclasses.is_dataclass(found) else functions:  # A record may say where it is from.
        if function in _NOT_OF_A_THREAD:
            continue
        parameters = inspect.signature(function).parameters
        assert not parameters.keys() & {"thread", "thread_id", "handle"}, function
        if "checkpoint" in parameters:
            assert set(_parts(get_type_hints(function)["checkpoint"])) - {type(None)} == {Checkpoint, str}, function


def test_only_what_is_exported_is_marked() -> None:
    marked = {
        node.name
        for path in SOURCES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        and any(isinstance(mark, ast.Name) and mark.id == "exported" for mark in node.decorator_list)
    }
    assert marked <= set(EXPORTED)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="nothing"):
        _ = agent_framework_temporal.nothing  # type: ignore[attr-defined]


def _python(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=110, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_any_room_can_be_the_first_that_is_imported() -> None:
    """One module of each, afresh, in one process; that no modules import each other is tested with the rooms."""
    found = {room_of(module): module for module in map(module_name, SOURCES) if room_of(module) is not None}
    program = (
        "import importlib, sys\n"
        "import agent_framework, temporalio.worker, pydantic\n"
        f"for module in {list(found.values())!r}:\n"
        f"    for name in [name for name in sys.modules if name.split('.')[0] == {PACKAGE!r}]:\n"
        "        del sys.modules[name]\n"
        "    importlib.import_module(module)\n"
        "print('done')\n"
    )
    assert _python(program) == "done"


@pytest.mark.parametrize("module", ["agent_framework_temporal", "agent_framework_temporal.workflows.workflow"])
def test_importing_the_workflow_does_not_import_the_framework(module: str) -> None:
    code = f"import sys, {module}; print([name for name in sys.modules if name.split('.')[0] == 'agent_framework'])"
    assert _python(code) == "[]"


async def test_the_workflow_loads_in_the_default_sandbox_without_the_framework() -> None:
    definition = _Definition.must_from_class(AgentFrameworkWorkflow)
    SandboxedWorkflowRunner().prepare_workflow(definition)


def test_no_module_in_a_room_hides_behind_an_underscore() -> None:
    hidden = [path for path in SOURCES if path.name.startswith("_") and not path.name.startswith("__")]
    assert hidden == []


def test_no_text_sends_users_to_a_module_inside() -> None:
    """Users import from the package and call its commands; where a module lies is nobody's but ours."""
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    inside = (f"{PACKAGE}.adapter", f"{PACKAGE}.activities", f"{PACKAGE}.workflows")
    for page in [path for path in pages if path.name not in ("architecture.md", "reference.md")]:
        assert not [line for line in page.read_text().splitlines() if any(name in line for name in inside)], page
    examples = [path.read_text() for path in (ROOT / "examples").rglob("*") if path.suffix in (".py", ".md", ".sh")]
    assert examples
    assert not [text for text in examples if any(name in text for name in inside)]


@pytest.mark.parametrize("path", [path for path in SOURCES if "cli" in path.parts or "commands" in path.parts])
def test_the_connections_variables_are_read_by_the_sdk(path: Path) -> None:
    """By `ClientConfig` in one module: here nothing asks the environment for a variable of Temporal's."""
    asked = [
        argument.value
        for node in ast.walk(ast.parse(path.read_text()))
        for argument in (
            [*node.args, *(given.value for given in node.keywords if given.arg == "envvar")]
            if isinstance(node, ast.Call) and not isinstance(node.func, ast.Name)
            else [node.slice]
            if isinstance(node, ast.Subscript)
            else []
        )
        if isinstance(argument, ast.Constant) and re.match("TEMPORAL_[A-Z]", str(argument.value))
    ]
    assert asked == []
    assert ("ClientConfig" in path.read_text()) is (path.name == "connection.py")
