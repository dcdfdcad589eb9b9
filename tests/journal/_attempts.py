"""Attempts of a superstep in this process: each begins with what the one before had written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from agent_framework_temporal.activities.journal.calls import journal_calls
from agent_framework_temporal.activities.journal.journal import Journal, Scope, journalled
from agent_framework_temporal.activities.journal.rules import JournalRules
from agent_framework_temporal.adapter.framework.catalog import TypeCatalog
from agent_framework_temporal.workflows.messages import ExecutorRule, SuperstepInput, ToolRule


class Server:
    """Takes what is written: an attempt that is lost has left what was written last."""

    def __init__(self) -> None:
        self.has = b""
        self.writes = 0
        self.journal: Journal | None = None

    async def write(self) -> None:
        """Take the journal."""
        self.writes += 1
        assert self.journal is not None
        self.has = self.journal.packed

    def write_soon(self) -> None:
        """It would come too late."""


class Attempts:
    """Attempts of one superstep.

    Args:
        catalog: The types that may be stored.
        tools: Rules by tool.
        executors: Rules by executor.
    """

    def __init__(
        self,
        catalog: TypeCatalog,
        tools: dict[str, ToolRule] | None = None,
        executors: dict[str, ExecutorRule] | None = None,
    ) -> None:
        journal_calls()
        self._catalog = catalog
        step = SuperstepInput(workflow_name="made-up", mode="message", tools=tools, executors=executors)
        self._rules = JournalRules(step)
        self.server = Server()

    @contextmanager
    def attempt(self) -> Iterator[Journal]:
        """Run the body as an attempt."""
        journal = Journal(self._catalog, self.server, self._rules, [self.server.has])
        self.server.journal = journal
        with journalled(Scope(journal, executor_id="made-up")):
            yield journal
