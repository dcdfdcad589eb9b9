"""The scenarios whose histories are stored, one function each; `python -m tests.replay.record VERSION` runs them.

To add one: write a function that takes a `Stage`, runs threads through the public API (or as any Temporal client could)
and keeps them; say how many runs it leaves at least, and what their histories must show, so that one that went another
way is not stored. Then record it under the present version. A mutation of the workflow that only it would notice goes
into `mutations.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import signal
import tempfile
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeAlias

from agent_framework import InMemoryCheckpointStorage
from agent_framework_temporal import (
    AgentFrameworkPlugin,
    Checkpoint,
    DurableWorkflow,
    ExecutorPolicy,
    NotSealedError,
    RequestPolicy,
    RunCancelledError,
    RunInterruptedError,
    register_search_attributes,
    start_dev_server,
)
from agent_framework_temporal.workflows import limits
from agent_framework_temporal.workflows.messages import SUPERSTEP_ACTIVITY, WORKFLOW_TYPE
from agent_framework_temporal.workflows.requests.arrivals import taken_over
from temporalio import activity
from temporalio.api.common.v1 import Payload
from temporalio.api.history.v1 import HistoryEvent
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError
from temporalio.common import RawValue
from temporalio.service import RPCError
from temporalio.worker import Worker

from tests.flows import Decision, Order, chain, countdown, echo, shop
from tests.functional._flows import review
from tests.journal._spending import Spending, spending
from tests.replay.flows import FAILING, GATES, Ask, Gate, asking, frail, looping, looping_otherwise
from tests.replay.stage import Stage
from tests.support import deployed_worker, unique, worker, worker_process

Play: TypeAlias = Callable[[Stage], Awaitable[None]]


@dataclass(frozen=True)
class Scenario:
    """What is played, and what it must leave."""

    play: Play
    runs: int
    """So many runs, or more."""
    shows: Mapping[str, int]
    """So many events of a type, or more, in all its runs."""


SCENARIOS: dict[str, Scenario] = {}


def scenario(runs: int = 1, **shows: int) -> Callable[[Play], Play]:
    """Add a function to the scenarios, under its name."""

    def add(play: Play) -> Play:
        SCENARIOS[play.__name__.replace("_", "-")] = Scenario(play, runs, shows)
        return play

    return add


GOOD = Decision(approved=True, by="ada")
LARGE = "x" * 100_000
TIMED = {"requests": RequestPolicy(deadline=timedelta(hours=1))}
"""Options of runs that start a timer whenever they wait. Replay takes a command that comes too early for the same one
that comes later, so where a scenario is about a bound, waiting has a command of its own."""


def answer(request_id: str, *ask: str, text: str = "") -> dict[str, Any]:
    """Return an answer of the workflow `asking` as JSON."""
    return {"request_id": request_id, "response": {"ask": ask, "text": text}}


def approval(item: str) -> dict[str, Any]:
    """Return an answer of the workflow `shop` as JSON."""
    return {"request_id": f"approve-{item}", "response": {"approved": True}}


async def _waiting_shop(stage: Stage, *items: str, **options: Any) -> tuple[DurableWorkflow, Checkpoint]:
    durable = stage.durable(shop, **options)
    thread = durable.checkpoint()
    await durable.run([Order(item=item) for item in items], checkpoint=thread)
    return durable, thread


async def _asked(stage: Stage, *ask: str, **options: Any) -> tuple[DurableWorkflow, Checkpoint]:
    durable = stage.durable(asking, **options)
    thread = durable.checkpoint()
    await durable.run(Ask(ask=list(ask)), checkpoint=thread)
    return durable, thread


async def _held(stage: Stage, **options: Any) -> tuple[Checkpoint, Gate, asyncio.Future[Any]]:
    """Begin a loop; its first superstep is held."""
    durable = stage.durable(looping, **options)
    thread = durable.checkpoint()
    gate = GATES[thread.thread_id] = Gate()
    following = asyncio.ensure_future(durable.run(thread.thread_id, checkpoint=thread))
    await stage.seen_begun(gate, 1)
    return thread, gate, following


async def _cancelled(stage: Stage, thread: Checkpoint) -> None:
    await stage.run_of(thread).cancel()
    await stage.ended(thread)


# A run from its beginning to its end.


@scenario(ACTIVITY_TASK_COMPLETED=4, WORKFLOW_EXECUTION_COMPLETED=1)
async def several_supersteps(stage: Stage) -> None:
    durable = stage.durable(chain)
    thread = durable.checkpoint()
    async for _ in durable.run_stream("a", checkpoint=thread):
        pass
    await stage.keep(thread)


@scenario(runs=2, WORKFLOW_EXECUTION_COMPLETED=2)
async def second_turn(stage: Stage) -> None:
    durable = stage.durable(echo)
    thread = durable.checkpoint()
    await durable.run("one", checkpoint=thread)
    await durable.run("two", checkpoint=thread)
    await stage.keep(thread)


@scenario(ACTIVITY_TASK_COMPLETED=4)
async def executor_policies(stage: Stage) -> None:
    policy = ExecutorPolicy(max_attempts=5, heartbeat_timeout=timedelta(seconds=20))
    durable = stage.durable(chain, executors={"second": policy})
    thread = durable.checkpoint()
    await durable.run("a", checkpoint=thread)
    await stage.keep(thread)


# What starts a run, besides a message.


@scenario(runs=2, WORKFLOW_EXECUTION_FAILED=1, WORKFLOW_EXECUTION_COMPLETED=1)
async def started_by_resume(stage: Stage) -> None:
    durable = stage.durable(frail, max_attempts=1)
    thread = durable.checkpoint()
    FAILING.add("two resumed")
    with contextlib.suppress(ValueError):
        await durable.run("resumed", checkpoint=thread)
    FAILING.discard("two resumed")
    await durable.run(checkpoint=thread)
    await stage.keep(thread)


@scenario(runs=2, WORKFLOW_EXECUTION_FAILED=1, WORKFLOW_EXECUTION_COMPLETED=1)
async def started_by_a_message_after_a_failure(stage: Stage) -> None:
    durable = stage.durable(echo, max_attempts=1)
    thread = durable.checkpoint()
    with contextlib.suppress(ValueError):
        await durable.run("fail", checkpoint=thread)
    await durable.run("two", checkpoint=thread)
    await stage.keep(thread)


@scenario(runs=2, WORKFLOW_EXECUTION_CANCELED=1)
async def started_by_responses(stage: Stage) -> None:
    durable, thread = await _waiting_shop(stage, "pen", "ink")
    await _cancelled(stage, thread)
    await durable.run(responses={"approve-pen": GOOD}, checkpoint=thread)
    await durable.run(responses={"approve-ink": GOOD}, checkpoint=thread)
    await stage.keep(thread)


@scenario(runs=2, WORKFLOW_EXECUTION_CANCELED=1)
async def started_by_cancel(stage: Stage) -> None:
    durable, thread = await _waiting_shop(stage, "pen", "ink")
    await _cancelled(stage, thread)
    await durable.cancel_pending_requests(["approve-pen"], checkpoint=thread)
    await durable.run(responses={"approve-ink": GOOD}, checkpoint=thread)
    await stage.keep(thread)


@scenario(runs=4)
async def forked_from_history(stage: Stage) -> None:
    durable, original = await _waiting_shop(stage, "pen", "ink")
    found = await durable.checkpoints(original)
    asked_again, waiting, answered = (durable.checkpoint() for _ in range(3))
    await durable.run(checkpoint_id=found[0].checkpoint_id, checkpoint=asked_again)
    await durable.run(checkpoint_id=found[1].checkpoint_id, checkpoint=waiting)
    responses = {"approve-pen": GOOD, "approve-ink": GOOD}
    await durable.run(responses=responses, checkpoint_id=found[1].checkpoint_id, checkpoint=answered)
    await stage.keep(original, asked_again, waiting, answered)


@scenario(runs=3)
async def forked_from_another_storage(stage: Stage) -> None:
    storage = InMemoryCheckpointStorage()
    await shop().run([Order(item="pen"), Order(item="ink")], checkpoint_storage=storage)
    found = await storage.get_latest(workflow_name="shop")
    assert found is not None
    durable = stage.durable(shop)
    waiting, answered, cancelled = (durable.checkpoint() for _ in range(3))
    begin: dict[str, Any] = {"checkpoint_id": found.checkpoint_id, "checkpoint_storage": storage}
    await durable.run(**begin, checkpoint=waiting)
    await durable.run(responses={"approve-pen": GOOD}, **begin, checkpoint=answered)
    await durable.cancel_pending_requests(["approve-ink"], **begin, checkpoint=cancelled)
    await stage.keep(waiting, answered, cancelled)


@scenario(runs=7, WORKFLOW_EXECUTION_FAILED=7)
async def refused_starts(stage: Stage) -> None:
    """Of any process, in any language: what the workflow cannot act on ends the run in words."""
    for wrong in (
        {"mode": "teleport"},
        {"mode": "responses"},
        {"options": {"retry_backoff": 0.5}},
        {"options": {"requests": {"*": {"deadline": 1, "on_deadline": "shrug"}}}},
        {"options": {"requests": {"*": {"deadline": 1, "on_deadline": "default", "default": {"value": LARGE}}}}},
        {"discard_in_flight": True},
        {"next_offset": limits.MAX_OFFSET + 1},
    ):
        thread = stage.durable(shop).checkpoint()
        run_input = {"workflow_name": "shop", "mode": "message", "message": {"value": {"item": "pen"}}, **wrong}
        await stage.client.start_workflow(
            WORKFLOW_TYPE, run_input, id=thread.thread_id, task_queue=stage.task_queue, memo={}
        )
        await stage.ended(thread)
        await stage.keep(thread)


# Requests, and what people do with them.


@scenario(WORKFLOW_EXECUTION_SIGNALED=8, WORKFLOW_EXECUTION_COMPLETED=1)
async def requests(stage: Stage) -> None:
    durable, thread = await _waiting_shop(stage, "pen", "ink")
    run = stage.run_of(thread)
    await run.signal("respond", {"request_id": "approve-ink", "response": "no decision"})
    await run.signal("respond", {**approval("later"), "responder": "bot"})
    await run.signal("respond", [{"request": 1}])
    await run.signal("respond", args=[1, 2])
    await run.signal("no-such-signal")
    await durable.run(responses={"approve-pen": GOOD}, checkpoint=thread)
    await run.signal("respond", [approval("pen"), *(approval(str(number)) for number in range(20))])  # Refused whole.
    await durable.run(responses={"approve-ink": GOOD}, checkpoint=thread)
    await stage.keep(thread)


@scenario(WORKFLOW_EXECUTION_UPDATE_ACCEPTED=2, WORKFLOW_EXECUTION_UPDATE_COMPLETED=2)
async def updates_and_cancellation(stage: Stage) -> None:
    durable, thread = await _waiting_shop(stage, "pen", "ink", "cap")
    run = stage.run_of(thread)
    for response in ("no decision", {"approved": True, "by": "ada"}):
        with contextlib.suppress(WorkflowUpdateFailedError):
            await run.execute_update("respond", {"request_id": "approve-pen", "response": response})
    await run.execute_update("cancel_requests", {"request_ids": ["approve-ink"], "responder": "ops"})
    await durable.cancel_pending_requests(["approve-cap"], checkpoint=thread)
    await stage.keep(thread)


@scenario(WORKFLOW_EXECUTION_SIGNALED=1, ACTIVITY_TASK_COMPLETED=1, WORKFLOW_EXECUTION_CANCELED=1)
async def more_answers_in_one_signal_than_it_may_have(stage: Stage) -> None:
    _, thread = await _asked(stage, "a")
    await stage.run_of(thread).signal("respond", [answer("a"), *(answer(f"unknown-{n}") for n in range(1_000))])
    await stage.waits(thread)
    await _cancelled(stage, thread)
    await stage.keep(thread)


@scenario(WORKFLOW_EXECUTION_SIGNALED=2, WORKFLOW_EXECUTION_COMPLETED=1)
async def many_answers_in_one_signal(stage: Stage) -> None:
    asked = [f"q{number}" for number in range(40)]
    _, thread = await _asked(stage, *asked)
    run = stage.run_of(thread)
    await run.signal("respond", [answer(request_id, *(["more"] if request_id == "q7" else [])) for request_id in asked])
    await stage.seen(thread, "ACTIVITY_TASK_COMPLETED", 2)
    await run.signal("respond", [answer("more")])
    await run.result()
    await stage.keep(thread)


@scenario(WORKFLOW_EXECUTION_SIGNALED=5, WORKFLOW_EXECUTION_COMPLETED=1)
async def answers_that_wait_in_a_row(stage: Stage) -> None:
    task_queue = unique("queue")
    async with worker(stage.client, asking, task_queue=task_queue):
        _, thread = await _asked(stage, "a", "b", "c", "d", "e", task_queue=task_queue)
    run = stage.run_of(thread)
    for request_id in ("c", "a"):  # No worker looks at them before all are there.
        await run.signal("respond", answer(request_id))
    await run.signal("cancel_requests", {"request_ids": ["d"]})
    await run.signal("respond", [answer("b"), answer("a")])
    await run.signal("respond", answer("e"))
    async with worker(stage.client, asking, task_queue=task_queue):
        await run.result()
    await stage.keep(thread)


async def _fill_early(run: Any, batches: Callable[[int], list[dict[str, Any]]], size: int) -> list[str]:
    """Send early responses until no more are taken; returns the ids of those that were."""
    taken: list[str] = []
    while size:
        try:
            receipt = await run.execute_update("respond", batches(size))
        except WorkflowUpdateFailedError:
            size //= 2
        else:
            taken += receipt["early"]
    return taken


async def _early_at_its_bound(stage: Stage, batches: Callable[[int], list[dict[str, Any]]], size: int) -> None:
    _, thread = await _asked(stage, "first", **TIMED)
    run = stage.run_of(thread)
    taken = await _fill_early(run, batches, size)
    await run.signal("respond", answer("one-too-many"))  # A rejected update is not in history; this is.
    await run.signal("respond", answer("first", *taken[:2], taken[-1], "one-too-many"))
    await stage.seen(thread, "ACTIVITY_TASK_COMPLETED", 5)  # What was taken is delivered; what was refused is awaited.
    await stage.waits(thread)
    await _cancelled(stage, thread)
    await stage.keep(thread)


@scenario(WORKFLOW_EXECUTION_UPDATE_ACCEPTED=2, ACTIVITY_TASK_COMPLETED=5, WORKFLOW_EXECUTION_CANCELED=1)
async def early_answers_at_their_bound_by_count(stage: Stage) -> None:
    numbers = itertools.count()
    await _early_at_its_bound(stage, lambda size: [answer(f"early-{next(numbers)}") for _ in range(size)], 700)


@scenario(WORKFLOW_EXECUTION_UPDATE_ACCEPTED=2, ACTIVITY_TASK_COMPLETED=5, WORKFLOW_EXECUTION_CANCELED=1)
async def early_answers_at_their_bound_by_bytes(stage: Stage) -> None:
    numbers = itertools.count()
    await _early_at_its_bound(stage, lambda size: [answer(f"early-{next(numbers)}", text="x" * size)], 40_000)


@scenario(runs=2, WORKFLOW_EXECUTION_CONTINUED_AS_NEW=1, WORKFLOW_EXECUTION_CANCELED=1)
async def answers_that_wait_at_their_bound(stage: Stage) -> None:
    """More than a run takes at once before it continues as new, so the next one has to take over what waits."""
    _, thread = await _asked(stage, "a", "b", "c", "d", "e", "f", **TIMED)
    run, first = stage.run_of(thread), thread.run_id or ""
    gate = GATES[thread.thread_id] = Gate()

    async def hold(request_id: str, *, large: bool = False) -> None:
        held = answer(request_id, text=LARGE if large else "")
        held["response"]["gate"] = thread.thread_id
        await run.signal("respond", held)

    await hold("a")
    await stage.seen_begun(gate, 1)
    await hold("b", large=True)
    for request_id in ("c", "d"):
        await run.signal("respond", answer(request_id, text=LARGE))
    gate.let(1)
    await stage.seen_begun(gate, 2)
    assert await stage.moved(thread, first)
    for request_id in ("e", "f"):  # With the last of them too much waits.
        await run.signal("respond", answer(request_id, text=LARGE))
    gate.let(1)
    await stage.seen(thread, "ACTIVITY_TASK_COMPLETED", 5)
    await stage.waits(thread)
    await _cancelled(stage, thread)
    await stage.keep(thread)


@scenario(WORKFLOW_EXECUTION_SIGNALED=14, WORKFLOW_EXECUTION_CANCELED=1)
async def more_answers_to_one_request_than_are_kept(stage: Stage) -> None:
    task_queue = unique("queue")
    async with worker(stage.client, asking, task_queue=task_queue):
        _, thread = await _asked(stage, "a", task_queue=task_queue, **TIMED)
    run = stage.run_of(thread)
    for _ in range(14):
        await run.signal("respond", {"request_id": "a", "response": "no answer"})
    async with worker(stage.client, asking, task_queue=task_queue):
        await stage.seen(thread, "ACTIVITY_TASK_COMPLETED", 2)
        await stage.waits(thread)
        await _cancelled(stage, thread)
    await stage.keep(thread)


@scenario(WORKFLOW_EXECUTION_SIGNALED=102, WORKFLOW_EXECUTION_CANCELED=1)
async def early_answers_to_one_request_at_their_bound(stage: Stage) -> None:
    """Of one request the last answer that is kept is the one that fits, of the other the first that is not kept."""
    task_queue = unique("queue")
    async with worker(stage.client, asking, task_queue=task_queue):
        _, thread = await _asked(stage, "first", task_queue=task_queue, **TIMED)
    run = stage.run_of(thread)
    bound = limits.MAX_EARLY_REPEATED
    unfit = {"request_id": "beyond", "response": 7}
    for number in range(bound):
        both = [unfit, {**unfit, "request_id": "within"} if number < bound * 0.6 else answer("within")]
        await run.signal("respond", both if number <= bound * 0.6 else unfit)
    await run.signal("respond", answer("beyond"))
    await run.signal("respond", answer("first", "within", "beyond"))
    async with worker(stage.client, asking, task_queue=task_queue):
        await stage.seen(thread, "ACTIVITY_TASK_COMPLETED", 3)
        await stage.waits(thread)
        await _cancelled(stage, thread)
    await stage.keep(thread)


async def _displacing(stage: Stage, number: int, batches: int) -> None:
    """Fill the room for answers with so many that do not fit; then send ten that do, and eleven."""
    task_queue = unique("queue")
    counts = {"unfit": number, "ten": 10, "eleven": 11}
    unfit, ten, eleven = ([f"{kind}-{n:03}" for n in range(count)] for kind, count in counts.items())
    async with worker(stage.client, asking, task_queue=task_queue):
        _, thread = await _asked(stage, *unfit, *ten, *eleven, task_queue=task_queue, **TIMED)
    run, first = stage.run_of(thread), thread.run_id or ""
    text = "x" * (limits.MAX_QUEUED_BYTES // number - 180)
    await run.signal("respond", [{"request_id": name, "response": {"ask": 7, "text": text}} for name in unfit])
    for fitting in (ten, eleven):
        await run.signal("respond", [answer(name, text="x" * 2_000) for name in fitting])
    async with worker(stage.client, asking, task_queue=task_queue):
        while not await stage.moved(thread, first):
            await asyncio.sleep(0.05)
        await stage.seen(thread, "ACTIVITY_TASK_COMPLETED", 1 + batches)
        await stage.waits(thread)
        await _cancelled(stage, thread)
    await stage.keep(thread)


@scenario(runs=2, WORKFLOW_EXECUTION_SIGNALED=3, ACTIVITY_TASK_COMPLETED=4, WORKFLOW_EXECUTION_CANCELED=1)
async def answers_for_which_large_ones_give_way(stage: Stage) -> None:
    await _displacing(stage, 64, batches=2)


@scenario(runs=2, WORKFLOW_EXECUTION_SIGNALED=3, ACTIVITY_TASK_COMPLETED=3, WORKFLOW_EXECUTION_CANCELED=1)
async def answers_for_which_small_ones_do_not_give_way(stage: Stage) -> None:
    await _displacing(stage, 128, batches=1)


@scenario(runs=2, WORKFLOW_EXECUTION_SIGNALED=2, WORKFLOW_EXECUTION_CANCELED=1)
async def signals_at_their_largest(stage: Stage) -> None:
    """One that is a little too large, and one that takes more than half of what is taken, whose answers would fit."""
    _, thread = await _asked(stage, "a", "b", **TIMED)
    run = stage.run_of(thread)
    for request_id, size in (("a", limits.MAX_SIGNAL_BYTES + 1_000), ("b", limits.MAX_SIGNAL_BYTES * 0.6)):
        written = b"\\u0078" * (int(size) // 6)
        data = b'{"request_id": "%s", "response": {"text": "%s"}}' % (request_id.encode(), written)
        first = (await run.describe()).run_id
        await run.signal("respond", RawValue(Payload(metadata={"encoding": b"json/plain"}, data=data)))
        while not await stage.moved(thread, first):
            await asyncio.sleep(0.05)
        await stage.waits(thread)
    await _cancelled(stage, thread)
    await stage.keep(thread)


async def _at_once(stage: Stage, cost: int) -> None:
    """Send what one workflow task reads at such a cost, and an answer behind it."""
    task_queue = unique("queue")
    async with worker(stage.client, asking, task_queue=task_queue):
        _, thread = await _asked(stage, "a", task_queue=task_queue, **TIMED)
    run = stage.run_of(thread)
    many = [answer(f"early-{number}") for number in range(limits.MAX_BATCH)]
    for _ in range(5):
        await run.signal("respond", many)
        cost -= _cost(many) + limits.ANSWER_COST * len(many)
    await asyncio.gather(*(run.signal("retry") for _ in range(400)))
    cost -= 400 * limits.SIGNAL_COST
    most = int((limits.MAX_SIGNAL_BYTES - 1_000) * limits.BYTE_COST)
    for left in range(count := -(-cost // most), 0, -1):
        share = cost // left
        padding = {"request_id": 7, "response": "x" * int((share - limits.SIGNAL_COST) / limits.BYTE_COST)}
        await run.signal("respond", padding)
        cost -= _cost(padding)
    assert count and abs(cost) < 500
    await run.signal("respond", answer("a"))
    async with worker(stage.client, asking, task_queue=task_queue):
        await run.result()
    await stage.keep(thread)


def _cost(argument: Any) -> int:
    """Return what a signal `respond` costs, without the answers in it."""
    payload = Payload(data=json.dumps(argument, separators=(",", ":")).encode())
    (job,) = taken_over("respond", [RawValue(payload)])
    return limits.SIGNAL_COST + int(job.ByteSize() * limits.BYTE_COST)


@scenario(WORKFLOW_EXECUTION_SIGNALED=400, WORKFLOW_EXECUTION_COMPLETED=1)
async def signals_that_one_workflow_task_reads(stage: Stage) -> None:
    await _at_once(stage, limits.TASK_COST - 3_000)


@scenario(WORKFLOW_EXECUTION_SIGNALED=400, TIMER_FIRED=1, WORKFLOW_EXECUTION_COMPLETED=1)
async def signals_that_one_workflow_task_does_not_read(stage: Stage) -> None:
    await _at_once(stage, limits.TASK_COST + 3_000)


@scenario(runs=2, WORKFLOW_EXECUTION_CONTINUED_AS_NEW=1, WORKFLOW_EXECUTION_CANCELED=1)
async def more_answered_requests_than_are_handed_on(stage: Stage) -> None:
    """What the next run does not know as answered it takes for early; what it knows it refuses."""
    asked = [f"{number:03}-{'x' * 480}" for number in range(310)]
    durable, thread = await _asked(stage, *asked, "more", **TIMED)
    run, first = stage.run_of(thread), thread.run_id or ""
    await run.signal("respond", [answer(request_id) for request_id in asked])
    while not await stage.moved(thread, first):
        await run.signal("respond", {"request_id": 7, "response": LARGE})
    some = asked[::10]
    for request_id in some:
        await run.signal("respond", answer(request_id))
    await run.signal("respond", answer("more", *some))
    await stage.seen(thread, "ACTIVITY_TASK_COMPLETED", 3)
    await stage.waits(thread)
    assert 0 < len(await durable.pending_requests(thread)) < len(some)
    await _cancelled(stage, thread)
    await stage.keep(thread)


# Deadlines.


@scenario(TIMER_FIRED=3, WORKFLOW_EXECUTION_FAILED=1)
async def deadlines(stage: Stage) -> None:
    soon, later = timedelta(seconds=0.3), timedelta(seconds=1.5)
    policies = {
        "approve-pen": RequestPolicy(remind_after=soon, deadline=later, on_deadline="default", default=GOOD),
        "approve-ink": RequestPolicy(deadline=later, on_deadline="cancel"),
        "*": RequestPolicy(deadline=2 * later),
    }
    _, thread = await _waiting_shop(stage, "pen", "ink", "cap", requests=policies)
    with contextlib.suppress(WorkflowFailureError):
        await stage.run_of(thread).result()
    await stage.keep(thread)


@scenario(TIMER_FIRED=1, TIMER_CANCELED=1, WORKFLOW_EXECUTION_COMPLETED=1)
async def reminded_and_answered(stage: Stage) -> None:
    policy = RequestPolicy(remind_after=timedelta(seconds=0.3), deadline=timedelta(hours=1))
    durable, thread = await _waiting_shop(stage, "pen", requests=policy)
    await stage.seen(thread, "TIMER_FIRED")
    await stage.seen(thread, "TIMER_STARTED", 2)
    await durable.run(responses={"approve-pen": GOOD}, checkpoint=thread)
    await stage.keep(thread)


@scenario(TIMER_FIRED=1, WORKFLOW_EXECUTION_FAILED=1)
async def deadline_whose_default_is_refused(stage: Stage) -> None:
    policy = RequestPolicy(deadline=timedelta(seconds=0.5), on_deadline="default", default={"approved": "perhaps"})
    _, thread = await _waiting_shop(stage, "pen", requests=policy)
    with contextlib.suppress(WorkflowFailureError):
        await stage.run_of(thread).result()
    await stage.keep(thread)


# Failures.


@scenario(WORKFLOW_EXECUTION_FAILED=1)
async def failure_after_retries(stage: Stage) -> None:
    durable = stage.durable(echo, max_attempts=2, retry_initial_interval=timedelta(seconds=0.1))
    thread = durable.checkpoint()
    with contextlib.suppress(ValueError):
        await durable.run("fail", checkpoint=thread)
    await stage.keep(thread)


@scenario(WORKFLOW_EXECUTION_FAILED=1)
async def superstep_that_takes_too_long(stage: Stage) -> None:
    timeout = timedelta(seconds=1)
    thread, _, following = await _held(stage, superstep_timeout=timeout, heartbeat_timeout=timeout, max_attempts=1)
    await asyncio.wait([following])
    await stage.keep(thread)


@scenario(WORKFLOW_EXECUTION_SIGNALED=2, WORKFLOW_EXECUTION_COMPLETED=1)
async def paused_and_retried(stage: Stage) -> None:
    durable = stage.durable(frail, max_attempts=1, pause_on_failure=True)
    thread = durable.checkpoint()
    FAILING.update(("one paused", "two paused"))
    with contextlib.suppress(ValueError):
        await durable.run("paused", checkpoint=thread)
    for mended in ("one paused", "two paused"):
        FAILING.discard(mended)
        await durable.retry(thread)
        with contextlib.suppress(ValueError):
            await durable.run(checkpoint=thread)
    await stage.keep(thread)


@scenario(WORKFLOW_EXECUTION_SIGNALED=2, WORKFLOW_EXECUTION_COMPLETED=1)
async def retried_at_the_wrong_time(stage: Stage) -> None:
    durable, thread = await _waiting_shop(stage, "pen")
    await stage.run_of(thread).signal("retry")
    await durable.run(responses={"approve-pen": GOOD}, checkpoint=thread)
    await stage.keep(thread)


@scenario(ACTIVITY_TASK_COMPLETED=10, TIMER_FIRED=6, WORKFLOW_EXECUTION_FAILED=1)
async def outcomes_that_are_refused(stage: Stage) -> None:
    """Of whoever polls the task queue; takes a minute."""

    @activity.defn(name=SUPERSTEP_ACTIVITY)
    async def superstep(_step: Any) -> dict[str, Any]:
        return {"state": "idle", "answers": "another", "upgrade": False}

    task_queue = unique("queue")
    async with Worker(stage.client, task_queue=task_queue, activities=[superstep], plugins=[AgentFrameworkPlugin()]):
        durable = stage.durable(chain, task_queue=task_queue)
        thread = durable.checkpoint()
        with contextlib.suppress(NotSealedError):
            await durable.run("a", checkpoint=thread)
    await stage.keep(thread)


# Cancellation.


@scenario(WORKFLOW_EXECUTION_CANCELED=1)
async def cancelled_while_waiting(stage: Stage) -> None:
    _, thread = await _waiting_shop(stage, "pen", **TIMED)
    await _cancelled(stage, thread)
    await stage.keep(thread)


@scenario(WORKFLOW_EXECUTION_CANCELED=1)
async def cancelled_while_paused(stage: Stage) -> None:
    durable = stage.durable(echo, max_attempts=1, pause_on_failure=True)
    thread = durable.checkpoint()
    with contextlib.suppress(ValueError):
        await durable.run("fail", checkpoint=thread)
    await _cancelled(stage, thread)
    await stage.keep(thread)


@scenario(runs=2, ACTIVITY_TASK_FAILED=1, WORKFLOW_EXECUTION_CONTINUED_AS_NEW=1, WORKFLOW_EXECUTION_COMPLETED=1)
async def calls_and_what_they_cost(stage: Stage) -> None:
    durable = stage.durable(spending, max_attempts=1, pause_on_failure=True, supersteps_per_run=2)
    thread = durable.checkpoint()
    with contextlib.suppress(OSError):
        await durable.run(Spending(name=thread.thread_id, rounds=2, stops=((1, 3),)), checkpoint=thread)
    await durable.retry(thread)
    await durable.run(checkpoint=thread)
    await stage.keep(thread)


@scenario(ACTIVITY_TASK_CANCELED=1, WORKFLOW_EXECUTION_CANCELED=1)
async def cancelled_in_a_superstep(stage: Stage) -> None:
    thread, _, following = await _held(stage, heartbeat_timeout=timedelta(seconds=1))
    await stage.run_of(thread).cancel()
    with contextlib.suppress(RunCancelledError):
        await following
    await stage.keep(thread)


@scenario(ACTIVITY_TASK_CANCEL_REQUESTED=1, ACTIVITY_TASK_COMPLETED=1, WORKFLOW_EXECUTION_CANCELED=1)
async def superstep_commits_while_it_is_cancelled(stage: Stage) -> None:
    # It would hear of the cancellation with its first heartbeat, after 15 seconds.
    thread, gate, following = await _held(stage, heartbeat_timeout=timedelta(minutes=1))
    await stage.run_of(thread).cancel()
    await stage.seen(thread, "ACTIVITY_TASK_CANCEL_REQUESTED")
    gate.let(1)
    with contextlib.suppress(RunCancelledError):
        await following
    await stage.keep(thread)


@scenario(ACTIVITY_TASK_CANCEL_REQUESTED=1, ACTIVITY_TASK_COMPLETED=1, WORKFLOW_EXECUTION_COMPLETED=1)
async def last_superstep_commits_while_it_is_cancelled(stage: Stage) -> None:
    thread, gate, following = await _held(stage, heartbeat_timeout=timedelta(minutes=1))
    await stage.run_of(thread).cancel()
    await stage.seen(thread, "ACTIVITY_TASK_CANCEL_REQUESTED")
    gate.end()
    await following
    await stage.keep(thread)


# Threads that are steered.


async def _sent(stage: Stage, thread: Checkpoint, when: str, name: str, key: str | None = None) -> None:
    message = {"message": key or thread.thread_id, "when_running": when, "message_id": name}
    await stage.run_of(thread).execute_update("message", message)


@scenario(ACTIVITY_TASK_COMPLETED=3, ACTIVITY_TASK_FAILED=1, WORKFLOW_EXECUTION_COMPLETED=1)
async def queued_messages(stage: Stage) -> None:
    """Updates, a signal, one that is sent again, one that is withdrawn; the run refuses one, and the worker another."""
    thread, gate, following = await _held(stage)
    other = GATES[f"{thread.thread_id}-other"] = Gate()
    await _sent(stage, thread, "enqueue", "first", f"{thread.thread_id}-other")
    await _sent(stage, thread, "enqueue", "first", f"{thread.thread_id}-other")
    await stage.run_of(thread).signal("message", {"message": f"{thread.thread_id}-other", "message_id": "second"})
    await stage.run_of(thread).signal("message", {"message": 7, "message_id": "misfit"})
    await stage.run_of(thread).signal("message", {"message": 7, "type": "elsewhere:Number", "message_id": "unfit"})
    await _sent(stage, thread, "enqueue", "third")
    await stage.run_of(thread).signal("withdraw", {"message_id": "third"})
    gate.end()
    await stage.seen_begun(other, 1)
    other.end()
    await stage.seen_begun(other, 2)
    await _sent(stage, thread, "enqueue", "first", f"{thread.thread_id}-other")
    other.let(1)
    await following
    await stage.ended(thread)
    await stage.keep(thread)


@scenario(runs=2, WORKFLOW_EXECUTION_CONTINUED_AS_NEW=1, ACTIVITY_TASK_FAILED=1, WORKFLOW_EXECUTION_COMPLETED=1)
async def messages_with_priorities(stage: Stage) -> None:
    """A run with a priority continues as new with that of a message; one that is refused leaves it as it was."""
    thread, gate, following = await _held(stage, priority=4, fairness_weight=2.0, supersteps_per_run=2)
    key = f"{thread.thread_id}-other"
    other = GATES[key] = Gate()
    messages: list[dict[str, Any]] = [
        {"message": key, "message_id": "first", "priority": 1, "fairness_key": "acme"},
        {"message": 7, "type": "elsewhere:Number", "message_id": "unfit", "priority": 5},
        {"message": key, "message_id": "last"},
    ]
    for message in messages:
        await stage.run_of(thread).execute_update("message", {**message, "when_running": "enqueue"})
    gate.end()
    other.end()
    other.let(1)
    await following
    await stage.ended(thread)
    await stage.keep(thread)


@scenario(ACTIVITY_TASK_CANCELED=1, ACTIVITY_TASK_COMPLETED=3, WORKFLOW_EXECUTION_COMPLETED=1)
async def cut_off_by_a_message(stage: Stage) -> None:
    await _cut_off(stage, "interrupt")


@scenario(ACTIVITY_TASK_CANCELED=1, ACTIVITY_TASK_COMPLETED=3, WORKFLOW_EXECUTION_COMPLETED=1)
async def rolled_back_for_a_message(stage: Stage) -> None:
    await _cut_off(stage, "rollback")


async def _cut_off(stage: Stage, when: str) -> None:
    """After a superstep of its turn; one message behind it in the queue, and a queue that is handed on."""
    thread, gate, following = await _held(stage, heartbeat_timeout=timedelta(seconds=1), supersteps_per_run=1)
    gate.let(1)
    await stage.seen_begun(gate, 2)
    for name in ("behind", "cuts"):
        GATES[f"{thread.thread_id}-{name}"] = Gate()
        GATES[f"{thread.thread_id}-{name}"].end()
    await _sent(stage, thread, "enqueue", "behind", f"{thread.thread_id}-behind")
    await _sent(stage, thread, when, "cuts", f"{thread.thread_id}-cuts")
    with contextlib.suppress(RunInterruptedError):
        await following
    await stage.ended(thread)
    await stage.keep(thread)


@scenario(runs=2, WORKFLOW_EXECUTION_CONTINUED_AS_NEW=1, WORKFLOW_EXECUTION_COMPLETED=1)
async def messages_at_their_bound(stage: Stage) -> None:
    """More signals than the queue takes, by count and by bytes; the run continues as new with those that it took."""
    thread, gate, following = await _held(stage, supersteps_per_run=1)
    key = f"{thread.thread_id}-many"
    many = GATES[key] = Gate()
    for number in range(limits.MAX_MESSAGES // 2):
        await stage.run_of(thread).signal("message", {"message": key, "message_id": f"small-{number}"})
    large = "x" * (limits.MAX_MESSAGES_BYTES // 3)
    for number in range(3):
        sent = {
            "message": key,
            "message_id": f"large-{number}",
            "responder": "ada",
            "client_kwargs": {"value": {"a": large}},
        }
        await stage.run_of(thread).signal("message", sent)
    for number in range(limits.MAX_MESSAGES):
        await stage.run_of(thread).signal("message", {"message": key, "message_id": f"more-{number}"})
    for number in range(limits.MAX_MESSAGES // 2 - 2):
        await stage.run_of(thread).signal("withdraw", {"message_id": f"more-{number}"})
    for number in range(limits.MAX_MESSAGES // 2):
        await stage.run_of(thread).signal("withdraw", {"message_id": f"small-{number}"})
    gate.let(1)
    await stage.seen_begun(gate, 2)
    many.end()
    many.let(2)
    gate.end()
    await following
    await stage.ended(thread)
    await stage.keep(thread)


@scenario(runs=3, WORKFLOW_EXECUTION_CONTINUED_AS_NEW=2, WORKFLOW_EXECUTION_COMPLETED=1)
async def paused_and_continued(stage: Stage) -> None:
    """On request and at a breakpoint; while it is held it continues as new."""
    thread, gate, following = await _held(stage, supersteps_per_run=1)
    await stage.run_of(thread).signal("pause", {"reason": "to look"})
    gate.let(1)
    await _is_held(stage, thread)
    first = (await stage.run_of(thread).describe()).run_id
    for _ in range(3):
        await stage.run_of(thread).signal("respond", {"request_id": 7, "response": LARGE})
    while not await stage.moved(thread, first):
        await asyncio.sleep(0.05)
    await _is_held(stage, thread)
    await stage.run_of(thread).execute_update("breakpoints", {"executors": ["p?ng"]})
    await stage.run_of(thread).execute_update("continue")
    await stage.seen_begun(gate, 2)
    gate.let(1)
    await _is_held(stage, thread)
    await stage.run_of(thread).execute_update("breakpoints", {"executors": []})
    await stage.run_of(thread).signal("continue")
    await stage.seen_begun(gate, 3)
    gate.end()
    await following
    await stage.keep(thread)


@scenario(ACTIVITY_TASK_CANCELED=1, ACTIVITY_TASK_COMPLETED=2, WORKFLOW_EXECUTION_COMPLETED=1)
async def messages_that_cut_each_other_off(stage: Stage) -> None:
    """Two in the queue when the first of them has its turn: its superstep is in no history."""
    thread, gate, following = await _held(stage, heartbeat_timeout=timedelta(seconds=1))
    gate.let(1)
    await stage.seen_begun(gate, 2)
    await stage.run_of(thread).signal("pause")
    for when in ("rollback", "interrupt"):
        GATES[f"{thread.thread_id}-{when}"] = Gate()
        GATES[f"{thread.thread_id}-{when}"].end()
        await _sent(stage, thread, when, when, f"{thread.thread_id}-{when}")
    await _is_held(stage, thread)
    await stage.run_of(thread).signal("continue")
    with contextlib.suppress(RunInterruptedError):
        await following
    await stage.ended(thread)
    await stage.keep(thread)


@scenario(runs=1, ACTIVITY_TASK_COMPLETED=2, WORKFLOW_EXECUTION_COMPLETED=1)
async def breakpoints_of_one_who_knows_only_the_name(stage: Stage) -> None:
    """A worker is asked whom the message reaches first."""
    named = DurableWorkflow(
        "looping", client=stage.client, task_queue=stage.task_queue, search_attributes=False, breakpoints=["ping"]
    )
    thread = named.checkpoint()
    gate = GATES[thread.thread_id] = Gate()
    gate.end()
    following = asyncio.ensure_future(named.run(thread.thread_id, checkpoint=thread))
    await _has_begun(stage, thread)
    await _is_held(stage, thread)
    await stage.run_of(thread).signal("continue")
    await following
    await stage.keep(thread)


@scenario(runs=3, WORKFLOW_EXECUTION_CONTINUED_AS_NEW=1, WORKFLOW_EXECUTION_COMPLETED=2)
async def edited_in_place(stage: Stage) -> None:
    """While it waits, by an update that ends the run; and when it is idle, by the next run."""
    durable, thread = await _waiting_shop(stage, "pen")
    await durable.edit(thread, edit={"state": {"orders": 5}}, edited_by="ada")
    await stage.waits(thread)
    await durable.run(responses={"approve-pen": GOOD}, checkpoint=thread)
    await durable.edit(thread, edit={"state": {"orders": 6}}, edited_by="ada")
    await stage.ended(thread)
    await stage.keep(thread)


async def _has_begun(stage: Stage, thread: Checkpoint) -> None:
    async with asyncio.timeout(10):
        while True:
            with contextlib.suppress(RPCError):
                await stage.run_of(thread).describe()
                return
            await asyncio.sleep(0.05)


async def _is_held(stage: Stage, thread: Checkpoint) -> None:
    while (await stage.run_of(thread).query("status"))["state"] != "paused":
        await asyncio.sleep(0.05)


# Workers that are lost.


@scenario(ACTIVITY_TASK_COMPLETED=4, WORKFLOW_EXECUTION_COMPLETED=1)
async def lost_worker(stage: Stage) -> None:
    task_queue = unique("queue")
    with tempfile.TemporaryDirectory() as folder:
        ledger = Path(folder) / "ledger"
        only = ("tests.flows:chain",)
        async with worker_process(stage.client, task_queue, ledger, delay=0.5, workflows=only) as first:
            durable = stage.durable(chain, task_queue=task_queue, heartbeat_timeout=timedelta(seconds=1))
            thread = durable.checkpoint()
            running = asyncio.ensure_future(durable.run("a", checkpoint=thread))
            while not ledger.exists() or "begin second" not in ledger.read_text():
                await asyncio.sleep(0.02)
            first.send_signal(signal.SIGKILL)
            await first.wait()
        async with worker_process(stage.client, task_queue, ledger, workflows=only):
            await running
    await stage.keep(thread)


# Runs that continue as new.


@scenario(runs=3, WORKFLOW_EXECUTION_CONTINUED_AS_NEW=2)
async def continued_after_supersteps(stage: Stage) -> None:
    durable = stage.durable(countdown, supersteps_per_run=3)
    thread = durable.checkpoint()
    await durable.run(7, checkpoint=thread)
    await stage.keep(thread)


@scenario(runs=2, WORKFLOW_EXECUTION_CONTINUED_AS_NEW=1)
async def continued_by_size(stage: Stage) -> None:
    durable = stage.durable(countdown, history_bytes_per_run=15_000)
    thread = durable.checkpoint()
    await durable.run(6, checkpoint=thread)
    await stage.keep(thread)


@scenario(runs=2, WORKFLOW_EXECUTION_CONTINUED_AS_NEW=1)
async def continued_when_the_server_suggests_it(stage: Stage) -> None:
    suggest = ("--dynamic-config-value", "limit.historyCount.suggestContinueAsNew=25")
    async with await start_dev_server(log_level="never", extra_args=suggest) as server:
        client = await server.connect(identity=stage.client.identity)
        async with worker(client, countdown) as task_queue:
            durable = DurableWorkflow(countdown, client=client, task_queue=task_queue, search_attributes=False)
            thread = durable.checkpoint()
            await durable.run(6, checkpoint=thread)
            await stage.keep(thread, client=client)


@scenario(runs=2, WORKFLOW_EXECUTION_CONTINUED_AS_NEW=1)
async def flooded_between_supersteps(stage: Stage) -> None:
    thread, gate, following = await _held(stage)
    for _ in range(3):
        await stage.run_of(thread).signal("respond", {"request_id": 7, "response": LARGE})
    gate.let(1)
    await stage.seen_begun(gate, 2)
    gate.end()
    await following
    await stage.keep(thread)


@scenario(runs=2, WORKFLOW_EXECUTION_CONTINUED_AS_NEW=1)
async def grown_while_waiting_by_bytes(stage: Stage) -> None:
    """By answers that are refused: each is in history several times."""
    durable, thread = await _waiting_shop(stage, "pen", "ink", history_bytes_per_run=1_000, **TIMED)
    run, first = stage.run_of(thread), thread.run_id or ""
    await run.signal("respond", approval("later"))
    while not await stage.moved(thread, first):
        await run.signal("respond", {"request_id": "approve-ink", "response": LARGE[:60_000]})
        await stage.waits(thread)
    await durable.run(responses={"approve-pen": Decision(approved=False)}, checkpoint=thread)
    await durable.run(responses={"approve-ink": GOOD}, checkpoint=thread)
    await stage.keep(thread)


@scenario(runs=2, WORKFLOW_EXECUTION_CONTINUED_AS_NEW=1)
async def grown_while_waiting_by_events(stage: Stage) -> None:
    """By small signals that are looked at one by one, so that each takes several events."""
    durable, thread = await _waiting_shop(stage, "pen", history_bytes_per_run=1_000)
    run, first = stage.run_of(thread), thread.run_id or ""
    for number in itertools.count(1):
        await run.signal("retry")
        await run.query("status")
        if await stage.moved(thread, first):
            break
        if number % 70 == 0:  # A superstep that a run does not get to which continues as new too early.
            await run.signal("respond", {"request_id": "approve-pen", "response": "no decision"})
    await durable.run(responses={"approve-pen": GOOD}, checkpoint=thread)
    await stage.keep(thread)


@scenario(runs=2, WORKFLOW_EXECUTION_CONTINUED_AS_NEW=1)
async def flooded_while_waiting_by_count(stage: Stage) -> None:
    durable, thread = await _waiting_shop(stage, "pen", "ink")
    run, first = stage.run_of(thread), thread.run_id or ""
    while not await stage.moved(thread, first):
        await asyncio.gather(*(run.signal("retry") for _ in range(25)))
        # A superstep that a run does not get to which continues as new too early.
        await run.signal("respond", {"request_id": "approve-ink", "response": "no decision"})
    await durable.run(responses={"approve-pen": GOOD, "approve-ink": GOOD}, checkpoint=thread)
    await stage.keep(thread)


@scenario(runs=2, WORKFLOW_EXECUTION_CONTINUED_AS_NEW=1)
async def flooded_while_waiting_by_bytes(stage: Stage) -> None:
    durable, thread = await _waiting_shop(stage, "pen", "ink")
    run, first = stage.run_of(thread), thread.run_id or ""
    while not await stage.moved(thread, first):
        await run.signal("respond", {"request_id": 7, "response": LARGE[:60_000]})
        await run.signal("respond", {"request_id": "approve-ink", "response": "no decision"})
        await run.query("status")
    await durable.run(responses={"approve-pen": GOOD}, checkpoint=thread)
    await durable.run(responses={"approve-ink": GOOD}, checkpoint=thread)
    await stage.keep(thread)


@scenario(runs=2, TIMER_FIRED=1, WORKFLOW_EXECUTION_CONTINUED_AS_NEW=1)
async def flooded_in_one_workflow_task(stage: Stage) -> None:
    """It continues as new in the first lull."""
    task_queue = unique("queue")
    async with worker(stage.client, asking, task_queue=task_queue):
        _, thread = await _asked(stage, "a", task_queue=task_queue)
    run, first = stage.run_of(thread), thread.run_id or ""
    for _ in range(limits.CALM_SIGNALS + 1):
        await run.signal("respond", {"request_id": 7, "response": LARGE})
    async with worker(stage.client, asking, task_queue=task_queue):
        while not await stage.moved(thread, first):
            await asyncio.sleep(0.05)
        await run.signal("respond", answer("a"))
        await run.result()
    await stage.keep(thread)


@scenario(runs=2, WORKFLOW_EXECUTION_CONTINUED_AS_NEW=1, WORKFLOW_EXECUTION_COMPLETED=1)
async def early_answer_that_is_handed_on(stage: Stage) -> None:
    _, thread = await _asked(stage, "first")
    run, first = stage.run_of(thread), thread.run_id or ""
    await run.signal("respond", answer("second"))
    while not await stage.moved(thread, first):
        await run.signal("respond", {"request_id": 7, "response": LARGE})
    await run.signal("respond", answer("first", "second"))
    await run.result()
    await stage.keep(thread)


# Search attributes.


@scenario(ACTIVITY_TASK_COMPLETED=3, WORKFLOW_EXECUTION_SIGNALED=2, WORKFLOW_EXECUTION_COMPLETED=1)
async def functional_workflow(stage: Stage) -> None:
    durable = stage.durable(review)
    thread = durable.checkpoint()
    await durable.run("tides", checkpoint=thread)
    await stage.run_of(thread).signal("respond", {"request_id": "auto::0", "response": {"accepted": True}})
    while [request.request_id for request in await durable.pending_requests(thread)] != ["auto::1"]:
        await asyncio.sleep(0.05)
    await durable.run(responses={"auto::1": "Ann"}, checkpoint=thread)
    await stage.keep(thread)


@scenario(runs=3, UPSERT_WORKFLOW_SEARCH_ATTRIBUTES=6, WORKFLOW_EXECUTION_CONTINUED_AS_NEW=1)
async def search_attributes(stage: Stage) -> None:
    await register_search_attributes(stage.client)
    durable, thread = await _waiting_shop(stage, "pen", "ink", search_attributes=True)
    run, first = stage.run_of(thread), thread.run_id or ""
    await durable.run(responses={"approve-pen": GOOD}, checkpoint=thread)
    while not await stage.moved(thread, first):
        await run.signal("respond", {"request_id": 7, "response": LARGE})
    await durable.run(responses={"approve-ink": GOOD}, checkpoint=thread)
    failing = stage.durable(echo, search_attributes=True, max_attempts=1, pause_on_failure=True)
    paused = failing.checkpoint()
    with contextlib.suppress(ValueError):
        await failing.run("fail", checkpoint=paused)
    await stage.keep(thread, paused)


# Bursts.


_BURST: dict[str, Any] = {"burst": timedelta(minutes=1)}


@scenario(runs=5, WORKFLOW_EXECUTION_CONTINUED_AS_NEW=2, ACTIVITY_TASK_CANCEL_REQUESTED=1, ACTIVITY_TASK_FAILED=1)
async def bursts(stage: Stage) -> None:
    """Runs of some supersteps, one whose second superstep fails for good, and one that is paused in the middle."""
    counting = stage.durable(countdown, supersteps_per_run=5, **_BURST)
    counted = counting.checkpoint()
    await counting.run(11, checkpoint=counted)
    failing = stage.durable(frail, max_attempts=1, pause_on_failure=True, **_BURST)
    failed = failing.checkpoint()
    FAILING.add("two burst")
    with contextlib.suppress(ValueError):
        await failing.run("burst", checkpoint=failed)
    FAILING.discard("two burst")
    await failing.retry(failed.thread_id)
    await stage.ended(failed)
    paused, gate, following = await _held(stage, **_BURST)
    await stage.run_of(paused).execute_update("pause")
    gate.let(1)
    while (await stage.run_of(paused).query("status"))["state"] != "paused":
        await asyncio.sleep(0.02)
    await stage.run_of(paused).execute_update("continue")
    gate.end()
    await following
    await stage.keep(counted, failed, paused)


# Worker deployment versions.


def _asks_for_upgrade(event: HistoryEvent) -> bool:
    payloads = event.activity_task_scheduled_event_attributes.input.payloads
    return any(b'"mode":"upgrade"' in payload.data for payload in payloads)


async def _let_until(gate: Gate, found: Awaitable[None]) -> None:
    """Let supersteps end one by one until something is found."""
    finding = asyncio.ensure_future(found)
    while not finding.done():
        gate.let(1)
        await asyncio.wait([finding], timeout=0.3)
    await finding


@scenario(runs=2, WORKFLOW_EXECUTION_CONTINUED_AS_NEW=1)
async def upgraded_between_supersteps(stage: Stage) -> None:
    """It asks, is refused, asks again some supersteps later, and moves."""
    deployment = unique("deployment")
    async with deployed_worker(stage.client, deployment, "1", looping):
        thread, gate, following = await _held(stage, task_queue=deployment)
        async with deployed_worker(stage.client, deployment, "2", looping_otherwise):
            await _let_until(gate, stage.seen(thread, "ACTIVITY_TASK_SCHEDULED", 1, _asks_for_upgrade))
        async with deployed_worker(stage.client, deployment, "3", looping):
            first = thread.run_id or ""
            while not await stage.moved(thread, first):
                gate.let(1)
                await stage.seen_begun(gate, gate.begun + 1)
            gate.end()
            await following
    await stage.keep(thread)


@scenario(runs=2, WORKFLOW_EXECUTION_CONTINUED_AS_NEW=1)
async def upgraded_while_waiting(stage: Stage) -> None:
    deployment = unique("deployment")
    async with deployed_worker(stage.client, deployment, "1", asking):
        durable, thread = await _asked(stage, "q0", task_queue=deployment)
        async with deployed_worker(stage.client, deployment, "2", asking):
            first = thread.run_id or ""
            for number in itertools.count():
                await durable.run(responses={f"q{number}": Ask(ask=[f"q{number + 1}"])}, checkpoint=thread)
                if await stage.moved(thread, first):
                    break
            await durable.run(responses={f"q{number + 1}": Ask()}, checkpoint=thread)
    await stage.keep(thread)
