"""Answers to pending requests: what is refused, what waits, and that all of it is bounded."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest
from agent_framework_temporal.workflows import _answers
from agent_framework_temporal.workflows._answers import (
    MAX_ANSWERED,
    MAX_EARLY,
    MAX_EARLY_REPEATED,
    MAX_REFUSED,
    MAX_REFUSED_BYTES,
    MAX_REPEATED,
    Answers,
)
from agent_framework_temporal.workflows._messages import (
    CANCEL_SIGNAL,
    RESPOND_SIGNAL,
    ContinuedRun,
    PendingRequest,
    RespondSignal,
    json_bytes,
)
from agent_framework_temporal.workflows._signals import MAX_BATCH, RejectedAnswerError, parse
from hypothesis import given
from hypothesis import strategies as st


def _parse(argument: Any) -> list[RespondSignal]:
    return parse(RESPOND_SIGNAL, [argument])


def _request(request_id: str, request: Any = None, asked_at: str = "1") -> PendingRequest:
    return PendingRequest(
        request_id=request_id,
        thread_id="t",
        executor_id="e",
        asked_at=asked_at,
        request=request,
        request_type="builtins:str",
        response_type="builtins:str",
    )


def _answer(request_id: str, response: Any = "yes", call_id: str | None = None) -> RespondSignal:
    return RespondSignal(request_id=request_id, response=response, call_id=call_id)


def _waiting(*request_ids: str) -> Answers:
    answers = Answers()
    answers.set_pending([_request(request_id) for request_id in request_ids], settled=True)
    return answers


def _fits(_request: PendingRequest, response: Any) -> bool:
    return isinstance(response, str)


def _taken(answers: Answers) -> list[list[str]]:
    found = []
    while answers.ready:
        found.append([answer.request_id for answer in answers.take()])
    return found


def test_one_answer_or_a_list_is_taken() -> None:
    assert _parse({"request_id": "a", "response": {"x": 1}, "unknown": 1})[0].response == {"x": 1}
    assert [answer.request_id for answer in _parse([{"request_id": "a"}, {"request_id": "b"}])] == ["a", "b"]
    kwargs = {"value": {"user": "eve"}, "type": "x:y"}
    parsed = _parse({"request_id": "a", "function_invocation_kwargs": kwargs, "streaming": True})[0]
    assert parsed.function_invocation_kwargs is not None
    assert parsed.function_invocation_kwargs.value == {"user": "eve"}


@pytest.mark.parametrize(
    "argument",
    [
        None,
        "secret",
        7,
        {},
        {"request_id": ""},
        {"request_id": 7},
        {"request_id": "a" * 513},
        {"request_id": "a", "responder": 7},
        {"request_id": "a", "responder": "secret" * 100},
        {"request_id": "a", "streaming": "secret"},
        {"request_id": "a", "function_invocation_kwargs": "secret"},
        ["secret"],
        [[{"request_id": "a"}]],
        [],
        [{"request_id": str(number)} for number in range(MAX_BATCH + 1)],
    ],
    ids=lambda argument: repr(argument)[:40],
)
def test_anything_else_is_refused_without_repeating_it(argument: Any) -> None:
    with pytest.raises(RejectedAnswerError, match="`respond` takes") as caught:
        _parse(argument)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "arguments", "text"),
    [
        ("other", [{"request_id": "a"}], "There is no signal or update 'other'"),
        ("x" * 5_000, [], "There is no signal or update 'x{100}'"),
        (RESPOND_SIGNAL, [], "takes one argument, got 0"),
        (RESPOND_SIGNAL, [{"request_id": "a"}, {"request_id": "b"}], "takes one argument, got 2"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_another_signal_or_number_of_arguments_is_refused(name: str, arguments: list[Any], text: str) -> None:
    with pytest.raises(RejectedAnswerError, match=text):
        parse(name, arguments)


@given(st.recursive(st.one_of(st.none(), st.text(), st.integers()), lambda inner: st.lists(inner), max_leaves=5))
def test_any_json_is_an_answer_or_refused(argument: Any) -> None:
    for value in (argument, {"request_id": argument, "response": argument}):
        try:
            assert _parse(value)
        except RejectedAnswerError:
            continue


def test_answers_of_a_batch_are_delivered_together_and_in_order() -> None:
    answers = _waiting("a", "b", "c")
    answers.add([_answer("b"), _answer("a")], busy=False, at="now")
    answers.add([_answer("c")], busy=False, at="now")
    assert _taken(answers) == [["b", "a"], ["c"]]


def test_an_answer_after_the_one_that_counted_is_refused() -> None:
    answers = _waiting("a", "b")
    answers.add([_answer("a")], busy=False, at="now")
    answers.take()
    answers.delivered("a")
    with pytest.raises(RejectedAnswerError, match="'a' is already answered"):
        answers.add([_answer("b"), _answer("a")], busy=False, at="now")
    assert not answers.ready
    with pytest.raises(RejectedAnswerError, match="'b' is already answered"):
        answers.add([_answer("b", "yes"), _answer("b", "no")], busy=False, at="now")


def test_the_first_valid_answer_wins_and_the_rest_is_dropped() -> None:
    """The first may turn out not to fit its type, so those behind it wait until that is known."""
    answers = _waiting("a", "b")
    for response in ("invalid", "valid", "late"):
        answers.add([_answer("a", response)], busy=False, at="now")
    assert answers.take()[0].response == "invalid"
    answers.refused("a", "eve", "is no decision", at="now")
    answers.set_pending([_request("a"), _request("b")], settled=True)
    assert answers.take()[0].response == "valid"
    answers.add([_answer("a", "later still")], busy=True, at="now")
    dropped = answers.delivered("a")
    assert [(answer.response, reason) for answer, reason in dropped] == [
        ("late", "Request 'a' is already answered."),
        ("later still", "Request 'a' is already answered."),
    ]
    assert not answers.set_pending([_request("b")], settled=True)
    assert not answers.ready
    assert list(answers.pending) == ["b"]


def test_an_answer_held_to_the_schema_leaves_no_room_for_another() -> None:
    answers = _waiting("a")
    answers.add([_answer("a")], busy=False, at="now", checked=True)
    with pytest.raises(RejectedAnswerError, match="'a' is already answered"):
        answers.add([_answer("a")], busy=False, at="now")


def test_answers_that_wait_behind_another_are_bounded() -> None:
    answers = _waiting("a")
    for _ in range(MAX_REPEATED + 1):
        answers.add([_answer("a")], busy=False, at="now")
    with pytest.raises(RejectedAnswerError, match="'a' is already answered"):
        answers.add([_answer("a")], busy=False, at="now")


def test_a_call_of_the_facade_is_dropped_whole() -> None:
    answers = _waiting("a", "b")
    answers.add([_answer("a")], busy=False, at="now")
    answers.add([_answer("a", call_id="call"), _answer("b", call_id="call")], busy=False, at="now")
    answers.take()
    dropped = answers.delivered("a")
    assert [(answer.request_id, reason[:13]) for answer, reason in dropped] == [
        ("a", "Request 'a' i"),
        ("b", "Not delivered"),
    ]
    assert not answers.ready


def test_an_answer_to_the_question_before_is_no_answer_to_the_next_under_its_id() -> None:
    answers = _waiting("approve")
    answers.add([_answer("approve", "no")], busy=False, at="now")
    answers.add([_answer("approve", "no, once more")], busy=False, at="now")
    answers.take()
    assert len(answers.delivered("approve")) == 1
    answers.set_pending([_request("approve", "second draft")], settled=True)
    assert not answers.ready


def test_cancellations_leave_out_what_is_answered_or_not_pending() -> None:
    answers = _waiting("a", "b")
    (batch,) = (parse(CANCEL_SIGNAL, [{"request_ids": ["a", "b", "a", "c"], "responder": "ops"}]),)
    assert [entry.request_id for entry in batch] == ["a", "b", "c"]
    answers.add([_answer("b")], busy=False, at="now")
    receipt = answers.add(batch, busy=False, at="now")
    assert receipt.queued == ["a"]
    with pytest.raises(RejectedAnswerError, match="'a' is being cancelled"):
        answers.add([_answer("a")], busy=False, at="now")
    with pytest.raises(RejectedAnswerError, match="Nothing to cancel: 'c'"):
        answers.add(parse(CANCEL_SIGNAL, [{"request_ids": ["c"]}]), busy=False, at="now")
    assert [[entry.cancel for entry in answers.take()] for _ in range(2)] == [[False], [True]]


@pytest.mark.parametrize("argument", [None, 7, {}, {"request_ids": "a"}, {"request_ids": [7]}, {"request_ids": []}])
def test_any_other_cancellation_is_refused(argument: Any) -> None:
    with pytest.raises(RejectedAnswerError, match="`cancel_requests` takes"):
        parse(CANCEL_SIGNAL, [argument])


def test_what_only_the_workflow_may_say_is_dropped() -> None:
    (answer,) = _parse({"request_id": "a", "cancel": True, "checked": True, "received_at": "never"})
    assert (answer.cancel, answer.checked, answer.received_at) == (False, False, None)


def test_refused_answers_are_told_with_the_request_and_bounded() -> None:
    answers = _waiting(*(f"r{number}" for number in range(200)))
    for number in range(MAX_REFUSED + 2):
        answers.refused("r0", "eve", f"error {number}", at="now")
    assert [refused.error for refused in answers.pending["r0"].errors or []] == ["error 2", "error 3", "error 4"]
    for request_id in list(answers.pending):
        answers.refused(request_id, None, "x" * 10_000, at="now")
    size = sum(len(refused.error) for request in answers.pending.values() for refused in request.errors or [])
    assert 0 < size <= MAX_REFUSED_BYTES + 500
    answers.refused("unknown", None, "x", at="now")
    continued = ContinuedRun(previous_run_id="r")
    answers.hand_on(continued)
    assert continued.pending[-1].errors


def test_an_early_answer_waits_for_its_request() -> None:
    answers = Answers()
    answers.add([_answer("later")], busy=True, at="now")
    assert not answers.ready
    answers.set_pending([_request("later")], settled=True)
    assert [answer.response for answer in answers.take()] == ["yes"]


def test_early_answers_to_one_request_wait_for_it_one_behind_the_other() -> None:
    """What the request takes is not known yet, so the first that is valid may be any of them."""
    answers = Answers()
    for response in (7, "yes", "no"):
        answers.add([_answer("later", response)], busy=True, at="now")
    assert answers.set_pending([_request("later")], settled=True) == []
    assert answers.take()[0].response == 7
    answers.refused("later", None, "is no decision", at="now")
    answers.set_pending([_request("later")], settled=True)
    assert answers.take()[0].response == "yes"
    assert [answer.response for answer, _ in answers.delivered("later")] == ["no"]


def test_early_answers_to_one_request_are_bounded_and_the_fitting_are_kept() -> None:
    answers = Answers(_fits)
    for number in range(MAX_EARLY_REPEATED):
        answers.add([_answer("later", "yes" if number == 50 else number)], busy=True, at="now")
    with pytest.raises(RejectedAnswerError, match="Too many answers to request 'later', which is not asked yet"):
        answers.add([_answer("later")], busy=True, at="now")
    dropped = answers.set_pending([_request("later")], settled=True)
    kept = _taken(answers)
    assert len(kept) == MAX_REPEATED + 1
    assert len(kept) + len(dropped) == MAX_EARLY_REPEATED
    assert "yes" not in [answer.response for answer, _ in dropped]


def test_an_answer_that_may_fit_takes_the_place_of_one_that_does_not() -> None:
    answers = Answers(_fits)
    answers.set_pending([_request("a"), _request("b")], settled=True)
    for number in range(MAX_REPEATED + 1):
        answers.add([_answer("a", number)], busy=False, at="now")
    with pytest.raises(RejectedAnswerError, match="'a' is already answered"):
        answers.add([_answer("a", -1)], busy=False, at="now")
    assert answers.take()[0].response == 0
    answers.add([_answer("a", "yes")], busy=False, at="now")
    assert [answer.response for answer, _ in answers.displaced] == [MAX_REPEATED]
    taken = []
    while answers.ready:
        taken += [answer.response for answer in answers.take()]
    assert taken == [*range(1, MAX_REPEATED), "yes"]


def test_an_answer_takes_the_place_of_one_that_only_repeats_another() -> None:
    answers = _waiting("a")
    for _ in range(MAX_REPEATED + 1):
        answers.add([_answer("a", {"amount": 3})], busy=False, at="now")
    with pytest.raises(RejectedAnswerError, match="'a' is already answered"):
        answers.add([_answer("a", {"amount": 3})], busy=False, at="now")
    for response in ({"amount": 4}, {"amount": True}):
        answers.add([_answer("a", response)], busy=False, at="now")
    assert [answer.response for answer, _ in answers.displaced] == [{"amount": 3}] * 2
    taken = []
    while answers.ready:
        taken += [answer.response["amount"] for answer in answers.take()]
    assert taken == [*[3] * (MAX_REPEATED - 1), 4, True]


def test_where_there_is_no_room_what_cannot_fit_gives_way_to_what_may() -> None:
    answers = Answers(_fits)
    answers.set_pending([_request(name) for name in ("a", "b", "c")], settled=True)
    wrong = ["x" * 10_000] * 10
    for name in ("a", "b", "c"):
        answers.add([_answer(name, wrong)], busy=False, at="now")
    with pytest.raises(RejectedAnswerError, match="cannot wait at once; 'c' is not kept"):
        answers.add([_answer("c", wrong)], busy=False, at="now")
    answers.add([_answer("c", "y" * 100_000)], busy=False, at="now")
    assert [answer.request_id for answer, _ in answers.displaced] == ["c"]
    answers.add([_answer("b", "y" * 100_000)], busy=False, at="now")
    with pytest.raises(RejectedAnswerError, match="cannot wait at once"):
        answers.add([_answer("b", "y" * 200_000)], busy=False, at="now")
    assert _taken(answers) == [["a"], ["c"], ["b"]]


def test_cancellations_of_a_call_are_bounded_too() -> None:
    """They are kept whether or not the requests are pending, as the framework leaves out what is not without a word."""
    answers = _waiting("a")
    names = iter(range(1_000_000))

    def cancel(count: int) -> None:
        batch = {"request_ids": [f"{next(names)} {'x' * 400}" for _ in range(count)], "call_id": "call"}
        answers.add(parse(CANCEL_SIGNAL, [batch]), busy=False, at="now")

    with pytest.raises(RejectedAnswerError, match="cannot wait at once"):
        for _ in range(100):
            cancel(100)
    continued = ContinuedRun(previous_run_id="r")
    answers.hand_on(continued)
    assert json_bytes(continued) < 500_000


def test_a_call_that_cancels_what_is_being_answered_is_told() -> None:
    answers = _waiting("a")
    answers.add([_answer("a")], busy=False, at="now")
    with pytest.raises(RejectedAnswerError, match="'a' is already answered"):
        answers.add(parse(CANCEL_SIGNAL, [{"request_ids": ["a"], "call_id": "call"}]), busy=False, at="now")


def test_an_early_update_is_not_taken_for_valid() -> None:
    """An update is held to the schema of its request, which is not there yet."""
    answers = Answers()
    answers.add([_answer("later", 7)], busy=True, at="now", checked=True)
    answers.set_pending([_request("later")], settled=True)
    answers.add([_answer("later", "yes")], busy=False, at="now")
    assert _taken(answers) == [["later"], ["later"]]


def test_a_callers_answer_to_an_unknown_request_is_refused_unless_it_may_still_be_asked() -> None:
    answers = _waiting("a")
    with pytest.raises(RejectedAnswerError, match="Response provided for unknown request ID: b"):
        answers.add([_answer("a", call_id="call"), _answer("b", call_id="call")], busy=False, at="now")
    assert not answers.ready
    answers.add([_answer("b", call_id="call")], busy=True, at="now")
    assert answers.set_pending([_request("a")], settled=False) == []
    ((answer, reason),) = answers.set_pending([_request("a")], settled=True)
    assert (answer.request_id, reason) == ("b", "Response provided for unknown request ID: b")
    assert answers.set_pending([_request("a"), _request("b")], settled=True) == []
    assert not answers.ready


def test_a_request_keeps_the_time_it_was_first_asked() -> None:
    answers = Answers()
    answers.set_pending([_request("a", asked_at="1")], settled=True)
    answers.set_pending([_request("a", asked_at="2"), _request("b", asked_at="2")], settled=True)
    assert [request.asked_at for request in answers.pending.values()] == ["1", "2"]


def test_a_request_asked_again_under_its_own_id_can_be_answered_again() -> None:
    """An executor may choose its request ids: a loop asks for the same approval until it is given."""
    answers = Answers()
    answers.set_pending([_request("approve", "first draft", "1")], settled=True)
    answers.add([_answer("approve", "no")], busy=False, at="now")
    answers.take()
    answers.delivered("approve")
    answers.set_pending([_request("approve", "second draft", "2")], settled=True)
    assert answers.pending["approve"].request == "second draft"
    assert answers.pending["approve"].asked_at == "2"
    answers.add([_answer("approve", "yes")], busy=False, at="now")
    assert [answer.response for answer in answers.take()] == ["yes"]


def test_early_answers_are_bounded_and_a_refused_batch_leaves_nothing_behind() -> None:
    answers = _waiting("a")
    for number in range(MAX_EARLY):
        answers.add([_answer(f"early-{number}")], busy=True, at="now")
    with pytest.raises(RejectedAnswerError, match="1000 answers to requests that were never asked"):
        answers.add([_answer("a"), _answer("one-more")], busy=True, at="now")
    assert not answers.ready
    answers.add([_answer("a")], busy=True, at="now")
    assert answers.ready


def test_early_answers_are_bounded_in_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_answers, "MAX_EARLY_BYTES", 1_000)
    answers = Answers()
    answers.add([_answer("small")], busy=True, at="now")
    with pytest.raises(RejectedAnswerError, match="'large' is not kept"):
        answers.add([_answer("large", "x" * 1_000)], busy=True, at="now")


def test_the_memory_of_answered_requests_is_bounded() -> None:
    answers = _waiting()
    for number in range(MAX_ANSWERED + 5):
        answers.delivered(str(number))
    with pytest.raises(RejectedAnswerError):
        answers.add([_answer(str(MAX_ANSWERED))], busy=False, at="now")
    answers.add([_answer("0")], busy=False, at="now")


def test_an_answer_reaches_the_superstep_with_its_responder() -> None:
    (inputs,) = Answers.as_inputs(
        [
            RespondSignal(
                request_id="a", response=1, type="builtins:int", responder="eve", call_id="c", received_at="now"
            )
        ]
    )
    assert inputs.model_dump() == {
        "request_id": "a",
        "response": 1,
        "type": "builtins:int",
        "responder": "eve",
        "call_id": "c",
        "received_at": "now",
    }


def _steps(work: Callable[[], object]) -> int:
    """Return how many lines of our own code a piece of work takes."""
    steps = 0

    def count(frame: FrameType, event: str, _argument: Any) -> Any:
        nonlocal steps
        if not frame.f_code.co_filename.endswith(("_answers.py", "_deadlines.py", "_audit.py", "_requests.py")):
            return None
        steps += event == "line"
        return count

    before = sys.gettrace()
    sys.settrace(count)
    try:
        work()
    finally:
        sys.settrace(before)
    return steps


def _answered(number: int) -> None:
    """Ask many requests, and answer each of them again and again, in signals of up to a thousand."""
    ids = [f"r{index}" for index in range(number)]
    answers = _waiting(*ids)
    for _ in range(20):
        for start in range(0, number, MAX_BATCH):
            with contextlib.suppress(RejectedAnswerError):
                answers.add([_answer(name, 1) for name in ids[start : start + MAX_BATCH]], busy=False, at="now")
    answers.unanswered()
    while answers.ready:
        batch = answers.take()
        for answer in batch:
            answers.refused(answer.request_id, None, "x" * 600, at="now")
    answers.set_pending([_request(name) for name in ids], settled=True)
    for start in range(0, number, MAX_BATCH):
        answers.add([_answer(name, 2) for name in ids[start : start + MAX_BATCH]], busy=False, at="now")
    for answer in answers.take():
        answers.delivered(answer.request_id)
    for index in range(number):
        with contextlib.suppress(RejectedAnswerError):
            answers.add([_answer(f"early {index}")], busy=True, at="now")
    answers.set_pending([_request(f"early {index}") for index in range(number)], settled=True)
    continued = ContinuedRun(previous_run_id="r")
    answers.hand_on(continued)
    Answers().take_over(continued)


def test_the_work_grows_with_what_is_handled_and_not_faster() -> None:
    small, large = _steps(lambda: _answered(100)), _steps(lambda: _answered(800))
    assert large <= 8 * small * 1.1, f"{small:,} and {large:,} steps for 100 and 800 requests"
