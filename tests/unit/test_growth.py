"""When a run continues as new under signals, and how much of what it refuses it tells."""

from __future__ import annotations

from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from agent_framework_temporal.workflows import _audit, _growth
from agent_framework_temporal.workflows._audit import MAX_DEFERRED, MAX_TOLD, Audit
from agent_framework_temporal.workflows._growth import CALM_SIGNALS, LULL, MAX_SIGNALS, Growth
from agent_framework_temporal.workflows._log import EventLog
from agent_framework_temporal.workflows._messages import RespondSignal, RunOptions


class _Info:
    """What the server tells of a run, by workflow task."""

    length = 10
    size = 1_000

    def get_current_history_length(self) -> int:
        return self.length

    def get_current_history_size(self) -> int:
        return self.size

    def is_continue_as_new_suggested(self) -> bool:
        return False


@pytest.fixture
def info(monkeypatch: pytest.MonkeyPatch) -> _Info:
    found = _Info()
    monkeypatch.setattr(_growth, "workflow", SimpleNamespace(info=lambda: found))
    return found


def test_a_flooded_run_waits_for_a_lull(info: _Info) -> None:
    growth = Growth(RunOptions())
    growth.signalled(MAX_SIGNALS, 1)
    assert (growth.is_flooded(), growth.is_over(0), growth.look_again) == (False, False, None)
    growth.signalled(1, 1)
    assert (growth.is_flooded(), growth.is_over(0), growth.look_again) == (False, False, LULL)
    info.length += 3  # A workflow task that brings none.
    assert (growth.is_flooded(), growth.is_over(0)) == (True, True)
    growth.signalled(CALM_SIGNALS, 1)
    assert growth.is_flooded()
    growth.signalled(1, 1)
    assert not growth.is_flooded()


def test_one_answer_too_many_is_no_flood(info: _Info) -> None:
    growth = Growth(RunOptions())
    for _ in range(MAX_SIGNALS + 1):
        info.length += 3
        growth.signalled(1, 1)
    assert growth.is_flooded()


def test_a_run_that_takes_no_more_of_something_continues_as_new(info: _Info) -> None:
    growth = Growth(RunOptions())
    growth.signalled(1, 1)
    growth.exhausted()
    assert growth.is_flooded()


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> EventLog:
    now = datetime(2026, 1, 1, tzinfo=UTC)
    monkeypatch.setattr(_audit, "workflow", SimpleNamespace(now=lambda: now))
    return EventLog(0)


def test_refusals_are_told_up_to_a_number_and_then_counted(log: EventLog) -> None:
    audit = Audit(log)
    for number in range(MAX_TOLD + 500):
        audit.malformed(f"error {number}")
        audit.flush()
    assert log.next_offset == MAX_TOLD
    for _ in range(500):
        audit.malformed("more")
        audit.flush()
    assert log.page(MAX_TOLD - 1, 10)[0].error == f"{MAX_TOLD:,} more answers and signals were refused."
    audit.malformed("one more")
    audit.flush(counted=True)
    assert log.page(MAX_TOLD, 10)[0].error == "1 more answers and signals were refused."


def test_a_call_is_told_of_its_verdict_whatever_was_refused_before(log: EventLog) -> None:
    audit = Audit(log)
    for _ in range(2 * MAX_TOLD):
        audit.malformed("error")
    audit.rejected(RespondSignal(request_id="a", call_id="call"), "no")
    audit.flush()
    assert [record.call_id for record in log.page(-1, 10_000) if record.call_id] == ["call"]


def test_even_verdicts_are_bounded_while_a_superstep_runs(log: EventLog) -> None:
    audit = Audit(log)
    for number in range(10 * MAX_DEFERRED):
        audit.rejected(RespondSignal(request_id="a", call_id=f"call {number}"), "no")
    audit.flush(counted=True)
    assert log.next_offset <= 2 * MAX_DEFERRED + 1
