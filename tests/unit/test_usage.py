"""Sums of what supersteps have called: nothing twice, and bounded whatever a worker reports."""

from __future__ import annotations

import pytest
from agent_framework_temporal.activities.journal.tally import Tally, Tokens, calls_of
from agent_framework_temporal.workflows import limits
from agent_framework_temporal.workflows.failure import failure_of
from agent_framework_temporal.workflows.messages import Calls, LiveWindow, SuperstepInput, TokenCounts
from agent_framework_temporal.workflows.usage import REST, add_calls, calls_text, sum_of, tokens_text
from hypothesis import given
from hypothesis import strategies as st
from temporalio.exceptions import ActivityError, RetryState, TimeoutError, TimeoutType

_numbers = st.integers(-(10**30), 10**30)
_names = st.text(max_size=2 * limits.MAX_COUNTED_NAME)
_tokens = st.builds(TokenCounts, input=_numbers, output=_numbers, total=_numbers)
_calls = st.builds(
    Calls,
    made=st.dictionaries(_names, _numbers),
    taken=st.dictionaries(_names, _numbers),
    tokens=st.dictionaries(_names, _tokens),
    dropped=st.none() | _numbers,
)


def _writer(total: int) -> dict[str, TokenCounts]:
    return {"writer": TokenCounts(input=total - 1, output=1, total=total)}


def test_calls_and_tokens_are_summed_by_kind_and_executor() -> None:
    first = Calls(made={"chat": 3, "tool": 2}, tokens=_writer(30), spent=TokenCounts(input=29, output=1, total=30))
    second = Calls(made={"chat": 1}, taken={"chat": 3}, tokens={**_writer(5), "editor": TokenCounts(total=7)})
    total = add_calls(first, second)
    assert total == Calls(
        made={"chat": 4, "tool": 2},
        taken={"chat": 3},
        tokens={"writer": TokenCounts(input=33, output=2, total=35), "editor": TokenCounts(total=7)},
    )


def test_where_nothing_is_called_nothing_is_told() -> None:
    assert add_calls(None, None) is None
    assert add_calls(None, Calls()) is None
    assert add_calls(Calls(made={"chat": 0}), None) is None
    tally = Tally()
    tally.made("executor", "writer", None)
    assert calls_of(tally) is None
    assert Calls().model_dump() == {}


@given(st.lists(_calls, max_size=4))
def test_a_sum_is_bounded_whatever_is_reported(reported: list[Calls]) -> None:
    total = None
    for calls in reported:
        total = add_calls(total, calls)
    if total is None:
        return
    for counts in (total.made, total.taken):
        assert all(0 < number <= limits.MAX_COUNT for number in counts.values())
    for tokens in total.tokens.values():
        assert min(tokens.input, tokens.output, tokens.total) >= 0
        assert max(tokens.input, tokens.output, tokens.total) <= limits.MAX_COUNT
    for names in (total.made, total.taken, total.tokens):
        assert len(names) <= limits.MAX_COUNTED + 1
        assert all(len(name) <= limits.MAX_COUNTED_NAME for name in names)
    # What is handed on, as a run continues as new, reads back as the same.
    assert add_calls(None, Calls.model_validate_json(total.model_dump_json())) == total


def test_executors_beyond_the_first_are_counted_together() -> None:
    tally = Tally()
    for number in range(limits.MAX_COUNTED + 50):
        tally.made("chat", f"agent-{number}", Tokens(1, 1, 2))
    tally.made("chat", "spendthrift", Tokens(500, 500, 1000))
    tally.dropped = 4
    calls = calls_of(tally)
    assert calls is not None
    assert (len(calls.tokens), calls.tokens[REST].total) == (limits.MAX_COUNTED + 1, 102)
    assert calls.tokens["spendthrift"].total == 1000
    assert (calls.dropped, calls.made) == (4, {"chat": 151})
    assert calls.spent == sum_of(calls.tokens.values()) == TokenCounts(input=650, output=650, total=1300)


def test_a_tally_tells_this_attempt_from_those_before() -> None:
    before = Calls(made={"chat": 1}, tokens={"writer": TokenCounts(input=10, output=2, total=12)})
    tally = Tally()
    tally.resume(before)
    assert calls_of(tally) == Calls(tokens=before.tokens)
    tally.took("chat")
    tally.made("chat", "writer", Tokens(5, 1, 6))
    tally.made("tool", "writer", None)
    assert calls_of(tally) == Calls(
        made={"chat": 1, "tool": 1},
        taken={"chat": 1},
        spent=TokenCounts(input=5, output=1, total=6),
        tokens={"writer": TokenCounts(input=15, output=3, total=18)},
    )


@pytest.mark.parametrize(
    ("details", "known"),
    [
        ([LiveWindow(attempt=2, answers="a.1", calls=Calls(made={"chat": 1})).model_dump()], True),
        ([LiveWindow(attempt=2, answers="b.1", calls=Calls(made={"chat": 1})).model_dump()], False),
        ([{"attempt": "no number", "answers": "a.1"}], False),
        (["pay me"], False),
        ([], False),
    ],
)
def test_an_attempt_that_reported_nothing_has_its_last_heartbeat(details: list[object], known: bool) -> None:
    error = ActivityError(
        "timed out",
        scheduled_event_id=5,
        started_event_id=6,
        identity="worker",
        activity_type="superstep",
        activity_id="1",
        retry_state=RetryState.TIMEOUT,
    )
    error.__cause__ = TimeoutError("late", type=TimeoutType.START_TO_CLOSE, last_heartbeat_details=details)
    failure = failure_of(error, SuperstepInput(workflow_name="w", mode="message", superstep_id="a.1"))
    assert failure.calls == (Calls(made={"chat": 1}) if known else None)


def test_in_words() -> None:
    assert calls_text({}, {}) == ""
    assert calls_text({"chat": 1}, {"tool": 2, "chat": 3}) == (
        "3 model calls and 2 tool calls taken from the journal, 1 model call made"
    )
    assert calls_text({"step": 1, "once": 1, "tool": 1, "chat": 1200}, {}) == (
        "1,200 model calls, 1 tool call, 1 once call and 1 step made"
    )
    assert tokens_text(TokenCounts(input=1000, output=234, total=1234)) == "1,234 tokens: 1,000 input, 234 output"
    assert tokens_text(TokenCounts()) == ""
