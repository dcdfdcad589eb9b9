"""An attempt that is lost in a call of a model or a tool: the next one makes that call, and none that had finished."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from agent_framework import InMemoryCheckpointStorage
from agent_framework_temporal.activities.hosting import host
from agent_framework_temporal.testing.canonical import Canonical

from tests.journal._attempts import Attempts
from tests.journal._flows import FACTORIES, KINDS, LEDGER, LostError


async def _run(name: str, attempts: Attempts, crash_at: int | None) -> Any:
    """Run a workflow to its end, as one attempt of one superstep; None where it is lost."""
    LEDGER.start(crash_at)
    storage, canonical = InMemoryCheckpointStorage(), Canonical()
    workflow = FACTORIES[name]()
    try:
        with attempts.attempt() as journal:
            if name.endswith("stream"):
                stream = workflow.run("buy", stream=True, checkpoint_storage=storage)
                events = [event async for event in stream]
            else:
                events = list(await workflow.run("buy", checkpoint_storage=storage))
    except LostError:
        return None
    last = await storage.get_latest(workflow_name=workflow.name)
    assert last is not None
    events.sort(key=lambda event: event.executor_id or "")  # Siblings tell of themselves as they finish.
    return canonical.events(events), canonical.checkpoints([last]), journal.tally


@pytest.mark.parametrize("mode", ["run", "stream"])
@pytest.mark.parametrize("kind", KINDS)
async def test_nothing_that_had_finished_is_called_again(kind: str, mode: str) -> None:
    name = f"{kind}_{mode}"
    catalog = (await host(FACTORIES[name])).catalog
    undisturbed, checkpoint, tally = await _run(name, Attempts(catalog), None)
    made, calls = Counter(LEDGER.begun), LEDGER.begun.total()
    assert LEDGER.ended == made
    assert tally.calls["chat"] == sum(count for label, count in made.items() if label.startswith("model"))
    for crash_at in range(calls):
        attempts = Attempts(catalog)
        assert await _run(name, attempts, crash_at) is None, f"call {crash_at} was not made"
        first, lost = Counter(LEDGER.begun), LEDGER.begun - LEDGER.ended
        events, last, tally = await _run(name, attempts, None)
        assert first + LEDGER.begun == made + lost, f"lost in call {crash_at}"
        assert events == undisturbed, f"lost in call {crash_at}"
        assert last == checkpoint, f"lost in call {crash_at}"
        assert bool(tally.taken) == bool(first - lost), f"lost in call {crash_at}"
