"""Private names of the framework stand in one module; and the test would see one elsewhere."""

from __future__ import annotations

import ast
import importlib.util
from functools import cache
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT, SOURCES

INTERNALS = ROOT / "adapter" / "framework" / "internals.py"


def _is_private(name: str) -> bool:
    return name.startswith("_") and not name.startswith("__")


def _strings(tree: ast.AST) -> set[str]:
    return {node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, str)}


def _own_attributes(tree: ast.AST) -> set[str]:
    """Return the private names that a module defines: its functions, and attributes of `self` and `cls`."""
    found: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            found.add(node.name)
        elif isinstance(node, ast.AnnAssign | ast.Assign):
            targets = [node.target] if isinstance(node, ast.AnnAssign) else node.targets
            for target in targets:
                if isinstance(target, ast.Name):
                    found.add(target.id)
                elif isinstance(target, ast.Attribute) and isinstance(target.value, ast.Name):
                    if target.value.id in ("self", "cls"):
                        found.add(target.attr)
    return found


@cache
def _framework_names() -> frozenset[str]:
    """Return the private names of the framework that our one module touches, as attributes, imports or texts."""
    tree = ast.parse(INTERNALS.read_text())
    touched = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)} | _strings(tree)
    touched |= {
        alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("agent_framework._")
        for alias in node.names
    }
    return frozenset(name for name in touched if _is_private(name) and name.isidentifier())


@cache
def _defined_by_the_framework() -> frozenset[str]:
    """Return every private attribute that the framework's workflows give an object of theirs."""
    spec = importlib.util.find_spec("agent_framework")
    assert spec is not None and spec.origin is not None
    folder = Path(spec.origin).parent
    found: set[str] = set()
    for path in [*(folder / "_workflows").rglob("*.py"), folder / "_agents.py", folder / "_types.py"]:
        found |= {name for name in _own_attributes(ast.parse(path.read_text())) if _is_private(name)}
    return frozenset(found)


def uses(source: str) -> list[str]:
    """Return how a module touches private names of the framework: imports, attributes and texts."""
    tree = ast.parse(source)
    own = _own_attributes(tree)
    found = [
        f"imports from {node.module}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom)
        and (node.module or "").startswith("agent_framework")
        and any(_is_private(part) for part in (node.module or "").split("."))
    ]
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and _is_private(node.attr):
            of_self = isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
            if node.attr in _framework_names() or (
                not of_self and node.attr not in own and node.attr in _defined_by_the_framework()
            ):
                found.append(f"attribute {node.attr}")
    found += [f"text {text!r}" for text in sorted(_strings(tree)) if text in _framework_names()]
    return found


@pytest.mark.parametrize(
    "path", [path for path in SOURCES if path != INTERNALS], ids=lambda path: str(path.relative_to(ROOT))
)
def test_a_module_touches_no_private_name_of_the_framework(path: Path) -> None:
    assert uses(path.read_text()) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("from agent_framework._workflows._runner import Runner", "imports from agent_framework._workflows._runner"),
        ("from agent_framework.openai._chat import X", "imports from agent_framework.openai._chat"),
        ("workflow._runner_context.reset()", "attribute _runner_context"),
        ("class A:\n    def __init__(self):\n        self._runner_context = self", "attribute _runner_context"),
        ("state = {'_executor_state': {}}", "text '_executor_state'"),
        ("getattr(executor, '_response_handlers')", "text '_response_handlers'"),
    ],
)
def test_a_planted_one_is_seen(source: str, expected: str) -> None:
    assert expected in uses(source)
