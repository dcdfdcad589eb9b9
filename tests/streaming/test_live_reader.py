"""The reader of heartbeats by itself: whose events it gives."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from agent_framework_temporal.adapter.client.live_reader import LiveReader
from agent_framework_temporal.adapter.temporal.converter import FramedPayloadConverter
from agent_framework_temporal.workflows.messages import EventRecord, LiveWindow
from temporalio.api.common.v1 import ActivityType, Payloads
from temporalio.api.workflow.v1 import PendingActivityInfo
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionResponse
from temporalio.converter import DataConverter


class _Service:
    """Answers with one pending superstep."""

    def __init__(self) -> None:
        self.window = LiveWindow(attempt=1)
        self.attempt = 1

    async def describe_workflow_execution(self, request: Any) -> DescribeWorkflowExecutionResponse:
        details = Payloads(payloads=FramedPayloadConverter().to_payloads([self.window]))
        pending = PendingActivityInfo(
            activity_type=ActivityType(name="superstep"), attempt=self.attempt, heartbeat_details=details
        )
        return DescribeWorkflowExecutionResponse(pending_activities=[pending])


def _window(offset: int, *offsets: int, attempt: int = 1) -> LiveWindow:
    events = [EventRecord(offset=number, type="output", origin="EXECUTOR", data=number) for number in offsets]
    return LiveWindow(attempt=attempt, offset=offset, events=events)


async def test_next_superstep_waits_for_its_turn() -> None:
    """Its heartbeat may be there before history says that the one before has ended: `make chaos` found that."""
    service = _Service()
    converter = DataConverter(payload_converter_class=FramedPayloadConverter)
    client: Any = SimpleNamespace(workflow_service=service, namespace="default", data_converter=converter)
    reader = LiveReader(client, "thread", None)

    async def read() -> tuple[int, list[int]]:
        found = await reader.read("run")
        return found.attempt, [offset for offset, _ in found.events]

    reader.begin(14)
    service.window, service.attempt = _window(14, 14, 15, attempt=2), 2
    assert await read() == (2, [14, 15])
    service.window, service.attempt = _window(31, 31, 32), 1
    assert await read() == (2, [])
    reader.begin(31)
    assert await read() == (1, [31, 32])
    # A worker of another release does not say which superstep it is.
    service.window = LiveWindow(attempt=1, events=_window(31, 33).events)
    assert await read() == (1, [33])
