"""The worker command: hosts the workflows it is given on a task queue until it is told to stop.

Every flag is also an environment variable. The connection is Temporal's own client configuration: a profile of its
configuration file, and TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY and TEMPORAL_TLS_*, so Temporal Cloud
needs no code. SIGINT or SIGTERM stops polling and lets running supersteps end; a second one does not wait for them.
"""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import signal
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import timedelta
from typing import Any, NoReturn

from temporalio.common import VersioningBehavior, WorkerDeploymentVersion
from temporalio.worker import Worker, WorkerDeploymentConfig

from ...workflows.display import terminal_line, terminal_text
from ..logging import log_to_terminal
from ..plugin import AgentFrameworkPlugin
from ..temporal.standalone import check_placement
from .connection import ConnectionSettings, connect
from .exit_codes import exit_code_of
from .health import Health
from .parser import CommandParser
from .references import load_workflow

_PREFIX = "AGENT_FRAMEWORK_TEMPORAL"
_EXIT_CODES = """\
exit codes:
  0  stopped by SIGINT or SIGTERM
  1  the worker failed while it was running
  2  invalid flag or connection profile
  3  --workflow cannot be imported, or is neither a workflow nor a factory
  4  no Temporal server answers, it refuses the credentials, or it has no such namespace
  5  a workflow cannot be hosted, e.g. because its name is generated or taken
"""


def command() -> NoReturn:
    """Run the worker and exit; the console script `agent-framework-temporal-worker`."""
    sys.exit(main())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worker until it is told to stop; returns the exit code."""
    options = _options(arguments)
    log_to_terminal(options.log_level, "%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(_run(options))
    except Exception as error:
        logging.debug("The worker ended", exc_info=error)
        print(terminal_text(f"agent-framework-temporal-worker: {error}", margin="  "), file=sys.stderr)
        return exit_code_of(error)
    return 0


def worker_parser() -> CommandParser:
    """Return the parser of the worker's flags."""
    parser = CommandParser(
        prog="agent-framework-temporal-worker",
        usage="%(prog)s --workflow MODULE:ATTR [--workflow ...] --task-queue NAME [options]",
        description="Host Microsoft Agent Framework workflows on Temporal. Each flag can be set by the variable in [].",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def add(flag: str, variable: str, text: str, default: str | None = None, **options: Any) -> None:
        # A default that is a string goes through `type` too, so the environment is checked as the flag is.
        parser.add_argument(flag, default=os.environ.get(variable) or default, help=f"{text} [{variable}]", **options)

    prefix = _PREFIX
    workflows = f"{prefix}_WORKFLOWS"
    text = f"workflow or factory, imported from this folder; can be repeated [{workflows}, with commas]"
    parser.add_argument("--workflow", action="append", metavar="MODULE:ATTR", help=text)
    add("--task-queue", f"{prefix}_TASK_QUEUE", "task queue to serve", metavar="NAME")
    # These variables are Temporal's own, and read where it is connected.
    for flag, variable, text, metavar in (
        ("--address", "TEMPORAL_ADDRESS", "server; defaults to the profile's, else localhost:7233", "HOST:PORT"),
        ("--namespace", "TEMPORAL_NAMESPACE", "namespace; defaults to the profile's, else default", "NAMESPACE"),
        ("--profile", "TEMPORAL_PROFILE", "profile of the configuration file; defaults to default", "PROFILE"),
        ("--config-file", "TEMPORAL_CONFIG_FILE", "configuration file; defaults to Temporal's", "FILE"),
    ):
        parser.add_argument(flag, help=f"{text} [{variable}]", metavar=metavar)
    text = "seconds that running supersteps get to finish on shutdown (25); then another worker retries them"
    add("--shutdown-timeout", f"{prefix}_SHUTDOWN_TIMEOUT", text, "25", type=float, metavar="SECONDS")
    add("--max-supersteps", f"{prefix}_MAX_SUPERSTEPS", "concurrent supersteps (100)", "100", type=int, metavar="N")
    executors = f"{prefix}_EXECUTORS"
    text = f"run only these executors: an id or pattern, or !pattern for all others; can be repeated [{executors}]"
    parser.add_argument("--executors", action="append", metavar="PATTERN", help=text)
    text = "supersteps and invocations per second that the server dispatches to all workers of this task queue"
    add("--max-per-second", f"{prefix}_MAX_PER_SECOND", text, type=float, metavar="N")
    text = "serve /healthz and /readyz on this port, for probes"
    add("--health-port", f"{prefix}_HEALTH_PORT", text, type=int, metavar="PORT")
    text = "worker deployment to join as version --build-id; runs stay on the version they started on"
    add("--deployment", f"{prefix}_DEPLOYMENT", text, metavar="NAME")
    add("--build-id", f"{prefix}_BUILD_ID", "version of the code, with --deployment", metavar="ID")
    add("--log-level", f"{prefix}_LOG_LEVEL", "log level (warning)", "warning", type=str.upper, metavar="LEVEL")
    parser.add_completion()
    return parser


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser, prefix = worker_parser(), _PREFIX
    options = parser.parse_args(arguments)
    options.workflow = options.workflow or os.environ.get(f"{prefix}_WORKFLOWS", "").replace(",", " ").split()
    options.executors = options.executors or os.environ.get(f"{prefix}_EXECUTORS", "").replace(",", " ").split()
    if not options.workflow:
        parser.error(f"say what to host: --workflow package.module:attr, or {prefix}_WORKFLOWS")
    if not options.task_queue:
        parser.error(f"say which task queue to serve: --task-queue NAME, or {prefix}_TASK_QUEUE")
    if options.config_file and not os.path.isfile(options.config_file):
        parser.error(f"there is no configuration file {options.config_file!r}")
    if options.shutdown_timeout < 0 or options.max_supersteps < 1:
        parser.error("--shutdown-timeout must be 0 or more, --max-supersteps 1 or more")
    if options.max_per_second is not None and not options.max_per_second > 0:
        parser.error("--max-per-second must be more than 0")
    if (options.deployment is None) is not (options.build_id is None):
        parser.error("--deployment and --build-id go together")
    if options.log_level not in logging.getLevelNamesMapping():
        parser.error(
            f"--log-level {options.log_level.lower()!r} is not a valid level: use debug, info, warning or error"
        )
    return options


async def _run(options: argparse.Namespace) -> None:
    stopping = _told_to_stop()
    sources = [load_workflow(reference) for reference in options.workflow]
    plugin = AgentFrameworkPlugin(sources, executors=options.executors)
    hosted = await plugin.prepare()
    settings = ConnectionSettings(
        address=options.address,
        namespace=options.namespace,
        profile=options.profile,
        config_file=options.config_file,
    )
    client = await connect(settings, [plugin])
    if options.executors:
        await check_placement(client)
    worker = Worker(
        client,
        task_queue=options.task_queue,
        graceful_shutdown_timeout=timedelta(seconds=options.shutdown_timeout),
        max_concurrent_activities=options.max_supersteps,
        max_task_queue_activities_per_second=options.max_per_second,
        deployment_config=_deployment(options),
    )
    where = f"namespace {client.namespace!r} at {client.service_client.config.target_host}"
    names = ", ".join(hosted)
    which = f" ({', '.join(options.executors)})" if options.executors else ""
    print(terminal_line(f"Serving {names}{which} on task queue {options.task_queue!r}, {where}"), flush=True)
    async with AsyncExitStack() as stack:
        if options.health_port is not None:
            health = Health(client, lambda: worker.is_running and not stopping.is_set())
            port = await stack.enter_async_context(health.serve(options.health_port))
            print(f"Health on port {port}", flush=True)
        running, asked = asyncio.create_task(worker.run()), asyncio.create_task(stopping.wait())
        await asyncio.wait({running, asked}, return_when=asyncio.FIRST_COMPLETED)
        asked.cancel()
        if stopping.is_set():
            print(f"Stopping: running supersteps have {options.shutdown_timeout:g} s to end", flush=True)
            await worker.shutdown()
        await running


def _deployment(options: argparse.Namespace) -> WorkerDeploymentConfig | None:
    if options.deployment is None:
        return None
    return WorkerDeploymentConfig(
        version=WorkerDeploymentVersion(deployment_name=options.deployment, build_id=options.build_id),
        use_worker_versioning=True,
        # A run's checkpoints fit the graph they were made by, which a new version may have changed.
        default_versioning_behavior=VersioningBehavior.PINNED,
    )


def _told_to_stop() -> asyncio.Event:
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()

    def stop() -> None:
        stopping.set()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)
    return stopping
