"""What the package exports, under which names, and what importing it does not import."""

from __future__ import annotations

import ast
import inspect
import pickle
import subprocess
import sys
from pathlib import Path

import agent_framework_temporal
import pytest
from agent_framework_temporal.workflows.exported import PACKAGE
from agent_framework_temporal.workflows.workflow import AgentFrameworkWorkflow
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner
from temporalio.workflow import _Definition

from tests.architecture.sources import ROOT, SOURCES, module_name

EXPORTED = sorted(set(agent_framework_temporal.__all__))


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
        assert pickle.loads(pickle.dumps(found)) is found


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
        _ = agent_framework_temporal.nothing


def _python(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=100, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


def test_any_module_can_be_the_first_that_is_imported() -> None:
    """Each in a fresh set of modules of ours, in one process: the framework and the SDK stay imported."""
    modules = [module_name(path) for path in SOURCES if path.name not in ("__main__.py", "dev_server_guard.py")]
    program = (
        "import importlib, sys\n"
        "import agent_framework, temporalio.worker, pydantic\n"
        f"for module in {modules!r}:\n"
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
    assert Path(ROOT / "README.md") in pages
