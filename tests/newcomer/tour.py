"""The README from its first command to its last, in the terminals it speaks of."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from tests.docs._pages import README, Block, blocks
from tests.newcomer.place import Place
from tests.newcomer.report import Report, check_shown
from tests.newcomer.terminal import Terminal

_MINUTES = 60.0
_APPROVE = (("[a]pprove, [r]eject: ", "a"), ("until you press Enter.", ""))
_CRASH = "kill -9 $(pgrep -f my_workflow:build)"


class Tour:
    """Does the README's blocks, one after the other.

    Args:
        place: The newcomer's machine.
        report: Where it notes what became of them.
    """

    def __init__(self, place: Place, report: Report) -> None:
        self._place = place
        self._report = report
        self._main = place.terminal(place.clone, active=False)
        self._server: Terminal | None = None
        self._worker: Terminal | None = None
        self._worker_line = ""
        self._written = ""
        """By the last command of the third terminal."""
        self._special: dict[str, Callable[[str], None]] = {
            "make demo ": self._demo,
            "make demo-crash": self._demo,
            "python3 -m venv": lambda line: self._do(line, 3 * _MINUTES),
            "python -m pip install": lambda line: self._do(line, 15 * _MINUTES),
            "agent-framework-temporal-dev-server": self._start_server,
            "agent-framework-temporal-worker": self._start_worker,
            "agent-framework-temporal dev": self._start_dev,
            "agent-framework-temporal respond": lambda line: self._do(line, answers=(("no): ", "yes"), ("]: ", ""))),
            "kill ": self._crash,
        }

    def walk(self, *, to_install: bool = False) -> None:
        """Do all of it; ends with nothing running. The first failure ends it, as it would end a person's tour.

        Args:
            to_install: Do only what makes the environment and the tour's folder.
        """
        for block in blocks(README, "sh", "python", "text"):
            if to_install and block.language != "sh":
                break
            if to_install and block.text.startswith("make "):
                self._report.leave_out(block, "pages were named")
                continue
            try:
                self._block(block)
            except Exception as error:
                self._report.fail(block, str(error))
                break
        self._place.close(*(terminal for terminal in (self._main, self._server, self._worker) if terminal))

    def _block(self, block: Block) -> None:
        if block.language == "text":
            check_shown(block.text, self._written)
        elif block.file is not None:
            (self._place.tour / block.file).write_text(block.text)
            if block.file == "my_model.py":
                self._report.leave_out(block, "it needs an account; tests/docs runs it against a stand-in")
                return
        else:
            for line in lines(block):
                self._line(line)
        self._report.done += 1

    def _line(self, line: str) -> None:
        for start, do in self._special.items():
            if line.startswith(start):
                return do(line)
        return self._do(line)

    def _do(self, line: str, seconds: float = 2 * _MINUTES, answers: tuple[tuple[str, str], ...] = ()) -> None:
        code, self._written = self._main.run(line, seconds=seconds, answers=answers)
        if code:
            raise AssertionError(f"{line!r} ended with exit code {code}:\n{self._written[-3000:]}")

    def _demo(self, line: str) -> None:
        self._do(line, 15 * _MINUTES, _APPROVE)

    def _start_server(self, line: str) -> None:
        self._server = self._place.terminal()
        self._server.start(line, "Temporal dev server at 127.0.0.1:7233")

    def _start_worker(self, line: str) -> None:
        self._worker_line = line
        self._worker = self._worker or self._place.terminal()
        self._worker.start(line, "Serving essay on task queue 'essays'")

    def _crash(self, line: str) -> None:
        """Kill the worker when the README says, by its id: `pgrep` would find those of others on this machine, too."""
        assert line == _CRASH, line
        assert self._worker is not None
        for said in ("revising: add the sea", "looking up night trains"):
            self._worker.until(said)
        self._do(line.replace(_CRASH.removeprefix("kill -9 "), str(self._worker.foreground)))
        self._worker.ended()
        self._start_worker(self._worker_line)
        if "looking up" in self._worker.until("revising: add the sea"):
            raise AssertionError("the tool was called again")

    def _start_dev(self, line: str) -> None:
        """Stop server and worker, as the README says, and start the command that has both."""
        assert self._worker is not None
        assert self._server is not None
        for terminal in (self._worker, self._server):
            code, said = terminal.interrupt()
            if code:
                raise AssertionError(f"ctrl-C ended with exit code {code}:\n{said}")
            if "looking up" in said:
                raise AssertionError("the tool was called again")
        self._server.start(line, "Serving essay on task queue")


def lines(block: Block) -> Iterator[str]:
    """Yield the commands of a block, those over several lines as one."""
    for line in block.text.replace("\\\n", " ").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line
