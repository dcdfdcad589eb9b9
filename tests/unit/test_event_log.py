"""The event log: absolute offsets, bounded memory, and pages that fit a query's answer."""

from __future__ import annotations

from typing import Any

import pytest
from agent_framework_temporal.workflows import log as _log
from agent_framework_temporal.workflows.log import PAGE_BYTES, EventLog
from agent_framework_temporal.workflows.messages import ErrorDetails, EventPage, EventRecord
from hypothesis import given
from hypothesis import strategies as st


def _record(data: Any = None, **fields: Any) -> EventRecord:
    return EventRecord(offset=0, type="output", data=data, **fields)


def _log_of(count: int, start: int = 0, data: Any = None) -> EventLog:
    log = EventLog(start)
    for _ in range(count):
        log.append(_record(data))
    return log


def test_records_are_numbered_from_where_the_thread_stands() -> None:
    log = _log_of(3, start=40)
    assert [record.offset for record in log.page(-1, 10)] == [40, 41, 42]
    assert (log.first_offset, log.next_offset) == (40, 43)


def test_an_empty_log_has_no_first_record() -> None:
    log = EventLog(7)
    assert (log.first_offset, log.next_offset, log.page(-1, 10)) == (7, 7, [])


@given(st.integers(0, 50), st.integers(0, 60), st.integers(-5, 200), st.integers(-3, 100), st.integers(1, 30))
def test_a_page_is_what_follows_in_order_without_gaps(
    start: int, count: int, after: int, limit: int, bound: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_log, "MAX_EVENTS", bound)
        log = _log_of(count, start)
        offsets = [record.offset for record in log.page(after, limit)]
    held = range(max(start, start + count - bound), start + count)
    assert log.first_offset == (held[0] if held else start)
    assert offsets == [offset for offset in held if offset > after][: max(1, limit)]


@pytest.mark.parametrize("text", ["a", "ä", "漢", "\n", "\x00", "😀", '"'])
def test_a_page_fits_a_payload_in_bytes_whatever_its_characters(text: str) -> None:
    log = _log_of(30, data=text * 60_000)
    page = log.page(-1, 500)
    assert page
    answer = EventPage(run_id="r", state="running", events=page, first_offset=0, next_offset=1)
    assert len(answer.model_dump_json()) <= PAGE_BYTES + 1_000 or len(page) == 1


def test_tracebacks_and_errors_count_as_well() -> None:
    log = EventLog(0)
    for _ in range(100):
        details = ErrorDetails(error_type="ValueError", message="m", traceback="line\n" * 20_000)
        log.append(_record(details=details))
    assert len(log.page(-1, 500)) < 12
    assert log.first_offset > 0


def test_one_record_is_given_and_kept_however_large() -> None:
    log = _log_of(2, data="x" * (_log.MAX_BYTES + 1))
    assert [record.offset for record in log.page(-1, 10)] == [1]


def test_the_ring_is_bounded_in_events() -> None:
    log = _log_of(_log.MAX_EVENTS + 10)
    assert log.first_offset == 10
    assert log.next_offset == _log.MAX_EVENTS + 10
