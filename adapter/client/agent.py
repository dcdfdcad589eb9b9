"""A durable thread as a framework agent: what `WorkflowAgent` needs of a workflow, and nothing more."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agent_framework import CheckpointStorage, Executor, Workflow, WorkflowEvent, WorkflowRunState

from .handle import Checkpoint

if TYPE_CHECKING:
    from .durable_workflow import DurableWorkflow


class AgentThread:
    """One thread of a durable workflow in the place of the workflow that a `WorkflowAgent` runs.

    Args:
        durable: The facade.
        definition: The workflow as its factory builds it: for its start executor and description only.
        checkpoint: The thread; the agent's state is the thread's.
    """

    def __init__(self, durable: DurableWorkflow, definition: Workflow, checkpoint: Checkpoint) -> None:
        self._durable = durable
        self._definition = definition
        self._checkpoint = checkpoint
        # Where the framework's agent looks for pending requests (core 1.23, `_agent.py`).
        self._runner_context = self

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
        return self._checkpoint.status

    def get_start_executor(self) -> Executor:
        """Return the start executor, whose input types the agent checks."""
        return self._definition.get_start_executor()

    async def get_pending_request_info_events(self) -> Mapping[str, WorkflowEvent[Any]]:
        """Return the requests that wait for a response."""
        return dict(self._checkpoint.requests)

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
        run: Any = self._durable.run
        return run(
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
