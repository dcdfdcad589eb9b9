"""What could be changed in the workflow, and which stored runs notice: a test of the replay tests.

Each mutation patches the workflow's modules, which the replayer's sandbox takes from outside, so that it runs what is
patched. The names of the workflow's insides stand here and nowhere else in these tests; one that is gone is an error.

There are three tables. What is in `NOTICED` breaks Temporal's replay, as an order of commands changes: it must be
guarded by `workflow.patched`. What is in `COMPARED` does not, as Temporal does not look into commands, and takes one
that comes too early for the same one that comes later; so a worker can take over runs, and only the exact replay of the
present release's runs tells of the change. What is in `UNNOTICED` is in no command at all.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from types import ModuleType
from typing import Any, TypeAlias

import agent_framework_temporal.workflows as package
import pytest
import temporalio.workflow
from temporalio.common import Priority

Patch: TypeAlias = pytest.MonkeyPatch
Apply: TypeAlias = Callable[[Patch], None]


@dataclass(frozen=True)
class Mutation:
    """A change of the workflow."""

    name: str
    apply: Apply
    scenarios: tuple[str, ...]
    """Each of them notices by itself; of what is not noticed, those that are tried."""
    reason: str = ""
    """Why Temporal's replay does not notice."""
    constants: tuple[str, ...] = ()
    """The workflow's constants that it changes."""


def modules() -> list[ModuleType]:
    """Return the workflow's modules."""
    found = pkgutil.walk_packages(package.__path__, f"{package.__name__}.")
    return [importlib.import_module(module.name) for module in found]


def _holders(name: str) -> list[ModuleType]:
    found = [module for module in modules() if name in vars(module)]
    if not found:
        raise AttributeError(f"No module of the workflow has {name!r} any more; mend tests/replay/mutations.py.")
    return found


def constant(name: str, change: Callable[[Any], Any]) -> Apply:
    """Change a constant, or a function, wherever the workflow's modules have it."""

    def apply(patch: Patch) -> None:
        for module in _holders(name):
            patch.setattr(module, name, change(getattr(module, name)))

    return apply


def method(owner: str, name: str, change: Callable[[Callable[..., Any]], Any]) -> Apply:
    """Replace a method by what `change` makes of it."""

    def apply(patch: Patch) -> None:
        (cls,) = {vars(module)[owner] for module in _holders(owner)}
        found = cls.__dict__[name]
        changed = change(found.__func__ if isinstance(found, staticmethod) else found)
        patch.setattr(cls, name, staticmethod(changed) if isinstance(found, staticmethod) else changed)

    return apply


def sdk(owner: Any, name: str, change: Callable[[Callable[..., Any]], Any]) -> Apply:
    """Replace what the SDK gives the workflow."""
    return lambda patch: patch.setattr(owner, name, change(getattr(owner, name)))


def always(value: Any) -> Callable[[Any], Callable[..., Any]]:
    """Return a change to something that returns a value, whatever it is given."""
    return lambda original: lambda *arguments, **named: value


def _scaled(name: str, factor: float, *scenarios: str, reason: str = "") -> Mutation:
    words = {0: "is 0", 0.1: "is a tenth", 0.5: "is halved", 2: "is doubled"}[factor]
    apply = constant(name, lambda now: type(now)(now * factor) if isinstance(now, int) else now * factor)
    return Mutation(f"{name} {words}", apply, scenarios, reason, constants=(name,))


def _to(name: str, value: int, *scenarios: str) -> Mutation:
    return Mutation(f"{name} is {value}", constant(name, lambda _: value), scenarios, constants=(name,))


# The changes themselves, where they take more than a line.


def _without_between(original: Callable[..., Any]) -> Callable[..., Any]:
    def commit(self: Any, step: Any, result: Any) -> None:
        original(self, step, result.model_copy(update={"between": []}))

    return commit


def _no_store(original: Callable[..., Any]) -> Callable[..., Any]:
    async def first_step(self: Any, run_input: Any) -> Any:
        if run_input.continued is not None and run_input.continued.waiting:
            return await self._next_answers()
        return await original(self, run_input)

    return first_step


def _unasked(original: Callable[..., Any]) -> Callable[..., Any]:
    async def start_executors(self: Any) -> list[str]:
        return []

    return start_executors


def _newest_first(original: Callable[..., Any]) -> Callable[..., Any]:
    def take(self: Any) -> Any:
        self._batches.reverse()
        try:
            return original(self)
        finally:
            self._batches.reverse()

    return take


def _later(original: Callable[..., Any]) -> Callable[..., Any]:
    def set_times(self: Any, request: Any, now: Any) -> None:
        original(self, request, now + timedelta(seconds=1))

    return set_times


def _with(**changed: Any) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    return lambda original: lambda *arguments, **named: original(*arguments, **{**named, **changed})


def _without_pause(original: Callable[..., Any]) -> Callable[..., Any]:
    def read_start(argument: Any) -> Any:
        run_input, refusal = original(argument)
        run_input.options.pause_on_failure = False
        return run_input, refusal

    return read_start


def _without_discarding(original: Callable[..., Any]) -> Callable[..., Any]:
    def read_start(argument: Any) -> Any:
        run_input, refusal = original(argument)
        run_input.discard_in_flight = False
        return run_input, refusal

    return read_start


def _without(field: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a change of what takes over from the run before: it does not, of one list."""

    def change(original: Callable[..., Any]) -> Callable[..., Any]:
        def take_over(self: Any, continued: Any) -> None:
            setattr(continued, field, [])
            original(self, continued)

        return take_over

    return change


def _uncompiled(apply: Apply) -> Apply:
    """Add to a change that schemas which were compiled before are not remembered."""

    def changed(patch: Patch) -> None:
        constant("_compiled", lambda compiled: compiled.__wrapped__)(patch)
        apply(patch)

    return changed


def _value(value: int) -> Callable[[Any], int]:
    return lambda _: value


def _without_calls(original: Callable[..., Any]) -> Callable[..., Any]:
    def take_over(self: Any, continued: Any) -> None:
        continued.calls = None
        original(self, continued)

    return take_over


def _uncounted(original: Callable[..., Any]) -> Callable[..., Any]:
    def enter(self: Any, failure: Any) -> None:
        failure.calls = None
        original(self, failure)

    return enter


def _forgetting(original: Callable[..., Any]) -> Callable[..., Any]:
    def refuse(self: Any, supersteps: int) -> None:
        original(self, supersteps)
        self._refused_at = None

    return refuse


def _one_by_one(original: Callable[..., Any]) -> Callable[..., Any]:
    def queue(self: Any, batch: list[Any]) -> None:
        for answer in batch:
            original(self, [answer])

    return queue


def _ignoring(field: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return a change of what finds a mistake in a start: it does not mind that of one field."""

    def change(original: Callable[..., Any]) -> Callable[..., Any]:
        def found(start: Any) -> Any:
            mistake = original(start)
            return None if mistake is not None and mistake[0].endswith(field) else mistake

        return found

    return change


def _another_name(original: Callable[..., Any]) -> Callable[..., Any]:
    return lambda activity, *arguments, **named: original(f"{activity}s", *arguments, **named)


def _not_delivered(original: Callable[..., Any]) -> Callable[..., Any]:
    def force(self: Any, batch: list[Any]) -> None:
        """Do nothing of what a deadline says."""

    return force


_WORKFLOW = "AgentFrameworkWorkflow"
_TRY_CANCEL = sdk(
    temporalio.workflow,
    "start_activity",
    _with(cancellation_type=temporalio.workflow.ActivityCancellationType.TRY_CANCEL),
)
_ALL_WAITING = ("flooded-while-waiting-by-count", "flooded-while-waiting-by-bytes")

NOTICED: tuple[Mutation, ...] = (
    Mutation(
        "begins with an action at a deadline that it does not know",
        constant("unknown_value", _ignoring("on_deadline")),
        ("refused-starts",),
    ),
    Mutation(
        "begins with messages to discard that there cannot be",
        constant("wrong_claim", _ignoring("discard_in_flight")),
        ("refused-starts",),
    ),
    _scaled("MAX_OFFSET", 2, "refused-starts"),
    _scaled("MAX_OPTIONS_BYTES", 2, "refused-starts"),
    Mutation(
        "the activity has another name",
        sdk(temporalio.workflow, "start_activity", _another_name),
        ("several-supersteps", "lost-worker", "forked-from-history", "failure-after-retries", "second-turn"),
    ),
    # Bursts.
    Mutation("lets a burst go on when it should pause", method(_WORKFLOW, "_end_burst", always(None)), ("bursts",)),
    Mutation("counts a burst as one superstep", method("Progress", "commit", _without_between), ("bursts",)),
    # Continuing as new.
    Mutation(
        "never continues as new between supersteps",
        method("HistoryBudget", "is_over", always(False)),
        (
            "continued-after-supersteps",
            "continued-by-size",
            "continued-when-the-server-suggests-it",
            "flooded-between-supersteps",
        ),
    ),
    Mutation(
        "continues as new after each superstep",
        method("HistoryBudget", "is_over", always(True)),
        ("several-supersteps",),
    ),
    Mutation(
        "never continues as new while waiting",
        method("HistoryBudget", "is_over_budget", always(False)),
        (*_ALL_WAITING, "grown-while-waiting-by-bytes", "grown-while-waiting-by-events", "search-attributes"),
    ),
    Mutation(
        "does not look at the history's size",
        method("HistoryBudget", "_is_large", always(False)),
        ("continued-by-size", "continued-when-the-server-suggests-it", "grown-while-waiting-by-events"),
    ),
    Mutation(
        "does not heed the server's suggestion",
        sdk(temporalio.workflow.Info, "is_continue_as_new_suggested", always(False)),
        ("continued-when-the-server-suggests-it",),
    ),
    Mutation(
        "counts no signals",
        method("HistoryBudget", "signalled", always(None)),
        (*_ALL_WAITING, "flooded-between-supersteps"),
    ),
    _to("MAX_SIGNALS", 1, "flooded-while-waiting-by-count", "paused-and-retried", "updates-and-cancellation"),
    _to("MAX_SIGNALS", 10, "flooded-while-waiting-by-count", "grown-while-waiting-by-events"),
    _scaled("MAX_SIGNALS", 2, "flooded-while-waiting-by-count"),
    _scaled("MAX_SIGNALS_BYTES", 0.5, "early-answers-at-their-bound-by-bytes"),
    _scaled("MAX_SIGNALS_BYTES", 2, "flooded-while-waiting-by-bytes", "flooded-between-supersteps"),
    _scaled("MAX_WAITING_BYTES", 0.5, "grown-while-waiting-by-bytes"),
    _scaled("MAX_WAITING_BYTES", 2, "grown-while-waiting-by-bytes"),
    _scaled("MAX_WAITING_EVENTS", 0.5, "grown-while-waiting-by-events"),
    _scaled("MAX_WAITING_EVENTS", 2, "grown-while-waiting-by-events"),
    Mutation(
        "does not store the checkpoint after continuing while waiting",
        method(_WORKFLOW, "_first_step", _no_store),
        (*_ALL_WAITING, "upgraded-while-waiting"),
    ),
    Mutation(
        "does not take over the answers that waited",
        method("Responses", "take_over", _without("queued")),
        ("answers-that-wait-at-their-bound",),
    ),
    Mutation(
        "takes over no answers that came early",
        method("Responses", "take_over", _without("early")),
        ("early-answer-that-is-handed-on",),
    ),
    # Floods.
    Mutation(
        "continues as new in the middle of a flood",
        method("HistoryBudget", "_is_calm", always(True)),
        ("flooded-in-one-workflow-task",),
    ),
    Mutation(
        "does not look again in a lull",
        method("HistoryBudget", "look_again", lambda _: property(lambda self: None)),
        ("flooded-in-one-workflow-task",),
    ),
    Mutation(
        "reads all signals in one workflow task",
        method("Arrivals", "_may_read", always(True)),
        ("signals-that-one-workflow-task-does-not-read",),
    ),
    _scaled("CALM_SIGNALS", 0, "flooded-while-waiting-by-bytes"),
    _scaled("CALM_SIGNALS", 2, "flooded-in-one-workflow-task"),
    *(
        _scaled(name, factor, f"signals-that-one-workflow-task-{reads}")
        for name, more, fewer in (
            ("TASK_COST", 2, 0.5),
            ("SIGNAL_COST", 0.5, 2),
            ("BYTE_COST", 0.5, 2),
            ("ANSWER_COST", 0.5, 2),
        )
        for factor, reads in ((more, "does-not-read"), (fewer, "reads"))
    ),
    # Search attributes.
    Mutation("upserts disappear", method("Attributes", "show", always(None)), ("search-attributes",)),
    # Worker deployment versions.
    Mutation(
        "upgrade questions disappear",
        method("Upgrade", "is_wanted", always(False)),
        ("upgraded-between-supersteps", "upgraded-while-waiting"),
    ),
    Mutation(
        "asks always",
        method("Upgrade", "is_wanted", always(True)),
        ("requests", "continued-after-supersteps"),
    ),
    Mutation(
        "forgets that it was refused",
        method("Upgrade", "refuse", _forgetting),
        ("upgraded-between-supersteps",),
    ),
    _scaled("ASK_AGAIN_AFTER", 0.5, "upgraded-between-supersteps"),
    _scaled("ASK_AGAIN_AFTER", 2, "upgraded-between-supersteps"),
    # Cancellation.
    Mutation(
        "ignores a cancellation when a superstep has committed",
        sdk(temporalio.workflow, "cancellation_reason", always(None)),
        ("superstep-commits-while-it-is-cancelled",),
    ),
    Mutation(
        "does not wait for the superstep that it cancels",
        _TRY_CANCEL,
        ("last-superstep-commits-while-it-is-cancelled",),
    ),
    # Failures.
    Mutation(
        "ignores that a run is to pause",
        constant("read_start", _without_pause),
        ("paused-and-retried", "cancelled-while-paused"),
    ),
    Mutation("takes no `retry`", method("Pause", "signal", always(True)), ("paused-and-retried",)),
    # Outcomes of supersteps that are refused.
    _scaled("MAX_REFUSED_OUTCOMES", 0.5, "outcomes-that-are-refused"),
    _scaled("MAX_REFUSED_OUTCOMES", 2, "outcomes-that-are-refused"),
    _to("REFUSED_AT_ONCE", 1, "outcomes-that-are-refused"),
    _scaled("REFUSED_AT_ONCE", 2, "outcomes-that-are-refused"),
    # Requests.
    _scaled("MAX_EARLY", 0, "early-answers-at-their-bound-by-count", "early-answers-at-their-bound-by-bytes"),
    _scaled("MAX_EARLY", 0.5, "early-answers-at-their-bound-by-count"),
    _scaled("MAX_EARLY", 2, "early-answers-at-their-bound-by-count"),
    _scaled("MAX_EARLY_BYTES", 0.5, "early-answers-at-their-bound-by-bytes"),
    _scaled("MAX_EARLY_BYTES", 2, "early-answers-at-their-bound-by-bytes"),
    _scaled("MAX_QUEUED_BYTES", 0.5, "answers-that-wait-at-their-bound"),
    _scaled("MAX_QUEUED_BYTES", 2, "answers-that-wait-at-their-bound"),
    _scaled("MAX_REPEATED", 0.5, "more-answers-to-one-request-than-are-kept"),
    _scaled("MAX_REPEATED", 2, "more-answers-to-one-request-than-are-kept"),
    _scaled("MAX_BATCH", 0.5, "early-answers-at-their-bound-by-count"),
    Mutation(
        "delivers the newest answer first",
        method("Responses", "take", _newest_first),
        ("answers-that-wait-in-a-row",),
    ),
    # Messages that wait for their turn, and runs that are held.
    _to("MAX_TAKEN", 1, "queued-messages"),
    Mutation(
        "no message cuts off a turn",
        constant("_CUTS", lambda _: ()),
        ("cut-off-by-a-message", "rolled-back-for-a-message"),
    ),
    Mutation("no edit is taken", method("NextEdit", "take", always(None)), ("edited-in-place",)),
    Mutation("nothing holds a run", method("Hold", "stops", always(False)), ("paused-and-continued",)),
    # Deadlines.
    Mutation(
        "deadlines are a second later",
        method("Deadlines", "set", _later),
        ("deadlines", "deadline-whose-default-is-refused"),
    ),
    Mutation(
        "there are no deadlines",
        method("Deadlines", "set", always(None)),
        ("deadlines", "reminded-and-answered", "deadline-whose-default-is-refused", "cancelled-while-waiting"),
    ),
    Mutation(
        "there are no timers",
        method("Deadlines", "next_due", always(None)),
        ("deadlines", "reminded-and-answered", "cancelled-while-waiting"),
    ),
    Mutation(
        "what a deadline says is not done",
        method("Responses", "force", _not_delivered),
        ("deadlines", "deadline-whose-default-is-refused"),
    ),
)

_CONTENTS = "Temporal compares that the command is there, not what is in it."
_CALLS = "calls-and-what-they-cost"
_RESULT = f"{_CONTENTS} What the superstep does with its input is in its result, which replay takes from history."
_NEXT_RUN = f"{_CONTENTS} The next run replays with the input that it was given."

COMPARED: tuple[Mutation, ...] = (
    *(
        _scaled(name, factor, "messages-at-their-bound", reason="It shows in what the next run is handed on.")
        for name, factor in (
            ("MAX_MESSAGES", 0.5),
            ("MAX_MESSAGES", 2),
            ("MAX_MESSAGES_BYTES", 0.5),
            ("MAX_MESSAGES_BYTES", 2),
            ("MAX_REFUSED_MESSAGES", 0.5),
            ("MAX_REFUSED_MESSAGE", 0.1),
        )
    ),
    Mutation(
        "nobody is asked whom a message reaches first",
        method("AgentFrameworkWorkflow", "_start_executors", _unasked),
        ("breakpoints-of-one-who-knows-only-the-name",),
        _CONTENTS,
    ),
    # Options of activities: the server has taken them over from the first schedule.
    Mutation(
        "another retry policy",
        sdk(temporalio.workflow, "start_activity", _with(retry_policy=None)),
        ("several-supersteps", "executor-policies"),
        _CONTENTS,
    ),
    Mutation(
        "another heartbeat timeout",
        sdk(temporalio.workflow, "start_activity", _with(heartbeat_timeout=timedelta(hours=1))),
        ("several-supersteps", "executor-policies"),
        _CONTENTS,
    ),
    Mutation(
        "another start-to-close timeout",
        sdk(temporalio.workflow, "start_activity", _with(start_to_close_timeout=timedelta(hours=1))),
        ("several-supersteps", "superstep-that-takes-too-long"),
        _CONTENTS,
    ),
    Mutation(
        "another summary of the activity",
        sdk(temporalio.workflow, "start_activity", _with(summary="anything")),
        ("several-supersteps",),
        _CONTENTS,
    ),
    Mutation(
        "another priority",
        sdk(temporalio.workflow, "start_activity", _with(priority=Priority(priority_key=2))),
        ("several-supersteps", "messages-with-priorities"),
        _CONTENTS,
    ),
    Mutation(
        "a message does not bring its priority",
        method("RunPriority", "take", always(None)),
        ("messages-with-priorities",),
        _CONTENTS,
    ),
    Mutation(
        "a message that is refused leaves its priority",
        method("RunPriority", "refuse", always(None)),
        ("messages-with-priorities",),
        _CONTENTS,
    ),
    _scaled("TIMEOUT_GRACE", 0.5, "several-supersteps", reason=_CONTENTS),
    _scaled("MAX_NOT_BEGUN", 0.5, "several-supersteps", reason=_CONTENTS),
    _scaled("LONGEST_WAIT", 0.5, "several-supersteps", reason=_CONTENTS),
    # Inputs of supersteps.
    Mutation(
        "messages in flight are not discarded after a failure",
        constant("read_start", _without_discarding),
        ("started-by-a-message-after-a-failure",),
        _RESULT,
    ),
    Mutation(
        "what failed is retried from the run's message",
        constant("retry_mode", always("message")),
        ("paused-and-retried",),
        _RESULT,
    ),
    Mutation(
        "delivers the answers of a batch one by one",
        method("Responses", "_queue", _one_by_one),
        ("many-answers-in-one-signal",),
        _RESULT,
    ),
    _scaled(
        "MAX_REJECTED",
        0.5,
        "requests",
        reason="Rejected answers are records of the event log, and the next superstep is told how long that is.",
    ),
    # Other contents.
    Mutation(
        "upserts the state alone",
        sdk(temporalio.workflow, "upsert_search_attributes", lambda original: lambda updates: original(updates[:1])),
        ("search-attributes",),
        _CONTENTS,
    ),
    Mutation(
        "the run's result has no outputs",
        method("Progress", "add_output", always(None)),
        ("several-supersteps", "continued-after-supersteps"),
        _CONTENTS,
    ),
    *(
        Mutation(f"{name} is {value}", constant(name, _value(value)), (_CALLS,), _CONTENTS, (name,))
        for name, value in (("MAX_COUNTED", 1), ("MAX_COUNTED_NAME", 2), ("MAX_COUNT", 3))
    ),
    Mutation(
        "does not hand on what was called",
        method("Progress", "take_over", _without_calls),
        (_CALLS,),
        _CONTENTS,
    ),
    Mutation("does not count a failed superstep", method("Progress", "enter", _uncounted), (_CALLS,), _CONTENTS),
    _scaled("MAX_OUTPUTS_BYTES", 0, "several-supersteps", reason=_CONTENTS),
    _scaled("MAX_TAIL_BYTES", 0, "continued-after-supersteps", reason=_NEXT_RUN),
    _scaled("MAX_HANDED_ON_BYTES", 0.5, "more-answered-requests-than-are-handed-on", reason=_NEXT_RUN),
    _scaled("MAX_HANDED_ON_BYTES", 2, "more-answered-requests-than-are-handed-on", reason=_NEXT_RUN),
    _scaled("MAX_EARLY_REPEATED", 0.5, "early-answers-to-one-request-at-their-bound", reason=_RESULT),
    _scaled("MAX_EARLY_REPEATED", 2, "early-answers-to-one-request-at-their-bound", reason=_RESULT),
    # A run that has got so much continues as new before it delivers what it has kept.
    _scaled("MAX_SIGNAL_BYTES", 0.5, "signals-at-their-largest", reason=_NEXT_RUN),
    _scaled("MAX_SIGNAL_BYTES", 2, "signals-at-their-largest", reason=_NEXT_RUN),
    _scaled("MAX_DISPLACING", 0.5, "answers-for-which-large-ones-give-way", reason=_NEXT_RUN),
    _scaled("MAX_DISPLACING", 2, "answers-for-which-large-ones-give-way", reason=_NEXT_RUN),
    _scaled("LARGE_BYTES", 0.5, "answers-for-which-small-ones-do-not-give-way", reason=_NEXT_RUN),
    _scaled("LARGE_BYTES", 2, "answers-for-which-large-ones-give-way", reason=_NEXT_RUN),
    Mutation(
        "MAX_SCHEMA_BYTES is 0",
        _uncompiled(constant("MAX_SCHEMA_BYTES", lambda _: 0)),
        ("answers-for-which-large-ones-give-way",),
        _NEXT_RUN,
        constants=("MAX_SCHEMA_BYTES",),
    ),
    _scaled("MAX_SCHEMAS_BYTES", 0, "flooded-while-waiting-by-count", reason=_NEXT_RUN),
    _scaled("LONGEST_PAUSE", 0.5, "outcomes-that-are-refused", reason=_CONTENTS),
    _scaled("PUT_OFF_SECONDS", 2, "signals-that-one-workflow-task-does-not-read", reason=_CONTENTS),
    _scaled("LULL", 2, "flooded-in-one-workflow-task", reason=_CONTENTS),
    _scaled(
        "MAX_TOLD",
        0,
        "requests",
        reason="Rejected answers are records of the event log, and the next superstep is told how long that is.",
    ),
    # Commands at another time.
    Mutation(
        "reminders are a second later",
        method("Deadlines", "set", _later),
        ("reminded-and-answered",),
        "A timer is started for the deadline where one was for the reminder, and the other way round.",
    ),
    Mutation(
        "does not wait for the superstep that it cancels",
        _TRY_CANCEL,
        ("cancelled-in-a-superstep", "superstep-commits-while-it-is-cancelled"),
        "The run ends as it did, only sooner.",
    ),
    _scaled(
        "MAX_BATCH",
        2,
        "more-answers-in-one-signal-than-it-may-have",
        reason="The superstep that comes too early is cancelled with the run before the server hears of it.",
    ),
)

_LOG = "Only the event log changes, which queries answer from."
_STORED = "Replay would need the storage, or the codec: tests/requests/test_unreadable.py replays such runs with it."
_QUERY = "Only what query `pending_requests` tells, and the next run's input of a run that no scenario has."

UNNOTICED: tuple[Mutation, ...] = (
    Mutation(
        "does not ask the server for another deployment version when it moves",
        sdk(temporalio.workflow, "continue_as_new", _with(initial_versioning_behavior=None)),
        ("upgraded-between-supersteps", "upgraded-while-waiting"),
        "The event does not hold it. tests/worker/test_deployment.py sees runs move.",
    ),
    *(
        _scaled(name, 0.5, *scenarios, reason=reason)
        for name, reason, scenarios in (
            ("MAX_EVENTS", _LOG, ("requests",)),
            ("MAX_BYTES", _LOG, ("requests",)),
            ("PAGE_BYTES", _LOG, ("requests",)),
            ("MAX_DATA_BYTES", _LOG, ("requests", "many-answers-in-one-signal")),
            ("MAX_DEFERRED", _LOG, ("requests", "flooded-between-supersteps")),
            ("MAX_REFUSED", _QUERY, ("more-answers-to-one-request-than-are-kept",)),
            ("MAX_REFUSED_TEXT", _QUERY, ("requests",)),
            ("MAX_REFUSED_BYTES", _QUERY, ("requests",)),
            ("MAX_ERRORS", "What validators of updates refuse is not in history.", ("updates-and-cancellation",)),
            ("MAX_ERROR_TEXT", "What validators of updates refuse is not in history.", ("updates-and-cancellation",)),
            ("MAX_READ", _STORED, ("requests",)),
            ("MAX_NOTED", _STORED, ("requests",)),
            ("MAX_BACKTRACKS", "No type of a scenario has a pattern.", ("answers-for-which-large-ones-give-way",)),
            ("MAX_ANSWERED", "A history of so many answers would weigh more than all others.", ("requests",)),
        )
    ),
)
