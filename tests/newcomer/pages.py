"""A page of the documentation: its cells in one interpreter, its commands in a terminal, in the order of the page.

Each page begins where the README's tour is after its crash: a server, a worker of `my_workflow:build`, and, where its
commands name it, the thread `essay-1`, whose second draft waits for an answer.
"""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

from tests.docs._pages import README, Block, blocks
from tests.newcomer import cells
from tests.newcomer.place import PORTS, Place, need_free
from tests.newcomer.report import Report, check_shown
from tests.newcomer.terminal import Terminal, TerminalError
from tests.newcomer.tour import lines

_INSTALL_SECONDS = 900
_CELL_SECONDS = 180
_GOES_ON = {
    "agent-framework-temporal dev": "Serving ",
    "agent-framework-temporal console": "http://127.0.0.1:8234",
    "agent-framework-temporal-worker": "Serving ",
    "agent-framework-temporal-codec-server": "Codec server at",
    "temporal server start-dev": "Temporal",
}
"""Commands that run until they are told to stop, and what they write when they are up."""
_ANSWERS = {
    "agent-framework-temporal respond": (("no): ", "no"), ("]: ", "add the sea")),
    "temporal worker deployment set-current-version": (("y/N ", "y"),),
}
_OF_A_WAITING_THREAD = re.compile(r"temporal workflow (update execute|signal) --workflow-id essay-1 ")
"""Each is an example of its own: what one of them answers, the next one answers, too."""
LEFT_OUT = (
    (r"\$THREAD|\bTHREAD\b|\bCHECKPOINT\b|\border-|\breport\b|\borders\b|PATH-TO", "it names what a reader puts in"),
    (r"^(make|python -m (tests|benchmarks)\b)", "it is for those who change this package, and runs in CI"),
    (r"^agent-framework-temporal resume ", "it is for a thread that has failed or is paused"),
    (r"--pdb\b", "it waits for a person in a debugger"),
    (r"^(docker|kubectl|helm)\b", "it needs what a newcomer does not have"),
    (r"^export ", "it is of an account"),
    (r"^agent-framework-temporal import .*--replay", "it reads a file of a block that is not executed"),
    (r"essay-rivers\.jsonl", "it reads a file of a block that is not executed"),
    (r"keys\.txt", "it reads a file that a reader has made"),
)
"""Commands that are not done, and why."""


class PageRun:
    """Does the blocks of a page.

    Args:
        place: The newcomer's machine, with the environment installed.
        page: The page.
        report: Where it notes what became of the blocks.
        folder: Where the commands are called; the tour's by default.
    """

    def __init__(self, place: Place, page: Path, report: Report, folder: Path | None = None) -> None:
        self._place = place
        self._page = page
        self._report = report
        self._folder = folder or place.tour
        self._running: dict[str, Terminal] = {}
        self._cells: subprocess.Popen[str] | None = None
        self._written = ""
        """By the last command."""
        self._line_done = 0
        self._main = place.terminal(self._folder)

    def walk(self) -> None:
        """Do all of it, and go on after a failure: on a page the next section is another matter."""
        found = list(blocks(self._page, "sh", "python", "text"))
        try:
            if self._folder == self._place.tour:
                self._begin()
            for block in found:
                try:
                    self._block(block)
                except Exception as error:
                    self._report.fail(block, str(error)[-2500:])
                self._line_done = block.line + block.text.count("\n")
        except (TerminalError, AssertionError) as error:
            self._report.failures.append(f"it could not begin: {error}")
        finally:
            self._end()

    def _begin(self) -> None:
        for port in PORTS:
            need_free(port)
        for block in blocks(README, "python"):
            if block.file == "my_workflow.py":
                (self._folder / block.file).write_text(block.text.replace("seconds=5", "seconds=0.1"))
        self._start("agent-framework-temporal-dev-server", "Temporal dev server at")
        self._start("agent-framework-temporal-worker --workflow my_workflow:build --task-queue essays", "Serving ")
        # Where its own cells begin this thread, it is not there before.
        texts = {
            language: "".join(block.text for block in blocks(self._page, language)) for language in ("sh", "python")
        }
        if re.search(r"\bessay-1\b", texts["sh"]) and '"essay-1"' not in texts["python"]:
            self._second_draft()

    def _second_draft(self) -> None:
        """Bring `essay-1` to where the pages take it up, if it is not there: its second draft waits."""
        waiting = "temporal workflow query --workflow-id essay-1 --type pending_requests"
        if '"draft-2"' in self._main.run(waiting)[1]:
            return
        begin = "agent-framework-temporal run 'night trains' --workflow essay --task-queue essays --thread essay-1"
        no = shlex.quote(json.dumps({"approved": False, "comment": "add the sea"}))
        for command in (begin, f"agent-framework-temporal respond essay-1 draft-1 --stream --data {no}"):
            code, said = self._main.run(command)
            assert code == 0, said

    def _end(self) -> None:
        if self._cells is not None:
            self._cells.kill()
            self._cells.communicate()
        self._place.close(*self._running.values(), self._main)
        for path in self._place.tour.glob("*.db*"):
            path.unlink()

    def _start(self, command: str, until: str) -> None:
        terminal = self._place.terminal(self._folder)
        self._running[command] = terminal
        terminal.start(command, until)

    def _block(self, block: Block) -> None:
        if block.language != "text":
            self._written = ""
        if block.reason is not None:
            self._report.leave_out(block, block.reason)
        elif block.language == "python":
            self._cell(block)
            self._report.done += 1
        elif block.language == "sh":
            for line in lines(block):
                self._line(block, line)
        elif self._written and not self._heading_before(block):
            self._written, written = "", self._written
            check_shown(block.text, written)

    def _heading_before(self, block: Block) -> bool:
        """Whether another section has begun since the last block: then the output is of nothing that was done."""
        between = self._page.read_text().splitlines()[self._line_done : block.line]
        return any(line.startswith("#") for line in between)

    def _line(self, block: Block, line: str) -> None:
        reason = reason_of(line)
        if reason is not None:
            self._report.leave_out(block, reason)
            return
        for start, until in _GOES_ON.items():
            if line.startswith(start) and not line.endswith("--help"):
                self._go_on(line, until)
                break
        else:
            self._to_end(line)
        self._report.done += 1

    def _go_on(self, line: str, until: str) -> None:
        # What begins another server, or another console, needs the ports of those before.
        if line.startswith(("agent-framework-temporal dev", "temporal server")):
            self._place.close(*self._running.values())
            self._running.clear()
        for command in [command for command in self._running if command.startswith(line.split(" --")[0])]:
            if not line.startswith("agent-framework-temporal-worker"):
                self._place.close(self._running.pop(command))
        self._start(line, until)

    def _to_end(self, line: str) -> None:
        if _OF_A_WAITING_THREAD.match(line):
            self._second_draft()
        seconds = _INSTALL_SECONDS if " pip install" in line else 90
        # Pages say this of the clone's folder, and this is the tour's.
        words = line.replace("'.[", f"'{self._place.clone}[")
        answers = next((given for start, given in _ANSWERS.items() if line.startswith(start)), ())
        code, self._written = self._main.run(words, seconds=seconds, answers=answers)
        assert code == 0, f"{line!r} ended with exit code {code}:\n{self._written}"

    def _cell(self, block: Block) -> None:
        if self._cells is None:
            script = shutil.copy(cells.__file__, self._place.root / "cells.py")
            self._cells = subprocess.Popen(
                [self._place.clone / ".venv" / "bin" / "python", script],
                cwd=self._folder,
                env={**self._place.variables, "PATH": f"{self._place.clone}/.venv/bin:{self._place.variables['PATH']}"},
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=(self._place.root / "cells.log").open("a"),
                text=True,
                start_new_session=True,
            )
        assert self._cells.stdin is not None
        assert self._cells.stdout is not None
        sent = {"page": block.page.name, "line": block.line, "file": block.file, "text": block.text}
        self._cells.stdin.write(json.dumps(sent) + "\n")
        self._cells.stdin.flush()
        answer = self._cells.stdout.readline()
        assert answer, "the interpreter of the cells has ended"
        error = json.loads(answer)["error"]
        assert error is None, error


def reason_of(line: str) -> str | None:
    """Return why a command is not done; None for one that is."""
    return next((reason for pattern, reason in LEFT_OUT if re.search(pattern, line)), None)
