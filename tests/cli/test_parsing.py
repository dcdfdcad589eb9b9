"""What the parsers say: errors as JSON where a program reads them, and completion of every command's flags."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from agent_framework_temporal.adapter.cli.app import main
from agent_framework_temporal.adapter.commands import codec_server, dev_server
from agent_framework_temporal.adapter.commands import worker as worker_command

from tests.cli._commands import Commands, environment

_SCRIPTS = {
    "agent-framework-temporal-worker": worker_command.main,
    "agent-framework-temporal-dev-server": dev_server.main,
    "agent-framework-temporal-codec-server": codec_server.main,
}
_FLAG = {
    "agent-framework-temporal-worker": "--max-supersteps",
    "agent-framework-temporal-dev-server": "--http-port",
    "agent-framework-temporal-codec-server": "--keys-file",
}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["status", "--no-such-flag"], "No such option: --no-such-flag"),
        (["status"], "Missing argument 'THREAD'"),
        (["stream", "t", "--after", "soon"], "'--after'"),
        (["nothing"], "No such command 'nothing'"),
        (["schedule", "create"], "Missing argument"),
        (["threads", "--limit", "0"], "'--limit'"),
        (["dev"], "Missing option '--workflow'"),
    ],
)
def test_errors_of_the_parser_are_json_where_it_is_asked_for(
    words: list[str], said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["agent-framework-temporal", *words, "--json"])
    monkeypatch.setattr(sys, "stderr", sys.stderr)  # `main` replaces it.
    assert main() == 2
    captured = capsys.readouterr()
    told = json.loads(captured.err)
    assert (told["error"], told["exit_code"], captured.out) == ("UsageError", 2, "")
    assert said in told["message"]


def test_without_json_they_are_for_people(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(sys, "stderr", sys.stderr)
    for words in (["status", "--nope"], ["status", "--nope", "--", "--json"]):
        monkeypatch.setattr(sys, "argv", ["agent-framework-temporal", *words])
        assert main() == 2
        said = capsys.readouterr().err
        assert "No such option: --nope" in said
        assert not said.startswith("{")


async def test_a_process_says_them_as_json_too(cli: Commands) -> None:
    done = await cli("run", "--nope", "--json", code=2)
    assert json.loads(done.err) == {"error": "UsageError", "message": "No such option: --nope", "exit_code": 2}


def _shown(program: str, shell: str, capsys: pytest.CaptureFixture[str]) -> str:
    with pytest.raises(SystemExit) as ended:
        _SCRIPTS[program](["--show-completion", shell])
    assert ended.value.code in (0, None)
    return capsys.readouterr().out


@pytest.mark.parametrize("program", _SCRIPTS)
def test_bash_completes_the_flags(program: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script, flag = tmp_path / "completion.sh", _FLAG[program]
    script.write_text(_shown(program, "bash", capsys))
    name = f"_{program}".replace("-", "_")
    typed = f"source {script}; COMP_WORDS=({program} {flag[:6]}); COMP_CWORD=1; {name}; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(["bash", "-c", typed], capture_output=True, text=True, check=True, timeout=30)
    assert flag in done.stdout.split()


@pytest.mark.parametrize("program", _SCRIPTS)
def test_other_shells_take_their_scripts(program: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fish = _shown(program, "fish", capsys)
    assert f"complete -c {program} -l {_FLAG[program][2:]}" in fish
    script = tmp_path / f"_{program}"
    script.write_text(_shown(program, "zsh", capsys))
    assert script.read_text().startswith(f"#compdef {program}\n")
    if shutil.which("zsh") is not None:
        subprocess.run(["zsh", "-n", str(script)], check=True, timeout=30)
    if shutil.which("fish") is not None:
        (tmp_path / "it.fish").write_text(fish)
        subprocess.run(["fish", "-n", str(tmp_path / "it.fish")], check=True, timeout=30)


@pytest.mark.parametrize("program", _SCRIPTS)
def test_installs_completion_once(
    program: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SHELL", "/usr/bin/bash")
    (tmp_path / ".bashrc").write_text("alias ll='ls -l'\n")
    for _ in range(2):
        with pytest.raises(SystemExit) as ended:
            _SCRIPTS[program](["--install-completion"])
        assert ended.value.code == 0
    assert "Open a new terminal" in capsys.readouterr().err
    installed = tmp_path / ".bash_completions" / f"{program}.sh"
    assert (tmp_path / ".bashrc").read_text() == f"alias ll='ls -l'\nsource '{installed}'\n"
    typed = f"complete -p {program}"
    done = subprocess.run(["bash", "-ic", typed], capture_output=True, text=True, timeout=30, env={**os.environ})
    assert program in done.stdout


def test_says_for_which_shells_there_is_one(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SHELL", "/bin/tcsh")
    with pytest.raises(SystemExit):
        worker_command.main(["--install-completion"])
    assert "say for which shell: bash, zsh, fish" in capsys.readouterr().err


@pytest.mark.parametrize(("typed", "found"), [("worker --max", "--max-supersteps"), ("respond --ear", "--early")])
def test_the_command_line_completes_the_flags_of_its_commands(typed: str, found: str) -> None:
    words = f"agent-framework-temporal {typed}"
    variables = {
        "COMP_WORDS": words,
        "COMP_CWORD": str(len(words.split()) - 1),
        "_AGENT_FRAMEWORK_TEMPORAL_COMPLETE": "complete_bash",
    }
    done = subprocess.run(
        [sys.executable, "-m", "agent_framework_temporal.adapter.cli"],
        capture_output=True,
        text=True,
        env=environment(variables),
        timeout=60,
    )
    assert found in done.stdout.split(), done.stderr
