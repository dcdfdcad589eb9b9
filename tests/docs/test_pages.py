"""Every block of code runs, every command and flag exists, every link leads somewhere.

Python blocks run in the order of their page, as cells of a notebook do: `await` works at their top level, and they
share their names. Given are the README's `my_workflow.py`, a worker that serves it on task queue "essays", and the
names of `_namespace`. A block that begins with `# name.py` is a module of the page. One that begins with
`# test_name.py` is a file of tests: pytest runs it beside `my_workflow.py`, as it does on a reader's machine. One that
cannot run is marked with the reason: `<!-- not executed: ... -->`.
"""

from __future__ import annotations

import ast
import functools
import importlib
import importlib.util
import inspect
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from agent_framework_temporal import Checkpoint, DurableWorkflow, Response
from temporalio.client import Client

from tests.docs._pages import PAGES, README, ROOT, Block, blocks, write_files
from tests.forked import python
from tests.support import unique, worker

_PROJECT = ("my_workflow", "start", "go_on")
_PLAIN = frozenset({".", "cd", "curl", "docker", "kill", "mkdir", "pgrep", "python3"})
"""Commands that are not ours and whose flags are not checked."""


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder with the README's files, to import from; what is imported from it is forgotten."""
    # The pauses are for people.
    write_files(tmp_path, replace={"seconds=5": "seconds=0.1"})
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.chdir(tmp_path)
    known = set(sys.modules)
    yield tmp_path
    for name in [name for name in sys.modules if name not in known and (tmp_path / f"{name}.py").exists()]:
        del sys.modules[name]


def _namespace(client: Client, my_workflow: Any) -> dict[str, Any]:
    durable = DurableWorkflow(my_workflow.build, client=client, task_queue="essays")
    return {
        **{name: getattr(my_workflow, name) for name in ("build", "Draft", "Verdict")},
        **{cls.__name__: cls for cls in (Checkpoint, DurableWorkflow, Response)},
        "client": client,
        "durable": durable,
        "checkpoint": durable.checkpoint(unique("essay")),
    }


def _pages(*languages: str) -> list[Any]:
    return [pytest.param(page, id=page.name) for page in PAGES if any(blocks(page, *languages))]


def _tests(page: Path) -> list[Block]:
    return [block for block in blocks(page, "python") if block.is_tests]


@pytest.mark.parametrize("page", _pages("python"))
async def test_python_runs(page: Path, client: Client, project: Path) -> None:
    my_workflow = importlib.import_module("my_workflow")
    namespace = _namespace(client, my_workflow)
    async with worker(client, my_workflow.build, task_queue="essays"):
        for block in blocks(page, "python"):
            if block.reason is not None or (page == README and block.file is not None):
                continue  # The README's files are run by test_tour.
            if block.is_tests:
                continue  # Run by test_test_files_pass.
            if block.file is not None:
                (project / block.file).write_text(block.text)
                importlib.import_module(block.file.removesuffix(".py"))
                continue
            code = compile(block.source, str(page), "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
            result = eval(code, namespace)  # noqa: S307 - our own pages
            if inspect.isawaitable(result):
                await result


@pytest.mark.parametrize("page", [page for page in _pages("python") if _tests(page.values[0])])
def test_test_files_pass(page: Path, project: Path) -> None:
    """In a folder with nothing else, without a conftest or configuration, by a pytest of its own."""
    for block in _tests(page):
        (project / str(block.file)).write_text(block.text)
    expected = sum(len(re.findall(r"^(?:async )?def test_", block.text, re.MULTILINE)) for block in _tests(page))
    command = [sys.executable, "-m", "pytest", "-q", f"--rootdir={project}", "-p", "no:cacheprovider"]
    done = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=110)
    assert re.search(rf"^{expected} passed", done.stdout, re.MULTILINE), done.stdout + done.stderr


def test_reasons_are_given() -> None:
    for page in PAGES:
        for block in blocks(page, "python", "sh"):
            assert block.reason is None or len(block.reason) > 10, f"{page.name}:{block.line}"


@pytest.mark.parametrize("page", _pages("sh"))
def test_commands_exist(page: Path) -> None:
    for block in blocks(page, "sh"):
        for line in block.text.replace("\\\n", " ").splitlines():
            words = shlex.split(line, comments=True)
            while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                del words[0]
            if words:
                _check(words, block)


def _check(words: list[str], block: Block) -> None:
    where = f"{block.page.name}:{block.line}: {shlex.join(words)}"
    command, *arguments = words
    if command == "make":
        targets = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
        assert [word for word in arguments if "=" not in word and word not in targets] == [], where
    elif command == "python":
        _check_python(arguments, where)
    elif command == "temporal" or command.startswith("agent-framework-temporal"):
        flags = [word for word in arguments if word.startswith("--")]
        names = arguments[: arguments.index(flags[0])] if flags else arguments
        help_text = _help((command, *names))
        assert [flag for flag in flags if not re.search(rf"{flag}\b", help_text)] == [], where
    else:
        assert command in _PLAIN, f"{where}: no such command, or say in this test that it is not ours"


def _check_python(arguments: list[str], where: str) -> None:
    if arguments[:3] == ["-m", "pip", "install"]:
        extras = re.search(r"\[(\w+)\]", shlex.join(arguments))
        assert extras is None or f"\n{extras[1]} = [" in (ROOT / "pyproject.toml").read_text(), where
    elif arguments[0] == "-m":
        assert importlib.util.find_spec(arguments[1]) is not None, where
    else:
        assert (ROOT / arguments[0]).exists() or arguments[0].removesuffix(".py") in _PROJECT, where


@functools.cache
def _help(command: tuple[str, ...]) -> str:
    name, *rest = command
    path = str(Path(sys.executable).with_name(name))
    program = (path,) if name == "temporal" else python(path)
    environment = {**os.environ, "COLUMNS": "200"}
    done = subprocess.run(
        [*program, *rest, "--help"], capture_output=True, text=True, check=True, timeout=60, env=environment
    )
    return done.stdout


@pytest.mark.parametrize("page", [pytest.param(page, id=page.name) for page in (*PAGES, ROOT / "CHANGELOG.md")])
def test_links_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        found = (page.parent / path).resolve() if path else page
        assert found.exists(), f"{page.name}: {target}"
        if anchor:
            headings = re.findall(r"^#+ (.+)$", found.read_text(), re.MULTILINE)
            anchors = [re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings]
            assert anchor in anchors, f"{page.name}: {target} is none of {anchors}"
