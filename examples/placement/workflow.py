"""Captions for pictures: sorting and joining on any worker, the model where its memory is."""

from __future__ import annotations

import functools
from typing import Never

from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler
from agent_framework_temporal import takes_executor
from temporalio import activity


class Model:
    """Stands for what is large, and slow to load."""

    def caption(self, picture: str) -> str:
        """Say what is in a picture."""
        return f"a {picture.removesuffix('.jpg')}, close up"


@functools.cache
def load_model() -> Model:
    """Load the model once in a process, however often a workflow is built there."""
    return Model()


class Sort(Executor):
    """Sends each model its pictures."""

    @handler
    async def sort(self, pictures: list[str], ctx: WorkflowContext[list[str], str]) -> None:
        """Sort them."""
        await ctx.yield_output(f"sorted on {activity.info().task_queue}")
        await ctx.send_message(sorted(pictures))


class Caption(Executor):
    """Captions every other picture, with a model that only its own worker has."""

    def __init__(self, id: str, model: Model | None, first: int) -> None:
        super().__init__(id=id)
        self._model = model
        self._first = first

    @handler
    async def caption(self, pictures: list[str], ctx: WorkflowContext[list[str], str]) -> None:
        """Caption them."""
        if self._model is None:
            raise RuntimeError("The model is not loaded here.")
        await ctx.yield_output(f"{self.id} on {activity.info().task_queue}")
        await ctx.send_message([self._model.caption(picture) for picture in pictures[self._first :: 2]])


class Join(Executor):
    """Puts the captions together."""

    @handler
    async def join(self, captions: list[list[str]], ctx: WorkflowContext[Never, str]) -> None:
        """Join them."""
        await ctx.yield_output("; ".join(sorted(caption for each in captions for caption in each)))


def build() -> Workflow:
    """Build the workflow: the same graph everywhere, the model only where its executors run."""
    sort, join = Sort(id="sort"), Join(id="join")
    captions = [
        Caption(name, load_model() if takes_executor(name) else None, first)
        for first, name in enumerate(("gpu-1", "gpu-2"))
    ]
    builder = WorkflowBuilder(name="captions", start_executor=sort, output_from=[sort, *captions, join])
    return builder.add_fan_out_edges(sort, captions).add_fan_in_edges(captions, join).build()
