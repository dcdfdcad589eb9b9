"""Environment, scripted client, comparison, replay and skipped time, as a user's tests use them."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Never

import pytest
from agent_framework import Workflow, WorkflowBuilder, WorkflowContext, executor
from agent_framework_temporal import RequestPolicy
from agent_framework_temporal.testing import (
    Call,
    DurableTestEnvironment,
    Prompt,
    Reply,
    ToolCall,
    assert_same_as_in_process,
    replay_history,
    scripted_agent,
)

from tests.flows import Decision, Order, chain, echo, shop
from tests.replay.store import stored


def weather(city: str) -> str:
    """Tell the weather of a city."""
    return f"rain in {city}"


def _script(prompt: Prompt) -> Reply:
    if prompt.tool_results:
        return Reply(f"It will {prompt.tool_results[-1]}.")
    return Reply(calls=(ToolCall("weather", {"city": prompt.user_texts[-1]}),))


def forecast() -> Workflow:
    agent = scripted_agent("forecaster", _script, tools=[weather])
    return WorkflowBuilder(name="forecast", start_executor=agent).build()


_counter = itertools.count()


@executor(id="counter")
async def counter(text: str, ctx: WorkflowContext[Never, int]) -> None:
    await ctx.yield_output(next(_counter))


def impure() -> Workflow:
    return WorkflowBuilder(name="impure", start_executor=counter, output_from=[counter]).build()


@pytest.fixture(scope="module")
async def environment() -> AsyncIterator[DurableTestEnvironment]:
    async with DurableTestEnvironment.start([chain, echo, forecast, impure, shop]) as started:
        yield started


async def test_agents_answer_by_a_script(environment: DurableTestEnvironment) -> None:
    durable = environment.durable(forecast)
    checkpoint = durable.checkpoint()
    result = await durable.run("Kiel", checkpoint=checkpoint)
    assert str(result.get_outputs()[0].text) == "It will rain in Kiel."
    await environment.replay(checkpoint)


async def test_a_reply_that_takes_time_is_the_same_reply() -> None:
    quick = scripted_agent("a", lambda _: Reply("one two"))
    slow = scripted_agent("a", lambda _: Reply("one two", seconds=0.02))
    assert (await slow.run("x")).to_json() == (await quick.run("x")).to_json()
    pieces = [[update.text async for update in agent.run("x", stream=True)] for agent in (quick, slow)]
    assert pieces[0] == pieces[1] == ["one", " two", ""]


async def test_a_durable_run_is_the_same(environment: DurableTestEnvironment) -> None:
    await assert_same_as_in_process(forecast, ["Kiel", Call(message="Bonn", stream=True)], environment)
    await assert_same_as_in_process(echo, ["a", "fail", "b"], environment)
    calls = [
        Call(message=Order(item="kettle")),
        Call(responses=lambda pending: {name: Decision(approved=True) for name in pending}),
        Call(responses={"unknown": Decision(approved=True)}),
    ]
    await assert_same_as_in_process(shop, calls, environment)


async def test_a_difference_is_shown(environment: DurableTestEnvironment) -> None:
    with pytest.raises(AssertionError, match=r"(?s)--- in process\n\+\+\+ on Temporal.*-.*1.*\+.*0"):
        await assert_same_as_in_process(impure, ["a"], environment)
    with pytest.raises(ValueError, match="Give the factory"):
        await assert_same_as_in_process(echo(), ["a"], environment)


async def test_it_starts_what_it_needs() -> None:
    await assert_same_as_in_process(chain, ["a"])


async def test_nothing_may_be_kept_between_supersteps() -> None:
    async with DurableTestEnvironment.start([chain], replay_each_task=True) as environment:
        assert (await environment.durable(chain).run("a")).get_outputs() == ["a>first>second>third done"]


async def test_deadlines_come_without_waiting(environment: DurableTestEnvironment) -> None:
    policy = RequestPolicy(
        remind_after=timedelta(days=1),
        deadline=timedelta(days=3),
        on_deadline="default",
        default=Decision(approved=False, by="the clock"),
    )
    durable = environment.durable(shop, requests=policy)
    checkpoint = durable.checkpoint()
    await durable.run(Order(item="kettle"), checkpoint=checkpoint)
    await environment.skip_time(checkpoint, timedelta(days=2))
    [request] = await durable.pending_requests(checkpoint)
    assert request.reminded_at is not None
    await environment.skip_time(checkpoint, timedelta(days=2))
    assert (await durable.run(checkpoint=checkpoint)).get_outputs() == ["kettle refused by the clock, order 1"]


async def test_replays_a_file() -> None:
    path = next(run.path for run in stored() if run.path.suffix == ".json")
    await replay_history(path)
    await replay_history(str(path))
