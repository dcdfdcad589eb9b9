"""State that no checkpoint holds is warned of, once, by name; nothing else is."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, WorkflowExecutor, executor, handler
from agent_framework_temporal.activities import unsaved_state as _unsaved_state
from agent_framework_temporal.activities.unsaved_state import UnsavedState

from tests.parity.gallery import GALLERY, Row
from tests.unit._in_process import record


class Forgetful(Executor):
    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.count = 0
        self.items: list[int] = []
        self.lock = threading.Lock()
        self.model = b"x" * (2 * 1024 * 1024)
        self.constant = {"a": 1}
        self.on_done = print

    @handler
    async def take(self, text: str, ctx: WorkflowContext) -> None:
        self.count += 1


class Saving(Forgetful):
    async def on_checkpoint_save(self) -> dict[str, Any]:
        return {"count": self.count}


def _workflow(*, saving: bool = False) -> tuple[Workflow, Forgetful]:
    start = (Saving if saving else Forgetful)(id="start")
    return WorkflowBuilder(name="counting", start_executor=start).build(), start


def _compare(state: UnsavedState, workflow: Workflow, change: Any) -> None:
    before = state.snapshot(workflow)
    change()
    state.compare(workflow, before)


def test_a_changed_attribute_is_named_once(caplog: pytest.LogCaptureFixture) -> None:
    workflow, start = _workflow()
    state = UnsavedState()

    def change() -> None:
        start.count += 1
        start.items.append(1)

    _compare(state, workflow, change)
    assert len(caplog.records) == 2
    text = caplog.records[0].getMessage()
    assert "Executor 'start' of workflow 'counting' changed its attribute 'count'" in text
    assert "ctx.set_state()" in text
    _compare(state, workflow, change)
    assert len(caplog.records) == 2


def test_what_is_saved_or_cannot_be_state_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    workflow, start = _workflow()

    def change() -> None:
        start.lock = threading.Lock()
        start.model = b"y" * (2 * 1024 * 1024)
        start.on_done = repr  # type: ignore[assignment]
        start.constant = {"a": 1}

    _compare(UnsavedState(), workflow, change)
    saving, saved = _workflow(saving=True)
    _compare(UnsavedState(), saving, lambda: setattr(saved, "count", 7))
    assert not caplog.records


def test_an_attribute_that_is_new_is_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    """Set lazily, it may be a cache; that it was there is seen when it changes."""
    workflow, start = _workflow()
    _compare(UnsavedState(), workflow, lambda: setattr(start, "added", 1))
    assert not caplog.records


def test_executors_of_sub_workflows_are_watched(caplog: pytest.LogCaptureFixture) -> None:
    child, start = _workflow()
    workflow = WorkflowBuilder(name="parent", start_executor=WorkflowExecutor(child, id="child")).build()
    _compare(UnsavedState(), workflow, lambda: setattr(start, "count", 1))
    assert "attribute 'count'" in caplog.text


def test_a_snapshot_does_not_hold_the_values() -> None:
    workflow, _ = _workflow()
    snapshot = UnsavedState().snapshot(workflow)
    assert all(len(value) == 16 for value in snapshot["start"].values())
    assert "model" not in snapshot["start"]


@executor(id="function")
async def function(text: str, ctx: WorkflowContext) -> None:
    """Do nothing."""


@pytest.mark.parametrize("gallery_row", GALLERY, ids=lambda row: row.name)
async def test_no_framework_executor_is_ever_warned_of(gallery_row: Row, caplog: pytest.LogCaptureFixture) -> None:
    recording = await record(gallery_row)
    caplog.clear()
    UnsavedState().compare(recording.workflow, UnsavedState().snapshot(gallery_row.build()))
    assert not [entry for entry in caplog.records if entry.name == _unsaved_state._LOGGER.name]
