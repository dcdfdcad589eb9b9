"""A workflow's graph as text for a terminal."""

from __future__ import annotations

from agent_framework import Workflow, WorkflowExecutor

from ..framework.definition import is_workflow
from ..framework.internals import edge_kind


def graph_order(workflow: Workflow) -> list[str]:
    """Return the ids of a workflow's executors, breadth first from its start."""
    start: str = workflow.start_executor_id
    order = [start]
    for name in order:
        for _, target, _ in edges_from(workflow, name):
            if target not in order:
                order.append(target)
    return order + [name for name in workflow.executors if name not in order]


def edges_from(workflow: Workflow, source: str) -> list[tuple[str, str, str]]:
    """Return the edges of an executor: kind, target and condition; kinds are chain, fan-in, fan-out and switch."""
    found: list[tuple[str, str, str]] = []
    for group in workflow.edge_groups:
        kind = edge_kind(group)
        for edge in group.edges:
            if edge.source_id == source and kind != "internal" and edge.target_id in workflow.executors:
                found.append((kind, edge.target_id, edge.condition_name or ""))
    return found


def draw(workflow: Workflow) -> list[str]:
    """Draw the graph: a line for each executor, with its edges below it; sub-workflows are drawn in their executor."""
    lines: list[str] = []
    for name in graph_order(workflow):
        executor = workflow.executors[name]
        mark = "▶" if name == workflow.start_executor_id else "■"
        lines.append(f"{mark} {name}  ({type(executor).__name__})")
        edges = edges_from(workflow, name)
        for number, (kind, target, condition) in enumerate(edges):
            corner = "└" if number == len(edges) - 1 else "├"
            remark = ", ".join(part for part in (kind, f"if {condition}" if condition else "") if part)
            lines.append(f"  {corner}─▶ {target}" + (f"  ({remark})" if remark else ""))
        inner = getattr(executor, "workflow", None)
        if isinstance(executor, WorkflowExecutor) and is_workflow(inner):
            lines += [f"  ┊ {line}" for line in draw(inner)]
    return lines
