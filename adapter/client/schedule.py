"""Schedules of Temporal that begin a thread each time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleHandle,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
)

from ...workflows.display import markdown_summary
from ...workflows.messages import WORKFLOW_TYPE, RunInput
from ..errors import ThreadExistsError
from ..temporal.labels import Labels, start_labels
from ..temporal.place import ScheduleSerializationContext
from ..temporal.server import REFUSED, retried, rpc_errors


async def create_schedule(
    client: Client,
    schedule_id: str,
    run_input: RunInput,
    *,
    task_queue: str,
    cron: Sequence[str],
    time_zone: str | None,
    details: str | None,
    labels: Labels,
) -> ScheduleHandle:
    """Create a schedule whose every action starts a thread.

    Args:
        client: A client with our payload converter.
        schedule_id: Name of the schedule, and how its threads' ids begin.
        run_input: What each thread is started with.
        task_queue: Where.
        cron: When, each as five fields.
        time_zone: Of the cron fields; UTC when left out.
        details: For the Web UI.
        labels: Of each thread.

    Raises:
        ThreadExistsError: When there is a schedule of that name.
    """
    # The SDK would encode it for a thread that has the schedule's own id, and there is none.
    converter = client.data_converter.with_context(ScheduleSerializationContext(client.namespace, schedule_id))
    # Which thread is known when it begins only, so that is what its runs are found by.
    memo, attributes = start_labels(
        run_input.workflow_name, schedule_id, labels, shows=run_input.options.search_attributes
    )
    start, *values = [(await converter.encode([value]))[0] for value in (run_input, *memo.values())]
    action: Any = ScheduleActionStartWorkflow(
        WORKFLOW_TYPE,
        start,
        id=schedule_id,  # Temporal adds the time of the action, so that each is a thread of its own.
        task_queue=task_queue,
        memo=dict(zip(memo, values, strict=True)),
        static_summary=markdown_summary(run_input.workflow_name),
        static_details=details,
        typed_search_attributes=attributes,
    )
    schedule = Schedule(
        action=action,
        spec=ScheduleSpec(cron_expressions=list(cron), time_zone_name=time_zone),
        # Threads do not meet, so one that still waits for a person need not hold up the next.
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.ALLOW_ALL),
    )
    with rpc_errors(client, f"create schedule {schedule_id!r}"):
        try:
            return await retried(lambda: client.create_schedule(schedule_id, schedule), only=REFUSED)
        except ScheduleAlreadyRunningError as error:
            raise ThreadExistsError(
                f"There is a schedule {schedule_id!r} already. Change it by `client.get_schedule_handle`, delete it "
                "first, or choose another name."
            ) from error
