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
"""What goes for a run that is started without this package, too."""

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
        ValueError: For a value that cannot work, when the options are built. Durations are at most ten years.
    """

    superstep_timeout: timedelta = timedelta(seconds=_DEFAULTS.superstep_timeout)
    """Longest time one attempt of a superstep may take; 24 hours, as agents may think long. A lost worker is noticed by
    `heartbeat_timeout`, not by this."""
    heartbeat_timeout: timedelta = timedelta(seconds=_DEFAULTS.heartbeat_timeout)
    """After this long without a heartbeat a worker counts as lost and the superstep starts again on another one; 10
    seconds. An executor that blocks the event loop is no lost worker; it holds up all other runs of its worker, which
    says so in its log."""
    max_attempts: int = _DEFAULTS.max_attempts
    """Attempts of a superstep whose executor raises; 3. Lost workers do not count. Errors that another attempt cannot
    mend (validation, convergence, a changed graph) end the run at once."""
    max_worker_losses: int = _DEFAULTS.max_worker_losses
    """After how many lost workers in one superstep the run fails with `WorkerLostError`; 10. The waits between these
    attempts grow as those after a failure do."""
    executors: Mapping[str, ExecutorPolicy] | None = None
    """What differs for single executors, by their ids: an `ExecutorPolicy` each; nothing. Costs each superstep's input
    a few bytes of history for each."""
    idle_timeout: timedelta | None = None
    """Longest time an invocation of any executor may show no progress, see `ExecutorPolicy.idle_timeout`, which holds
    for single ones; no bound. An executor that says nothing while it works, and calls neither model nor tool, shows
    none."""
    priority: int | None = None
    """Which run's supersteps come first where more wait than the workers take: 1 before 2; the server's default, which
    is 3 of 5. Costs nothing. A message to a thread that runs brings its own, which holds from its turn on; and each
    call may say otherwise. A server before 1.32 may need `matching.useNewMatcher` for it."""
    fairness_key: str | None = None
    """Whose run it is, such as a tenant's id: supersteps of one priority with different keys take turns, so that one
    tenant's thousand runs do not hold up another's one; at most 64 bytes; none. As `priority` in all else. The server
    needs `matching.enableFairness`, a namespace of Temporal Cloud its own switch; else the key does nothing."""
    fairness_weight: float | None = None
    """How large a share of the turns the key has, from 0.001 to 1000; 1."""
    tools: Mapping[str, ToolPolicy] | None = None
    """What differs for single tools, by their names: a `ToolPolicy` each; nothing. Costs as `executors` does."""
    journal: bool = True
    """Keep what has finished within a superstep (model calls, tool calls, executors beside one that still runs, steps),
    so that another attempt takes it instead of doing it again; on. Each write is a heartbeat: a round trip of a few
    milliseconds, no history event, and an action on Temporal Cloud; calls that end together share one. A superstep that
    calls no model and no tool costs nothing."""
    keep_journal: bool = False
    """Keep a superstep's journal in history when it is committed, so that it can be run again under a debugger without
    a model or a tool being called: `agent-framework-temporal replay`; off: the journal of one that has failed, or still
    runs, is there in any case. Costs each superstep that calls a model or a tool the compressed calls in its result, up
    to the megabyte that fits there."""
    retry_initial_interval: timedelta = timedelta(seconds=_DEFAULTS.retry_initial_interval)
    """Wait before the second attempt; 1 second."""
    retry_backoff: float = _DEFAULTS.retry_backoff
    """Factor by which the wait grows; 2."""
    retry_maximum_interval: timedelta = timedelta(seconds=_DEFAULTS.retry_maximum_interval)
    """Longest wait; 1 minute."""
    worker_timeout: timedelta = timedelta(seconds=10)
    """How long the facade waits for a first sign of a worker before it raises NoWorkerError; 10 seconds. Applies to
    callers, not to runs: a run waits for a worker for ever."""
    server_timeout: timedelta = timedelta(minutes=2)
    """How long a stream whose connection to the server is lost tries to get it back; 2 minutes. The run goes on
    meanwhile."""
    history_bytes_per_run: int = _DEFAULTS.history_bytes_per_run
    """A run whose history is larger continues as new at its next superstep, unseen by callers; 4 MB. It does so too
    when the server suggests it (by default at 4,096 events or 4 MB). Each new run stores one checkpoint whole."""
    supersteps_per_run: int | None = _DEFAULTS.supersteps_per_run
    """Continue as new after this many supersteps; no bound."""
    mirror: str | None = _DEFAULTS.mirror
    """Name of a mirror of the workers, `AgentFrameworkPlugin(mirrors={name: ...})`, that each checkpoint of these runs
    is copied to; none. Costs the worker one `save` a checkpoint, in the background, and no history."""
    pause_on_failure: bool = _DEFAULTS.pause_on_failure
    """Keep a run open whose superstep has failed for good, so that `DurableWorkflow.retry`, or signal `retry` without
    arguments, tries it again; off: it fails, and `run_stream(checkpoint=...)` resumes it. A caller is given the failure
    either way. A paused run costs nothing while it waits, and retention does not remove it."""
    requests: RequestPolicy | Mapping[str, RequestPolicy] | None = None
    """Reminders and deadlines of pending requests, a `RequestPolicy` for all of them, or a mapping whose keys are
    request ids, executor ids or request types (`module:Class` or `Class`), looked for in that order, with `*` for all
    others; none."""
    search_attributes: bool | TypedSearchAttributes | None = None
    """Show workflow, state and since when, number of pending requests, thread and its tags as search attributes, which
    `register_search_attributes` registers; costs one history event each time a run begins or ends to wait, and one at
    its end. Left out, they are shown where they are registered: one round trip for a facade's first run. Or search
    attributes of yours, which each run starts with beside ours and the next runs of the thread keep."""
    when_waiting: WhenWaiting = "take"
    """What becomes of a message to a thread that waits for responses. "take", as in process: it is run, with a warning,
    and the requests wait on; costs one query and, beside its supersteps, 5 history events. "reject":
    PendingRequestsError."""
    iterations_per: IterationsPer = "message"
    """From where the framework counts supersteps up to the workflow's `max_iterations`. "message", as in process: over
    all answers to a message, so a thread that people are asked in for months meets its limit one day. "answer": each
    answer begins the count anew, as each message does, and so does resuming."""
    when_running: WhenRunning = "reject"
    """What becomes of a message to a thread that runs; each call may say otherwise. "reject": AlreadyRunningError.
    "enqueue": its turn comes when what came before it is done, at 5 history events beside its supersteps. "interrupt":
    the superstep that runs is cancelled, and the message goes on from the last checkpoint. "rollback": the same, but it
    begins where the turn that ran had begun."""
    breakpoints: Sequence[str] = ()
    """Pause before supersteps that may run one of these executors, ids or patterns such as `*`, until
    `DurableWorkflow.continue_` lets the run go on; none. At most 100 of 200 characters. Costs the run nothing but them;
    a paused run costs nothing."""

    burst: timedelta | None = None
    """Let the activity of a superstep go on with the next ones for so long, while no request is pending; none: each
    superstep has an activity of its own. Costs 6 history events a burst instead of 6 a superstep, and each superstep a
    heartbeat, so that nothing that has finished is lost with a worker. Not for functional workflows, which run to their
    next pause anyway."""
    console_url: str | None = None
    """Where people reach the console, `https://host/path`: the details of each run in Temporal's Web UI link to its
    thread there; none. Costs the link's bytes of history a run. `http_app` takes its `base_url` for it."""

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
                "that to send one."
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
        raise ValueError(f"`{name}` must be an address such as https://host/path, got {address!r}.")


def check_breakpoints(breakpoints: Sequence[str]) -> list[str]:
    """Return breakpoints as they travel.

    Raises:
        ValueError: When they are no executor ids, or too many.
    """
    if isinstance(breakpoints, str) or not all(isinstance(name, str) and 1 <= len(name) <= 200 for name in breakpoints):
        raise ValueError(f"`breakpoints` must be executor ids, or patterns of them, got {breakpoints!r}.")
    if len(breakpoints) > 100:
        raise ValueError(f"`breakpoints` may be 100, got {len(breakpoints)}. Use a pattern, as `*`.")
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
