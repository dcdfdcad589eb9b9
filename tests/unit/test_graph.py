"""Whose checkpoint it is can be read without resolving a type, and hostile bytes do nothing but fail there too."""

from __future__ import annotations

import json
from typing import Any

import pytest
from agent_framework import WorkflowCheckpoint, WorkflowEvent, WorkflowMessage
from agent_framework_temporal import (
    CheckpointCorruptedError,
    CheckpointNotFoundError,
    GraphChangedError,
    PayloadError,
)
from agent_framework_temporal.activities.hosting import host
from agent_framework_temporal.adapter.checkpoints.label import (
    GRAPH_METADATA,
    check_label,
    graph_changes,
    loads_checkpoint,
    read_label,
)
from agent_framework_temporal.adapter.encoding.encoding import dumps
from agent_framework_temporal.adapter.framework.catalog import TypeCatalog

from tests.parity.gallery import GALLERY, Row
from tests.unit._in_process import record, row
from tests.unit._watch import label_outcome
from tests.unit.test_hostile_documents import HOSTILE, TEMPORARY


@pytest.mark.parametrize("gallery_row", GALLERY, ids=lambda gallery_row: gallery_row.name)
async def test_the_label_of_every_checkpoint_in_the_gallery(gallery_row: Row) -> None:
    recording = await record(gallery_row)
    catalog = TypeCatalog(recording.workflow)
    for checkpoint in recording.checkpoints:
        checkpoint.metadata[GRAPH_METADATA] = recording.workflow.graph_signature
        label = read_label(dumps(checkpoint, catalog))
        assert label.checkpoint_id == checkpoint.checkpoint_id
        assert label.workflow_name == checkpoint.workflow_name
        assert label.graph_hash == checkpoint.graph_signature_hash
        assert label.metadata == checkpoint.metadata


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_bytes(name: str) -> None:
    assert "are not a valid checkpoint" in str(label_outcome(HOSTILE[name]))
    assert not TEMPORARY.exists()


def test_what_else_is_in_a_checkpoint_is_not_looked_at() -> None:
    hosted = TypeCatalog(row("shared-state").build())
    checkpoint = WorkflowCheckpoint(workflow_name="w", graph_signature_hash="h", metadata={"a": [1]}, state={"b": 2})
    raw = dumps(checkpoint, hosted)
    for hostile in HOSTILE.values():
        node = hostile.split(b"\n")[2:3]
        if node and node[0].startswith(b"{") and b"$" in node[0]:
            label = label_outcome(raw.replace(b'{"b":2}', node[0]))
            assert getattr(label, "workflow_name", None) == "w" or "are not a valid checkpoint" in str(label)
    assert read_label(raw.replace(b'{"b":2}', b'{"$eval":1}')).metadata == {"a": [1]}
    assert not TEMPORARY.exists()


def test_metadata_that_unfolds_is_no_label() -> None:
    catalog = TypeCatalog(row("shared-state").build())
    raw = dumps(WorkflowCheckpoint(workflow_name="w", graph_signature_hash="h", metadata={"a": 1}), catalog)
    shapes, _, body = raw.split(b"\n")
    parts = [[{"$r": number + 1}] * 2 for number in range(60)]
    nest = b"\n".join((shapes, json.dumps([*parts, []]).encode(), body.replace(b'{"a":1}', b'{"a":{"$r":0}}')))
    assert "are not a valid checkpoint" in str(label_outcome(nest))


async def test_a_checkpoint_is_decoded_for_its_own_workflow_and_graph_only() -> None:
    build = row("shared-state").build
    hosted = await host(build)
    other = await host(row("request").build)

    def raw(name: str = hosted.name, graph_hash: str = hosted.graph_hash) -> bytes:
        return dumps(WorkflowCheckpoint(workflow_name=name, graph_signature_hash=graph_hash), hosted.catalog)

    assert loads_checkpoint(raw(), hosted).workflow_name == hosted.name
    with pytest.raises(CheckpointNotFoundError, match="belongs to workflow 'shared-state', not to 'request'"):
        loads_checkpoint(raw(), other)
    with pytest.raises(GraphChangedError, match=r"has changed since checkpoint .*: its graph signature differs"):
        loads_checkpoint(raw(graph_hash="another"), hosted)
    with pytest.raises(CheckpointCorruptedError, match="are a list"):
        loads_checkpoint(dumps([1], hosted.catalog), hosted)
    with pytest.raises(CheckpointCorruptedError, match="are not a valid checkpoint"):
        loads_checkpoint(b"", hosted)
    check_label(read_label(raw(graph_hash="another")), hosted.name, None)
    assert "executor" in graph_changes({GRAPH_METADATA: other.graph_signature}, hosted)


async def test_an_undeclared_type_in_a_graph_that_is_the_same() -> None:
    asking, hosted = await host(row("request").build), await host(row("shared-state").build)
    recording = await record(row("request"))
    waiting = next(found for found in recording.checkpoints if found.pending_request_info_events)
    waiting.workflow_name, waiting.graph_signature_hash = hosted.name, hosted.graph_hash
    with pytest.raises(PayloadError, match="is not a type this workflow declares"):
        loads_checkpoint(dumps(waiting, asking.catalog), hosted)
    waiting.graph_signature_hash = asking.graph_hash
    waiting.metadata[GRAPH_METADATA] = asking.graph_signature
    with pytest.raises(GraphChangedError, match=r"executor 'buyer' removed"):
        loads_checkpoint(dumps(waiting, asking.catalog), hosted)


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": [1]},
        {"messages": {"a": 1}},
        {"messages": {"a": ["text"]}},
        {"state": []},
        {"iteration_count": "1"},
        {"pending_request_info_events": {"id": 1}},
        {"pending_request_info_events": {"id": WorkflowEvent.started()}},
        {"metadata": None},
    ],
    ids=str,
)
async def test_what_only_looks_like_a_checkpoint_is_refused(fields: dict[str, Any]) -> None:
    hosted = await host(row("shared-state").build)
    whole: dict[str, Any] = {"messages": {"a": [WorkflowMessage("x", "a")]}, "state": {"k": 1}}
    made = {"workflow_name": hosted.name, "graph_signature_hash": hosted.graph_hash, **whole}
    assert loads_checkpoint(dumps(WorkflowCheckpoint(**made), hosted.catalog), hosted).state == {"k": 1}
    with pytest.raises(CheckpointCorruptedError):
        loads_checkpoint(dumps(WorkflowCheckpoint(**made | fields), hosted.catalog), hosted)
