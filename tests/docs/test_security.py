"""SECURITY.md names the tests that show what it guarantees, and the tests are there."""

from __future__ import annotations

import ast
import re

import pytest

from tests.docs._pages import ROOT

_TEXT = (ROOT / "SECURITY.md").read_text()
_SHOWN = dict(re.findall(r"^- \*\*([A-F]\d)\*\* ((?:.|\n  )+)$", _TEXT, re.MULTILINE))


def _names(text: str) -> list[str]:
    return re.findall(r"\[([A-F]\d)\]", text)


def test_every_letter_is_used_and_there() -> None:
    body = _TEXT.partition("\n## Shown by\n")[0]
    assert set(_names(body)) == _SHOWN.keys()


@pytest.mark.parametrize("named", sorted(set(re.findall(r"`(tests/[^`]+)`", _TEXT))))
def test_every_test_that_is_named_exists(named: str) -> None:
    path, _, function = named.partition("::")
    assert (ROOT / path).is_file(), f"SECURITY.md names {path}, which is not there"
    if function:
        tree = ast.parse((ROOT / path).read_text())
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert function in names, f"SECURITY.md names {named}; {path} has no such test"


def test_every_test_that_is_named_is_run_by_make_hostile() -> None:
    """Of this section or another: a test that is in none of them has no figure."""
    from tests.hostile.sections import SECTIONS

    files = {str(path.relative_to(ROOT)) for section in SECTIONS for path in section.files()}
    named = {name.partition("::")[0] for name in re.findall(r"`(tests/[^`]+)`", _TEXT)}
    assert {name for name in named if (ROOT / name).is_file()} - files == set()
