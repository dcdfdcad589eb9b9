"""Events to records and back: nothing is lost, large data lies in the frame, and a record is always JSON."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import pytest
from agent_framework import (
    AgentResponseUpdate,
    Content,
    WorkflowErrorDetails,
    WorkflowEvent,
    WorkflowEventSource,
    WorkflowRunState,
)
from agent_framework_temporal.adapter.checkpoints.logged_events import (
    EventWriter,
    is_longer,
    pending_of,
    readable_event,
    to_event,
)
from agent_framework_temporal.adapter.encoding.decoding import loads
from agent_framework_temporal.adapter.errors import PayloadError
from agent_framework_temporal.adapter.framework.catalog import TypeCatalog
from agent_framework_temporal.adapter.framework.internals import new_event
from agent_framework_temporal.workflows.messages import LoggedEvent
from pydantic import BaseModel

from tests.parity.gallery import GALLERY, Row
from tests.unit._in_process import comparable, record


class Draft(BaseModel):
    text: str


@dataclass
class Verdict:
    ok: bool


def _write(*events: WorkflowEvent[Any]) -> EventWriter:
    writer = EventWriter(offset=5, attempt=2)
    for event in events:
        writer.add(event, 3)
    return writer


def _catalog() -> TypeCatalog:
    catalog = TypeCatalog(GALLERY[0].build())
    catalog.add_values([Draft(text=""), Verdict(ok=True)], "test")
    return catalog


def _stored(writer: EventWriter) -> Any:
    catalog = _catalog()
    return loads(writer.encoded(catalog), catalog)


def _wire(writer: EventWriter) -> list[LoggedEvent]:
    return [LoggedEvent.model_validate_json(record.model_dump_json()) for record in writer.records]


@pytest.mark.parametrize("gallery_row", GALLERY, ids=lambda row: row.name)
async def test_every_event_of_a_gallery_row_comes_back(gallery_row: Row) -> None:
    recording = await record(gallery_row)
    catalog = TypeCatalog(gallery_row.build())
    writer = _write(*recording.events)
    data = writer.encoded(catalog)
    payloads = loads(data, catalog) if data else []
    restored = [to_event(record, payloads, catalog) for record in _wire(writer)]
    assert len(restored) == len(recording.events)
    for given, back in zip(recording.events, restored, strict=True):
        # A class of its own is for the executor that emits it; callers are given what the event says.
        assert comparable(vars(back)) == comparable(vars(given))


@pytest.mark.parametrize("gallery_row", GALLERY, ids=lambda row: row.name)
async def test_a_reader_without_types_gets_every_event_as_plain_json(gallery_row: Row) -> None:
    recording = await record(gallery_row)
    for entry, given in zip(_wire(_write(*recording.events)), recording.events, strict=True):
        event = to_event(entry, None)
        assert (event.type, event.executor_id, event.state) == (given.type, given.executor_id, given.state)
        json.dumps(event.data if entry.details is None else None)
        if given.type in ("output", "request_info"):
            assert entry.data is not None
            assert entry.data_bytes is None


def test_records_are_numbered_and_say_where_they_come_from() -> None:
    records = _write(WorkflowEvent.started(), WorkflowEvent.superstep_started(3)).records
    assert [(record.offset, record.superstep, record.attempt) for record in records] == [(5, 3, 2), (6, 3, 2)]
    assert records[0].at is not None
    assert records[0].at.endswith("Z")
    assert records[1].iteration == 3


def test_scalars_are_in_the_record_alone() -> None:
    for value in ("text", 1, 2.5, True):
        writer = _write(new_event("output", data=value, executor_id="e"))
        (entry,) = _wire(writer)
        assert (entry.data, entry.payload, writer.payloads) == (value, None, [])
        assert to_event(entry, []).data == value


def test_scalars_that_json_cannot_hold_are_in_the_frame() -> None:
    for value, shown in ((float("inf"), "Infinity"), ("a\ud800", "str: a?")):
        writer = _write(new_event("output", data=value, executor_id="e"))
        (entry,) = _wire(writer)
        assert entry.data == shown
        assert to_event(entry, _stored(writer)).data == value


def test_typed_data_is_readable_and_in_the_frame() -> None:
    writer = _write(new_event("output", data=Draft(text="t"), executor_id="e"))
    (entry,) = _wire(writer)
    assert entry.data == {"text": "t"}
    assert entry.data_type == f"{__name__}:Draft"
    assert to_event(entry, _stored(writer)).data == Draft(text="t")
    assert to_event(entry, None).data == {"text": "t"}


def test_large_data_that_repeats_messages_is_left_out_of_the_record() -> None:
    large = "x" * 5_000
    writer = _write(
        new_event("executor_invoked", data=large, executor_id="e"),
        new_event("executor_invoked", data=large[:1_000], executor_id="e"),
        new_event("output", data=large, executor_id="e"),
    )
    payloads = _stored(writer)
    left_out, small, output = _wire(writer)
    assert left_out.data is None
    assert left_out.data_bytes is not None
    assert left_out.data_bytes > 5_000
    assert to_event(left_out, payloads).data == large
    assert small.data == large[:1_000]
    assert output.data == large
    assert len(writer.payloads) == 1


def test_data_is_long_as_soon_as_it_has_that_much_in_it() -> None:
    loop: list[Any] = []
    loop.append(loop)
    for long in ("x" * 1_025, ["x" * 600, {"a": b"y" * 600}], [Draft(text="x" * 1_100)], list(range(2_000)), loop):
        assert is_longer(long, 1_024)
    for short in ("x" * 1_000, [Draft(text="x")], None, Draft, {"a": (1, 2)}):
        assert not is_longer(short, 1_024)


def test_streamed_updates_are_readable_up_to_a_budget() -> None:
    updates = [AgentResponseUpdate(contents=[Content.from_text("x" * 1_000)], role="assistant") for _ in range(200)]
    writer = _write(*(new_event("output", data=update, executor_id="e") for update in updates))
    records = _wire(writer)
    readable = [record for record in records if record.data is not None]
    assert 20 < len(readable) < 70
    assert sum(len(record.model_dump_json()) for record in records) < 64 * 1024 + 200 * 300
    assert [to_event(record, writer.payloads).data for record in records] == updates
    # A small update after the budget is used up may still be readable, so the rest is told apart by its size.
    assert all(record.data_bytes for record in records if record.data is None)


def test_a_request_keeps_its_types() -> None:
    event: WorkflowEvent[Any] = WorkflowEvent.request_info("id-1", "writer", Draft(text="t"), Verdict)
    writer = _write(event)
    (entry,) = _wire(writer)
    assert (entry.request_id, entry.source_executor_id) == ("id-1", "writer")
    assert (entry.request_type, entry.response_type) == (f"{__name__}:Draft", f"{__name__}:Verdict")
    back = to_event(entry, _stored(writer))
    assert (back.request_type, back.response_type, back.data) == (Draft, Verdict, Draft(text="t"))
    plain = to_event(entry, None)
    assert (plain.request_id, plain.data, plain.response_type) == ("id-1", {"text": "t"}, object)


def test_a_pending_request_is_described_for_people_and_other_languages() -> None:
    declared: Any = Verdict | None
    event: WorkflowEvent[Any] = WorkflowEvent.request_info("id-1", "writer", Draft(text="t"), declared)
    catalog = _catalog()
    catalog.annotations.append(declared)
    (request,) = pending_of([event], "thread", catalog)
    assert (request.request_id, request.thread_id, request.executor_id) == ("id-1", "thread", "writer")
    assert request.request == {"text": "t"}
    assert request.request_schema is not None
    assert request.request_schema["properties"]["text"]["type"] == "string"
    assert request.response_schema is not None
    assert "anyOf" in request.response_schema
    assert "Verdict | None" in request.response_type
    json.loads(request.model_dump_json())


@pytest.mark.parametrize("request_id", ["\ud800", "x" * 513])
def test_an_id_that_nobody_could_answer_is_refused(request_id: str) -> None:
    event: WorkflowEvent[Any] = WorkflowEvent.request_info(request_id, "writer", "?", str)
    with pytest.raises(PayloadError, match=r"Executor 'writer' makes a request with id .*which nobody could answer"):
        _write(event)


def test_large_data_lies_in_the_frame() -> None:
    """Of one record and of many; what is left in the records is bounded."""
    writer = _write(
        *(new_event("output", data="x" * size, executor_id="e") for size in (200_000, *[60_000] * 6, *[2_000] * 100)),
        WorkflowEvent.request_info("id-1", "writer", {"text": "y" * 70_000}, str),
    )
    records = _wire(writer)
    assert sum(len(record.model_dump_json()) for record in records) < 300_000
    left_out = [record for record in records if record.readable is not None]
    assert [record.data_bytes for record in left_out if record.type == "request_info"] == [70_011]
    payloads = _stored(writer)
    for entry in left_out:
        assert entry.data is None
        assert writer.readable[entry.readable or 0] == to_event(entry, payloads).data
    writer.forget_readable()
    assert all(record.readable is None for record in writer.records)


def test_what_cannot_be_rebuilt_is_a_warning() -> None:
    for fields in (
        {"type": "request_info", "payload": 7},
        {"type": "output", "payload": 7},
    ):
        event = readable_event(LoggedEvent.model_validate({"offset": 3, **fields}), [], _catalog())
        assert event.type == "warning"
        assert str(event.data).startswith(f"Event 3 ({fields['type']!r}) cannot be read: ")


def test_a_failure_keeps_its_details() -> None:
    details = WorkflowErrorDetails("ValueError", "bad", "Traceback ...", "e", {"key": {1, 2}})
    writer = _write(
        new_event("executor_failed", data=details, details=details, executor_id="e"),
        new_event("failed", details=details),
        new_event("status", state=WorkflowRunState.FAILED, origin=WorkflowEventSource.FRAMEWORK),
    )
    failed, ended, status = (to_event(record, None) for record in _wire(writer))
    assert failed.data == failed.details
    assert failed.details is not None
    assert (failed.details.error_type, failed.details.message, failed.details.executor_id) == ("ValueError", "bad", "e")
    assert failed.details.extra == {"key": [1, 2]}
    assert ended.details == failed.details
    assert status.state is WorkflowRunState.FAILED
    assert writer.payloads == []


@pytest.mark.parametrize("text", ["x" * 3_000_000, "\ud800" * 10, "é" * 200_000], ids=["long", "surrogate", "accents"])
def test_an_error_of_any_size_is_a_record(text: str) -> None:
    details = WorkflowErrorDetails("ValueError", text, text)
    (entry,) = _wire(_write(new_event("failed", details=details)))
    assert len(entry.model_dump_json()) < 300_000
    assert entry.details is not None
    assert len(text) < 100 or "characters) ..." in entry.details.message


class Odd:
    def __str__(self) -> str:
        raise RuntimeError


@pytest.mark.parametrize("data", [Odd(), "\ud800", b"\xff", {b"\xff": 1}, float("nan"), ValueError("x"), Draft, len])
def test_any_data_is_a_record(data: Any) -> None:
    writer = _write(new_event("output", data=data, executor_id="e"), new_event("executor_completed", data=[data]))
    assert len(_wire(writer)) == 2
    request: WorkflowEvent[Any] = WorkflowEvent.request_info("id", "e", data, str)
    assert _wire(_write(request))
    assert pending_of([request], "t", _catalog())[0].model_dump_json()
