"""Starts as somebody sends them who may write to the namespace: any input, with no facade in between."""

from __future__ import annotations

import asyncio
from typing import Any

from agent_framework import WorkflowCheckpoint
from agent_framework_temporal import HistoryCheckpointStorage
from agent_framework_temporal.adapter.checkpoints.frames import Frame, digest, pack
from agent_framework_temporal.adapter.encoding.encoding import dumps
from agent_framework_temporal.adapter.framework.definition import define
from agent_framework_temporal.adapter.temporal.client import framed_client
from agent_framework_temporal.adapter.temporal.server import MEMO_WORKFLOW_NAME
from agent_framework_temporal.workflows.messages import CheckpointFacts, CheckpointRef, RunInput
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowExecutionStatus

from tests.support import unique

WORKFLOW_TYPE = "AgentFrameworkWorkflow"


async def started(
    client: Client, queue: str, start: Any, thread_id: str | None = None, **options: Any
) -> tuple[str, WorkflowExecutionStatus, str]:
    """Start a run, and wait until it is over or waits; return its thread, how it stands, and what it failed with."""
    thread = thread_id or unique("forged")
    name = getattr(start, "workflow_name", "shop")
    arguments = {} if start is None else {"arg": start}
    handle = await framed_client(client).start_workflow(
        WORKFLOW_TYPE, id=thread, task_queue=queue, memo={MEMO_WORKFLOW_NAME: name}, **arguments, **options
    )
    run = client.get_workflow_handle(thread, run_id=handle.result_run_id)
    async with asyncio.timeout(50):
        while True:
            description = await run.describe()
            events = [event async for event in run.fetch_history_events()]
            assert not any(event.event_type == EventType.EVENT_TYPE_WORKFLOW_TASK_FAILED for event in events), events
            if description.status != WorkflowExecutionStatus.RUNNING:
                failure = events[-1].workflow_execution_failed_event_attributes.failure
                assert description.status is not None
                return thread, description.status, failure.message
            if any(event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED for event in events):
                return thread, WorkflowExecutionStatus.RUNNING, ""
            await asyncio.sleep(0.05)


async def load(client: Client, workflow: Any, checkpoint_id: str) -> WorkflowCheckpoint:
    """Return a checkpoint that history holds."""
    return await HistoryCheckpointStorage(client, workflow).load(checkpoint_id)


async def framed(workflow: Any, checkpoint: WorkflowCheckpoint, thread_id: str, **fields: Any) -> RunInput:
    """Return a start that brings a checkpoint along."""
    hosted = await define(workflow)
    raw = dumps(checkpoint, hosted.catalog)
    frame, _ = pack(Frame(checkpoint=raw, payloads=b""), None)
    facts = CheckpointFacts(
        checkpoint_id=checkpoint.checkpoint_id,
        superstep=checkpoint.iteration_count,
        digest=digest(raw),
        size_bytes=len(raw),
        frame_bytes=len(frame),
        graph_hash=hosted.graph_hash,
        timestamp=checkpoint.timestamp,
    )
    start = RunInput(
        workflow_name=hosted.name,
        mode="resume",
        base=CheckpointRef(thread_id=thread_id, run_id="", checkpoint_id=checkpoint.checkpoint_id),
        base_facts=facts,
        graph_hash=hosted.graph_hash,
    )
    for name, value in fields.items():
        setattr(start, name, value)
    start.with_frame(frame)
    return start
