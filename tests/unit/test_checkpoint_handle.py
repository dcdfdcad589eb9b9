"""The handle an application keeps: to JSON and back, forward by itself, and never onto another thread."""

from __future__ import annotations

import copy
import gc
import pickle
import weakref

import pytest
from agent_framework import WorkflowEvent
from agent_framework_temporal import Checkpoint, Response
from agent_framework_temporal.adapter.client.thread_cursor import ThreadCursors
from agent_framework_temporal.workflows.messages import CheckpointRef
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), min_size=1)


@given(
    st.builds(
        Checkpoint,
        workflow_name=TEXT,
        thread_id=TEXT,
        run_id=st.none() | TEXT,
        checkpoint_id=st.none() | TEXT,
        offset=st.integers(-1, 2**53),
    )
)
def test_a_handle_comes_back_from_json(handle: Checkpoint) -> None:
    assert Checkpoint.from_json(handle.to_json()) == handle
    assert Checkpoint.from_json(handle.to_json().encode()) == handle


def test_a_new_handle_has_seen_nothing() -> None:
    handle = Checkpoint(workflow_name="w", thread_id="t")
    assert (handle.run_id, handle.checkpoint_id, handle.offset) == (None, None, -1)
    assert len(handle.to_json()) < 300


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("", "text"),
        ("{", "text"),
        ("[]", "text"),
        ("null", "text"),
        ("{}", "workflow_name"),
        ('{"workflow_name": "w"}', "thread_id"),
        ('{"workflow_name": "w", "thread_id": ""}', "thread_id"),
        ('{"workflow_name": "w", "thread_id": "t", "offset": "x"}', "offset"),
        ('{"workflow_name": "w", "thread_id": "t", "more": 1}', "more"),
        (b"\xff", "text"),
    ],
)
def test_any_other_text_is_refused_and_the_place_is_named(text: str | bytes, where: str) -> None:
    with pytest.raises(ValueError, match=f"This is not a valid thread handle: {where}: "):
        Checkpoint.from_json(text)


def test_it_moves_along_its_own_thread_only() -> None:
    handle = Checkpoint(workflow_name="w", thread_id="t")
    cursor = ThreadCursors().of(handle)
    cursor.move(CheckpointRef(thread_id="t", run_id="r", checkpoint_id="c"))
    assert handle.checkpoint_id == "c"
    cursor.move(CheckpointRef(thread_id="other", run_id="r2", checkpoint_id="c2"))
    cursor.move(None)
    assert (handle.thread_id, handle.checkpoint_id) == ("t", "c")


def test_a_handle_is_a_value_whatever_was_read_with_it() -> None:
    handle = Checkpoint(workflow_name="w", thread_id="t", run_id="r", checkpoint_id="c", offset=7)
    cursors = ThreadCursors()
    event: WorkflowEvent[str] = WorkflowEvent.request_info("q", "asker", "how many?", int)
    cursors.of(handle).note(event, ())
    for copied in (
        copy.copy(handle),
        copy.deepcopy(handle),
        pickle.loads(pickle.dumps(handle)),  # noqa: S301 - what was just written
        Checkpoint.from_json(handle.to_json()),
    ):
        assert copied == handle
        assert cursors.of(copied).requests == {}
    assert list(cursors.of(handle).requests) == ["q"]


def test_what_was_read_goes_with_its_handle() -> None:
    cursors = ThreadCursors()
    cursor = weakref.ref(cursors.of(Checkpoint(workflow_name="w", thread_id="t")))
    gc.collect()
    assert cursor() is None


def test_an_assignment_is_checked() -> None:
    handle = Checkpoint(workflow_name="w", thread_id="t")
    with pytest.raises(ValidationError):
        handle.thread_id = ""


def test_a_response_is_a_value() -> None:
    assert Response("a", {"x": 1}) == Response(request_id="a", data={"x": 1})
    assert Response("a", 1) != Response("a", 2)
