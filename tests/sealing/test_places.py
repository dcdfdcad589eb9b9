"""Each sealed payload has one place, and is one kind of thing."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

import pytest
from agent_framework_temporal import NotSealedError, SealingCodec, sealing_data_converter
from agent_framework_temporal.adapter.temporal.place import ScheduleSerializationContext, describe
from agent_framework_temporal.adapter.temporal.sealed_converter import Refused
from agent_framework_temporal.workflows.messages import (
    REFUSED_FAILURE,
    LiveWindow,
    PendingRequest,
    RunInput,
    RunResult,
    SuperstepFailure,
    SuperstepInput,
    SuperstepResult,
)
from hypothesis import given
from hypothesis import strategies as st
from temporalio.api.common.v1 import Payload
from temporalio.api.failure.v1 import Failure
from temporalio.converter import (
    ActivitySerializationContext,
    DataConverter,
    NexusSerializationContext,
    SerializationContext,
    WorkflowSerializationContext,
)
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutError, TimeoutType

KEYS = {"k1": os.urandom(32)}
CONVERTER = sealing_data_converter(keys=KEYS)


def thread(thread_id: str, namespace: str = "default") -> WorkflowSerializationContext:
    """Return the place of a thread."""
    return WorkflowSerializationContext(namespace, thread_id)


def superstep(thread_id: str | None, namespace: str = "default", activity_id: str | None = None) -> Any:
    """Return the place of a thread's supersteps."""
    return ActivitySerializationContext(
        namespace=namespace,
        activity_id=activity_id,
        activity_type="superstep",
        activity_task_queue="queue",
        workflow_id=thread_id,
        workflow_type="AgentFrameworkWorkflow",
        is_local=False,
    )


def encode(value: Any, place: SerializationContext | None, converter: DataConverter = CONVERTER) -> Payload:
    """Seal a value for a place."""
    if place is not None:
        converter = converter.with_context(place)
    (payload,) = asyncio.run(converter.encode([value]))
    return payload


def decode(
    payload: Payload, hint: Any, place: SerializationContext | None, converter: DataConverter = CONVERTER
) -> Any:
    """Open a payload in a place."""
    if place is not None:
        converter = converter.with_context(place)
    (value,) = asyncio.run(converter.decode([payload], None if hint is None else [hint]))
    return value


_PLACES: list[SerializationContext] = [
    thread("a"),
    thread("b"),
    thread("a", "other"),
    superstep("a"),
    superstep("b"),
    superstep("a", "other"),
    superstep(None, activity_id="a"),
    ScheduleSerializationContext("default", "a"),
    NexusSerializationContext("a", "a", "a"),
]


def test_what_is_sealed_for_one_place_opens_in_no_other() -> None:
    for sealed_for in _PLACES:
        payload = encode(RunResult(checkpoint=_REF, graph_hash="g", next_offset=1), sealed_for)
        for place in _PLACES:
            if place == sealed_for:
                assert decode(payload, RunResult, place).graph_hash == "g"
                continue
            with pytest.raises(
                NotSealedError, match=r"is sealed for .*, and not for this place, .*It is refused"
            ) as caught:
                decode(payload, RunResult, place)
            assert not caught.value.waits_for_key


_REF = {"thread_id": "t", "run_id": "r", "checkpoint_id": "c"}


@given(thread_id=st.text(min_size=1, max_size=40), other=st.text(min_size=1, max_size=40))
def test_any_two_ids_are_two_places(thread_id: str, other: str) -> None:
    payload = encode(RunInput(workflow_name="w", mode="message"), thread(thread_id))
    assert decode(payload, RunInput, thread(thread_id)).workflow_name == "w"
    if other != thread_id:
        with pytest.raises(NotSealedError):
            decode(payload, RunInput, thread(other))


def test_a_place_can_be_read_and_not_changed() -> None:
    payload = encode("secret", thread("a"))
    place = json.loads(payload.metadata["sealed-for"])
    assert place == {"namespace": "default", "thread": "a"}
    payload.metadata["sealed-for"] = json.dumps({**place, "thread": "b"}, separators=(",", ":")).encode()
    with pytest.raises(NotSealedError, match="cannot be opened with that key: it was altered"):
        decode(payload, str, thread("b"))
    del payload.metadata["sealed-for"]
    for context in (thread("a"), None):
        with pytest.raises(NotSealedError, match=r"sealed for no place|cannot be opened"):
            decode(payload, str, context)


def test_what_has_no_place_is_trusted_in_none() -> None:
    """A codec server is told no place: it opens everything, and what it seals is as good as unsealed."""
    codec = SealingCodec(KEYS)
    (opened,) = asyncio.run(codec.decode([encode("secret", superstep("a"))]))
    assert opened.data == b'"secret"'
    (nowhere,) = asyncio.run(codec.encode([Payload(metadata={"encoding": b"json/plain"}, data=b'{"state": "idle"}')]))
    with pytest.raises(
        NotSealedError, match="is sealed for no place, and not for this place, supersteps of thread 'a'"
    ):
        decode(nowhere, SuperstepResult, superstep("a"))


def test_threads_of_a_schedule() -> None:
    at = "2026-01-31T23:59:00Z"
    payload = encode(RunInput(workflow_name="w", mode="message"), ScheduleSerializationContext("default", "s"))
    assert decode(payload, RunInput, thread(f"s-{at}")).workflow_name == "w"
    others = ("s", "s-", "s-2", "s-2026-01-31", f"x-{at}", f"s-x-{at}", f"s-{at} ", f"s-{at}-{at}")
    for place in (*map(thread, others), superstep(f"s-{at}"), thread(f"s-{at}", "other")):
        with pytest.raises(NotSealedError, match="is sealed for schedule 's'"):
            decode(payload, RunInput, place)
    # And nothing that is sealed for a thread is good for another that only looks like a schedule's.
    payload = encode(RunInput(workflow_name="w", mode="message"), thread("s"))
    with pytest.raises(NotSealedError, match="is sealed for thread 's'"):
        decode(payload, RunInput, thread(f"s-{at}"))


def test_one_kind_of_thing_is_no_other() -> None:
    place = superstep("a")
    kinds: list[Any] = [
        SuperstepInput(workflow_name="w", mode="resume"),
        SuperstepResult(state="idle"),
        SuperstepFailure(),
        LiveWindow(attempt=1),
        RunInput(workflow_name="w", mode="message"),
    ]
    for value in kinds:
        payload = encode(value, place)
        for other in kinds:
            if other is value:
                assert decode(payload, type(other), place) == value
            else:
                with pytest.raises(NotSealedError, match=f"and not as {type(other).__name__}: it was copied"):
                    decode(payload, type(other), place)
    for value in ({"state": "idle"}, "text", [SuperstepResult(state="idle")]):
        with pytest.raises(NotSealedError, match="and not as SuperstepResult"):
            decode(encode(value, place), SuperstepResult, place)


def test_lists_of_ours_are_held_to_it_as_well() -> None:
    """The answer of query `pending_requests` is a list."""
    request = PendingRequest(
        request_id="r", thread_id="a", executor_id="e", asked_at="now", request_type="t", response_type="t"
    )
    place = thread("a")
    for value in ([request], []):
        assert decode(encode(value, place), list[PendingRequest], place) == value
    for wrong in ([SuperstepInput(workflow_name="w", mode="resume")], request, "text"):
        with pytest.raises(NotSealedError, match="and not as PendingRequest"):
            decode(encode(wrong, place), list[PendingRequest], place)
    (plain,) = asyncio.run(DataConverter.default.encode([[]]))
    with pytest.raises(NotSealedError, match="should hold a PendingRequest was not sealed"):
        decode(plain, list[PendingRequest], place)


def test_a_heartbeat_that_is_not_believed_does_not_raise() -> None:
    """The SDK would give up the attempt."""
    place = superstep("a")
    (plain,) = asyncio.run(DataConverter.default.encode([{"attempt": 1, "failures": 9}]))
    garbage = Payload(metadata={"encoding": b"binary/encrypted"}, data=b"x")
    for payload in (plain, garbage, encode(LiveWindow(attempt=1), superstep("b"))):
        assert isinstance(decode(payload, None, place), Refused)
    assert decode(encode(LiveWindow(attempt=1), place), None, place)["attempt"] == 1
    # Anywhere else it does, but what is no business of ours.
    with pytest.raises(NotSealedError):
        decode(garbage, None, thread("a"))
    assert decode(plain, None, thread("a")) == {"attempt": 1, "failures": 9}


def _failure(error: BaseException, place: SerializationContext, converter: DataConverter = CONVERTER) -> Failure:
    failure = Failure()
    asyncio.run(converter.with_context(place).encode_failure(error, failure))
    return failure


def _error(failure: Failure, place: SerializationContext, converter: DataConverter = CONVERTER) -> Any:
    copy = Failure()
    copy.CopyFrom(failure)
    return asyncio.run(converter.with_context(place).decode_failure(copy))


def test_failures_are_bound() -> None:
    error = ApplicationError("secret", SuperstepFailure(message="secret"), type="ValueError")
    failure = _failure(error, superstep("a"))
    assert b"secret" not in failure.SerializeToString()
    found = _error(failure, superstep("a"))
    assert (found.message, found.type, found.details[0]["message"]) == ("secret", "ValueError", "secret")
    for place in (superstep("b"), thread("a"), superstep("a", "other")):
        refused = _error(failure, place)
        assert (refused.type, refused.details) == (REFUSED_FAILURE, ())
        assert "is sealed for supersteps of thread 'a'" in refused.message


def test_a_failure_that_nobody_has_sealed_is_not_believed() -> None:
    error = ApplicationError("pay me", {"kind": "failure"}, type="ValueError", non_retryable=True)
    plain = _failure(error, superstep("a"), DataConverter.default)
    refused = _error(plain, superstep("a"))
    assert (refused.type, refused.details, "pay me" in str(refused)) == (REFUSED_FAILURE, (), False)
    # With a sealed text of elsewhere, or a part of it.
    text = _failure(ApplicationError("mine"), superstep("b")).encoded_attributes
    plain.encoded_attributes.CopyFrom(text)
    assert _error(plain, superstep("a")).type == REFUSED_FAILURE
    plain.encoded_attributes.CopyFrom(encode({"message": "mine"}, superstep("a")))
    assert _error(plain, superstep("a")).type == REFUSED_FAILURE
    accepting = sealing_data_converter(keys=KEYS, accept_unsealed=True)
    plain.ClearField("encoded_attributes")
    assert _error(plain, superstep("a"), accepting).message == "pay me"


def test_the_server_s_own_failures_are_believed_by_their_kind() -> None:
    error = TimeoutError("pay me", type=TimeoutType.HEARTBEAT, last_heartbeat_details=["pay me"])
    outer = ActivityError(
        "pay me",
        scheduled_event_id=1,
        started_event_id=2,
        identity="worker",
        activity_type="superstep",
        activity_id="1",
        retry_state=None,
    )
    outer.__cause__ = error
    found = _error(_failure(outer, superstep("a"), DataConverter.default), superstep("a"))
    assert isinstance(found, ActivityError)
    assert isinstance(found.cause, TimeoutError)
    assert found.cause.type == TimeoutType.HEARTBEAT
    assert found.cause.last_heartbeat_details == []
    assert found.cause.message == "timeout: heartbeat"
    assert "pay me" not in found.message


@given(st.binary(max_size=60))
def test_any_place_can_be_told(place: bytes) -> None:
    assert len(describe(place)) < 2_000
