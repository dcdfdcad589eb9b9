"""Rows of the parity gallery give their caller the same where each executor runs on a task queue of its own.

Executors of one superstep come back in the order in which they end. In process those that wait for nothing end in the
order in which they begin; so what several of them have told in one superstep is compared executor by executor.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import Any

import pytest
from agent_framework_temporal import DurableWorkflow, ExecutorPolicy
from agent_framework_temporal.adapter.framework.functional import FunctionalInstance
from temporalio.client import Client

from tests.parity._turns import Seen, record
from tests.parity.gallery import GALLERY, Row
from tests.support import unique, worker

_RACES = frozenset({"error-in-one-branch"})
"""Rows whose next turn depends on whether a sibling had ended when an executor failed."""
_FEW = (
    *("fan-out-fan-in", "fan-in-over-two-supersteps", "nested-sub-workflow", "rich-values", "custom-event-class"),
    *("request-in-one-branch", "nested-sub-workflow-request", "agent-session", "agent-tools-streaming"),
    *("agent-tool-approval", "run-arguments", "concurrent-with-review", "handoff", "group-chat-with-review"),
    *("magentic-replan", "yaml-survey", "custom-error", "error-in-sub-workflow", "wrong-response"),
)
"""What the suite takes; `make placement` takes all."""


def _rows() -> list[Row]:
    """Return the rows of graphs: steps of a function run where the function does."""
    rows = [row for row in GALLERY if row.name not in _RACES and not isinstance(row.build(), FunctionalInstance)]
    return rows if os.environ.get("PLACEMENT") == "all" else [row for row in rows if row.name in _FEW]


@pytest.mark.parametrize("row", _rows(), ids=lambda row: row.name)
async def test_row(row: Row, client: Client) -> None:
    expected = await record(row, row.build())
    placed = unique("placed")
    async with worker(client, row.build) as task_queue, worker(client, row.build, task_queue=placed):
        durable = DurableWorkflow(
            row.build,
            client=client,
            task_queue=task_queue,
            max_attempts=1,
            executors={"*": ExecutorPolicy(task_queue=placed)},
        )
        actual = await record(row, durable, durable.checkpoint())
    for number, (durable_turn, turn) in enumerate(zip(actual.turns, expected.turns, strict=True)):
        assert _by_executor(durable_turn) == _by_executor(turn), f"turn {number}"
    if row.checkpoints:
        assert _unordered(actual.checkpoints) == _unordered(expected.checkpoints)


def _by_executor(seen: Seen) -> Any:
    """Return what was seen, the events of each superstep in the order of its executors."""
    events: list[Any] = []
    of_superstep: list[Any] = []
    for event in seen.events:
        if event["type"].startswith("superstep_"):
            events += [*_sorted(of_superstep), event]
            of_superstep = []
        else:
            of_superstep.append(event)
    events += _sorted(of_superstep)
    return _unordered([events, sorted(seen.outputs, key=repr), seen.state, seen.status, seen.error])


def _sorted(events: Iterable[Any]) -> list[Any]:
    return sorted(events, key=lambda event: str(event.get("executor_id") or event.get("source") or ""))


def _unordered(value: Any) -> Any:
    """Return a value without the numbers of its random ids, which are given in the order in which they are met."""
    if isinstance(value, str):
        return re.sub(r"<id \d+>", "<id>", value)
    if isinstance(value, list):
        return [_unordered(item) for item in value]
    if isinstance(value, dict):
        return {_unordered(key): _unordered(item) for key, item in value.items()}
    return value
