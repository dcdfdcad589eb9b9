"""All commands together."""

from __future__ import annotations

import importlib.metadata
import itertools
import re
import sys
from collections.abc import Awaitable, Callable, Sequence
from importlib import import_module
from typing import Annotated, Any, TextIO, cast

import typer
import typer.core

from ...workflows.display import json_text, terminal_text
from ..commands.exit_codes import BAD_USAGE, FAILED
from ..commands.worker import worker_parser
from . import checkpoint as _checkpoint
from . import console as _console
from . import dev as _dev
from . import doctor as _doctor
from . import exported as _exported
from . import graph as _graph
from . import init as _init
from . import life as _life
from . import namespace as _namespace
from . import replay as _replay
from . import respond as _respond
from . import run as _run
from . import schedule as _schedule
from . import steering as _steering
from . import threads as _threads
from .command import PROGRAM, register, register_group

EXIT_CODES = """\
Exit codes: 0 success, 1 the run or the command failed, 2 invalid flag or connection profile, 3 --workflow cannot be
imported, 4 no server answers, 5 the workflow cannot be hosted, 6 no worker answers, 7 no such thread, request or
checkpoint, 8 the thread rejects it, 130 interrupted.
"""

app: typer.Typer = typer.Typer(
    name=PROGRAM,
    help="Run Microsoft Agent Framework workflows durably on Temporal.",
    epilog=" ".join(EXIT_CODES.split()),
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(importlib.metadata.version(PROGRAM))
        raise typer.Exit


@app.callback()
def _options(
    show_version: Annotated[
        bool, typer.Option("--version", help="Show the version and exit.", is_eager=True, callback=_say_version)
    ] = False,
) -> None:
    """Take what goes before the command."""


register(app, _init.init, connection=())
register(app, _dev.dev, connection=("namespace",))
register(app, _console.console)


_ITEM: Any = getattr(typer.core, "CompletionItem", None) or import_module("click.shell_completion").CompletionItem
"""Typer has brought a Click of its own for some time."""


class _Worker(typer.core.TyperCommand):
    """Completes the flags of the worker, whose parser is its own."""

    def shell_complete(self, ctx: Any, incomplete: str) -> list[Any]:
        """See base class."""
        return [
            _ITEM(name, help=flag.text)
            for flag in worker_parser().flags
            for name in flag.names
            if name.startswith(incomplete)
        ]


@app.command(
    cls=_Worker,
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []},
    help="Host workflows until stopped; this is the worker to deploy. See `worker --help`.",
)
def worker(context: typer.Context) -> None:
    """Run the worker with its own flags."""
    sys.stderr = sys.__stderr__ or sys.stderr  # What executors write is theirs.
    from ..commands.worker import main as run_worker

    raise typer.Exit(run_worker(context.args))


_READS = frozenset({"stream", "status", "checkpoints", "cost", "show", "diff", "replay"})
"""What needs histories only, so that an exported thread can stand for the server."""

for _function in (
    _run.run,
    _run.stream,
    _namespace.inbox,
    _respond.respond,
    _threads.status,
    _threads.checkpoints,
    _threads.cost,
    _checkpoint.show,
    _checkpoint.diff,
    _run.resume,
    _run.fork,
    _checkpoint.edit,
    _steering.pause,
    _steering.breakpoints,
    _steering.withdraw,
    _threads.retry,
    _threads.cancel,
    _replay.replay,
    _doctor.doctor,
):
    register(app, _function, reads=_function.__name__ in _READS)

register(app, _graph.graph, connection=())

register(app, _steering.continue_, name="continue")

register(app, _exported.export)
register(app, _exported.import_, name="import")
_group = register_group(app, _life.threads_, name="threads")
register(_group, _life.delete)

_schedules = typer.Typer(help="Threads that Temporal starts on a schedule.", no_args_is_help=True)
app.add_typer(_schedules, name="schedule")
_of_schedules: dict[str, Callable[..., Awaitable[int | None]]] = {
    "create": _schedule.create,
    "list": _schedule.list_,
    "show": _schedule.show,
    "pause": _schedule.pause,
    "unpause": _schedule.unpause,
    "trigger": _schedule.trigger,
    "update": _schedule.update,
    "delete": _schedule.delete,
}
for _name, _command in _of_schedules.items():
    register(_schedules, _command, name=_name)
_attributes = typer.Typer(help="Search attributes, used to find threads.", no_args_is_help=True)
app.add_typer(_attributes, name="attributes")
register(_attributes, _namespace.register)


class _Visible:
    """Standard error: what a parser's message repeats of the command line, or a library says, moves no cursor."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._styles = stream.isatty()

    def write(self, text: str) -> int:
        parts = _STYLE.split(text) if self._styles else [text]
        return self._stream.write("".join(part if _STYLE.fullmatch(part) else terminal_text(part) for part in parts))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)


_STYLE = re.compile(r"(\x1b\[[0-9;]*m)")


_MISUSE: type[Exception] = typer.BadParameter.__mro__[2]
"""What the parser raises for all that is wrong on a command line."""


def main() -> int:
    """Run the command line; returns the exit code."""
    sys.stderr = cast(TextIO, _Visible(sys.stderr))
    as_json = _asks_for_json(sys.argv[1:])
    try:
        code = app(prog_name=PROGRAM, standalone_mode=not as_json)
    except SystemExit as ended:
        code = ended.code
    except _MISUSE as error:
        message = error.format_message()  # type: ignore[attr-defined] # All of them have it.
        told = {"error": "UsageError", "message": message, "exit_code": BAD_USAGE}
        sys.stderr.write(f"{json_text(told, ascii_only=True)}\n")
        return BAD_USAGE
    return code if isinstance(code, int) else 0 if code is None else FAILED


def _asks_for_json(words: Sequence[str]) -> bool:
    """Tell whether a program reads the answer; what follows `--` is no flag, and the worker has flags of its own."""
    flags = itertools.takewhile(lambda word: word != "--", words)
    return words[:1] != ["worker"] and "--json" in flags
