"""A durable thread as a framework agent: what `WorkflowAgent` needs of a workflow, and nothing more."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from agent_framework import CheckpointStorage, Executor, Workflow, WorkflowEvent, WorkflowRunState

from ..framework.internals import give_pending_requests
from .handle import Checkpoint
from .thread_cursor import ThreadCursor


class AgentThread:
    """One thread of a durable workflow in the place of the workflow that a `WorkflowAgent` runs.

    Args:
        run: `DurableWorkflow.run`.
        definition: The workflow as its factory builds it: for its start executor and description only.
        checkpoint: The thread.
        cursor: What this process has seen of it: the agent's state is the thread's.
    """

    def __init__(
        self, run: Callable[..., Any], definition: Workflow, checkpoint: Checkpoint, cursor: ThreadCursor
    ) -> None:
        self._run = run
        self._definition = definition
        self._checkpoint = checkpoint
        self._cursor = cursor
        give_pending_requests(self, self)

    @property
    def name(self) -> str:
        """The workflow's name."""
        return self._definition.name

    @property
    def description(self) -> str | None:
        """The workflow's description."""
        return self._definition.description

    @property
    def status(self) -> WorkflowRunState:
        """State of the thread, in step with the events given of it."""
        return self._cursor.status

    def get_start_executor(self) -> Executor:
        """Return the start executor, whose input types the agent checks."""
        return self._definition.get_start_executor()

    async def get_pending_request_info_events(self) -> Mapping[str, WorkflowEvent[Any]]:
        """Return the requests that wait for a response."""
        return dict(self._cursor.requests)

    def run(
        self,
        message: Any | None = None,
        *,
        stream: bool = False,
        responses: Mapping[str, Any] | None = None,
        checkpoint_id: str | None = None,
        checkpoint_storage: CheckpointStorage | None = None,
        tools: Any = None,
        function_invocation_kwargs: Any = None,
        client_kwargs: Any = None,
    ) -> Any:
        """Run the thread on, as `DurableWorkflow.run` does."""
        return self._run(
            message,
            stream=stream,
            responses=responses,
            checkpoint=self._checkpoint,
            checkpoint_id=checkpoint_id,
            checkpoint_storage=checkpoint_storage,
            tools=tools or None,
            function_invocation_kwargs=function_invocation_kwargs,
            client_kwargs=client_kwargs,
        )
