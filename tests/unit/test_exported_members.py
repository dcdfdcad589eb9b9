"""What the package exports, and what importing it does not import."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType

import agent_framework_temporal
import pytest
from agent_framework_temporal import adapter
from agent_framework_temporal.workflows.workflow import AgentFrameworkWorkflow
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner
from temporalio.workflow import _Definition

ROOT = Path(__file__).resolve().parents[2]
PRIVATE_ENTRY = {"__version__"}


def _imports(path: Path) -> list[str]:
    found: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            # The dots of a relative import stay, so that they cannot be taken for a package.
            found += [f"{'.' * node.level}{node.module or ''}.{alias.name}" for alias in node.names]
    return found


@pytest.mark.parametrize("package", [agent_framework_temporal, adapter], ids=lambda package: package.__name__)
def test_exported_names_are_sorted_and_importable(package: ModuleType) -> None:
    assert package.__all__ == sorted(package.__all__)
    assert len(set(package.__all__)) == len(package.__all__)
    for name in package.__all__:
        assert getattr(package, name) is not None


def test_the_package_exports_what_adapter_does() -> None:
    assert set(agent_framework_temporal.__all__) - PRIVATE_ENTRY == set(adapter.__all__)
    for name in adapter.__all__:
        assert getattr(agent_framework_temporal, name) is getattr(adapter, name)
    assert dir(agent_framework_temporal) == sorted(agent_framework_temporal.__all__)


def test_type_checkers_see_the_same_names() -> None:
    """The names are imported on first use; a type checker reads the imports under TYPE_CHECKING."""
    tree = ast.parse((ROOT / "__init__.py").read_text())
    seen = {
        alias.name
        for block in tree.body
        if isinstance(block, ast.If)
        for node in block.body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
    assert seen == set(adapter.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = agent_framework_temporal.nothing


def _python(code: str) -> str:
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    assert result.returncode == 0, result.stderr
    return result.stdout.strip()


@pytest.mark.parametrize("module", ["agent_framework_temporal", "agent_framework_temporal.workflows.workflow"])
def test_importing_the_workflow_does_not_import_the_framework(module: str) -> None:
    code = f"import sys, {module}; print([name for name in sys.modules if name.split('.')[0] == 'agent_framework'])"
    assert _python(code) == "[]"


@pytest.mark.parametrize(
    "module",
    [
        f"agent_framework_temporal.{path.relative_to(ROOT).with_suffix('').as_posix().replace('/', '.')}"
        for folder in ("adapter", "activities", "workflows")
        for path in sorted((ROOT / folder).glob("*.py"))
        if path.name != "__init__.py"
    ],
)
def test_any_module_can_be_the_first_that_is_imported(module: str) -> None:
    _python(f"import {module}")


async def test_the_workflow_loads_in_the_default_sandbox_without_the_framework() -> None:
    definition = _Definition.must_from_class(AgentFrameworkWorkflow)
    SandboxedWorkflowRunner().prepare_workflow(definition)


@pytest.mark.parametrize("path", sorted((ROOT / "workflows").glob("*.py")), ids=lambda path: path.name)
def test_workflows_import_neither_the_framework_nor_the_other_folders(path: Path) -> None:
    forbidden = ("agent_framework", "...", "..adapter", "..activities")
    assert not [name for name in _imports(path) if name.startswith(forbidden) or name.startswith("...")]


@pytest.mark.parametrize("folder", ["adapter", "activities", "workflows", "."])
def test_private_names_of_the_framework_are_touched_in_one_module(folder: str) -> None:
    for path in sorted((ROOT / folder).glob("*.py")):
        private = [name for name in _imports(path) if name.startswith("agent_framework._")]
        assert not private or path.name == "_framework.py", f"{path.name} imports {private}"


def test_every_exported_class_and_function_is_documented() -> None:
    for name in adapter.__all__:
        value = getattr(adapter, name)
        assert value.__doc__, name
        assert import_module(value.__module__).__doc__, value.__module__
