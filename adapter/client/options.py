"""Options of a run."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Literal, TypeAlias, TypedDict, get_args

from temporalio.common import TypedSearchAttributes

from ...workflows.exported import exported
from ...workflows.messages import IterationsPer, MessageFacts, RunOptions, WhenRunning
from ..framework.catalog import TypeCatalog
from .executor_policy import ExecutorPolicy, check_duration, check_retries, policy_rules, wire_values
from .priority import check_priority
from .request_policy import RequestPolicy, policies_by_key, request_rules
from .tool_policy import ToolPolicy, tool_rules

_DEFAULTS = RunOptions()
"""Also used for runs that are started without this package."""

_ADDRESS = re.compile(r"https?://[\w.:\[\]-]+(?:/[\w.~%/+-]*)?", re.ASCII)
"""It stands in Markdown."""

WhenWaiting: TypeAlias = Literal["take", "reject"]


@exported
class OptionArguments(TypedDict, total=False):
    """The arguments of `DurableOptions`, for `DurableWorkflow(..., max_attempts=1)`."""

    superstep_timeout: timedelta
    heartbeat_timeout: timedelta
    max_attempts: int
    max_worker_losses: int
    executors: Mapping[str, ExecutorPolicy] | None
    idle_timeout: timedelta | None
    priority: int | None
    fairness_key: str | None
    fairness_weight: float | None
    tools: Mapping[str, ToolPolicy] | None
    journal: bool
    keep_journal: bool
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
    search_attributes: bool | TypedSearchAttributes | None
    when_waiting: WhenWaiting
    iterations_per: IterationsPer
    when_running: WhenRunning
    breakpoints: Sequence[str]
    burst: timedelta | None
    console_url: str | None


@exported
@dataclass(frozen=True, slots=True, kw_only=True)
class DurableOptions:
    """How Temporal runs the supersteps of a run.

    Raises:
        ValueError: When the options are created, for an invalid value. Durations are at most ten years.
    """

    superstep_timeout: timedelta = timedelta(seconds=_DEFAULTS.superstep_timeout)
    """Longest time one attempt of a superstep may take; 24 hours, because agents may take long. A lost worker is
    detected by `heartbeat_timeout`, not by this."""
    heartbeat_timeout: timedelta = timedelta(seconds=_DEFAULTS.heartbeat_timeout)
    """After this long without a heartbeat a worker counts as lost and the superstep starts again on another one; 10
    seconds. An executor that blocks the event loop does not count as a lost worker, but it delays all other runs of its
    worker, which logs a warning."""
    max_attempts: int = _DEFAULTS.max_attempts
    """Attempts of a superstep whose executor raises; 3. Lost workers do not count. Errors that another attempt cannot
    fix (validation, convergence, a changed graph) end the run immediately."""
    max_worker_losses: int = _DEFAULTS.max_worker_losses
    """How many workers may be lost in one superstep before the run fails with `WorkerLostError`; 10. The waits between
    these attempts grow as after failures."""
    executors: Mapping[str, ExecutorPolicy] | None = None
    """Overrides for single executors: an `ExecutorPolicy` by executor id; none. Each costs a few bytes of history in
    every superstep's input."""
    idle_timeout: timedelta | None = None
    """Longest time an invocation of any executor may show no progress; no limit. `ExecutorPolicy.idle_timeout` defines
    progress and sets the limit for single executors. An executor that emits nothing while it works, and calls neither
    model nor tool, shows no progress."""
    priority: int | None = None
    """Which run's supersteps come first when more wait than the workers can take: 1 before 2; the server's default,
    which is 3 of 5. Costs nothing. A message to a running thread brings its own priority, which applies from its turn
    on, and each call can override it. A server before 1.32 may need `matching.useNewMatcher` for it."""
    fairness_key: str | None = None
    """The owner of the run, such as a tenant's id: supersteps of one priority with different keys take turns, so that
    one tenant's thousand runs do not delay another tenant's single run; at most 64 bytes; none. Otherwise as
    `priority`. The server needs `matching.enableFairness`, a namespace of Temporal Cloud its own switch; without it the
    key has no effect."""
    fairness_weight: float | None = None
    """The key's share of the turns, from 0.001 to 1000; 1."""
    tools: Mapping[str, ToolPolicy] | None = None
    """Overrides for single tools: a `ToolPolicy` by tool name; none. Costs as for `executors`."""
    journal: bool = True
    """Keep what has finished within a superstep (model calls, tool calls, executors beside one that still runs, steps),
    so that another attempt reuses it instead of repeating it; on. Each write is a heartbeat: a round trip of a few
    milliseconds, no history event, and an action on Temporal Cloud; calls that end together share one. A superstep that
    calls no model and no tool costs nothing."""
    keep_journal: bool = False
    """Keep a superstep's journal in history when it is committed, so that it can be replayed under a debugger without
    calling a model or a tool (`agent-framework-temporal replay`); off. The journal of a superstep that failed or is
    still running is always there. Costs each superstep that calls a model or a tool the compressed calls in its result,
    up to the megabyte that fits there."""
    retry_initial_interval: timedelta = timedelta(seconds=_DEFAULTS.retry_initial_interval)
    """Wait before the second attempt; 1 second."""
    retry_backoff: float = _DEFAULTS.retry_backoff
    """Factor by which the wait grows; 2."""
    retry_maximum_interval: timedelta = timedelta(seconds=_DEFAULTS.retry_maximum_interval)
    """Longest wait; 1 minute."""
    worker_timeout: timedelta = timedelta(seconds=10)
    """How long the facade waits for a first sign of a worker before it raises NoWorkerError; 10 seconds. Applies to
    callers, not to runs: a run waits for a worker indefinitely."""
    server_timeout: timedelta = timedelta(minutes=2)
    """How long a stream tries to reconnect to the server; 2 minutes. The run continues meanwhile."""
    history_bytes_per_run: int = _DEFAULTS.history_bytes_per_run
    """A run whose history is larger continues as new at its next superstep, invisibly to callers; 4 MB. It also does so
    when the server suggests it (by default at 4,096 events or 4 MB). Each new run stores one full checkpoint."""
    supersteps_per_run: int | None = _DEFAULTS.supersteps_per_run
    """Continue as new after this many supersteps; no limit."""
    mirror: str | None = _DEFAULTS.mirror
    """Name of a mirror of the workers, `AgentFrameworkPlugin(mirrors={name: ...})`, that each checkpoint of these runs
    is copied to; none. Costs the worker one `save` a checkpoint, in the background, and no history."""
    pause_on_failure: bool = _DEFAULTS.pause_on_failure
    """Keep a run open when one of its supersteps has failed for good, so that `DurableWorkflow.retry`, or signal
    `retry` without arguments, can retry it; off: the run fails, and `run_stream(checkpoint=...)` resumes it. The caller
    gets the failure either way. A paused run costs nothing while it waits, and retention does not remove it."""
    requests: RequestPolicy | Mapping[str, RequestPolicy] | None = None
    """Reminders and deadlines of pending requests, a `RequestPolicy` for all of them, or a mapping whose keys are
    request ids, executor ids or request types (`module:Class` or `Class`), matched in that order, with `*` for all
    others; none."""
    search_attributes: bool | TypedSearchAttributes | None = None
    """Show workflow, state and since when, number of pending requests, thread and its tags as search attributes, which
    `register_search_attributes` registers; costs one history event whenever a run starts or stops waiting, and one at
    its end. If omitted, they are shown where they are registered: one round trip for a facade's first run. Or your own
    search attributes, which each run starts with in addition to ours and which later runs of the thread keep."""
    when_waiting: WhenWaiting = "take"
    """What happens to a message for a thread that waits for responses. "take", as in process: it is run, with a
    warning, and the requests stay pending; costs one query and, in addition to its supersteps, 5 history events.
    "reject": PendingRequestsError."""
    iterations_per: IterationsPer = "message"
    """Where the framework starts counting supersteps towards the workflow's `max_iterations`. "message", as in process:
    the count includes all responses to a message, so a thread that asks people for months eventually reaches its limit.
    "answer": each response restarts the count, as each message does, and so does resuming."""
    when_running: WhenRunning = "reject"
    """What happens to a message for a running thread; each call can override it. "reject": AlreadyRunningError.
    "enqueue": it runs when everything before it is done, and costs 5 history events in addition to its supersteps.
    "interrupt": the running superstep is cancelled, and the message continues from the last checkpoint. "rollback": the
    same, but it starts from where the interrupted turn had started."""
    breakpoints: Sequence[str] = ()
    """Pause before supersteps that may run one of these executors (ids, or patterns such as `*`) until
    `DurableWorkflow.continue_`; none. At most 100 entries of 200 characters. Costs only their bytes; a paused run costs
    nothing."""

    burst: timedelta | None = None
    """Let a superstep's activity run the following supersteps too, for this long, while no request is pending; none:
    each superstep has its own activity. Costs 6 history events a burst instead of 6 a superstep, and each superstep a
    heartbeat, so that a lost worker loses nothing that had finished. Not for functional workflows, which run to their
    next pause anyway."""
    console_url: str | None = None
    """The console's address, `https://host/path`, so that each run's details in Temporal's Web UI link to its thread
    there; none. Costs the link's bytes in each run's history. `http_app` uses its `base_url`."""

    @property
    def shows_attributes(self) -> bool | None:
        """Whether our search attributes are wanted; None for where they are registered."""
        return self.search_attributes if isinstance(self.search_attributes, bool) else None

    @property
    def own_attributes(self) -> TypedSearchAttributes:
        """Search attributes of the caller."""
        given = self.search_attributes
        return given if isinstance(given, TypedSearchAttributes) else TypedSearchAttributes.empty

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            if isinstance(field.default, timedelta):
                check_duration(field.name, getattr(self, field.name))
        if self.burst is not None:
            check_duration("burst", self.burst)
        if self.heartbeat_timeout < timedelta(seconds=1):
            raise ValueError(
                f"`heartbeat_timeout` must be at least 1 second, got {self.heartbeat_timeout!r}: a busy worker needs "
                "that long to send a heartbeat."
            )
        if self.heartbeat_timeout > self.superstep_timeout:
            raise ValueError("`heartbeat_timeout` must not be longer than `superstep_timeout`.")
        if self.history_bytes_per_run < 1:
            raise ValueError(f"`history_bytes_per_run` must be 1 or more, got {self.history_bytes_per_run!r}.")
        if self.supersteps_per_run is not None and self.supersteps_per_run < 1:
            raise ValueError(f"`supersteps_per_run` must be 1 or more, got {self.supersteps_per_run!r}.")
        check_retries(self.max_attempts, self.retry_backoff)
        for name, kind in (
            ("when_waiting", WhenWaiting),
            ("iterations_per", IterationsPer),
            ("when_running", WhenRunning),
        ):
            if getattr(self, name) not in get_args(kind):
                raise ValueError(f"`{name}` must be one of {get_args(kind)}, got {getattr(self, name)!r}.")
        if self.max_worker_losses < 1:
            raise ValueError(f"`max_worker_losses` must be 1 or more, got {self.max_worker_losses!r}.")
        if self.retry_maximum_interval < self.retry_initial_interval:
            raise ValueError("`retry_maximum_interval` must not be shorter than `retry_initial_interval`.")
        check_address("console_url", self.console_url)
        check_duration("idle_timeout", self.idle_timeout)
        check_priority(self.priority, self.fairness_key, self.fairness_weight)
        check_breakpoints(self.breakpoints)
        policies_by_key(self.requests)
        policy_rules(self.executors, self.superstep_timeout)
        tool_rules(self.tools)


def check_address(name: str, address: str | None) -> None:
    """Check the address of a web page that others are told.

    Raises:
        ValueError: When it is not one.
    """
    if address is not None and not _ADDRESS.fullmatch(address):
        raise ValueError(f"`{name}` must be a URL such as https://host/path, got {address!r}.")


def check_breakpoints(breakpoints: Sequence[str]) -> list[str]:
    """Return breakpoints as they travel.

    Raises:
        ValueError: When they are no executor ids, or too many.
    """
    if isinstance(breakpoints, str) or not all(isinstance(name, str) and 1 <= len(name) <= 200 for name in breakpoints):
        raise ValueError(f"`breakpoints` must be executor ids or patterns, got {breakpoints!r}.")
    if len(breakpoints) > 100:
        raise ValueError(
            f"`breakpoints` may have at most 100 entries, got {len(breakpoints)}. Use a pattern such as `*`."
        )
    return list(breakpoints)


def wire_options(
    options: DurableOptions, catalog: TypeCatalog | None = None, facts: MessageFacts | None = None
) -> RunOptions:
    """Return options as the workflow takes them, but for whether search attributes are registered.

    Args:
        options: The options.
        catalog: The types of the workflow; None for a caller without its definition.
        facts: Whom a message reaches first; None where that is not known.

    Raises:
        PayloadError: When a default response would not arrive as it is.
    """
    apart = (
        "requests",
        "executors",
        "tools",
        "journal",
        "keep_journal",
        "search_attributes",
        "breakpoints",
        "start_executor",
        "message_schema",
    )
    return RunOptions(
        **wire_values(options, RunOptions.model_fields.keys() - apart),
        requests=request_rules(options.requests, catalog),
        executors=policy_rules(options.executors, options.superstep_timeout),
        tools=tool_rules(options.tools) or None,
        journal=None if options.journal else False,
        keep_journal=options.keep_journal or None,
        breakpoints=check_breakpoints(options.breakpoints) or None,
        start_executor=None if facts is None else facts.start_executor,
        message_schema=None if facts is None else facts.message_schema,
    )
