"""What a thread's run has called and what that cost in tokens, by its end, its worker, or its history."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agent_framework import UsageDetails
from temporalio.client import Client

from ...workflows.exported import exported
from ...workflows.messages import Calls
from ...workflows.usage import add_calls, sum_of
from ..checkpoints.history import run_calls
from ..checkpoints.thread import latest_of
from ..errors import NoWorkerError, ThreadNotFoundError
from ..temporal.server import describe_run, rpc_errors
from .attempts import live_window
from .queries import ThreadQueries
from .usage_details import usage_details


@exported
@dataclass(frozen=True, slots=True, kw_only=True)
class RunUsage:
    """What a run has called, and what its model calls cost in tokens.

    Attempts that failed or were lost count too, as far as the journal knows of them: what was spent is spent.
    """

    run_id: str
    """Temporal run id; a run that has continued as new counts with those before it."""
    usage: UsageDetails
    """Tokens of all executors; empty where no chat client reports any."""
    executors: Mapping[str, UsageDetails]
    """Tokens by executor id, of one in a sub-workflow `outer/inner`; beyond the first 100, `*` is all others."""
    calls_made: Mapping[str, int]
    """By kind: `chat`, `tool`, `once`, `step`."""
    calls_taken: Mapping[str, int]
    """By kind, and `executor`: what was not done again, as the journal had it from an attempt before."""


async def read_usage(client: Client, thread_id: str, workflow_name: str, *, queries: ThreadQueries | None) -> RunUsage:
    """Return what a thread's latest run has called.

    Args:
        client: A client with our payload converter.
        thread_id: Temporal workflow id.
        workflow_name: Name of the framework workflow the thread must belong to.
        queries: Asks an open run; without it its history is read.

    Raises:
        ThreadNotFoundError: When there is no such thread, or it belongs to another workflow.
    """
    with rpc_errors(client, f"look up thread {thread_id!r}", thread_id):
        latest = await latest_of(client, thread_id, workflow_name, end=True)
        if latest.description is None:
            raise ThreadNotFoundError(
                f"Thread {thread_id!r} has no run in namespace {client.namespace!r}, or no longer has one, so there "
                "is no usage to report."
            )
        run_id = latest.description.run_id
        known = latest.closed and (latest.closed.result or latest.closed.failure)
        if known:
            return _usage_of(run_id, known.calls)
        if latest.closed is not None:
            return _usage_of(run_id, await run_calls(client, thread_id, run_id))
        return _usage_of(run_id, await _calls_so_far(client, queries, thread_id, run_id))


async def _calls_so_far(client: Client, queries: ThreadQueries | None, thread_id: str, run_id: str) -> Calls | None:
    try:
        asked = await queries.status(thread_id, run_id) if queries is not None else None
    except NoWorkerError:
        asked = None
    calls = asked.calls if asked is not None else await run_calls(client, thread_id, run_id)
    # After that, so that a superstep which ends meanwhile is left out and never counted twice.
    running = await describe_run(client, thread_id, run_id)
    window = await live_window(client, thread_id, running.raw.pending_activities)
    return add_calls(calls, window.calls if window is not None else None)


def _usage_of(run_id: str, calls: Calls | None) -> RunUsage:
    calls = calls or Calls()
    return RunUsage(
        run_id=run_id,
        usage=usage_details(sum_of(calls.tokens.values())) if calls.tokens else UsageDetails(),
        executors={name: usage_details(counts) for name, counts in calls.tokens.items()},
        calls_made=calls.made,
        calls_taken=calls.taken,
    )
