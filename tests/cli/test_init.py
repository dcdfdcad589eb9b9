"""The command `init`: what it writes is clean, runs at once, and nothing that is there is touched."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from asyncio.subprocess import PIPE
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml
from temporalio.client import Client

from tests.cli._commands import ROOT, Commands, environment
from tests.docs._pages import blocks
from tests.support import unique

_NAME = "my-agents"
_LONG = "a" + "-b" * 19 + "c"


def _run(*command: str | Path, folder: Path = ROOT, variables: Mapping[str, str] | None = None) -> str:
    done = subprocess.run(command, cwd=folder, env=environment(variables), capture_output=True, text=True)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
async def project(cli: Commands, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    done = await cli("init", _NAME, folder=folder)
    assert f"cd {_NAME}\n  agent-framework-temporal dev --workflow my_agents.workflow:build" in done.out
    return folder / _NAME


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("My Agents", "init my-agents`"),
        ("../elsewhere", "init elsewhere`"),
        ("9lives", "init lives`"),
        ("a" * 41, "40 characters at most"),
        ("", "beginning with a letter"),
        ("json", "init my-json`"),
        ("class", "init my-class`"),
        ("agent-framework", "init my-agent-framework`"),
    ],
)
async def test_a_name_that_would_not_do_is_refused(cli: Commands, tmp_path: Path, name: str, said: str) -> None:
    done = await cli("init", name, folder=tmp_path, code=2)
    assert said in done.err
    assert list(tmp_path.iterdir()) == []


async def test_nothing_is_overwritten(cli: Commands, tmp_path: Path) -> None:
    (tmp_path / _NAME).mkdir()
    done = await cli("init", _NAME, "--json", folder=tmp_path, code=2)
    assert "is already there, and nothing in it was changed" in json.loads(done.err)["message"]
    assert [path.name for path in tmp_path.rglob("*")] == [_NAME]


async def test_programs_read_what_was_made(cli: Commands, tmp_path: Path) -> None:
    made = (await cli("init", _LONG, "--json", folder=tmp_path)).json
    folder = Path(made["folder"])
    assert folder == tmp_path / _LONG
    assert made["files"] == sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    texts = {path: (folder / path).read_text() for path in made["files"]}
    assert not [path for path, text in texts.items() if "{{" in text or "}}" in text]
    # Whatever the length of the name, its code is formatted.
    for check in (("check",), ("format", "--check")):
        _run(Path(sys.executable).with_name("ruff"), *check, "--no-cache", folder)


@pytest.mark.timeout(300)
def test_its_types_are_strict(project: Path) -> None:
    """With this checkout's options, which are as strict, so that what `make typecheck` has read is not read again."""
    options = ("--config-file", ROOT / "pyproject.toml", "--cache-dir", ROOT / ".mypy_cache")
    _run(sys.executable, "-m", "mypy", *options, ".", folder=project)


def test_a_variable_gives_it_a_real_model(project: Path) -> None:
    code = "from my_agents.workflow import build, chat_client; build(); print(type(chat_client()).__name__)"
    variables = {"OPENAI_CHAT_MODEL": "some", "OPENAI_API_KEY": "none"}
    assert _run(sys.executable, "-c", code, folder=project) == "ScriptedChatClient\n"
    assert _run(sys.executable, "-c", code, folder=project, variables=variables) == "OpenAIChatClient\n"


def test_its_compose_file_starts_what_it_builds(project: Path) -> None:
    services = yaml.safe_load((project / "compose.yaml").read_text())["services"]
    assert {service["image"] for service in services.values()} == {_NAME}
    assert services["worker"]["environment"]["TEMPORAL_ADDRESS"] == "temporal:7233"
    assert int(services["worker"]["stop_grace_period"].rstrip("s")) > 25
    assert '"my_agents.worker"]' in (project / "Dockerfile").read_text()
    flags = {word for word in services["temporal"]["command"] if word.startswith("--")}
    temporal = Path(sys.executable).with_name("temporal")
    known = _run(temporal, "server", "start-dev", "--help") + _run(temporal, "options")
    assert not {flag for flag in flags if f"{flag} " not in known}


async def test_a_run_and_its_approval_by_its_own_commands(cli: Commands, client: Client, project: Path) -> None:
    """Word for word those of its README, with a thread of this test and without its server."""
    lines = [line for block in blocks(project / "README.md", "sh") for line in block.text.splitlines()]
    [run] = [line for line in lines if line.startswith("agent-framework-temporal run ")]
    assert run.endswith(f" 'night trains' --workflow {_NAME} --task-queue {_NAME} --thread first")
    assert "agent-framework-temporal respond first --stream" in lines
    thread = unique("first")
    worker = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "my_agents.worker"),
        cwd=project,
        env=environment({"TEMPORAL_ADDRESS": client.service_client.config.target_host}),
        stdout=PIPE,
    )
    try:
        assert worker.stdout is not None
        assert f"Serving {_NAME} on task queue '{_NAME}'" in (await worker.stdout.readline()).decode()
        asked = await cli("run", "night trains", "-w", _NAME, "-q", _NAME, "-t", thread)
        assert "All about night trains." in asked.out
        comment = json.dumps({"approved": False, "comment": "add the sea"})
        await cli("respond", thread, "--data", comment, "--stream")
        done = await cli("respond", thread, "--data", '{"approved": true}', "--stream")
        assert "All about night trains. (add the sea)" in done.out
    finally:
        worker.terminate()
        assert await worker.wait() == 0
