"""The facade's page names every error and every option there is."""

from __future__ import annotations

import dataclasses
import re

import agent_framework_temporal
from agent_framework_temporal import DurableOptions, DurableWorkflowError

from tests.docs._pages import ROOT

_FACADE = ROOT / "docs" / "facade.md"


def _first_cells(heading: str) -> set[str]:
    section = _FACADE.read_text().partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    cells = [line.split("|")[1] for line in section.splitlines() if line.startswith("|")]
    return {name for cell in cells for name in re.findall(r"`(\w+)`", cell)}


def test_errors() -> None:
    exported = [getattr(agent_framework_temporal, name) for name in agent_framework_temporal.__all__]
    errors = {found.__name__ for found in exported if isinstance(found, type) and issubclass(found, Exception)}
    assert _first_cells("Errors") == errors - {DurableWorkflowError.__name__}


def test_options() -> None:
    assert _first_cells("Options") == {field.name for field in dataclasses.fields(DurableOptions)}
