"""An attempt that is lost in a call of a model or a tool: the next one makes that call, and none that had finished."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from agent_framework import InMemoryCheckpointStorage
from agent_framework_temporal.activities.hosting import host
from agent_framework_temporal.activities.journal.calls import journal_calls
from agent_framework_temporal.activities.journal.journal import Journal, Scope, journalled
from agent_framework_temporal.activities.journal.rules import JournalRules
from agent_framework_temporal.adapter.framework.catalog import TypeCatalog
from agent_framework_temporal.testing.canonical import Canonical
from agent_framework_temporal.workflows.messages import SuperstepInput

from tests.journal._flows import FACTORIES, KINDS, LEDGER, LostError

journal_calls()


class Server:
    """Takes what is written; an attempt that is lost has left what was written last."""

    def __init__(self) -> None:
        self.journal: Journal | None = None
        self.has = b""

    async def write(self) -> None:
        if self.journal is not None:
            self.has = self.journal.packed

    def write_soon(self) -> None:
        """Too late."""


async def _attempt(name: str, catalog: TypeCatalog, crash_at: int | None, before: bytes = b"") -> Any:
    """Run a workflow to its end, as one attempt of one superstep."""
    LEDGER.start(crash_at)
    server = Server()
    rules = JournalRules(SuperstepInput(workflow_name=name, mode="message"))
    server.journal = Journal(catalog, server, rules, before)
    storage, canonical = InMemoryCheckpointStorage(), Canonical()
    workflow = FACTORIES[name]()
    try:
        with journalled(Scope(server.journal)):
            if name.endswith("stream"):
                stream = workflow.run("buy", stream=True, checkpoint_storage=storage)
                events = [event async for event in stream]
            else:
                events = list(await workflow.run("buy", checkpoint_storage=storage))
    except LostError:
        return server
    last = await storage.get_latest(workflow_name=workflow.name)
    assert last is not None
    return canonical.events(events), canonical.checkpoints([last]), server.journal.tally


@pytest.mark.parametrize("mode", ["run", "stream"])
@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_that_had_finished_is_called_again(kind: str, mode: str) -> None:
    name = f"{kind}_{mode}"
    catalog = (await host(FACTORIES[name])).catalog
    undisturbed, checkpoint, tally = await _attempt(name, catalog, None)
    made, calls = Counter(LEDGER.begun), LEDGER.begun.total()
    assert LEDGER.ended == made
    assert tally.calls.total() >= calls
    for crash_at in range(calls):
        server = await _attempt(name, catalog, crash_at)
        assert isinstance(server, Server), f"call {crash_at} was not made"
        first, lost = Counter(LEDGER.begun), LEDGER.begun - LEDGER.ended
        events, last, _ = await _attempt(name, catalog, None, server.has)
        assert first + LEDGER.begun == made + lost, f"lost in call {crash_at}"
        assert events == undisturbed, f"lost in call {crash_at}"
        assert last == checkpoint, f"lost in call {crash_at}"
