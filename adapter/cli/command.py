"""What every command has: the connection's flags, `--json`, and errors that become one line and an exit code."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import logging
import os
import shlex
import sys
import traceback
from collections.abc import Awaitable, Callable
from typing import Annotated, Any

import typer
from temporalio.client import Client

from ..commands.connection import ConnectionSettings, connect
from ..commands.exit_codes import EXPECTED, INTERRUPTED, UsageError, exit_code_of
from ..temporal.client import framed_client
from .output import Output, silence

PROGRAM = "agent-framework-temporal"
DEBUG_VARIABLE = "AGENT_FRAMEWORK_TEMPORAL_DEBUG"
_PANEL = "Connection"

Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        envvar="TEMPORAL_ADDRESS",
        help="Server; else the profile's, else localhost:7233.",
        rich_help_panel=_PANEL,
        show_envvar=False,
    ),
]
Namespace = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        envvar="TEMPORAL_NAMESPACE",
        help="Namespace; else the profile's, else default.",
        rich_help_panel=_PANEL,
        show_envvar=False,
    ),
]
Profile = Annotated[
    str | None,
    typer.Option(
        metavar="NAME",
        envvar="TEMPORAL_PROFILE",
        help="Profile of Temporal's configuration file.",
        rich_help_panel=_PANEL,
        show_envvar=False,
    ),
]
ConfigFile = Annotated[
    str | None,
    typer.Option(
        metavar="FILE",
        envvar="TEMPORAL_CONFIG_FILE",
        help="Another configuration file.",
        rich_help_panel=_PANEL,
        show_envvar=False,
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Write JSON, for programs.")]

Workflow = Annotated[
    str | None,
    typer.Option(
        "--workflow",
        "-w",
        metavar="NAME|MODULE:ATTR",
        help="Workflow's name; or where it is defined, which gives types.",
    ),
]
TaskQueue = Annotated[
    str | None,
    typer.Option(
        "--task-queue",
        "-q",
        metavar="NAME",
        envvar="AGENT_FRAMEWORK_TEMPORAL_TASK_QUEUE",
        help="Task queue of its workers; else the thread's, else agent-framework.",
        show_envvar=False,
    ),
]
Thread = Annotated[str, typer.Argument(metavar="THREAD", help="Thread: its Temporal workflow id.", show_default=False)]


class Session:
    """One call of a command.

    Args:
        settings: What the command line says of the connection.
        output: Where it writes.
    """

    def __init__(self, settings: ConnectionSettings, output: Output) -> None:
        self.settings = settings
        self.output = output
        self._client: Client | None = None

    def again(self, *words: str) -> str:
        """Return the command line of another command that connects as this one has."""
        flags: list[str] = []
        for flag, variable, value in (
            ("--address", "TEMPORAL_ADDRESS", self.settings.address),
            ("--namespace", "TEMPORAL_NAMESPACE", self.settings.namespace),
            ("--profile", "TEMPORAL_PROFILE", self.settings.profile),
            ("--config-file", "TEMPORAL_CONFIG_FILE", self.settings.config_file),
        ):
            if value is not None and os.environ.get(variable) != value:
                flags += [flag, value]
        return shlex.join([PROGRAM, *words, *flags])

    async def client(self) -> Client:
        """Return a connected client, always the same.

        Raises:
            UsageError: When the profile cannot be used.
            ServerUnreachableError: When no server answers.
        """
        if self._client is None:
            self._client = framed_client(await connect(self.settings))
        return self._client


def register(app: typer.Typer, function: Callable[..., Awaitable[int | None]], *, name: str | None = None) -> None:
    """Make a command of a coroutine function whose first parameter is a `Session`.

    It returns its exit code, or None for 0; `typer` sees its other parameters, and those that every command has.
    """
    signature = inspect.signature(function, eval_str=True)
    ours = [
        inspect.Parameter("as_json", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=AsJson),
        inspect.Parameter("address", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Address),
        inspect.Parameter("namespace", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Namespace),
        inspect.Parameter("profile", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Profile),
        inspect.Parameter("config_file", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=ConfigFile),
    ]

    @functools.wraps(function)
    def run(
        *,
        as_json: bool,
        address: str | None,
        namespace: str | None,
        profile: str | None,
        config_file: str | None,
        **arguments: Any,
    ) -> None:
        settings = ConnectionSettings(address=address, namespace=namespace, profile=profile, config_file=config_file)
        session = Session(settings, Output(as_json=as_json))
        raise typer.Exit(_carry_out(session, lambda: function(session, **arguments)))

    parameters = [*list(signature.parameters.values())[1:], *ours]
    keyword_only = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in parameters]
    run.__signature__ = signature.replace(parameters=keyword_only, return_annotation=None)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in keyword_only}
    del run.__wrapped__  # Else its annotations count, and not these.
    # The first line, and no more: the rest is for those who read the code.
    app.command(name, help=(function.__doc__ or "").partition("\n\n")[0].replace("\n", " "))(run)


def _carry_out(session: Session, begin: Callable[[], Any]) -> int:
    # What it warns of are runs, which are told by their events.
    logging.basicConfig(level=logging.ERROR, format="%(message)s")
    try:
        config_file = session.settings.config_file
        if config_file and not os.path.isfile(config_file):
            raise UsageError(f"there is no configuration file {config_file!r}")
        return asyncio.run(begin()) or 0
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        silence()
        return 0
    except Exception as error:
        if os.environ.get(DEBUG_VARIABLE):
            traceback.print_exc()
        code = exit_code_of(error)
        message = str(error) if isinstance(error, EXPECTED) else f"{type(error).__name__}: {error}"
        if session.output.as_json:
            said = json.dumps({"error": type(error).__name__, "message": str(error), "exit_code": code})
        else:
            said = f"{PROGRAM}: {message}"
        sys.stderr.write(f"{said}\n")
        return code
