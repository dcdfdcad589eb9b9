"""What the Web UI shows of a run from its start on; it lies in the run's first history event."""

from __future__ import annotations

from ...workflows.display import markdown_code, one_line
from .definition import WorkflowDefinition

_MAX_TEXT = 2_000
_MAX_NAME = 100


def static_details(hosted: WorkflowDefinition | None, console: str | None = None) -> str | None:
    """Describe a run's workflow in Markdown: its executors and edges, and where the console shows it.

    Costs at most 2 KB of history a run, beside the address.

    Args:
        hosted: The workflow; None where only its name is known, which says nothing.
        console: Address of the run's thread, or of the list of threads; None where there is no console.
    """
    parts = [_graph(hosted)] if hosted is not None else []
    parts += [f"[Open in the console](<{console}>)"] if console is not None else []
    return "\n\n".join(parts) or None


def _graph(hosted: WorkflowDefinition) -> str:
    signature = hosted.graph_signature
    start = signature.get("start_executor")
    targets: dict[str, list[str]] = {}
    for group in signature.get("edge_groups", []):
        for edge in group.get("edges", []):
            if not str(edge["source"]).startswith("internal:"):
                targets.setdefault(edge["source"], []).append(edge["target"])
    names = sorted(signature.get("executors", {}), key=lambda name: (name != start, name))
    how = "from pause to pause. Its steps" if hosted.is_functional else "superstep by superstep. Its executors"
    lines = [f"Framework workflow {_code(hosted.name)}, {how}:", ""]
    for name in names:
        to = ", ".join(map(_code, dict.fromkeys(targets.get(name, ()))))
        lines.append(f"- {_code(name)}{' (start)' if name == start else ''}{f' → {to}' if to else ''}")
        if sum(map(len, lines)) > _MAX_TEXT:
            lines[-1] = f"- and {len(names) - len(lines) + 3} more"
            break
    return "\n".join(lines)


def _code(text: str) -> str:
    return markdown_code(one_line(text, _MAX_NAME))
