"""What differs between two graph signatures of a workflow."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def graph_differences(before: dict[str, Any], after: dict[str, Any]) -> list[str]:
    """Say what differs between two graph signatures: executors added, removed or retyped, edges, start executor."""
    differences: list[str] = []
    if before.get("start_executor") != after.get("start_executor"):
        differences.append(f"start executor {before.get('start_executor')!r} became {after.get('start_executor')!r}")
    old, new = before.get("executors", {}), after.get("executors", {})
    differences += [f"executor {name!r} removed" for name in sorted(old.keys() - new.keys())]
    differences += [f"executor {name!r} added" for name in sorted(new.keys() - old.keys())]
    for name in sorted(old.keys() & new.keys()):
        if old[name] == new[name]:
            continue
        if isinstance(old[name], dict) and isinstance(new[name], dict) and old[name]["type"] == new[name]["type"]:
            inner = graph_differences(old[name]["sub_workflow"], new[name]["sub_workflow"])
            differences += [f"in sub-workflow {name!r}: {difference}" for difference in inner]
        else:
            differences.append(f"executor {name!r} changed from {_kind(old[name])} to {_kind(new[name])}")
    old_edges, new_edges = _edges(before), _edges(after)
    differences += [f"edge {edge} removed" for edge in sorted(old_edges - new_edges)]
    differences += [f"edge {edge} added" for edge in sorted(new_edges - old_edges)]
    if not differences and before != after:
        differences.append("edge groups changed")
    return differences


def _kind(signature: Any) -> str:
    return str(signature["type"] if isinstance(signature, dict) else signature)


def _edges(signature: dict[str, Any]) -> set[str]:
    found: set[str] = set()
    for group in _groups(signature):
        for edge in group["edges"]:
            condition = f" if {edge['condition']}" if edge.get("condition") else ""
            found.add(f"{edge['source']} -> {edge['target']}{condition} ({group['group_type']})")
    return found


def _groups(signature: dict[str, Any]) -> Iterable[dict[str, Any]]:
    groups: list[dict[str, Any]] = signature.get("edge_groups", [])
    return groups
