"""Whether a superstep is tried once more, asked as an attempt begins: what ended those before may not have said so."""

from __future__ import annotations

import logging

from temporalio import activity

from ..adapter.errors import WorkerLostError
from ..workflows.messages import RunOptions, SuperstepInput
from .executor_rules import Overdue, retry_rule
from .failures import to_application_error
from .heartbeat import Beat
from .report import bare_failure

_LOGGER = logging.getLogger("agent_framework_temporal.worker")


def check_attempts(step: SuperstepInput, beat: Beat) -> None:
    """Refuse an attempt too many; tell of one that begins as its worker was lost.

    Raises:
        WorkerLostError: When that was so too often.
        ApplicationError: When an executor has failed too often; the last time it blocked its event loop.
    """
    info = activity.info()
    overdue = beat.overdue
    if overdue is not None:
        late = Overdue(overdue.executor_id if overdue.limited else None, overdue.seconds, idle=bool(overdue.idle))
        by = f" by executor {overdue.executor_id!r}" if overdue.executor_id and not overdue.limited else ""
        error = TimeoutError(
            f"{late.text} It could not be stopped there because the event loop was blocked{by}: use "
            "`asyncio.to_thread`."
        )
        rule = retry_rule(step, overdue.executor_id)
        failure = bare_failure(step, beat)
        failed = to_application_error(error, failure, executor_failed=True, failures=beat.failures, rule=rule)
        if failed.non_retryable:
            raise failed from error
    most = RunOptions().max_worker_losses if step.max_worker_losses is None else step.max_worker_losses
    if beat.losses >= most:
        raise WorkerLostError(
            f"The worker of a superstep of workflow {step.workflow_name!r} was lost {beat.losses} times: its process "
            "ended, or was stuck for longer than `heartbeat_timeout`. Check the workers' logs, and causes such as "
            "running out of memory, then resume the thread. The option `max_worker_losses` sets the limit."
        )
    if beat.losses:
        _LOGGER.warning(
            "Thread %r runs a superstep of workflow %r again, attempt %d. Attempts before it that lost a worker: %d; "
            "in which an executor failed: %d. The run fails when %d workers are lost in one superstep.",
            info.workflow_id or step.superstep_id,
            step.workflow_name,
            info.attempt,
            beat.losses,
            beat.failures,
            most,
        )
