"""What every command has: the connection's flags, `--json`, and errors that become one line and an exit code."""

from __future__ import annotations

import asyncio
import functools
import inspect
import os
import sys
import traceback
from collections.abc import Awaitable, Callable, Collection, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
from temporalio.client import Client

from ...workflows.display import json_text, shell_command, terminal_text
from ..checkpoints.archive import ThreadArchive
from ..commands.connection import ConnectionSettings, connect, converter_of_environment
from ..commands.exit_codes import EXPECTED, INTERRUPTED, UsageError, exit_code_of
from ..logging import log_to_terminal
from ..temporal.client import framed_client
from .advice import error_text, has_steps
from .output import Output, silence

PROGRAM = "agent-framework-temporal"
DEBUG_VARIABLE = "AGENT_FRAMEWORK_TEMPORAL_DEBUG"
_PANEL = "Connection"

Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Server; defaults to the profile's, else localhost:7233.",
        rich_help_panel=_PANEL,
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Namespace; defaults to the profile's, else default.",
        rich_help_panel=_PANEL,
    ),
]
Profile = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        help="Profile of Temporal's configuration file.",
        rich_help_panel=_PANEL,
    ),
]
ConfigFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        help="Configuration file to use instead of Temporal's default.",
        rich_help_panel=_PANEL,
    ),
]
FromFile = Annotated[
    Path | None,
    typer.Option(
        "--from-file",
        metavar="FILE",
        help="Read an exported thread instead of a server.",
        rich_help_panel=_PANEL,
    ),
]
_CONNECTION = {"address": Address, "namespace": Namespace, "profile": Profile, "config_file": ConfigFile}
CONNECTION = tuple(_CONNECTION)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, for programs.")]

Workflow = Annotated[
    str | None,
    typer.Option(
        "--workflow",
        "-w",
        metavar="NAME|MODULE:ATTR",
        help="Name of the workflow, or where it is defined, which also gives its types.",
    ),
]
TaskQueue = Annotated[
    str | None,
    typer.Option(
        "--task-queue",
        "-q",
        metavar="NAME",
        envvar="AGENT_FRAMEWORK_TEMPORAL_TASK_QUEUE",
        help="Task queue of its workers; defaults to the thread's, else agent-framework.",
        show_envvar=False,
    ),
]
Thread = Annotated[
    str, typer.Argument(metavar="THREAD", help="The thread: a Temporal workflow id.", show_default=False)
]


class Session:
    """One call of a command.

    Args:
        settings: What the command line says of the connection.
        output: Where it writes.
        from_file: An exported thread that stands for the server.
    """

    def __init__(self, settings: ConnectionSettings, output: Output, from_file: Path | None = None) -> None:
        self.settings = settings
        self.output = output
        self._from_file = from_file
        self._client: Client | None = None

    @property
    def is_live(self) -> bool:
        """Whether it looks at a server, and not into an exported thread."""
        return self._from_file is None

    def again(self, command: str, *arguments: str, options: Sequence[str] = ()) -> str:
        """Return the command line of another command that connects as this one has."""
        flags: list[str] = []
        for flag, value in (
            ("--address", self.settings.address),
            ("--namespace", self.settings.namespace),
            ("--profile", self.settings.profile),
            ("--config-file", self.settings.config_file),
        ):
            if value is not None:
                flags += [flag, value]
        return shell_command([PROGRAM, *command.split()], arguments, [*options, *flags])

    async def client(self) -> Client:
        """Return a connected client, always the same.

        Raises:
            UsageError: When the profile cannot be used.
            ServerUnreachableError: When no server answers.
        """
        if self._client is None and self._from_file is not None:
            self._client = open_archive(self._from_file).client
        if self._client is None:
            self._client = framed_client(await connect(self.settings))
        return self._client


def open_archive(path: Path) -> ThreadArchive:
    """Open an exported thread, with the keys of the environment.

    Raises:
        UsageError: When the file cannot be read, or the keys are none.
        CheckpointCorruptedError: When it is no exported thread.
        NotSealedError: When it is sealed, and there are no keys.
    """
    try:
        return ThreadArchive(path, data_converter=converter_of_environment())
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error


def register(
    app: typer.Typer,
    function: Callable[..., Awaitable[int | None]],
    *,
    name: str | None = None,
    reads: bool = False,
    connection: Collection[str] = CONNECTION,
) -> None:
    """Make a command of a coroutine function whose first parameter is a `Session`.

    It returns its exit code, or None for 0; `typer` sees its other parameters, and those that every command has.

    Args:
        app: Of which.
        function: The command.
        name: Its name; the function's by default.
        reads: Whether it only reads history, so that it can read an exported thread, too.
        connection: Which of the connection's flags it takes.
    """
    app.command(name, help=_help(function))(_entry(function, reads=reads, connection=connection))


def register_group(app: typer.Typer, function: Callable[..., Awaitable[int | None]], *, name: str) -> typer.Typer:
    """Make a command of a function that has commands of its own below it; returns where they are registered."""
    group = typer.Typer(help=_help(function))
    entry = _entry(function, group=True)
    group.callback(invoke_without_command=True, help=_help(function))(entry)
    app.add_typer(group, name=name)
    return group


def _help(function: Callable[..., Any]) -> str:
    # The first line, and no more: the rest is for those who read the code.
    return (function.__doc__ or "").partition("\n\n")[0].replace("\n", " ")


def _entry(
    function: Callable[..., Awaitable[int | None]],
    *,
    group: bool = False,
    reads: bool = False,
    connection: Collection[str] = CONNECTION,
) -> Callable[..., None]:
    """Return what `typer` calls.

    Args:
        function: The command.
        reads: See `register`.
        connection: See `register`.
        group: Whether there are commands below it, which it leaves what it was called for to.
    """
    signature = inspect.signature(function, eval_str=True)
    ours = [inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=AsJson)]
    ours += [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in _CONNECTION.items()
        if name in connection
    ]

    @functools.wraps(function)
    def run(
        *,
        as_json: bool,
        address: str | None = None,
        namespace: str | None = None,
        profile: str | None = None,
        config_file: str | None = None,
        context: typer.Context | None = None,
        from_file: Path | None = None,
        **arguments: Any,
    ) -> None:
        if context is not None and context.invoked_subcommand is not None:
            return
        settings = ConnectionSettings(address=address, namespace=namespace, profile=profile, config_file=config_file)
        session = Session(settings, Output(as_json=as_json), from_file)
        raise typer.Exit(carry_out(session, lambda: function(session, **arguments)))

    if reads:
        ours.append(inspect.Parameter("from_file", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=FromFile))
    if group:
        ours.append(inspect.Parameter("context", inspect.Parameter.KEYWORD_ONLY, annotation=typer.Context))
    parameters = [*list(signature.parameters.values())[1:], *ours]
    keyword_only = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    run.__signature__ = signature.replace(parameters=keyword_only, return_annotation=None)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in keyword_only}
    del run.__wrapped__  # Else its annotations count, and not these.
    return run


def carry_out(session: Session, begin: Callable[[], Any]) -> int:
    """Run a command and say what it fails with, in commands and not in Python; returns the exit code."""
    # What it warns of are runs, which are told by their events.
    log_to_terminal("ERROR", "%(message)s")
    try:
        return asyncio.run(begin()) or 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        silence()
        return 0
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            sys.stderr.write(terminal_text(traceback.format_exc()))
        code = exit_code_of(error)
        text = error_text(session, error)
        if session.output.as_json:
            said = json_text({"error": type(error).__name__, "message": text, "exit_code": code}, ascii_only=True)
        else:
            # The further lines of a text that an executor has chosen cannot pass for this command's.
            known = isinstance(error, EXPECTED) or has_steps(error)
            message = text if known else f"{type(error).__name__}: {text}"
            said = terminal_text(f"{PROGRAM}: {message}", margin="  ")
        sys.stderr.write(f"{said}\n")
        return code
