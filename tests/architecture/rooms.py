"""The rooms of the package and the import graph between them; `python -m tests.architecture.rooms` redraws it.

One list says which room may import which; the test holds the code to it and the drawing in docs/architecture.md is made
from it.
"""

from __future__ import annotations

from pathlib import Path

import grimp

PACKAGE = "agent_framework_temporal"
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "architecture.md"
_BEGIN, _END = "<!-- rooms: begin (generated) -->", "<!-- rooms: end -->"

FLOORS: tuple[tuple[str, ...], ...] = (
    ("workflows.exported", "workflows.value_limits"),
    ("workflows.messages",),
    ("workflows",),
    ("adapter.advice",),
    ("adapter.errors", "adapter.logging", "adapter.lru", "adapter.web_names"),
    ("adapter.framework", "adapter.temporal"),
    ("adapter.encoding",),
    ("adapter.checkpoints",),
    ("adapter.client", "activities"),
    ("adapter.plugin",),
    ("adapter.commands", "adapter.http"),
    ("testing",),
    ("adapter.cli",),
    ("worker",),
)
"""Lowest first. A module imports its own room or a lower floor; rooms on one floor do not import each other."""


def import_graph() -> grimp.ImportGraph:
    """Return the package's import graph, with the imports inside functions and those for type checkers."""
    return grimp.build_graph(PACKAGE, cache_dir=None)


def room_of(module: str) -> str | None:
    """Return the room a module lies in; None for the packages that only hold rooms."""
    name = module.removeprefix(f"{PACKAGE}.")
    rooms = [room for floor in FLOORS for room in floor if name == room or name.startswith(f"{room}.")]
    return max(rooms, key=len, default=None)


def arrows(graph: grimp.ImportGraph) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Return, for each pair of rooms of which one imports the other, the modules that do."""
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for importer in sorted(graph.modules):
        for imported in sorted(graph.find_modules_directly_imported_by(importer)):
            rooms = room_of(importer), room_of(imported)
            if rooms[0] is not None and rooms[1] is not None and rooms[0] != rooms[1]:
                found.setdefault((rooms[0], rooms[1]), []).append((importer, imported))
    return found


def violations(graph: grimp.ImportGraph) -> list[str]:
    """Return the imports that go up, or across a floor, and the modules that lie in no room."""
    floor_of = {room: number for number, floor in enumerate(FLOORS) for room in floor}
    found = [
        f"{importer} imports {imported}"
        for (room, other), imports in arrows(graph).items()
        if floor_of[other] >= floor_of[room]
        for importer, imported in imports
    ]
    holders = {PACKAGE, f"{PACKAGE}.adapter"}
    found += [f"{module} lies in no room" for module in sorted(graph.modules - holders) if room_of(module) is None]
    return found


def drawing(graph: grimp.ImportGraph) -> str:
    """Return the rooms and their imports as a Mermaid flowchart, highest floor first."""
    drawn = arrows(graph)
    lines = ["```mermaid", "flowchart TD"]
    for number, floor in reversed(list(enumerate(FLOORS, start=1))):
        lines.append(f'  subgraph floor{number}["floor {number}"]')
        lines += [f'    {_node(room)}["{room}"]' for room in floor]
        lines.append("  end")
    # Only the next steps down: with every arrow nothing could be seen.
    lines += [f"  {_node(room)} --> {_node(other)}" for room, other in sorted(_direct(set(drawn)))]
    count = sum(1 for floor in FLOORS for _ in floor)
    lines += [
        "```",
        "",
        f"{count} rooms on {len(FLOORS)} floors, {len(drawn)} arrows, no circle. An arrow that follows",
    ]
    lines += ["from two others is not drawn."]
    return "\n".join(lines)


def _direct(drawn: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """Return the arrows that do not follow from others."""
    targets: dict[str, set[str]] = {}
    for room, other in drawn:
        targets.setdefault(room, set()).add(other)

    def reachable(room: str) -> set[str]:
        found: set[str] = set()
        stack = list(targets.get(room, ()))
        while stack:
            other = stack.pop()
            if other not in found:
                found.add(other)
                stack += targets.get(other, ())
        return found

    return {
        (room, other)
        for room, other in drawn
        if not any(other in reachable(between) for between in targets[room] if between != other)
    }


def _node(room: str) -> str:
    return room.replace(".", "_")


def document(text: str, graph: grimp.ImportGraph) -> str:
    """Return the page with the drawing as it is now."""
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    return f"{before}{_BEGIN}\n{drawing(graph)}\n{_END}{after}"


if __name__ == "__main__":
    DOCUMENT.write_text(document(DOCUMENT.read_text(), import_graph()))
