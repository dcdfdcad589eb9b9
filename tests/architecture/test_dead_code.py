"""Nothing stands at the top of a module that no module uses; and the test would see it."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path

import agent_framework_temporal
import agent_framework_temporal.testing

from tests.architecture.sources import ROOT, SOURCES

_ELSEWHERE = frozenset(
    {
        *agent_framework_temporal.__all__,
        *agent_framework_temporal.testing.__all__,
        *("__all__", "__version__", "__getattr__", "__dir__"),
        "command",  # Scripts of pyproject.toml.
    }
)
"""What is used from outside."""
_Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def _defined(tree: ast.Module) -> set[str]:
    """Return what a module defines; what is decorated has been given to the decorator."""
    found = {node.name for node in tree.body if isinstance(node, _Definition) and not node.decorator_list}
    for node in tree.body:
        targets = [node.target] if isinstance(node, ast.AnnAssign) else getattr(node, "targets", [])
        found |= {target.id for target in targets if isinstance(target, ast.Name)}
    return found


def _read(tree: ast.AST) -> set[str]:
    found = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load)}
    return found | {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


def _imported(tree: ast.Module) -> set[tuple[str, str]]:
    """Return the names that a module takes from others, as `(module, name)`: by import, or of a module it imports."""
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)]
    names = {((node.module or "").rpartition(".")[2], alias.name) for node in imports for alias in node.names}
    modules = {alias.asname or alias.name: alias.name for node in imports for alias in node.names}
    return names | {
        (modules[node.value.id], node.attr)
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules
    }


def unused(sources: Mapping[Path, str]) -> list[str]:
    """Return what no module uses: not its own, by name, and none that imports it from there."""
    trees = {path: ast.parse(text) for path, text in sources.items()}
    imported = set().union(*map(_imported, trees.values()))
    return [
        f"{path.name}: {name}"
        for path, tree in trees.items()
        for name in sorted(_defined(tree) - _read(tree) - _ELSEWHERE)
        if (path.stem if path.stem != "__init__" else path.parent.name, name) not in imported
    ]


def test_everything_is_used() -> None:
    assert unused({path: path.read_text() for path in SOURCES}) == []


def test_what_nobody_uses_is_seen() -> None:
    one = "LIMIT = 3\ndef used(): ...\ndef left(): ...\ndef called(): ...\n"
    two = "from . import one\nfrom .one import used\nused()\none.called()\n"
    planted = {ROOT / "one.py": one, ROOT / "two.py": two}
    assert unused(planted) == ["one.py: LIMIT", "one.py: left"]
