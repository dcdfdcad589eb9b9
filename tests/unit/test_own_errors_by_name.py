"""The workflow names errors that it cannot import: by the module that they say they are of."""

from __future__ import annotations

from agent_framework_temporal import DurableWorkflowError
from agent_framework_temporal.workflows import failure


def test_the_workflow_names_our_errors_as_they_name_themselves() -> None:
    assert DurableWorkflowError.__module__ == failure.OUR_ERRORS
