"""What the options of a run say of its journal: what is kept, and what becomes of a call whose end nobody knows."""

from __future__ import annotations

from typing import Any

from ...workflows.messages import InDoubt, SuperstepInput, ToolRule

_NO_RULE = ToolRule()


class JournalRules:
    """Rules by executor and tool.

    Args:
        step: The superstep, with the run's options.
    """

    def __init__(self, step: SuperstepInput) -> None:
        self.enabled: bool = step.journal is not False
        """Whether the superstep has a journal at all."""
        self._executors = step.executors or {}
        self._tools = step.tools or {}

    def keeps(self, executor_id: str | None, tool: str | None = None) -> bool:
        """Tell whether the calls of an executor, or of one tool there, are kept."""
        if not self.enabled:
            return False
        own = self._tool(tool).journal
        return own if own is not None else self._own(executor_id, "journal") is not False

    def in_doubt(self, executor_id: str | None, tool: str | None = None) -> InDoubt | str:
        """Return what becomes of an invocation, or of a call of one of its tools, whose end nobody knows."""
        return self._tool(tool).in_doubt or self._own(executor_id, "in_doubt") or "again"

    def _tool(self, name: str | None) -> ToolRule:
        return self._tools.get(name or "", _NO_RULE)

    def _own(self, path: str | None, name: str) -> Any:
        """Return what the rule of an executor says; what is left out for one of a sub-workflow, the one around says."""
        names = (path or "").split("/")
        for end in range(len(names), 0, -1):
            rule = self._executors.get("/".join(names[:end]))
            if rule is not None and (found := getattr(rule, name)) is not None:
                return found
        return None
