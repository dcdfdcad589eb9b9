"""Options of a run."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import TypedDict

from ...workflows.exported import exported
from ...workflows.messages import RunOptions
from .executor_policy import ExecutorPolicy, executor_rules
from .request_policy import RequestPolicy, rules_of


@exported
class OptionArguments(TypedDict, total=False):
    """The arguments of `DurableOptions`, for `DurableWorkflow(..., max_attempts=1)`."""

    superstep_timeout: timedelta
    heartbeat_timeout: timedelta
    max_attempts: int
    executors: Mapping[str, ExecutorPolicy] | None
    retry_initial_interval: timedelta
    retry_backoff: float
    retry_maximum_interval: timedelta
    worker_timeout: timedelta
    server_timeout: timedelta
    history_bytes_per_run: int
    supersteps_per_run: int | None
    mirror: str | None
    pause_on_failure: bool
    requests: RequestPolicy | Mapping[str, RequestPolicy] | None
    search_attributes: bool | None


@exported
@dataclass(frozen=True, slots=True, kw_only=True)
class DurableOptions:
    """How Temporal runs the supersteps of a run.

    Args:
        superstep_timeout: Longest time one attempt of a superstep may take; 24 hours, as agents may think long. A lost
            worker is noticed by `heartbeat_timeout`, not by this.
        heartbeat_timeout: After this long without a heartbeat a worker counts as lost and the superstep starts again on
            another one; 10 seconds. An executor that blocks the event loop for longer looks like a lost worker.
        max_attempts: Attempts of a superstep whose executor raises; 3. Lost workers do not count; after 100 of them the
            superstep fails. Errors that another attempt cannot mend (validation, convergence, a changed graph) end the
            run at once.
        executors: What differs for single executors, by their ids: an `ExecutorPolicy` each; nothing. Costs each
            superstep's input a few bytes of history for each.
        retry_initial_interval: Wait before the second attempt; 1 second.
        retry_backoff: Factor by which the wait grows; 2.
        retry_maximum_interval: Longest wait; 1 minute.
        worker_timeout: How long the facade waits for a first sign of a worker before it raises NoWorkerError;
            10 seconds. Applies to callers, not to runs: a run waits for a worker for ever.
        server_timeout: How long a stream whose connection to the server is lost tries to get it back; 2 minutes. The
            run goes on meanwhile.
        history_bytes_per_run: A run whose history is larger continues as new at its next superstep, unseen by callers;
            4 MB. It does so too when the server suggests it (by default at 4,096 events or 4 MB). Each new run stores
            one checkpoint whole.
        supersteps_per_run: Continue as new after this many supersteps; no bound.
        mirror: Name of a mirror of the workers, `AgentFrameworkPlugin(mirrors={name: ...})`, that each checkpoint of
            these runs is copied to; none. Costs the worker one `save` a checkpoint, in the background, and no history.
        pause_on_failure: Keep a run open whose superstep has failed for good, so that `DurableWorkflow.retry`, or
            signal `retry` without arguments, tries it again; off: it fails, and `run_stream(checkpoint=...)` resumes
            it. A caller is given the failure either way. A paused run costs nothing while it waits, and retention does
            not remove it.
        requests: Reminders and deadlines of pending requests, a `RequestPolicy` for all of them, or a mapping whose
            keys are request ids, executor ids or request types (`module:Class` or `Class`), looked for in that order,
            with `*` for all others; none.
        search_attributes: Show workflow, state, number of pending requests and thread as search attributes, which
            `register_search_attributes` registers; costs one history event each time a run begins or ends to wait, and
            one at its end. Left out, they are shown where they are registered: one round trip for a facade's first run.

    Raises:
        ValueError: For a value that cannot work, when the options are built.
    """

    superstep_timeout: timedelta = timedelta(hours=24)
    heartbeat_timeout: timedelta = timedelta(seconds=10)
    max_attempts: int = 3
    executors: Mapping[str, ExecutorPolicy] | None = None
    retry_initial_interval: timedelta = timedelta(seconds=1)
    retry_backoff: float = 2.0
    retry_maximum_interval: timedelta = timedelta(minutes=1)
    worker_timeout: timedelta = timedelta(seconds=10)
    server_timeout: timedelta = timedelta(minutes=2)
    history_bytes_per_run: int = 4_000_000
    supersteps_per_run: int | None = None
    mirror: str | None = None
    pause_on_failure: bool = False
    requests: RequestPolicy | Mapping[str, RequestPolicy] | None = None
    search_attributes: bool | None = None

    def __post_init__(self) -> None:
        for name in (
            "superstep_timeout",
            "heartbeat_timeout",
            "retry_initial_interval",
            "retry_maximum_interval",
            "worker_timeout",
            "server_timeout",
        ):
            if getattr(self, name) <= timedelta(0):
                raise ValueError(f"`{name}` must be longer than 0, got {getattr(self, name)!r}.")
        if self.heartbeat_timeout < timedelta(seconds=1):
            raise ValueError(
                f"`heartbeat_timeout` must be at least 1 second, got {self.heartbeat_timeout!r}: a busy worker needs "
                "that to send one."
            )
        if self.heartbeat_timeout > self.superstep_timeout:
            raise ValueError("`heartbeat_timeout` must not be longer than `superstep_timeout`.")
        if self.history_bytes_per_run < 1:
            raise ValueError(f"`history_bytes_per_run` must be 1 or more, got {self.history_bytes_per_run!r}.")
        if self.supersteps_per_run is not None and self.supersteps_per_run < 1:
            raise ValueError(f"`supersteps_per_run` must be 1 or more, got {self.supersteps_per_run!r}.")
        if self.max_attempts < 1:
            raise ValueError(f"`max_attempts` must be 1 or more, got {self.max_attempts!r}.")
        if not 1 <= self.retry_backoff < math.inf:  # Not a number fails both comparisons.
            raise ValueError(f"`retry_backoff` must be 1 or more, got {self.retry_backoff!r}.")
        if self.retry_maximum_interval < self.retry_initial_interval:
            raise ValueError("`retry_maximum_interval` must not be shorter than `retry_initial_interval`.")
        rules_of(self.requests)
        executor_rules(self.executors, self.superstep_timeout)

    def to_wire(self) -> RunOptions:
        """Return the options as the workflow takes them."""
        return RunOptions(
            superstep_timeout=self.superstep_timeout.total_seconds(),
            heartbeat_timeout=self.heartbeat_timeout.total_seconds(),
            max_attempts=self.max_attempts,
            retry_initial_interval=self.retry_initial_interval.total_seconds(),
            retry_backoff=self.retry_backoff,
            retry_maximum_interval=self.retry_maximum_interval.total_seconds(),
            history_bytes_per_run=self.history_bytes_per_run,
            supersteps_per_run=self.supersteps_per_run,
            mirror=self.mirror,
            pause_on_failure=self.pause_on_failure,
            requests=rules_of(self.requests),
            executors=executor_rules(self.executors, self.superstep_timeout),
        )
