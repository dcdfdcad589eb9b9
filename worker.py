"""The deployable worker: hosts the workflows it is given on a task queue until it is told to stop.

    python worker.py --workflow package.module:attr [--workflow ...] --task-queue NAME

Every flag is also an environment variable. The connection is Temporal's own client configuration: a profile of its
configuration file, and TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_API_KEY and TEMPORAL_TLS_*, so Temporal Cloud
needs no code. SIGINT or SIGTERM stops polling and lets running supersteps end; a second one does not wait for them.
"""

from __future__ import annotations

import argparse
import asyncio
import difflib
import importlib
import logging
import os
import re
import signal
import sys
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NoReturn

from agent_framework import Workflow
from agent_framework_temporal import AgentFrameworkPlugin, HostingError
from agent_framework_temporal.adapter._process_exit import exit_process
from temporalio.api.workflowservice.v1 import DescribeNamespaceRequest
from temporalio.client import Client
from temporalio.envconfig import ClientConfig
from temporalio.service import RPCError
from temporalio.worker import Worker

_EXIT_CODES = """\
exit codes:
  0  stopped by SIGINT or SIGTERM
  1  the worker failed while it was running
  2  a flag or the connection profile is wrong
  3  --workflow names nothing that can be imported, or neither a workflow nor a factory of one
  4  no Temporal server answers, it refuses the credentials, or it has no such namespace
  5  a workflow cannot be hosted, for instance because its name is auto-generated or taken
"""
_FAILED, _BAD_CONFIGURATION, _BAD_IMPORT, _NO_SERVER, _NOT_HOSTABLE = 1, 2, 3, 4, 5
_CONNECT_SECONDS = 20


class _StartError(Exception):
    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code


def command() -> NoReturn:
    """Run the worker and exit; the console script `agent-framework-temporal-worker`."""
    exit_process(main())


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the worker until it is told to stop; returns the exit code."""
    options = _options(arguments)
    logging.basicConfig(level=options.log_level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    try:
        asyncio.run(_run(options))
    except Exception as error:
        logging.debug("The worker ended", exc_info=error)
        print(f"agent-framework-temporal-worker: {error}", file=sys.stderr)
        if isinstance(error, _StartError):
            return error.code
        return _NOT_HOSTABLE if isinstance(error, HostingError) else _FAILED
    return 0


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="agent-framework-temporal-worker",
        usage="%(prog)s --workflow MODULE:ATTR [--workflow ...] --task-queue NAME [options]",
        description="Host Microsoft Agent Framework workflows on Temporal. Each flag can be the variable in [].",
        epilog=_EXIT_CODES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )

    def add(flag: str, variable: str, text: str, default: str | None = None, **options: Any) -> None:
        # A default that is a string goes through `type` too, so the environment is checked as the flag is.
        parser.add_argument(flag, default=os.environ.get(variable) or default, help=f"{text} [{variable}]", **options)

    prefix = "AGENT_FRAMEWORK_TEMPORAL"
    workflows = f"{prefix}_WORKFLOWS"
    text = f"workflow, or factory of one, looked for from this folder; can be repeated [{workflows}, with commas]"
    parser.add_argument("--workflow", action="append", metavar="MODULE:ATTR", help=text)
    add("--task-queue", f"{prefix}_TASK_QUEUE", "task queue to serve", metavar="NAME")
    add("--address", "TEMPORAL_ADDRESS", "server; else the profile's, else localhost:7233", metavar="HOST:PORT")
    add("--namespace", "TEMPORAL_NAMESPACE", "namespace; else the profile's, else default")
    add("--profile", "TEMPORAL_PROFILE", "profile of the configuration file; else default")
    add("--config-file", "TEMPORAL_CONFIG_FILE", "configuration file; else Temporal's usual one", metavar="FILE")
    text = "seconds that running supersteps get to end when told to stop (25); then they start again elsewhere"
    add("--shutdown-timeout", f"{prefix}_SHUTDOWN_TIMEOUT", text, "25", type=float, metavar="SECONDS")
    add("--max-supersteps", f"{prefix}_MAX_SUPERSTEPS", "supersteps at a time (100)", "100", type=int, metavar="N")
    add("--log-level", f"{prefix}_LOG_LEVEL", "log level (warning)", "warning", type=str.upper, metavar="LEVEL")

    options = parser.parse_args(arguments)
    options.workflow = options.workflow or os.environ.get(workflows, "").replace(",", " ").split()
    if not options.workflow:
        parser.error(f"say what to host: --workflow package.module:attr, or {workflows}")
    if not options.task_queue:
        parser.error(f"say which task queue to serve: --task-queue NAME, or {prefix}_TASK_QUEUE")
    if options.config_file and not os.path.isfile(options.config_file):
        parser.error(f"there is no configuration file {options.config_file!r}")
    if options.shutdown_timeout < 0 or options.max_supersteps < 1:
        parser.error("--shutdown-timeout must be 0 or more, --max-supersteps 1 or more")
    if options.log_level not in logging.getLevelNamesMapping():
        parser.error(f"--log-level {options.log_level.lower()!r} is none of debug, info, warning, error")
    return options


async def _run(options: argparse.Namespace) -> None:
    stopping = _told_to_stop()
    # An installed command's path starts with its own folder; the user's modules are where it is called.
    sys.path.insert(0, os.getcwd())
    plugin = AgentFrameworkPlugin([_load(reference) for reference in options.workflow])
    hosted = await plugin.prepare()
    client = await _connect(options, plugin)
    worker = Worker(
        client,
        task_queue=options.task_queue,
        graceful_shutdown_timeout=timedelta(seconds=options.shutdown_timeout),
        max_concurrent_activities=options.max_supersteps,
    )
    where = f"namespace {client.namespace!r} at {client.service_client.config.target_host}"
    print(f"Serving {', '.join(sorted(hosted))} on task queue {options.task_queue!r}, {where}", flush=True)
    running, asked = asyncio.create_task(worker.run()), asyncio.create_task(stopping.wait())
    await asyncio.wait({running, asked}, return_when=asyncio.FIRST_COMPLETED)
    asked.cancel()
    if stopping.is_set():
        print(f"Stopping: running supersteps have {options.shutdown_timeout:g} s to end", flush=True)
        await worker.shutdown()
    await running


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


def _load(reference: str) -> Any:
    name, _, attribute = reference.partition(":")
    if not (name and attribute):
        raise _StartError(_BAD_IMPORT, f"--workflow {reference!r} is not of the form package.module:attr")
    try:
        found: Any = importlib.import_module(name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            why = f"there is no module {error.name!r} in {os.getcwd()} or installed"
        else:
            why = f"importing {name!r} raised {type(error).__name__}: {error}"
        raise _StartError(_BAD_IMPORT, f"--workflow {reference!r}: {why}") from error
    for part in attribute.split("."):
        if not hasattr(found, part):
            close = difflib.get_close_matches(part, dir(found), 1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise _StartError(_BAD_IMPORT, f"--workflow {reference!r}: {name!r} has no {part!r}{hint}")
        found = getattr(found, part)
    if not isinstance(found, Workflow) and not callable(found):
        why = f"a {type(found).__name__}, not a Workflow or a function that builds one"
        raise _StartError(_BAD_IMPORT, f"--workflow {reference!r} is {why}")
    return found


async def _connect(options: argparse.Namespace, plugin: AgentFrameworkPlugin) -> Client:
    try:
        config = ClientConfig.load_client_connect_config(options.profile, config_file=options.config_file)
    except Exception as error:
        raise _StartError(_BAD_CONFIGURATION, f"the connection profile cannot be used: {error}") from error
    address = options.address or config.get("target_host", "localhost:7233")
    namespace = options.namespace or config.get("namespace", "default")
    settings: dict[str, Any] = {**config, "target_host": address, "namespace": namespace, "plugins": [plugin]}
    try:
        async with asyncio.timeout(_CONNECT_SECONDS):
            client = await Client.connect(**settings)
            await client.workflow_service.describe_namespace(DescribeNamespaceRequest(namespace=namespace))
    except (RuntimeError, RPCError, TimeoutError) as error:
        # The cause lies deep in the text of a transport error.
        causes = re.findall(r'message: "([^"]+)"', str(error))
        why = causes[-1] if causes else str(error).rstrip(".") or f"no answer in {_CONNECT_SECONDS} s"
        text = f"cannot use namespace {namespace!r} at {address}: {why}. Set TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE, "
        text += "or start a local server with agent-framework-temporal-dev-server."
        raise _StartError(_NO_SERVER, text) from error
    return client


if __name__ == "__main__":
    command()
