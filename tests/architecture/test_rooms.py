"""The rooms' import order, over the real import graph; and that the test would see a violation."""

from __future__ import annotations

import grimp
import pytest

from tests.architecture.rooms import DOCUMENT, FLOORS, PACKAGE, document, import_graph, room_of, violations


@pytest.fixture(scope="module")
def graph() -> grimp.ImportGraph:
    return import_graph()


def test_every_import_goes_down(graph: grimp.ImportGraph) -> None:
    assert violations(graph) == []


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("activities.superstep", "adapter.client.calls"),
        ("adapter.client.calls", "activities.superstep"),
        ("adapter.framework.internals", "adapter.temporal.client"),
        ("adapter.checkpoints.frames", "adapter.plugin"),
        ("workflows.requests.requests", "adapter.errors"),
        ("workflows.messages", "workflows.log"),
        ("adapter.commands.health", "worker"),
    ],
)
def test_an_import_that_goes_up_is_seen(graph: grimp.ImportGraph, importer: str, imported: str) -> None:
    planted = import_graph()
    planted.add_import(importer=f"{PACKAGE}.{importer}", imported=f"{PACKAGE}.{imported}")
    assert violations(planted) == [f"{PACKAGE}.{importer} imports {PACKAGE}.{imported}"]


def test_a_module_in_no_room_is_seen() -> None:
    planted = import_graph()
    planted.add_module(f"{PACKAGE}.adapter.attic")
    assert violations(planted) == [f"{PACKAGE}.adapter.attic lies in no room"]


def test_no_circle_between_modules(graph: grimp.ImportGraph) -> None:
    for module in graph.modules:
        for imported in graph.find_modules_directly_imported_by(module):
            assert not graph.find_shortest_chain(imported, module), f"{module} and {imported} import each other"


def test_every_room_is_there(graph: grimp.ImportGraph) -> None:
    used = {room_of(module) for module in graph.modules}
    assert {room for floor in FLOORS for room in floor} <= used


def test_the_drawing_is_of_today(graph: grimp.ImportGraph) -> None:
    """`python -m tests.architecture.rooms` redraws it."""
    text = DOCUMENT.read_text()
    assert document(text, graph) == text
