"""The demo's view and the small examples show data as data."""

from __future__ import annotations

import io

import pytest
from agent_framework import AgentResponseUpdate, Content, WorkflowEvent
from agent_framework._workflows._events import WorkflowErrorDetails
from agent_framework_temporal import Checkpoint
from rich.console import Console

from examples.content_approval import view
from examples.content_approval.workflow import ApprovalRequest, Published
from tests.hostile.corpus import EVIL, unseen

pytestmark = pytest.mark.hostile("E")


@pytest.mark.parametrize("terminal", [False, True])
def test_the_demo_shows_data_as_data(terminal: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    written = io.StringIO()
    shown = view.View()
    console = Console(file=written, force_terminal=terminal, width=80, highlight=False, markup=False, emoji=False)
    monkeypatch.setattr(shown, "_console", console)
    checkpoint = Checkpoint(workflow_name=EVIL, thread_id=EVIL)
    details = WorkflowErrorDetails(error_type=EVIL, message=EVIL)
    call = Content.from_function_call("c", EVIL, arguments={EVIL: EVIL})
    contents = [Content.from_text(EVIL), call, Content.from_function_result("c", result=EVIL)]
    updates = [AgentResponseUpdate(contents=[content], role="assistant") for content in contents]
    for event in (
        WorkflowEvent.superstep_started(1),
        WorkflowEvent.executor_invoked(EVIL, EVIL),
        *(WorkflowEvent("intermediate", executor_id=EVIL, data=update) for update in updates),
        WorkflowEvent.executor_completed(EVIL, [EVIL]),
        WorkflowEvent.executor_failed(EVIL, details),
        WorkflowEvent.request_info(EVIL, EVIL, EVIL, str),
        WorkflowEvent.superstep_completed(1),
    ):
        shown.event(event, checkpoint)
    shown.request(ApprovalRequest(draft=EVIL, revision=1, word_count=1, topic=EVIL))
    shown.published(Published(title=EVIL, body=EVIL, revision=1))
    shown.facts([("thread", EVIL)])
    shown.heading(EVIL)
    shown.note(EVIL)
    shown.table([EVIL[:0], "b"], [[EVIL, EVIL]])
    assert unseen(written.getvalue(), terminal=terminal) == set()
    assert "[red]x[/red]" in written.getvalue()
