"""A durable workflow as an entity of agent-framework's DevUI: what DevUI needs of a workflow, and nothing more."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from typing import Any

from agent_framework import CheckpointStorage, Executor, Workflow

from ...workflows.exported import exported
from ..checkpoints.handle import Checkpoint


@exported
class DevUIEntity:
    """Stands in the place of the workflow that DevUI serves.

    DevUI draws the graph, forms and schemas from the definition. It starts each run with a message and a checkpoint
    storage that belongs to the session, and answers by restoring the storage's last checkpoint together with the
    responses. Here each run is a thread of its own, and an answer goes to the thread that waits.

    Args:
        run: `DurableWorkflow.run`.
        new_thread: `DurableWorkflow.checkpoint`: makes the handle of a new thread.
        definition: The workflow as its factory builds it: it is shown, and never run.
    """

    def __init__(self, run: Callable[..., Any], new_thread: Callable[[], Checkpoint], definition: Workflow) -> None:
        self._run = run
        self._new_thread = new_thread
        self._definition = definition
        self._threads: weakref.WeakKeyDictionary[CheckpointStorage, Checkpoint] = weakref.WeakKeyDictionary()
        """The thread of each session's last run."""
        self.id: str = definition.name
        self.name: str = definition.name
        self.description: str | None = definition.description
        self.executors: dict[str, Executor] = definition.executors

    def get_executors_list(self) -> list[Executor]:
        """Return the executors, for the graph."""
        return self._definition.get_executors_list()

    def get_start_executor(self) -> Executor:
        """Return the start executor, for the input form."""
        return self._definition.get_start_executor()

    def to_dict(self) -> dict[str, Any]:
        """Return the graph, for the picture."""
        return self._definition.to_dict()

    def run(
        self,
        message: Any | None = None,
        *,
        stream: bool = False,
        responses: Mapping[str, Any] | None = None,
        checkpoint_id: str | None = None,
        checkpoint_storage: CheckpointStorage | None = None,
        **kwargs: Any,
    ) -> Any:
        """Start a thread, answer the one that waits, or fork one from a checkpoint of the session that is not its last.

        Args:
            message: Begins a thread; its id begins with the workflow's name and is in the worker's logs.
            stream: See `DurableWorkflow.run`.
            responses: To the thread of the session's last run, if `checkpoint_id` is its last one; else to a new thread
                that begins from that checkpoint.
            checkpoint_id: See `responses`.
            checkpoint_storage: The session's; each checkpoint is copied there, so that DevUI lists them.
            **kwargs: See `DurableWorkflow.run`.
        """
        run = self._run
        kwargs = {**kwargs, "stream": stream, "checkpoint_storage": checkpoint_storage}
        thread = self._threads.get(checkpoint_storage) if checkpoint_storage is not None else None
        if responses is not None and thread is not None and checkpoint_id in (None, thread.checkpoint_id):
            return run(responses=responses, checkpoint=thread, **kwargs)
        thread = self._new_thread()
        if checkpoint_storage is not None:
            self._threads[checkpoint_storage] = thread
        return run(message, responses=responses, checkpoint=thread, checkpoint_id=checkpoint_id, **kwargs)
