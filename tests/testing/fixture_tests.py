"""Tests of a user, which `test_pytest_plugin` has pytest run in a folder of their own; here they are not collected."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Never

import pytest
import pytest_asyncio
from agent_framework import Workflow, WorkflowBuilder, WorkflowContext, executor
from agent_framework_temporal import DurableWorkflow, HostingError
from agent_framework_temporal.testing import DurableFactory, SharedTestEnvironment, assert_same_as_in_process


@executor(id="shouter")
async def shouter(text: str, ctx: WorkflowContext[Never, str]) -> None:
    await ctx.yield_output(text.upper())


def build() -> Workflow:
    return WorkflowBuilder(name="shout", start_executor=shouter, output_from=[shouter]).build()


async def check(durable: DurableFactory, durable_env: SharedTestEnvironment) -> None:
    shout = durable(build)
    assert (await shout.run("a")).get_outputs() == ["A"]
    checkpoint = shout.checkpoint()
    assert [event.type async for event in shout.run_stream("b", checkpoint=checkpoint)][-1] == "status"
    await durable_env.replay(checkpoint)
    await assert_same_as_in_process(build, ["c"], durable_env)


def test_in_a_test_that_is_not_async(durable: DurableFactory, durable_env: SharedTestEnvironment) -> None:
    shout = durable(build, replay_each_task=True, plugin={"sandboxed": True})
    assert durable_env.run(shout.run("a")).get_outputs() == ["A"]
    durable_env.run(check(durable, durable_env))
    with pytest.raises(ValueError, match="from a task"):
        durable_env.run(_fail())


async def _fail() -> None:
    raise ValueError("from a task")


def test_a_facade_has_a_fresh_thread(durable: DurableFactory, durable_env: SharedTestEnvironment) -> None:
    one, other = durable(build), durable(build)
    for facade in (one, other):
        durable_env.run(facade.run("a"))

    async def found() -> int:
        return len([thread async for thread in one.threads()])

    assert one.get_last_checkpoint_id() != other.get_last_checkpoint_id()
    assert durable_env.run(found()) >= 2


@pytest.mark.asyncio
async def test_on_a_loop_of_a_function(durable: DurableFactory, durable_env: SharedTestEnvironment) -> None:
    await check(durable, durable_env)
    nothing = asyncio.get_running_loop().create_future()
    with pytest.raises(RuntimeError, match="use `await`"):
        durable_env.run(nothing)


@pytest.mark.asyncio(loop_scope="class")
class TestOnALoopOfAClass:
    async def test_it(self, durable: DurableFactory, durable_env: SharedTestEnvironment) -> None:
        await check(durable, durable_env)


@pytest.mark.asyncio(loop_scope="module")
async def test_on_a_loop_of_a_module(durable: DurableFactory, durable_env: SharedTestEnvironment) -> None:
    await check(durable, durable_env)


@pytest_asyncio.fixture(loop_scope="session")
async def shout(durable: DurableFactory) -> AsyncIterator[DurableWorkflow]:
    """A user's own async fixture of another loop."""
    facade = durable(build)
    await facade.run("before")
    yield facade
    await facade.run("after")


@pytest.mark.asyncio(loop_scope="session")
async def test_on_a_loop_of_the_session(shout: DurableWorkflow, durable: DurableFactory) -> None:
    assert (await shout.run("a")).get_outputs() == ["A"]
    assert (await durable(build).run("b")).get_outputs() == ["B"]


@pytest.mark.asyncio
async def test_in_its_own_loop(durable_env: SharedTestEnvironment) -> None:
    gate = asyncio.Event()

    @executor(id="waiter")
    async def waiter(text: str, ctx: WorkflowContext[Never, str]) -> None:
        await gate.wait()
        await ctx.yield_output(text)

    def build_waiting() -> Workflow:
        return WorkflowBuilder(name="waiting", start_executor=waiter, output_from=[waiter]).build()

    async with durable_env.host([build_waiting]) as environment:
        run = asyncio.ensure_future(environment.durable(build_waiting).run("a"))
        await asyncio.sleep(0)
        gate.set()
        assert (await run).get_outputs() == ["a"]
    with pytest.raises(HostingError, match="hosts no workflows"):
        durable_env.durable(build_waiting)


@pytest.fixture
def anyio_backend() -> str:
    return "asyncio"


@pytest.mark.anyio
async def test_with_anyio(durable: DurableFactory, durable_env: SharedTestEnvironment) -> None:
    await check(durable, durable_env)
