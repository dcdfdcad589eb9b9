"""A look at a run as the server describes it, which all readers of one process share."""

from __future__ import annotations

import time

from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import DescribeWorkflowExecutionRequest, DescribeWorkflowExecutionResponse
from temporalio.client import Client

from .sharing import Shared, SharedCall


class Look:
    """What the server has said of a run last.

    Args:
        client: A connected client.
        thread_id: Temporal workflow id.
        run_id: Temporal run id.
    """

    def __init__(self, client: Client, thread_id: str, run_id: str) -> None:
        self.run_id = run_id
        self._client = client
        self._request = DescribeWorkflowExecutionRequest(
            namespace=client.namespace, execution=WorkflowExecution(workflow_id=thread_id, run_id=run_id)
        )
        self._call = SharedCall(self._describe)
        self._last: tuple[float, DescribeWorkflowExecutionResponse] | None = None

    async def after(self, at: float) -> tuple[float, DescribeWorkflowExecutionResponse]:
        """Return when the server was asked and what it said; no round trip where another reader has asked after a time.

        Args:
            at: By `time.monotonic()`.

        Raises:
            RPCError: When the server refuses.
        """
        while self._last is None or self._last[0] <= at:
            self._last = await self._call.result()
        return self._last

    async def _describe(self) -> tuple[float, DescribeWorkflowExecutionResponse]:
        asked = time.monotonic()
        return asked, await self._client.workflow_service.describe_workflow_execution(self._request)


def look_at(client: Client, thread_id: str, run_id: str) -> Look:
    """Return the look that this process shares at a run."""
    found = _looks.find(client, thread_id, run_id)
    return found if found is not None else _looks.put(Look(client, thread_id, run_id), client, thread_id, run_id)


_looks: Shared[Look] = Shared()
