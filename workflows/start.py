"""What a run is refused for at its start: values that decide what it does, and that decide nothing as they are.

Any process may start a run, in any language. What the workflow cannot act on would fail its tasks for ever, so the run
ends at once, in words. Its base is untouched.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import get_args

from . import limits
from .messages import DeadlineAction, ExecutorRule, NewerVersionError, RequestRule, RunInput, RunMode, RunOptions


def refusal(run_input: RunInput) -> str | None:
    """Return why a run cannot begin, with the first thing that is wrong; None if it can.

    Raises:
        NewerVersionError: When the run goes on from one of a newer release, whose worker may take it.
    """
    for request in run_input.continued.pending if run_input.continued is not None else ():
        if request.on_deadline is not None and request.on_deadline not in get_args(DeadlineAction):
            raise NewerVersionError(
                f"Request {request.request_id!r} is to be {request.on_deadline!r} at its deadline, as a newer release "
                "of agent-framework-temporal has handed on. Upgrade this worker."
            )
    mistake = next((mistake for mistake in _mistakes(run_input) if mistake), None)
    return f"This run cannot begin: {mistake}." if mistake else None


def _mistakes(run_input: RunInput) -> Iterator[str | None]:
    mode = run_input.mode
    yield _known("`mode`", mode, get_args(RunMode))
    if mode in ("responses", "cancel") and not run_input.responses:
        yield f"`mode` {mode!r} needs `responses`"
    if (mode == "continue") is not (run_input.continued is not None):
        yield "`continued` goes with `mode` 'continue', which only a run that continues as new has"
    yield from _options(run_input.options)
    for name, rule in run_input.options.executors.items():
        yield from (f"for executor {name!r} {mistake}" for mistake in _tries(rule) if mistake)
    for name, wait in run_input.options.requests.items():
        yield from (f"for requests {name!r} {mistake}" for mistake in _deadlines(wait) if mistake)


def _options(options: RunOptions) -> Iterator[str | None]:
    yield _duration("superstep_timeout", options.superstep_timeout)
    yield from _tries(options)
    if options.retry_maximum_interval < options.retry_initial_interval:
        yield "`retry_maximum_interval` is shorter than `retry_initial_interval`"
    for name in ("history_bytes_per_run", "supersteps_per_run"):
        yield _at_least_one(name, getattr(options, name))


def _tries(rule: RunOptions | ExecutorRule) -> Iterator[str | None]:
    if isinstance(rule, ExecutorRule):
        yield _duration("timeout", rule.timeout)
    for name in ("heartbeat_timeout", "retry_initial_interval", "retry_maximum_interval"):
        yield _duration(name, getattr(rule, name))
    yield _at_least_one("max_attempts", rule.max_attempts)
    yield _at_least_one("retry_backoff", rule.retry_backoff)


def _deadlines(rule: RequestRule) -> Iterator[str | None]:
    yield _known("`on_deadline`", rule.on_deadline, get_args(DeadlineAction))
    yield _duration("remind_after", rule.remind_after)
    yield _duration("deadline", rule.deadline)


def _known(what: str, value: str, known: tuple[str, ...]) -> str | None:
    if value in known:
        return None
    names = ", ".join(repr(name) for name in known)
    return (
        f"{what} {value[:100]!r} is none of those that this release knows, {names}; correct it, or upgrade the worker"
    )


def _duration(name: str, seconds: float | None) -> str | None:
    # Not a number fails both comparisons.
    if seconds is None or 0 < seconds <= limits.MAX_SECONDS:
        return None
    return f"`{name}` must be more than 0 seconds and at most 100 years, got {seconds!r}"


def _at_least_one(name: str, value: float | None) -> str | None:
    if value is None or 1 <= value < math.inf:
        return None
    return f"`{name}` must be 1 or more, got {value!r}"
