"""What is compared against: a Temporal workflow of activities that do nothing, and one that passes its whole state."""

from __future__ import annotations

from datetime import timedelta

from temporalio import workflow

BARE_ACTIVITY = "bare"
NAIVE_ACTIVITY = "naive"
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
