"""Hosting: each workflow that cannot be hosted is refused with its reason, before anything runs."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from agent_framework import (
    AgentExecutor,
    Executor,
    Workflow,
    WorkflowBuilder,
    WorkflowContext,
    WorkflowExecutor,
    handler,
)
from agent_framework.orchestrations import (
    ConcurrentBuilder,
    GroupChatBuilder,
    HandoffBuilder,
    MagenticBuilder,
    SequentialBuilder,
)
from agent_framework_temporal import HostingError, WorkflowNotHostedError
from agent_framework_temporal.activities.hosting import find, host, host_all
from agent_framework_temporal.adapter.framework.definition import build, build_now, define
from agent_framework_temporal.adapter.framework.graph import graph_differences
from pydantic import BaseModel

from tests.parity.gallery import GALLERY, Row
from tests.parity.gallery._scripted import Prompt, Reply, scripted_agent


class Note(BaseModel):
    text: str


class First(Executor):
    @handler
    async def take(self, text: str, ctx: WorkflowContext[str]) -> None:
        """Take a text."""


class Second(First):
    """Of another class."""


class Remembering(First):
    """Hands out its own list, as the framework's agent executor does."""

    def __init__(self, id: str) -> None:
        super().__init__(id=id)
        self.notes: list[Any] = []

    async def on_checkpoint_save(self) -> dict[str, Any]:
        return {"notes": self.notes}


class Broken(First):
    async def on_checkpoint_save(self) -> dict[str, Any]:
        raise LookupError("no state")


def _workflow(name: str | None = "hosted", start: Executor | None = None, *others: Executor) -> Workflow:
    start = start or First(id="first")
    builder = WorkflowBuilder(name=name, start_executor=start)
    return (builder.add_chain([start, *others]) if others else builder).build()


def _alternating(*builds: Callable[[], Workflow]) -> Callable[[], Workflow]:
    turns = itertools.cycle(builds)
    return lambda: next(turns)()


def _answer(prompt: Prompt) -> Reply:
    return Reply("")


@pytest.mark.parametrize("gallery_row", GALLERY, ids=lambda row: row.name)
async def test_every_gallery_row_can_be_hosted(gallery_row: Row) -> None:
    hosted = await host(gallery_row.build)
    assert hosted.name == gallery_row.name
    assert not hosted.is_instance


@pytest.mark.parametrize("build", [lambda: _workflow("a\ud800"), lambda: _workflow("a", First(id="f\udfff"))])
async def test_names_that_nobody_could_write_down_are_refused(build: Callable[[], Workflow]) -> None:
    with pytest.raises(HostingError, match="is not valid Unicode"):
        await host(build)


async def test_a_factory_gives_each_superstep_its_own_instance() -> None:
    hosted = await host(_workflow)
    async with hosted.acquire() as first, hosted.acquire() as second:
        assert first is not second


async def test_an_async_factory_is_awaited() -> None:
    async def make() -> Workflow:
        await asyncio.sleep(0)
        return _workflow()

    hosted = await host(make)
    async with hosted.acquire() as workflow:
        assert workflow.name == "hosted"


async def test_an_instance_serves_one_superstep_at_a_time() -> None:
    instance = _workflow()
    hosted = await host(instance)
    assert hosted.is_instance
    order: list[str] = []

    async def use(name: str) -> None:
        async with hosted.acquire() as workflow:
            assert workflow is instance
            order.append(f"{name} begins")
            await asyncio.sleep(0.01)
            order.append(f"{name} ends")

    await asyncio.gather(use("a"), use("b"))
    assert order == ["a begins", "a ends", "b begins", "b ends"]


async def test_the_first_state_of_an_instance_stays_as_it_was() -> None:
    start = Remembering(id="first")
    hosted = await host(_workflow("remembering", start))
    start.notes.append("of one thread")
    given = hosted.pristine_state
    assert given == {"first": {"notes": []}}
    given["first"]["notes"].append("restored and filled")
    assert hosted.pristine_state == {"first": {"notes": []}}


# What is refused.


@pytest.mark.parametrize("name", [None, ""])
async def test_a_name_the_builder_made_up_is_refused(name: str | None) -> None:
    with pytest.raises(HostingError, match=r"'WorkflowBuilder-.*' is auto-generated.*WorkflowBuilder\(name=\.\.\.\)"):
        await host(lambda: _workflow(name))


def _orchestrations() -> dict[str, Callable[[], Workflow]]:
    def agents() -> list[Any]:
        persistent = {"require_per_service_call_history_persistence": True}
        return [scripted_agent(name, _answer, **persistent) for name in ("ada", "bob")]

    return {
        "sequential": lambda: SequentialBuilder(participants=agents()).build(),
        "concurrent": lambda: ConcurrentBuilder(participants=agents()).build(),
        "group chat": lambda: GroupChatBuilder(participants=agents(), selection_func=lambda state: "ada").build(),
        "handoff": lambda: HandoffBuilder(participants=(pair := agents())).with_start_agent(pair[0]).build(),
        "magentic": lambda: MagenticBuilder(
            participants=agents(), manager_agent=scripted_agent("boss", _answer)
        ).build(),
    }


@pytest.mark.parametrize("name", _orchestrations())
async def test_the_default_name_of_an_orchestration_is_stable_but_only_one_may_have_it(name: str) -> None:
    """The orchestration builders name their workflows by kind and not by chance; the agents here have names."""
    factory = _orchestrations()[name]
    assert (await host(factory)).name == factory().name
    with pytest.raises(HostingError, match=r"Two workflows are named .*an orchestration builder without it"):
        await host_all([factory, _orchestrations()[name]])


@pytest.mark.parametrize("name", ["invoice-2026", "WorkflowBuilder-demo", "a", "deadbeef"])
async def test_a_name_of_ones_own_is_taken_as_it_is(name: str) -> None:
    assert (await host(lambda: _workflow(name))).name == name


async def test_two_workflows_of_one_name_are_refused() -> None:
    with pytest.raises(HostingError, match="Two workflows are named 'hosted'"):
        await host_all([_workflow, _workflow()])
    assert sorted(await host_all([_workflow, lambda: _workflow("other")])) == ["hosted", "other"]


@pytest.mark.parametrize(
    ("second", "difference"),
    [
        (lambda: _workflow("hosted", Second(id="first"), First(id="last")), "executor 'first' changed from"),
        (
            lambda: _workflow("hosted", First(id="first"), First(id="other")),
            "executor 'last' removed; executor 'other' added; edge first -> last",
        ),
        (lambda: _workflow("hosted", First(id="first")), "executor 'last' removed"),
        (lambda: _workflow("hosted", First(id="last"), First(id="first")), "start executor 'first' became 'last'"),
        (
            lambda: _workflow("renamed", First(id="first"), First(id="last")),
            "'hosted' first and 'renamed' the second time",
        ),
    ],
)
async def test_a_factory_that_builds_something_else_each_time_is_refused(
    second: Callable[[], Workflow], difference: str
) -> None:
    factory = _alternating(lambda: _workflow("hosted", First(id="first"), First(id="last")), second)
    with pytest.raises(HostingError, match=r"^Factory ") as caught:
        await host(factory)
    assert difference in str(caught.value)


async def test_an_unnamed_agent_is_told_to_have_a_name() -> None:
    def unnamed() -> Workflow:
        agent = scripted_agent("x", _answer)
        agent.id, agent.name = f"agent-{next(counter)}", None
        return WorkflowBuilder(name="hosted", start_executor=AgentExecutor(agent)).build()

    counter = itertools.count()
    with pytest.raises(HostingError, match="Give every executor and every agent an explicit id or name"):
        await host(unnamed)


async def test_a_difference_in_a_sub_workflow_is_named() -> None:
    def parent(child: str) -> Workflow:
        inner = _workflow("child", First(id=child))
        return WorkflowBuilder(name="parent", start_executor=WorkflowExecutor(inner, id="sub")).build()

    before, after = parent("one").graph_signature, parent("two").graph_signature
    differences = graph_differences(before, after)
    assert "in sub-workflow 'sub': executor 'one' removed" in differences
    assert graph_differences(before, before) == []


def test_a_graph_of_another_release_is_still_compared() -> None:
    signature = _workflow().graph_signature
    assert graph_differences({}, signature)
    assert graph_differences(signature, {**signature, "added in a later release": 1}) == ["edge groups changed"]


async def test_a_factory_that_shares_executors_is_refused() -> None:
    shared = _Shared(id="shared")

    def build() -> Workflow:
        return WorkflowBuilder(name="sharing", start_executor=shared).build()

    with pytest.raises(HostingError, match=r"share their state: \['shared'\]. Create them in the factory"):
        await host(build)


class _Shared(Executor):
    @handler
    async def take(self, text: str, ctx: WorkflowContext) -> None: ...


async def test_a_factory_that_gives_the_same_instance_is_refused() -> None:
    instance = _workflow()
    with pytest.raises(HostingError, match=r"returns the same Workflow instance each time.*pass the instance itself"):
        await host(lambda: instance)


def _raising() -> Workflow:
    raise ConnectionError("no configuration")


async def _raising_later() -> Workflow:
    raise ConnectionError("no configuration")


@pytest.mark.parametrize(
    ("entry", "text"),
    [
        (_raising, "Factory '_raising' raised ConnectionError: no configuration"),
        (_raising_later, "Factory '_raising_later' raised ConnectionError: no configuration"),
        (
            lambda: WorkflowBuilder(name="x", start_executor=First(id="a")),
            r"not a Workflow\. Return `builder.build\(\)`",
        ),
        (lambda: None, "returned 'NoneType', not a Workflow"),
        (lambda needed: _workflow(), "raised TypeError: .*needed"),
        (First(id="a"), "is neither a workflow nor a factory"),
        ("module:attribute", "is neither a workflow nor a factory"),
        (lambda: _workflow("w", Broken(id="b")), "on_checkpoint_save of executor 'b' raised LookupError: no state"),
    ],
)
async def test_an_entry_that_is_no_workflow_is_refused(entry: Any, text: str) -> None:
    with pytest.raises(HostingError, match=text):
        await host(entry)


async def test_a_class_local_to_a_function_is_refused() -> None:
    class Local(BaseModel):
        x: int

    class Taker(Executor):
        @handler(input=Local)
        async def take(self, value: Any, ctx: WorkflowContext) -> None:
            """Declare the type."""

    with pytest.raises(HostingError, match=r"<locals>.Local.*Move the class to module level"):
        await host(lambda: _workflow("local", Taker(id="taker")))


async def test_an_unknown_name_lists_what_is_hosted() -> None:
    hosted = await host_all([lambda: _workflow("b"), lambda: _workflow("a")])
    assert find(hosted, "a").name == "a"
    with pytest.raises(WorkflowNotHostedError, match=r"does not host workflow 'c'; it hosts \['a', 'b'\]"):
        find(hosted, "c")


async def test_a_caller_builds_once() -> None:
    built: list[Workflow] = []

    def factory() -> Workflow:
        built.append(_workflow())
        return built[-1]

    assert (await define(factory)).name == "hosted"
    assert len(built) == 1
    entry, name = build_now(factory)
    assert (entry, name) == (built[1], "hosted")


async def test_an_async_factory_is_not_called_outside_a_loop() -> None:
    async def make() -> Workflow:
        raise AssertionError("called")

    assert build_now(make) == (make, None)
    wrapped = partial(make)
    assert build_now(wrapped) == (wrapped, None)
    instance = _workflow()
    assert await build(instance) is instance
    assert build_now(instance) == (instance, "hosted")
