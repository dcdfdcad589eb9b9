"""The terminal view of the demo: one run's events as they come, in a terminal or as plain lines in a pipe."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from types import TracebackType
from typing import Any, NoReturn, Self

from agent_framework import AgentResponse, AgentResponseUpdate, Content, WorkflowEvent, WorkflowRunState
from agent_framework_temporal import Checkpoint, LiveEventsDiscarded, terminal_text
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from .workflow import ApprovalRequest, Published

_MAX_LINES = 6
"""Of one agent's text: what matters of it is shown whole with the request and with the result."""
_LIVE_WORDS = 6
_LABEL_WIDTH = 12
_SPINNER_WIDTH = 2


class _Console(Console):
    def on_broken_pipe(self) -> NoReturn:
        """See base class, which exits the process: the demo has things to stop first.

        Raises:
            BrokenPipeError: Always.
        """
        self.quiet = True
        # Else the interpreter complains once more when it flushes what nobody reads.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise BrokenPipeError("Nobody reads the output any more.")


class View:
    """Prints what happens. A context manager, as a spinner may be turning when the demo ends.

    All text of people and models goes through `terminal_text`, so that nothing in it can move the cursor.
    """

    def __init__(self) -> None:
        if hasattr(sys.stdout, "reconfigure"):
            sys.stdout.reconfigure(errors="replace")  # A pipe in an ASCII locale must not end the demo.
        self._console = _Console(highlight=False, markup=False, emoji=False)
        self._spinner = self._console.status("", spinner="dots") if self._console.is_terminal else None
        self._spinning = False
        self._going_on = ""
        self._saying = ""
        self._updates: dict[str, list[AgentResponseUpdate]] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.now("")

    @property
    def is_terminal(self) -> bool:
        """Whether somebody looks at this as it happens."""
        return self._console.is_terminal

    def now(self, text: str) -> None:
        """Show what is going on below all else, in a terminal only; an empty text ends that."""
        if self._spinner is None:
            return
        self._going_on = text
        if text:
            line = f"{text} │ {self._saying}" if self._saying else text
            shown = Text(" ".join(terminal_text(line).split()), style="dim")
            # Cut here: a spinner puts its text into one of its own, which knows nothing of `no_wrap`.
            # The last column stays free: where it is full, some terminals go to the next line at once, and what is
            # drawn anew clears that one.
            shown.truncate(self._console.width - _SPINNER_WIDTH - 1, overflow="ellipsis")
            self._spinner.update(shown)
        if bool(text) != self._spinning:
            self._spinning = bool(text)
            (self._spinner.start if text else self._spinner.stop)()

    def heading(self, text: str, *, style: str = "bold") -> None:
        """Begin a section."""
        self._console.print()
        if self.is_terminal:
            self._console.rule(
                Text(terminal_text(text), style=style), align="left", style="bright_black", characters="─"
            )
        else:
            self._line(Text(terminal_text(text)))

    def facts(self, facts: Iterable[tuple[str, str]]) -> None:
        """Print labelled facts; each stays one line, so that an address can be clicked and copied."""
        for label, fact in facts:
            line = Text(f"  {label.ljust(_LABEL_WIDTH)}", style="bright_black")
            line.append(terminal_text(fact), style="default")
            # rich would break a long address in two; the terminal itself keeps it whole.
            self._console.print(line, soft_wrap=True)

    def note(self, text: str, *, mark: str = "·", style: str = "default") -> None:
        """Print one remark of the demo's own."""
        self._wrapped(text, first=f"  {mark} ", rest="    ", style=style)

    def success(self, text: str) -> None:
        """Print that something went well."""
        self.note(text, mark="✔", style="green")

    def alarm(self, text: str) -> None:
        """Print that something broke, on purpose or not."""
        self.note(text, mark="✘", style="bold red")

    def table(self, columns: Sequence[str], rows: Iterable[Sequence[str]], *, emphasis: Sequence[int] = ()) -> None:
        """Print a table; the rows numbered in `emphasis` stand out."""
        table = Table(box=box.SIMPLE if self.is_terminal else None, pad_edge=True, padding=(0, 1))
        for column in columns:
            table.add_column(Text(column, style="bold"))
        for number, row in enumerate(rows):
            table.add_row(
                *(Text(terminal_text(cell)) for cell in row), style="bold yellow" if number in emphasis else None
            )
        self._console.print(table)
        if not self.is_terminal:
            self._console.print()  # There the table has a border, which brings its own.

    def event(self, event: WorkflowEvent[Any], checkpoint: Checkpoint) -> None:
        """Print one event of the run's stream."""
        executor = event.executor_id or ""
        if isinstance(event, LiveEventsDiscarded):
            # What is shown of them was told by a worker that is gone.
            self._updates.clear()
            self._saying = ""
            self.note(f"attempt {event.attempt} of superstep {event.superstep} is lost; what it said is void")
        elif event.type == "superstep_started":
            self.heading(f"superstep {event.iteration}")
        elif event.type == "executor_invoked":
            self._wrapped(f"{executor}{_kinds(' ← ', event.data)}", first="  ▸ ", rest="    ", style="cyan")
        elif event.type == "intermediate" and isinstance(event.data, AgentResponseUpdate):
            # Agents of one superstep may stream at the same time: each is shown in one piece.
            self._updates.setdefault(executor, []).append(event.data)
            self._say(executor, event.data.text)
        elif event.type == "executor_completed":
            self._agent(executor)
            self._wrapped(f"{executor}{_kinds(' → ', event.data)}", first="  ✔ ", rest="    ", style="green")
        elif event.type == "executor_failed":
            self._agent(executor)
            message = event.details.message if event.details else "failed"
            self.alarm(f"{executor}: {message}")
        elif event.type == "request_info":
            self._wrapped(f"asks a human, request {event.request_id}", first="  ? ", rest="    ", style="yellow")
        elif event.type == "superstep_completed":
            self._wrapped(f"committed, checkpoint {checkpoint.checkpoint_id}", first="  ■ ", rest="    ", style="dim")
        elif event.type == "status" and event.state is WorkflowRunState.IDLE_WITH_PENDING_REQUESTS:
            self.note("The thread waits, at no cost, for a response.", style="dim")

    def request(self, request: ApprovalRequest) -> None:
        """Print a draft somebody has to decide about."""
        title = f"approval requested · revision {request.revision} · {_count(request.word_count, 'word')}"
        self.heading(title, style="bold yellow")
        self._prose(request.draft)
        self._console.print()

    def published(self, result: Published) -> None:
        """Print what the workflow made."""
        self.heading(f"published · revision {result.revision}", style="bold green")
        self._prose(result.title, style="bold")
        self._prose(result.body)
        self._console.print()

    def _say(self, executor: str, text: str) -> None:
        """Show below all else the words an agent is just saying."""
        if self._spinning and text.strip():
            said = AgentResponse.from_updates(self._updates[executor]).text.split()
            self._saying = f"{executor}: {' '.join(said[-_LIVE_WORDS:])}"
            self.now(self._going_on)

    def _agent(self, executor: str) -> None:
        """Print what an agent streamed: its text, cut, and its tool calls."""
        self._saying = ""
        updates = self._updates.pop(executor, [])
        for message in AgentResponse.from_updates(updates).messages:
            for content in message.contents:
                if content.type == "function_call":
                    self._cut(f"calls {content.name}({_arguments(content)})", first="  │ ⚙ ", style="magenta")
                elif content.type == "function_result":
                    self._cut(f"returned {content.result}", first="  │ ⚙ ", style="magenta")
                elif content.type == "text" and content.text:
                    self._excerpt(content.text, pieces=len(updates))

    def _excerpt(self, text: str, *, pieces: int) -> None:
        lines = [
            line for part in terminal_text(text).splitlines() if part.strip() for line in self._hanging(part, indent=4)
        ]
        shown = lines if len(lines) <= _MAX_LINES + 1 else lines[:_MAX_LINES]
        for line in shown:
            self._line(Text.assemble(("  │ ", "bright_black"), line))
        more = f"{_count(len(lines) - len(shown), 'more line')}, " if len(shown) < len(lines) else ""
        self._line(Text(f"  │ ({more}streamed in {_count(pieces, 'piece')})", style="bright_black"))

    def _prose(self, text: str, *, style: str = "default") -> None:
        self._console.print()
        for part in terminal_text(text).splitlines():
            for line in self._hanging(part, indent=2) or [Text()]:
                line.stylize(style)
                self._line(Text.assemble("  ", line))

    def _wrapped(self, text: str, *, first: str, rest: str, style: str) -> None:
        for number, line in enumerate(self._broken(" ".join(terminal_text(text).split()), indent=len(rest))):
            self._line(Text.assemble(rest if number else first, line, style=style))

    def _cut(self, text: str, *, first: str, style: str) -> None:
        line = Text(" ".join(terminal_text(text).split()), style=style)
        line.truncate(self._console.width - len(first), overflow="ellipsis")
        self._line(Text.assemble((first, "bright_black"), line))

    def _hanging(self, text: str, *, indent: int) -> list[Text]:
        """Break a line of Markdown; what follows a bullet stays right of it."""
        bullet = text[:2] if text.startswith(("- ", "* ")) else ""
        lines = self._broken(text.removeprefix(bullet), indent=indent + len(bullet))
        return [Text.assemble(" " * len(bullet) if number else bullet, line) for number, line in enumerate(lines)]

    def _broken(self, text: str, *, indent: int) -> list[Text]:
        width = max(20, self._console.width - indent)
        return list(Text(text).wrap(self._console, width))

    def _line(self, text: Text) -> None:
        text.rstrip()
        self._console.print(text, soft_wrap=True)


def _kinds(arrow: str, data: Any) -> str:
    """Name the types of what an executor was given, or sent and yielded; the pieces it streamed are shown already."""
    items = data if isinstance(data, list) else [data]
    kinds = [type(item).__name__ for item in items if item is not None and not isinstance(item, AgentResponseUpdate)]
    named = [kind if kinds.count(kind) == 1 else f"{kinds.count(kind)} {kind}" for kind in dict.fromkeys(kinds)]
    return arrow + ", ".join(named) if named else ""


def _arguments(content: Content) -> str:
    arguments = content.parse_arguments() or {}
    return ", ".join(f"{name}={json.dumps(value, ensure_ascii=False)}" for name, value in arguments.items())


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
