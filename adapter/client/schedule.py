"""Schedules of Temporal that begin a thread each time: made, listed and changed. The SDK's handle does the rest."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionExecutionStartWorkflow,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleHandle,
    ScheduleListActionStartWorkflow,
    ScheduleListDescription,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleState,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.converter import DataConverter
from temporalio.service import RPCError, RPCStatusCode

from ...workflows.display import markdown_summary
from ...workflows.exported import exported
from ...workflows.messages import WORKFLOW_TYPE, RunInput
from ...workflows.priority import priority_of
from ..advice import Advice, Step, Way
from ..errors import ThreadExistsError, ThreadNotFoundError
from ..temporal.labels import Labels, start_labels
from ..temporal.place import ScheduleSerializationContext
from ..temporal.search_attributes import refuse_attributes
from ..temporal.server import MEMO_WORKFLOW_NAME, REFUSED, each, is_of_namespace, retried, rpc_errors


@exported
@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduleInfo:
    """What the server lists of a schedule; `ScheduleHandle.describe` tells more."""

    schedule_id: str
    """Its id."""
    workflow_name: str | None
    """Name of the framework workflow; None where nobody has noted it, or it is sealed and no key is here."""
    paused: bool
    """Whether it begins no threads for now."""
    note: str | None
    """What was said when it was made, paused or continued; the server says here why it has paused it."""
    spec: ScheduleSpec
    """When; calendars in place of cron fields, as the server keeps them."""
    next_at: tuple[datetime, ...]
    """The next times."""
    recent_threads: tuple[str, ...]
    """Ids of the threads it has begun last, oldest first."""


@dataclass(frozen=True, slots=True)
class ScheduledStart:
    """What each thread of a schedule is started with.

    Args:
        run_input: The run.
        task_queue: Where.
        details: For the Web UI.
        labels: Of each thread.
    """

    run_input: RunInput
    task_queue: str
    details: str | None
    labels: Labels

    async def action(self, client: Client, schedule_id: str) -> tuple[ScheduleActionStartWorkflow, Any]:
        """Return the action of a schedule, and the workflow's name as the schedule's memo has it."""
        # The SDK would encode it for a thread that has the schedule's own id, and there is none.
        converter = _converter(client, schedule_id)
        # Which thread is known when it begins only, so that is what its runs are found by.
        memo, attributes = start_labels(
            self.run_input.workflow_name, schedule_id, self.labels, shows=self.run_input.options.search_attributes
        )
        start, *values = [(await converter.encode([value]))[0] for value in (self.run_input, *memo.values())]
        shown = (markdown_summary(self.run_input.workflow_name), self.details)
        summary, details = [None if text is None else (await converter.encode([text]))[0] for text in shown]
        # The SDK takes what is encoded already, which its signature does not say.
        encoded: dict[str, Any] = {
            "memo": dict(zip(memo, values, strict=True)),
            "static_summary": summary,
            "static_details": details,
        }
        action = ScheduleActionStartWorkflow(
            WORKFLOW_TYPE,
            args=[start],
            id=schedule_id,  # Temporal adds the time of the action, so that each is a thread of its own.
            task_queue=self.task_queue,
            typed_search_attributes=attributes,
            priority=priority_of(self.run_input.options),
            **encoded,
        )
        return action, encoded["memo"][MEMO_WORKFLOW_NAME]


@dataclass(frozen=True, slots=True)
class SchedulePolicies:
    """What becomes of actions that meet others, or come late; None for what is not said."""

    overlap: ScheduleOverlapPolicy | None = None
    catchup_window: timedelta | None = None
    pause_on_failure: bool | None = None

    def over(self, policy: SchedulePolicy) -> SchedulePolicy:
        """Return a policy with what is said here.

        Raises:
            ValueError: When the server would not do what it says.
        """
        said = {name: value for name, value in dataclasses.asdict(self).items() if value is not None}
        found = dataclasses.replace(policy, **said)
        if found.pause_on_failure and found.overlap == ScheduleOverlapPolicy.ALLOW_ALL:
            raise ValueError(
                "With `ScheduleOverlapPolicy.ALLOW_ALL` the server does not watch how threads end, so "
                "`pause_on_failure` would have no effect. Choose another `overlap`, such as BUFFER_ALL."
            )
        return found


def spec_of(spec: ScheduleSpec | None, cron: str | Sequence[str] | None, time_zone: str | None) -> ScheduleSpec | None:
    """Return when a schedule acts, by its specification or by cron fields; None where neither is given.

    Raises:
        ValueError: When both are given, or a time zone without cron fields.
    """
    fields = [cron] if isinstance(cron, str) else list(cron or ())
    if spec is not None:
        if fields or time_zone is not None:
            raise ValueError(
                "Pass either `spec`, or `cron` and `time_zone`. A ScheduleSpec takes `cron_expressions` and "
                "`time_zone_name`."
            )
        return spec
    if time_zone is not None and not fields:
        raise ValueError("`time_zone` requires `cron`.")
    return ScheduleSpec(cron_expressions=fields, time_zone_name=time_zone) if fields else None


async def create_schedule(
    client: Client,
    schedule_id: str,
    start: ScheduledStart,
    spec: ScheduleSpec,
    policies: SchedulePolicies,
    state: ScheduleState | None,
) -> ScheduleHandle:
    """Create a schedule whose every action starts a thread.

    Args:
        client: A client with our payload converter.
        schedule_id: Name of the schedule, and how its threads' ids begin.
        start: What each thread is started with.
        spec: When.
        policies: What becomes of actions that meet others, or come late.
        state: Whether it is paused, and for how many actions it is.

    Raises:
        ThreadExistsError: When there is a schedule of that name.
        SearchAttributesError: When the namespace does not take the threads' search attributes.
    """
    action, name = await start.action(client, schedule_id)
    # Threads do not meet, so one that still waits for a person need not hold up the next.
    policy = policies.over(SchedulePolicy(overlap=ScheduleOverlapPolicy.ALLOW_ALL))
    schedule = Schedule(action=action, spec=spec, policy=policy, state=state or ScheduleState())
    with rpc_errors(client, f"create schedule {schedule_id!r}"):
        try:
            return await retried(
                lambda: client.create_schedule(schedule_id, schedule, memo={MEMO_WORKFLOW_NAME: name}), only=REFUSED
            )
        except ScheduleAlreadyRunningError as error:
            raise ThreadExistsError(
                Advice(
                    f"Schedule {schedule_id!r} already exists. Change it with ",
                    Step(Way.UPDATE_SCHEDULE, schedule_id),
                    ", delete it first, or choose another name.",
                )
            ) from error
        except RPCError as error:
            refuse_attributes(error, client, action.typed_search_attributes)
            raise


async def update_schedule(
    client: Client,
    schedule_id: str,
    start: ScheduledStart | None,
    spec: ScheduleSpec | None,
    policies: SchedulePolicies,
) -> None:
    """Change a schedule; what is None stays as it is.

    Raises:
        ThreadNotFoundError: When there is no such schedule, or it starts no threads of this package.
    """
    action = (await start.action(client, schedule_id))[0] if start is not None else None

    def changed(found: ScheduleUpdateInput) -> ScheduleUpdate:
        schedule = found.description.schedule
        before = schedule.action
        if not isinstance(before, ScheduleActionStartWorkflow) or before.workflow != WORKFLOW_TYPE:
            raise ThreadNotFoundError(f"Schedule {schedule_id!r} does not start threads of framework workflows.")
        return ScheduleUpdate(
            dataclasses.replace(
                schedule, action=action or before, spec=spec or schedule.spec, policy=policies.over(schedule.policy)
            )
        )

    with schedule_errors(client, "change", schedule_id):
        await retried(lambda: client.get_schedule_handle(schedule_id).update(changed), only=REFUSED)


@contextmanager
def schedule_errors(client: Client, what: str, schedule_id: str) -> Iterator[None]:
    """Turn errors of the server into ours, where all calls within are about one schedule.

    Raises:
        ThreadNotFoundError: When there is no such schedule.
        DurableWorkflowError: See `rpc_errors`.
    """
    with rpc_errors(client, f"{what} schedule {schedule_id!r}"):
        try:
            yield
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND or is_of_namespace(error):
                raise
            raise ThreadNotFoundError(
                f"There is no schedule {schedule_id!r} in namespace {client.namespace!r}. Check its id. It may have "
                "been deleted, or have completed all its actions."
            ) from error


async def schedules(client: Client, workflow_name: str | None = None) -> AsyncIterator[ScheduleInfo]:
    """Yield the schedules of a namespace that start threads; a round trip for each page.

    The server lists one some time after it was made: a second or so.

    Args:
        client: A client with our payload converter.
        workflow_name: Only those of this framework workflow.
    """
    with rpc_errors(client, "list schedules"):
        listed = await client.list_schedules()
        async for found in each(listed):
            schedule, info = found.schedule, found.info
            if schedule is None or info is None or not _is_ours(found):
                continue
            name = await _workflow_name(client, found)
            if workflow_name in (None, name):
                yield ScheduleInfo(
                    schedule_id=found.id,
                    workflow_name=name,
                    paused=schedule.state.paused,
                    note=schedule.state.note,
                    spec=schedule.spec,
                    next_at=tuple(info.next_action_times),
                    recent_threads=tuple(
                        taken.action.workflow_id
                        for taken in info.recent_actions
                        if isinstance(taken.action, ScheduleActionExecutionStartWorkflow)
                    ),
                )


def _is_ours(found: ScheduleListDescription) -> bool:
    action = found.schedule.action if found.schedule is not None else None
    return isinstance(action, ScheduleListActionStartWorkflow) and action.workflow == WORKFLOW_TYPE


async def _workflow_name(client: Client, found: ScheduleListDescription) -> str | None:
    payload = found.raw_entry.memo.fields.get(MEMO_WORKFLOW_NAME)
    if payload is None:
        return None
    try:
        (name,) = await _converter(client, found.id).decode([payload], [str])
    except Exception:  # The codec is code of others; the rest is known all the same.
        return None
    return str(name)


def _converter(client: Client, schedule_id: str) -> DataConverter:
    return client.data_converter.with_context(ScheduleSerializationContext(client.namespace, schedule_id))
