"""Shows a run while it goes on: a live view in a terminal, lines in a pipe, JSON lines for a program."""

from __future__ import annotations

import shutil
from collections.abc import Iterable
from datetime import timedelta
from time import monotonic
from types import TracebackType
from typing import Any, Self

from agent_framework import WorkflowEvent
from rich.console import Group, RenderableType
from rich.live import Live
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from ...workflows.display import one_line, terminal_line
from ..checkpoints.handle import Checkpoint
from ..client.event_json import event_json
from .output import Output
from .run_model import ExecutorView, RunModel, event_line
from .text import duration, short

_MARKS = {"idle": ("○", "dim"), "done": ("✔", "green"), "failed": ("✘", "bold red"), "asking": ("?", "yellow")}
_SPOKEN_LINES = 6
_REQUESTS = 5


class RunView:
    """Shows the events of one or more calls to a thread.

    Args:
        output: Where.
        checkpoint: The thread's handle.
        executors: Ids of the graph's executors, if it is known.
    """

    def __init__(self, output: Output, checkpoint: Checkpoint, executors: Iterable[str] = ()) -> None:
        self.model: RunModel = RunModel.of(executors)
        self._output = output
        self._checkpoint = checkpoint
        self._begun = monotonic()
        self._over = False
        self._spinner = Spinner("dots", style="cyan")
        self._live = (
            Live(get_renderable=self._render, console=output.console, refresh_per_second=8)
            if output.is_terminal
            else None
        )

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over = True
        if self._live is not None:
            self._live.stop()

    def show(self, event: WorkflowEvent[Any]) -> None:
        """Show an event."""
        if self._output.as_json:
            self._output.json(event_json(event), line=True)
            return
        self.model.apply(event)
        line = event_line(event)
        if self._live is None:
            if line is not None:
                self._output.line(line)
        elif event.type in ("output", "failed", "warning", "error", "live_events_discarded") and line is not None:
            # What must not be overwritten scrolls up above the view.
            self._live.console.print(Text(terminal_line(line).strip()))

    def _render(self) -> RenderableType:
        parts: list[RenderableType] = [self._header(), self._executors()]
        if self.model.taken:
            parts.append(Text(f"  {self.model.taken}", style="dim"))
        spoken = self._spoken()
        if spoken is not None:
            parts.append(spoken)
        if self.model.requests:
            parts.append(self._requests())
        return Group(*parts)

    def _header(self) -> Text:
        # The last column stays free: where it is full, some terminals go to the next line at once, and what is drawn
        # anew clears one line too few.
        width = self._output.console.width - 1
        state = self.model.state
        style = {"failed": "bold red", "idle": "green"}.get(state, "yellow" if "pending" in state else "cyan")
        name = self._checkpoint.workflow_name or "thread"
        right = f"{state}  superstep {self.model.superstep}  {duration(timedelta(seconds=monotonic() - self._begun))}"
        left = one_line(f"{name} · {self._checkpoint.thread_id}", max(10, width - len(right) - 2))
        header = Text(left, style="bold")
        header.append(" " * max(2, width - len(left) - len(right)))
        header.append(right, style=style)
        return header

    def _executors(self) -> Table:
        table = Table.grid(padding=(0, 1))
        for name, view in self.model.executors.items():
            table.add_row("", self._mark(view), Text(terminal_line(name)), self._remark(view))
        return table

    def _mark(self, view: ExecutorView) -> RenderableType:
        if view.state == "running":
            return Text("●", style="cyan") if self._over else self._spinner
        mark, style = _MARKS[view.state]
        return Text(mark, style=style)

    def _remark(self, view: ExecutorView) -> Text:
        times = f"{view.invoked} times" if view.invoked > 1 else ""
        if view.state != "running":
            return Text(times, style="dim")
        attempt = f", attempt {self.model.attempt}" if self.model.attempt > 1 else ""
        since = duration(timedelta(seconds=monotonic() - view.since))
        return Text(f"{times} {since}{attempt}".strip(), style="dim")

    def _spoken(self) -> Text | None:
        name = self.model.speaking
        view = self.model.executors.get(name or "")
        if name is None or view is None or not view.text:
            return None
        width = max(20, self._output.console.width - 5)
        lines = Text(view.text).wrap(self._output.console, width)
        shown = min(_SPOKEN_LINES, max(2, shutil.get_terminal_size().lines // 3))
        text = Text(f"  {terminal_line(name)} says\n", style="dim")
        for line in lines[-shown:]:
            text.append(f"    {line.plain.rstrip()}\n", style="default")
        text.right_crop(1)
        return text

    def _requests(self) -> Text:
        text = Text("  waits for an answer\n" if self._over else "  asks\n", style="yellow")
        requests = list(self.model.requests.values())
        for request in requests[:_REQUESTS]:
            width = max(20, self._output.console.width - 7)
            text.append(
                f"    {terminal_line(request.executor_id)}, request {terminal_line(request.request_id)}\n",
                style="default",
            )
            text.append(f"      {short(request.data, width)}\n", style="dim")
        if len(requests) > _REQUESTS:
            text.append(f"    and {len(requests) - _REQUESTS} more\n", style="dim")
        text.right_crop(1)
        return text
