"""A worker that cannot host its workflows says so at once, wherever they are given, and harms no run."""

from __future__ import annotations

import asyncio
import re
from typing import Any

import pytest
from agent_framework import Executor, Workflow, WorkflowBuilder, WorkflowContext, handler
from agent_framework.orchestrations import SequentialBuilder
from agent_framework_temporal import AgentFrameworkPlugin, DurableWorkflow, HostingError
from agent_framework_temporal.testing import (
    DurableTestEnvironment,
    Reply,
    environment,
    scripted_agent,
)
from temporalio.client import Client
from temporalio.worker import Worker

from tests.flows import echo
from tests.support import unique, worker


class Unsaved(Executor):
    @handler
    async def take(self, text: str, ctx: WorkflowContext) -> None:
        """Take a text."""

    async def on_checkpoint_save(self) -> dict[str, Any]:
        raise LookupError("no state")


def unnamed() -> Workflow:
    """Build a workflow as the framework's samples do."""
    return WorkflowBuilder(start_executor=echo().get_start_executor()).build()


async def unnamed_later() -> Workflow:
    """Build it in a loop."""
    await asyncio.sleep(0)
    return unnamed()


def unsaved() -> Workflow:
    """Build a workflow that only a loop can tell the fault of."""
    return WorkflowBuilder(name="unsaved", start_executor=Unsaved(id="unsaved")).build()


async def exiting() -> Workflow:
    """End the program instead."""
    raise SystemExit(3)


def test_what_needs_no_loop_is_refused_where_it_is_given() -> None:
    for entry in (unnamed, unnamed()):
        with pytest.raises(HostingError, match="is auto-generated"):
            AgentFrameworkPlugin([entry])
    with pytest.raises(HostingError, match="Two workflows are named 'echo'"):
        AgentFrameworkPlugin([echo, echo])


_LATER = [
    (unnamed_later, "is auto-generated"),
    (unsaved, "on_checkpoint_save of executor 'unsaved' raised LookupError"),
    (exiting, "Factory 'exiting' raised SystemExit: sys.exit was called: exit code 3"),
]


@pytest.mark.parametrize(("entry", "text"), _LATER)
async def test_what_needs_a_loop_is_refused_as_the_worker_starts(entry: Any, text: str, client: Client) -> None:
    async with asyncio.timeout(30):
        with pytest.raises(HostingError, match=text):
            async with Worker(client, task_queue=unique("queue"), plugins=[AgentFrameworkPlugin([entry])]):
                await asyncio.Event().wait()
        with pytest.raises(HostingError, match=text):
            await Worker(client, task_queue=unique("queue"), plugins=[AgentFrameworkPlugin([entry])]).run()


@pytest.mark.parametrize(("entry", "text"), [(unnamed, "is auto-generated"), *_LATER])
async def test_the_environment_for_tests_starts_nothing(entry: Any, text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    async def start(**options: Any) -> None:
        raise AssertionError("a server was started")

    monkeypatch.setattr(environment, "start_dev_server", start)
    with pytest.raises(HostingError, match=text):
        async with DurableTestEnvironment.start([entry]):
            raise AssertionError("the body was entered")


async def test_runs_wait_for_a_worker_that_can(client: Client) -> None:
    """One that is refused may have been given a superstep before it has stopped."""
    task_queue = unique("queue")
    durable = DurableWorkflow(echo, client=client, task_queue=task_queue)
    running = [asyncio.ensure_future(durable.run("one", checkpoint=durable.checkpoint())) for _ in range(3)]
    for _ in range(3):
        with pytest.raises(HostingError):
            async with Worker(client, task_queue=task_queue, plugins=[AgentFrameworkPlugin([unnamed_later])]):
                await asyncio.Event().wait()
    async with worker(client, echo, task_queue=task_queue):
        assert [(await run).get_outputs() for run in running] == [["one 1"]] * 3


def test_a_factory_that_needs_a_loop_is_called_in_one() -> None:
    def in_a_loop() -> Workflow:
        asyncio.get_running_loop()
        return echo()

    plugin = AgentFrameworkPlugin([in_a_loop])
    assert asyncio.run(plugin.prepare()) == ["echo"]


# What to type.


def create_essay_workflow() -> Workflow:
    """Build a workflow as many samples call it."""
    return unnamed()


def main() -> Workflow:
    """Build one in a function whose name says nothing."""
    return unnamed()


@pytest.mark.parametrize(
    ("entry", "name", "where"),
    [
        (create_essay_workflow, "essay-workflow", r"in factory 'create_essay_workflow' \(.*test_refused\.py:\d+\)"),
        (main, "echo", r"in factory 'main' \(.*test_refused\.py:\d+\)"),
        (lambda: unnamed(), "echo", r"in factory '<lambda>' \(.*test_refused\.py:\d+\)"),
        (unnamed(), "echo", "where it is built"),
    ],
)
def test_the_text_says_what_to_type_and_where(entry: Any, name: str, where: str) -> None:
    with pytest.raises(HostingError) as caught:
        AgentFrameworkPlugin([entry])
    typed = re.escape(f'write `WorkflowBuilder(name="{name}", start_executor=...)` ')
    assert re.search(typed + where, str(caught.value))


def test_an_orchestration_has_a_name_of_its_own() -> None:
    def sequential() -> Workflow:
        agents = [scripted_agent(name, lambda prompt: Reply("said")) for name in ("ada", "bob")]
        return SequentialBuilder(participants=agents).build()

    AgentFrameworkPlugin([sequential])
