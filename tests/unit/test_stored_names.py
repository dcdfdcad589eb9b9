"""Names in stored data that the framework may change: each is found under what it is called today.

`framework_classes.txt` lists the classes of the framework that checkpoints, events and failures may name; lines are
only ever added, by `python -m tests.unit.test_stored_names`. One that is not found any more needs its new name in
`adapter/framework/internals.py`, `RENAMED`.
"""

from __future__ import annotations

import ast
import inspect
import pkgutil
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import agent_framework
import agent_framework_orchestrations
import pytest
from agent_framework import WorkflowCheckpoint, WorkflowEvent
from agent_framework_temporal.adapter.checkpoints.label import read_label
from agent_framework_temporal.adapter.encoding.encoding import dumps
from agent_framework_temporal.adapter.framework import internals
from agent_framework_temporal.adapter.framework.catalog import TypeCatalog, known_error, known_event
from agent_framework_temporal.adapter.framework.error_data import rebuilt
from agent_framework_temporal.adapter.framework.static import has_base, loaded_class, type_key

from tests.architecture.sources import SOURCES
from tests.flows import echo

LIST = Path(__file__).with_name("framework_classes.txt")
CATALOG = TypeCatalog(echo())


def _classes() -> Iterator[Any]:
    """Yield the classes that stored data may name, of the framework's core and its orchestrations."""
    for package in (agent_framework, agent_framework_orchestrations):
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            module = sys.modules.get(found.name)
            known: list[Any] = list(vars(module).values()) if module is not None else []
            for cls in known:
                if inspect.isclass(cls) and cls.__module__ == found.name:
                    stored = internals.is_framework_data(cls) or has_base(cls, Exception, WorkflowEvent)
                    if stored and loaded_class(type_key(cls)) is cls:
                        yield cls


def _found(key: str) -> bool:
    return (CATALOG.resolve(key) or known_error(key) or known_event(key)) is not None


def test_every_name_that_stored_data_may_hold_is_found() -> None:
    lost = [key for key in LIST.read_text().split() if not _found(key)]
    assert lost == [], "The framework has moved these: add where to, to RENAMED in adapter/framework/internals.py."


def test_the_list_has_what_there_is() -> None:
    """Also what a newer framework has, when it is the oldest that is supported: then run this module."""
    listed = set(LIST.read_text().split())
    assert {"agent_framework._types:Message", type_key(WorkflowCheckpoint)} <= listed
    assert len(listed) > 100


def test_one_that_has_moved_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever stored data is read: by a catalog, by a client that has none, and where only a label is read."""
    errors = [key for key in LIST.read_text().split() if known_error(key) is not None]
    (error, *_), checkpoint = errors, type_key(WorkflowCheckpoint)
    raw = dumps(WorkflowCheckpoint(workflow_name="w", graph_signature_hash="g"), CATALOG)
    monkeypatch.setattr(
        internals, "RENAMED", {"agent_framework._old:Gone": error, "agent_framework._old:C": checkpoint}
    )
    assert (
        known_error("agent_framework._old:Gone")
        is known_error(error)
        is CATALOG.error_class("agent_framework._old:Gone")
    )
    assert type_key(type(rebuilt("agent_framework._old", "Gone", ["text"], "text", None))) == error
    moved = raw.replace(checkpoint.encode(), b"agent_framework._old:C")
    assert moved != raw
    assert read_label(moved) == read_label(raw)


def test_stored_data_of_ours_names_no_module_inside() -> None:
    """No text of this package says where a module of it lies: not to users, and not to those who read stored data."""
    inside = tuple(f"agent_framework_temporal.{room}" for room in ("adapter", "activities", "workflows"))
    for path in SOURCES:
        strings = [node.value for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Constant)]
        assert [text for text in strings if isinstance(text, str) and any(name in text for name in inside)] == [], path


if __name__ == "__main__":
    listed = set(LIST.read_text().split()) if LIST.exists() else set()
    LIST.write_text("\n".join(sorted(listed | {type_key(cls) for cls in _classes()})) + "\n")
