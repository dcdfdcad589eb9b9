"""The means of `make newcomer`, which takes too long for the suite: tests/docs does the same in this environment."""

from __future__ import annotations

import socket
import sys
from pathlib import Path

import pytest

from tests.docs._pages import PAGES, README, blocks
from tests.newcomer.pages import reason_of
from tests.newcomer.place import Place, PortTakenError, need_free
from tests.newcomer.report import missing
from tests.newcomer.terminal import Terminal, TerminalError
from tests.newcomer.tour import lines


def test_a_terminal_is_answered_and_interrupted(tmp_path: Path) -> None:
    terminal = Terminal({"PATH": "/usr/bin:/bin"}, tmp_path)
    try:
        asked = terminal.run("read -p 'who? ' who; echo \"hello $who\"; false", answers=[("who? ", "ada")])
        assert asked == (1, "who? ada\nhello ada\n")
        terminal.start("bash -c 'echo $((40 + 2)); exec sleep 600'", "42")
        assert terminal.foreground > 0
        assert terminal.interrupt()[0] == 130
        with pytest.raises(TerminalError, match="ended before"):
            terminal.start("true", "up")
    finally:
        terminal.close()


def test_a_taken_port_is_refused() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortTakenError, match=f"Port {port} is taken"):
            need_free(port)
    need_free(port)


def test_a_newcomer_has_no_variables_but_those_that_fetch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TEMPORAL_ADDRESS", "OPENAI_API_KEY", "PYTHONPATH", "VIRTUAL_ENV", "PIP_TIMEOUT", "HTTPS_PROXY"):
        monkeypatch.setenv(name, "here")
    given = Place(tmp_path, Path(sys.executable)).variables
    assert {name for name, value in given.items() if value == "here"} == {"PIP_TIMEOUT", "HTTPS_PROXY"}
    assert given["HOME"] == str(tmp_path / "home")
    assert set(given["PATH"].split(":")) <= {str(tmp_path / "bin"), "/usr/bin", "/bin"}


def test_what_varies_is_not_compared() -> None:
    written = "thread  a2c3f5e7-1111-2222-3333-444455556666   0:03\n ✔ writer\n"
    assert missing("thread 00000000-aaaa-bbbb-cccc-dddddddddddd 0:09\n", written) == []
    assert missing('id: 3@0\ndata: {"live":true}\n', 'id: -1.1@0\ndata: {"live":false}\n') == []
    assert missing("thread ...\n...\n", written) == []
    assert missing(" ✔ editor\n", written) == [" ✔ editor"]


def test_most_commands_are_done() -> None:
    """A reason is for one command; a pattern that leaves out whole pages is a mistake."""
    commands = [line for page in PAGES for block in blocks(page, "sh") for line in lines(block)]
    left_out = [line for line in commands if reason_of(line) is not None]
    assert len(left_out) < len(commands) / 2
    assert not [
        line for block in blocks(README, "sh") for line in lines(block) if reason_of(line) and line[:4] != "make"
    ]
