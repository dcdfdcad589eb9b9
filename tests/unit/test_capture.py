"""The checkpoint storage of an inner run: it keeps what was true when it was saved, and names what cannot be."""

from __future__ import annotations

import re
from typing import Any

import pytest
from agent_framework import Workflow, WorkflowCheckpoint, WorkflowCheckpointException, WorkflowMessage
from agent_framework_temporal import CheckpointNotFoundError, PayloadError
from agent_framework_temporal.activities.capture import Capture, dump_checkpoint, parts
from agent_framework_temporal.activities.hosting import host
from agent_framework_temporal.adapter.checkpoints.label import GRAPH_METADATA
from agent_framework_temporal.adapter.checkpoints.pickling import loads
from agent_framework_temporal.adapter.framework.definition import HostedWorkflow

from tests.unit._in_process import row
from tests.unit._undeclared import Undeclared

RUN_ID = "0199aaaa-bbbb-7ccc-8ddd-eeeeffff0000"


async def _hosted() -> HostedWorkflow:
    return await host(row("shared-state").build)


def _checkpoint(superstep: int = 1, *, previous: str | None = None, **fields: Any) -> WorkflowCheckpoint:
    return WorkflowCheckpoint(
        workflow_name="made-up",
        graph_signature_hash="h",
        previous_checkpoint_id=previous,
        iteration_count=superstep,
        **fields,
    )


async def test_a_checkpoint_is_kept_as_it_was_when_it_was_saved() -> None:
    hosted = await _hosted()
    capture = Capture(hosted, None, run_id=RUN_ID)
    texts = ["one"]
    checkpoint = _checkpoint(state={"texts": texts}, messages={"first": [WorkflowMessage("x", "first")]})
    assert await capture.save(checkpoint) == checkpoint.checkpoint_id
    assert re.fullmatch(rf"{RUN_ID}\.[0-9a-f]{{12}}", checkpoint.checkpoint_id)
    texts.append("two")
    last = capture.last
    assert last is not None
    assert (last.checkpoint_id, last.superstep, last.has_messages, last.sources) == (
        checkpoint.checkpoint_id,
        1,
        True,
        ("first",),
    )
    stored = loads(last.raw, hosted.catalog)
    assert stored.state == {"texts": ["one"]}
    assert stored.workflow_name == "shared-state"
    assert stored.metadata[GRAPH_METADATA] == hosted.graph_signature
    assert set(stored.metadata["versions"]) == {"agent_framework_core", "python"}


async def test_a_superstep_goes_on_while_there_are_messages_and_iterations_left() -> None:
    capture = Capture(await _hosted(), None, run_id=RUN_ID)
    await capture.save(_checkpoint(1, messages={"first": [WorkflowMessage("x", "first")]}))
    assert capture.must_continue(1, 100)
    assert not capture.must_continue(1, 1)
    await capture.save(_checkpoint(2))
    assert not capture.must_continue(2, 100)


async def test_a_superstep_without_its_checkpoint_is_an_error() -> None:
    capture = Capture(await _hosted(), None, run_id=RUN_ID)
    with pytest.raises(WorkflowCheckpointException, match=r"Superstep 1 ended without .*on_checkpoint_save"):
        capture.must_continue(1, 100)
    await capture.save(_checkpoint(0))
    with pytest.raises(WorkflowCheckpointException, match="Superstep 1 ended"):
        capture.must_continue(1, 100)


async def test_what_kept_a_checkpoint_from_being_saved_is_raised_when_the_superstep_ends() -> None:
    """The framework only logs what a storage raises."""
    capture = Capture(await _hosted(), None, run_id=RUN_ID)
    with pytest.raises(PayloadError):
        await capture.save(_checkpoint(state={"bad": Undeclared()}))
    with pytest.raises(PayloadError, match=r"shared state key 'bad': .*register_checkpoint_type\(Undeclared\)"):
        capture.must_continue(1, 100)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"state": {"k": Undeclared()}}, "shared state key 'k'"),
        ({"state": {"_executor_state": {"e": {"k": Undeclared()}}}}, "executor 'e', state key 'k'"),
        ({"state": {"_executor_state": {"e": Undeclared()}}}, "executor 'e', state key ''"),
        ({"messages": {"e": [WorkflowMessage(Undeclared(), "e")]}}, "messages of executor 'e'"),
        ({"pending_request_info_events": {"id": Undeclared()}}, "pending request 'id'"),
        ({"metadata": {"k": Undeclared()}}, "tests.unit._undeclared.Undeclared is stored"),
    ],
)
async def test_the_part_that_cannot_be_stored_is_named(fields: dict[str, Any], name: str) -> None:
    with pytest.raises(PayloadError, match=f"^{name}"):
        dump_checkpoint(_checkpoint(**fields), (await _hosted()).catalog)


def test_parts_are_named_as_a_user_knows_them() -> None:
    checkpoint = _checkpoint(
        state={"a": 1, "_executor_state": {"e": {"k": 2}}},
        messages={"e": []},
        pending_request_info_events={"id": None},
    )
    assert dict(parts(checkpoint)) == {
        "shared state key 'a'": 1,
        "executor 'e', state key 'k'": 2,
        "messages of executor 'e'": [],
        "pending request 'id'": None,
    }


async def test_only_the_base_can_be_loaded() -> None:
    base = _checkpoint()
    capture = Capture.holding(base)
    assert await capture.load(base.checkpoint_id) is base
    assert await capture.save(_checkpoint()) and capture.saved == []
    with pytest.raises(CheckpointNotFoundError, match="is not the base of this superstep"):
        await capture.load("another")
    with pytest.raises(CheckpointNotFoundError):
        await Capture(None, None, run_id=RUN_ID).load(base.checkpoint_id)
    for call in (
        capture.list_checkpoints(workflow_name="w"),
        capture.list_checkpoint_ids(workflow_name="w"),
        capture.get_latest(workflow_name="w"),
        capture.delete("c"),
    ):
        with pytest.raises(NotImplementedError, match="is not available inside a superstep"):
            await call


async def test_the_framework_takes_it_for_a_checkpoint_storage() -> None:
    workflow: Workflow = row("shared-state").build()
    hosted = await _hosted()
    capture = Capture(hosted, None, run_id=RUN_ID)
    await workflow.run("a", checkpoint_storage=capture)
    assert [entry.superstep for entry in capture.saved] == [0, 1, 2, 3]
    assert [entry.previous_checkpoint_id for entry in capture.saved][1:] == [
        entry.checkpoint_id for entry in capture.saved
    ][:-1]
