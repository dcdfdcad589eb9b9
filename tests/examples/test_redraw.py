"""What is drawn again and again in a terminal eats none of the lines above it, at any width."""

from __future__ import annotations

import io
import re
import sys
import time

import pytest
from agent_framework_temporal import Checkpoint
from agent_framework_temporal.adapter.cli.output import Output
from agent_framework_temporal.adapter.cli.views import RunView

from examples.content_approval.view import View

_CODE = re.compile(r"\x1b\[([0-9;?]*)([A-Za-z])")


def _shown(written: str, columns: int, *, wraps_at_once: bool) -> list[str]:
    """Return the lines of a terminal after what was written to it.

    Args:
        written: With control codes.
        columns: Its width.
        wraps_at_once: Whether a full line moves the cursor on, or only the next character does.
    """
    lines, row, column, place = [""], 0, 0, 0
    while place < len(written):
        code, char = _CODE.match(written, place), written[place]
        if code is not None:
            place = code.end()
            count = int(code[1]) if code[1].isdecimal() else 1
            if code[2] == "A":
                row = max(0, row - count)
            elif code[2] == "K":
                lines[row] = "" if code[1] == "2" else lines[row][:column]
            continue
        place += 1
        if char == "\r":
            column = 0
        elif char == "\n":
            row, column = row + 1, 0
        else:
            if column == columns:
                row, column = row + 1, 0
            lines += [""] * (row + 1 - len(lines))
            lines[row] = f"{lines[row][:column]:{column}}{char}{lines[row][column + 1 :]}"
            column += 1
            if wraps_at_once and column == columns:
                row, column = row + 1, 0
        lines += [""] * (row + 1 - len(lines))
    return [line.rstrip() for line in lines]


def _terminal(monkeypatch: pytest.MonkeyPatch, columns: int) -> io.StringIO:
    written = io.StringIO()
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", str(columns))
    monkeypatch.setattr(sys, "stdout", written)
    return written


@pytest.mark.parametrize("columns", [80, 120])
def test_the_status_of_the_demo_eats_no_line(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _terminal(monkeypatch, columns)
    with View() as view:
        view.note("before")
        for number in range(20):
            view.now(f"superstep {number} runs on worker 12345@machine, 3 s │ writer: {'many words ' * 20}")
            time.sleep(0.02)
            view.note(f"line {number}")
        view.now("")
        view.note("after")
    for at_once in (False, True):
        lines = _shown(terminal.getvalue(), columns, wraps_at_once=at_once)
        expected = ["  · before", *(f"  · line {number}" for number in range(20)), "  · after"]
        assert [line for line in lines if line] == expected


@pytest.mark.parametrize("columns", [80, 120])
def test_the_view_of_a_run_eats_no_line(columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = _terminal(monkeypatch, columns)
    output = Output(as_json=False)
    output.line("before")
    checkpoint = Checkpoint(workflow_name="essay", thread_id="t" * 200)
    with RunView(output, checkpoint, ["writer", "editor"]) as view:
        assert view.model.state == "starting"
        time.sleep(0.4)  # It is drawn eight times a second.
    output.line("after")
    for at_once in (False, True):
        lines = [line for line in _shown(terminal.getvalue(), columns, wraps_at_once=at_once) if line]
        assert (lines[0], lines[-1], len(lines)) == ("before", "after", 5), lines
        assert lines[1].startswith("essay · ttt")
