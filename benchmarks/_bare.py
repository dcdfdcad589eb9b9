"""What is compared against: a Temporal workflow of activities that do nothing, and one that passes its whole state."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.contrib.workflow_streams import WorkflowStream

BARE_ACTIVITY = "bare"
PUBLISH_ACTIVITY = "publish"
TOPIC = "tokens"
NAIVE_ACTIVITY = "naive"
MODEL_ACTIVITY, TOOL_ACTIVITY = "invoke_model", "invoke_tool"
_TIMEOUT = timedelta(minutes=5)


@workflow.defn(name="Bare")
class BareWorkflow:
    """So many activities in a row, without argument or result."""

    @workflow.run
    async def run(self, steps: int) -> None:
        """Run them."""
        for _ in range(steps):
            await workflow.execute_activity(BARE_ACTIVITY, start_to_close_timeout=_TIMEOUT)


@workflow.defn(name="Naive")
class NaiveWorkflow:
    """The framework's checkpoint, as the JSON its own file storage writes, goes into each activity and comes out."""

    @workflow.run
    async def run(self, steps: int, size: int) -> None:
        """Run that many supersteps."""
        checkpoint = ""
        for _ in range(steps):
            checkpoint = await workflow.execute_activity(
                NAIVE_ACTIVITY, args=[checkpoint, steps, size], result_type=str, start_to_close_timeout=_TIMEOUT
            )


@workflow.defn(name="Published")
class PublishedWorkflow:
    """An activity that publishes tokens through the SDK's own workflow_streams."""

    @workflow.init
    def __init__(self, tokens: int, pause: float) -> None:
        self._stream = WorkflowStream()

    @workflow.run
    async def run(self, tokens: int, pause: float) -> None:
        """Publish that many, one each `pause` seconds."""
        await workflow.execute_activity(PUBLISH_ACTIVITY, args=[tokens, pause], start_to_close_timeout=_TIMEOUT)


@workflow.defn(name="ToolLoop")
class ToolLoopWorkflow:
    """The agent's loop in the workflow, as Temporal's plugin for OpenAI agents has it."""

    @workflow.run
    async def run(self, rounds: int) -> str:
        """Run it."""
        conversation: list[dict[str, Any]] = [{"role": "user", "text": "look everything up"}]
        while True:
            answer: dict[str, Any] = await workflow.execute_activity(
                MODEL_ACTIVITY, args=[conversation, rounds], start_to_close_timeout=_TIMEOUT
            )
            conversation.append(answer)
            if "call" not in answer:
                return str(answer["text"])
            call = answer["call"]
            result = await workflow.execute_activity(
                TOOL_ACTIVITY, args=[call["name"], call["arguments"]], start_to_close_timeout=_TIMEOUT
            )
            conversation.append({"role": "tool", "text": result})
