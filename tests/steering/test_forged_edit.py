"""Whoever may write to the namespace can send an edit: one that cannot be used ends no run, and breaks no reader."""

from __future__ import annotations

from typing import Any

import pytest
from agent_framework_temporal import DurableWorkflow, StartRefusedError
from agent_framework_temporal.adapter.temporal.client import framed_client
from agent_framework_temporal.workflows.messages import (
    EDIT_UPDATE,
    WORKFLOW_TYPE,
    CheckpointFacts,
    CheckpointRef,
    EditFacts,
    EditUpdate,
    RunInput,
)
from temporalio.client import Client, WorkflowFailureError, WorkflowUpdateFailedError

from tests.flows import Decision, Order, shop
from tests.support import unique, worker


def _facts(**changes: Any) -> CheckpointFacts:
    facts: dict[str, Any] = {
        "checkpoint_id": "forged",
        "superstep": 1,
        "digest": "0" * 32,
        "size_bytes": 1,
        "frame_bytes": 1,
        "graph_hash": "0",
        "timestamp": "2026-01-01T00:00:00+00:00",
    }
    return CheckpointFacts(**{**facts, **changes})


_EDITED = EditFacts(by="mallory", at="2026-01-01T00:00:00+00:00")


async def test_an_update_that_cannot_be_used_leaves_the_run_waiting(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        thread = durable.checkpoint()
        await durable.run(Order(item="pen"), checkpoint=thread)
        info = (await durable.checkpoints(thread))[-1]
        run = client.get_workflow_handle(thread.thread_id)
        seen = {"seen_checkpoint_id": info.checkpoint_id}
        sent: list[tuple[Any, str]] = [
            ({"any": "thing"}, "seen_checkpoint_id|takes a checkpoint"),
            ("text", "edit"),
            (EditUpdate(**seen, facts=_facts(), edited=_EDITED), "takes a checkpoint that this package has packed"),
            (EditUpdate(seen_checkpoint_id="other", facts=_facts(), edited=_EDITED).with_frame(b"x"), "has gone on to"),
            (EditUpdate(**seen, facts=_facts(), edited=_EDITED).with_frame(b"x"), "another graph has made it"),
            (EditUpdate(**seen, facts=_facts(timestamp="x"), edited=_EDITED).with_frame(b"x"), "'x' is no time"),
            (
                EditUpdate(**seen, facts=_facts(), edited=EditFacts(by="m", at="never")).with_frame(b"x"),
                "'never' is no time",
            ),
            (
                EditUpdate(**seen, facts=_facts(base_checkpoint_id="b"), edited=_EDITED).with_frame(b"x"),
                "must hold the checkpoint whole",
            ),
            (EditUpdate(**seen, facts=_facts(), edited=_EDITED).with_frame(bytes(1_300_000)), "takes one argument of"),
        ]
        framed = framed_client(client)
        for argument, reason in sent:
            with pytest.raises(WorkflowUpdateFailedError) as caught:
                await framed.get_workflow_handle(thread.thread_id).execute_update(EDIT_UPDATE, argument)
            assert any(part in str(caught.value.cause) for part in reason.split("|")), caught.value.cause
        with pytest.raises(WorkflowUpdateFailedError):
            await run.execute_update(EDIT_UPDATE)
        result = await durable.run(responses={"approve-pen": Decision(approved=True)}, checkpoint=thread)
        assert result.get_outputs() == ["pen approved by nobody, order 1"]


async def test_a_start_that_says_what_it_may_not_is_no_part_of_the_thread(client: Client) -> None:
    async with worker(client, shop) as task_queue:
        durable = DurableWorkflow(shop, client=client, task_queue=task_queue)
        for facts, edited in (
            (None, _EDITED),
            (_facts(timestamp="x"), _EDITED),
            (_facts(), EditFacts(by="m", at="never")),
            (_facts(), _EDITED),  # What is in the frame is no checkpoint.
        ):
            thread = unique("forged")
            base = None if facts is None else CheckpointRef(thread_id=thread, run_id="", checkpoint_id="forged")
            start = RunInput(
                workflow_name="shop",
                mode="resume",
                base=base or CheckpointRef(thread_id="t", run_id="r", checkpoint_id="c"),
                graph_hash="0",
                base_facts=facts,
                edited=edited,
            ).with_frame(b"x" if facts is not None else b"")
            with pytest.raises(WorkflowFailureError):
                await framed_client(client).execute_workflow(WORKFLOW_TYPE, start, id=thread, task_queue=task_queue)
            with pytest.raises(StartRefusedError, match=r"`edited`|`base_facts`"):
                await durable.run(checkpoint=thread)
