"""The API reference has every exported name, and nothing else."""

from __future__ import annotations

import re

import agent_framework_temporal
import agent_framework_temporal.testing

from tests.docs._pages import ROOT


def test_every_exported_name_is_there_once_and_nothing_else() -> None:
    shown = re.findall(r"^::: (\S+)$", (ROOT / "docs" / "reference.md").read_text(), re.MULTILINE)
    exported = [
        f"{package.__name__}.{name}"
        for package in (agent_framework_temporal, agent_framework_temporal.testing)
        for name in package.__all__
    ]
    assert sorted(shown) == sorted(exported)


def test_the_site_reads_the_same_list_of_names_as_type_checkers() -> None:
    """`__init__.py` itself names nothing that can be read without running it."""
    assert '"__init__.pyi"' in (ROOT / "docs" / "site_hooks.py").read_text()
