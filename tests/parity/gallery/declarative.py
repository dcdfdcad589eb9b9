"""Rows of declarative workflows, written in YAML. None of them needs Power Fx, which needs a .NET runtime."""

from __future__ import annotations

import textwrap
from collections.abc import Callable

from agent_framework import Workflow

from tests.parity.gallery._row import Row, Turn, answer_all
from tests.parity.gallery._scripted import Prompt, Reply, scripted_agent

_SURVEY = """
    kind: Workflow
    name: yaml-survey
    trigger:
      kind: OnConversationStart
      id: survey
      actions:
        - kind: SetVariable
          id: greet
          variable: Local.greeting
          value: Welcome to the survey
        - kind: SendActivity
          id: hello
          activity: "{Local.greeting}"
        - kind: Question
          id: ask
          question:
            text: What is your name?
          variable: Local.name
        - kind: RequestExternalInput
          id: consent
          prompt:
            text: May we keep it?
          requestType: approval
          variable: Local.consent
        - kind: SendActivity
          id: thanks
          activity: "Thank you, {Local.name}: {Local.consent}."
    """
_WRITER = """
    kind: Workflow
    name: yaml-agent
    trigger:
      kind: OnConversationStart
      id: write
      actions:
        - kind: InvokeAzureAgent
          id: write
          agent:
            name: poet
          input:
            messages: tea
          output:
            autoSend: true
            messages: Local.poem
        - kind: SendActivity
          id: done
          activity: Done.
    """


def _poet(prompt: Prompt) -> Reply:
    return Reply(f"a poem of {len(prompt.messages)} messages")


def _from_yaml(text: str) -> Callable[[], Workflow]:
    def build() -> Workflow:
        # Imported here: only these rows need it, and it looks for a .NET runtime.
        from agent_framework_declarative import WorkflowFactory

        agents = {"poet": scripted_agent("poet", _poet)}
        return WorkflowFactory(agents=agents).create_workflow_from_yaml(textwrap.dedent(text))

    return build


def _row(name: str, feature: str, text: str, *turns: Turn) -> Row:
    return Row(name=name, feature=feature, group="Declarative (YAML)", build=_from_yaml(text), turns=turns)


ROWS: tuple[Row, ...] = (
    _row(
        "yaml-survey",
        "Variables, activities, a question and an approval",
        _SURVEY,
        Turn(message="hi"),
        Turn(respond=answer_all(lambda request: {"user_input": "ada"})),
        Turn(respond=answer_all(lambda request: {"user_input": "yes", "value": True}), stream=True),
        Turn(message="again", stream=True),
        Turn(respond=answer_all(lambda request: {"user_input": "bob"})),
    ),
    _row("yaml-agent", "An agent, whose answer is sent on", _WRITER, Turn(message="tea"), Turn(message="more")),
)
