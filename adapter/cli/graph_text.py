"""A workflow's graph as text: for a terminal, and in the languages of Mermaid and Graphviz.

The framework draws graphs too, but puts the executors' ids into the text as they are.
"""

from __future__ import annotations

from collections.abc import Iterator

from agent_framework import Executor, Workflow, WorkflowExecutor

from ...workflows.display import dot, mermaid, terminal_line
from ..framework.definition import is_workflow
from ..framework.functional import FunctionalInstance
from ..framework.internals import edge_kind


def graph_order(workflow: Workflow) -> list[str]:
    """Return the ids of a workflow's executors, breadth first from its start."""
    if isinstance(workflow, FunctionalInstance):
        return []
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
    if isinstance(workflow, FunctionalInstance):
        lines = [f"ƒ {terminal_line(workflow.name)}  (functional workflow: its code says what follows what)"]
        lines += [f"  · {terminal_line(name)}  (step)" for name in workflow.steps]
    for name in graph_order(workflow):
        executor = workflow.executors[name]
        mark = "▶" if name == workflow.start_executor_id else "■"
        lines.append(f"{mark} {terminal_line(name)}  ({type(executor).__name__})")
        edges = edges_from(workflow, name)
        for number, (kind, target, condition) in enumerate(edges):
            corner = "└" if number == len(edges) - 1 else "├"
            remark = _remark(kind, condition)
            lines.append(f"  {corner}─▶ {terminal_line(target)}" + (f"  ({terminal_line(remark)})" if remark else ""))
        inner = _inner(executor)
        if inner is not None:
            lines += [f"  ┊ {line}" for line in draw(inner)]
    return lines


def to_mermaid(workflow: Workflow) -> str:
    """Return the graph as a flowchart of Mermaid; sub-workflows are subgraphs."""
    steps = [f'  n{number}["{mermaid(name)}"]' for number, name in enumerate(_steps(workflow))]
    return "\n".join(["flowchart TD", *steps, *_mermaid(workflow, "n", "  ")])


def _mermaid(workflow: Workflow, prefix: str, indent: str) -> Iterator[str]:
    # Ids are numbers: one of an executor's own could be a word of the language, or another's after its marks are gone.
    ids = _ids(workflow, prefix)
    for name, node in ids.items():
        start = " (Start)" if name == workflow.start_executor_id else ""
        yield f'{indent}{node}["{mermaid(name)}{start}"]'
        inner = _inner(workflow.executors[name])
        if inner is not None:
            yield f'{indent}subgraph {node}_inner["{mermaid(name)}"]'
            yield from _mermaid(inner, f"{node}_", f"{indent}  ")
            yield f"{indent}end"
    for name, node in ids.items():
        for kind, target, condition in edges_from(workflow, name):
            remark = _remark(kind, condition)
            label = f'|"{mermaid(remark)}"|' if remark else ""
            yield f"{indent}{node} {'-.->' if condition else '-->'}{label} {ids[target]}"


def to_dot(workflow: Workflow) -> str:
    """Return the graph in the language of Graphviz; sub-workflows are clusters."""
    head = ["digraph Workflow {", "  rankdir=TD;", "  node [shape=box, style=filled, fillcolor=lightblue];"]
    steps = [f'  n{number} [label="{dot(name)}"];' for number, name in enumerate(_steps(workflow))]
    return "\n".join([*head, *steps, *_dot(workflow, "n", "  "), "}"])


def _dot(workflow: Workflow, prefix: str, indent: str) -> Iterator[str]:
    ids = _ids(workflow, prefix)
    for name, node in ids.items():
        start = name == workflow.start_executor_id
        more = '\\n(Start)", fillcolor=lightgreen' if start else '"'
        yield f'{indent}{node} [label="{dot(name)}{more}];'
        inner = _inner(workflow.executors[name])
        if inner is not None:
            yield f"{indent}subgraph cluster_{node} {{"
            yield f'{indent}  label="sub-workflow: {dot(name)}"; style=dashed;'
            yield from _dot(inner, f"{node}_", f"{indent}  ")
            yield f"{indent}}}"
    for name, node in ids.items():
        for kind, target, condition in edges_from(workflow, name):
            remark = _remark(kind, condition)
            attributes = [f'label="{dot(remark)}"'] if remark else []
            attributes += ["style=dashed"] if condition else []
            yield f"{indent}{node} -> {ids[target]}" + (f" [{', '.join(attributes)}];" if attributes else ";")


def _steps(workflow: Workflow) -> list[str]:
    """Return the steps of a functional workflow, which no edges join."""
    return workflow.steps if isinstance(workflow, FunctionalInstance) else []


def _ids(workflow: Workflow, prefix: str) -> dict[str, str]:
    return {name: f"{prefix}{number}" for number, name in enumerate(graph_order(workflow))}


def _remark(kind: str, condition: str) -> str:
    return ", ".join(part for part in (kind, f"if {condition}" if condition else "") if part)


def _inner(executor: Executor) -> Workflow | None:
    inner = executor.workflow if isinstance(executor, WorkflowExecutor) else None
    return inner if is_workflow(inner) else None
