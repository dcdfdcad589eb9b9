"""Declarative (YAML) workflows: their names, and what an expression without a .NET runtime comes to."""

from __future__ import annotations

import pytest
from agent_framework import Workflow
from agent_framework_declarative import WorkflowFactory
from agent_framework_declarative._workflows import _declarative_base
from agent_framework_temporal import AgentFrameworkPlugin, DurableWorkflow, HostingError
from temporalio.client import Client

from tests.support import worker

_YAML = """
kind: Workflow
{name}
trigger:
  kind: OnConversationStart
  {id}
  actions:
    - kind: SendActivity
      id: say
      activity: {text}
"""


def _build(name: str = "", trigger: str = "", text: str = "Hello.") -> Workflow:
    return WorkflowFactory().create_workflow_from_yaml(_YAML.format(name=name, id=trigger, text=text))


def test_two_without_a_name_are_told_where_it_is_written() -> None:
    with pytest.raises(HostingError, match="Two workflows are named 'declarative_workflow'") as caught:
        AgentFrameworkPlugin([lambda: _build(), lambda: _build(text="Bye.")])
    assert "top-level `name:`" in str(caught.value)
    with pytest.raises(HostingError, match="Two workflows are named 'start'"):
        AgentFrameworkPlugin([lambda: _build(trigger="id: start"), lambda: _build(trigger="id: start", text="Bye.")])
    AgentFrameworkPlugin([lambda: _build(name="name: one"), lambda: _build(name="name: two")])


async def test_an_expression_without_dotnet_fails_as_in_process(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_declarative_base, "Engine", None)  # As where there is no runtime.

    def build() -> Workflow:
        return _build(name="name: yaml-expression", text='"=Concatenate(Local.a, Local.b)"')

    with pytest.raises(Exception, match="dotnet") as in_process:
        await build().run("hi")
    async with worker(client, build) as task_queue:
        durable = DurableWorkflow(build, client=client, task_queue=task_queue, max_attempts=1)
        with pytest.raises(type(in_process.value), match="dotnet") as found:
            await durable.run("hi")
    assert str(found.value) == str(in_process.value)
