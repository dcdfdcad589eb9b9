"""A durable thread as what agent-framework's AG-UI adapter needs of a workflow, and nothing more."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import AsyncIterator, Collection, Mapping
from typing import Any

from agent_framework import CheckpointStorage, WorkflowCheckpoint, WorkflowEvent, WorkflowRunState
from temporalio.client import Client

from ...workflows.messages import RunStatus
from ..checkpoints.handle import Checkpoint
from ..checkpoints.history import load_checkpoint
from ..client.durable_workflow import DurableWorkflow
from ..client.queries import ThreadQueries
from ..client.thread_facts import find_thread
from ..encoding.decoding import decoded
from ..framework.definition import WorkflowDefinition, WorkflowSource, define
from ..framework.internals import give_pending_requests
from ..temporal.server import rpc_errors

_SINGLE_USER = "ag-ui:single-user:"
"""Begins the scope of an endpoint with `single_user=True`; what follows is another in each process."""
_READABLE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,199}")


def workflow_id(name: str, scope: str | None, thread_id: str) -> str:
    """Return the workflow id of an AG-UI thread: another one for each workflow and each principal.

    What a client chooses is only the end of it, so that it names no thread of anything else.

    Args:
        name: Name of the workflow.
        scope: Who calls, as the endpoint's resolver says.
        thread_id: What the client has chosen.
    """
    if scope is not None and scope.startswith(_SINGLE_USER):
        scope = None
    owner = hashlib.sha256(json.dumps([name, scope]).encode()).hexdigest()[:16]
    if not _READABLE_ID.fullmatch(thread_id):
        thread_id = hashlib.sha256(thread_id.encode(errors="surrogatepass")).hexdigest()
    return f"ag-ui-{owner}-{thread_id}"


class AGUIThreads:
    """The threads of one workflow.

    Args:
        durable: Runs them.
        client: A client with our payload converter.
        workflow: Its definition says what requests and responses are.
        queries: Asks a thread where it stands.
    """

    def __init__(
        self, durable: DurableWorkflow, client: Client, workflow: WorkflowSource, queries: ThreadQueries
    ) -> None:
        self.durable = durable
        self._client = client
        self._source = workflow
        self._queries = queries
        self._definition: WorkflowDefinition | None = None

    async def definition(self) -> WorkflowDefinition:
        """Return the workflow's definition; it is built once."""
        if self._definition is None:
            self._definition = await define(self._source)
        return self._definition

    async def status(self, thread_id: str) -> RunStatus | None:
        """Return where a thread stands that runs or waits; of any other None, and no worker is asked."""
        facts = await find_thread(self._client, thread_id)
        if facts is None or not facts.is_open:
            return None
        return await self._queries.status(thread_id, facts.run_id)

    async def pending(self, status: RunStatus) -> dict[str, WorkflowEvent[Any]]:
        """Return what a thread waits for, by its last checkpoint."""
        if not status.pending_requests or status.checkpoint is None:
            return {}
        with rpc_errors(self._client, f"read what thread {status.thread_id!r} waits for", status.thread_id):
            raw = await load_checkpoint(self._client, status.checkpoint)
        checkpoint: WorkflowCheckpoint = await decoded(raw, (await self.definition()).catalog)
        asked = checkpoint.pending_request_info_events
        return {request_id: asked[request_id] for request_id in status.pending_requests if request_id in asked}


class AGUIThread:
    """What one AG-UI request is for.

    Args:
        threads: The workflow's.
        checkpoint: The thread.
        looks: Whether the request sends nothing, and only follows what runs or shows what waits.
    """

    def __init__(self, threads: AGUIThreads, checkpoint: Checkpoint, *, looks: bool) -> None:
        self._threads = threads
        self._checkpoint = checkpoint
        self._looks = looks
        self.failure: Exception | None = None
        """Why it is not known what the thread waits for: the adapter takes that for nothing."""
        give_pending_requests(self, self)

    async def get_pending_request_info_events(self) -> Mapping[str, WorkflowEvent[Any]]:
        """Return the requests that wait for a response."""
        if self._looks:
            return {}  # They come as events.
        try:
            status = await self._threads.status(self._checkpoint.thread_id)
            return {} if status is None else await self._threads.pending(status)
        except Exception as error:
            self.failure = error
            raise

    def run(
        self,
        message: Any | None = None,
        *,
        stream: bool = True,
        responses: Mapping[str, Any] | None = None,
        checkpoint_id: str | None = None,
        checkpoint_storage: CheckpointStorage | None = None,
        function_invocation_kwargs: Any = None,
    ) -> Any:
        """Run the thread on, as `DurableWorkflow.run` does."""
        if self.failure is not None:
            raise self.failure
        if self._looks:
            return self._look()
        return self._threads.durable.run(
            message,
            stream=stream,
            responses=responses,
            checkpoint=self._checkpoint,
            checkpoint_id=checkpoint_id,
            checkpoint_storage=checkpoint_storage,
            function_invocation_kwargs=function_invocation_kwargs,
        )

    async def _look(self) -> AsyncIterator[WorkflowEvent[Any]]:
        status = await self._threads.status(self._checkpoint.thread_id)
        if status is None:
            return
        if status.state == "running":
            # The superstep that runs is given from its beginning.
            follows = self._threads.durable.run_stream(checkpoint=self._checkpoint, after=status.next_offset - 1)
            async for event in follows:
                yield event
            return
        for event in (await self._threads.pending(status)).values():
            yield event
        yield WorkflowEvent.status(WorkflowRunState.IDLE_WITH_PENDING_REQUESTS)

    async def cancel_pending_requests(
        self,
        request_ids: Collection[str],
        *,
        checkpoint_id: str | None = None,
        checkpoint_storage: CheckpointStorage | None = None,
    ) -> None:
        """Cancel requests that wait, as `DurableWorkflow.cancel_pending_requests` does."""
        await self._threads.durable.cancel_pending_requests(
            request_ids,
            checkpoint=self._checkpoint,
            checkpoint_id=checkpoint_id,
            checkpoint_storage=checkpoint_storage,
        )
