"""Which workers poll a task queue: those that are alive, of all that the server remembers."""

from __future__ import annotations

import os
import socket
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from temporalio.api.enums.v1 import WorkerStatus
from temporalio.api.taskqueue.v1 import PollerInfo
from temporalio.api.worker.v1 import WorkerHeartbeat
from temporalio.api.workflowservice.v1 import ListWorkersRequest
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

from .server import retried

POLL_LASTS = timedelta(seconds=70)
"""A worker's poll waits a minute on the server, so one that is alive was seen in this time."""
_ENDED = (WorkerStatus.WORKER_STATUS_SHUTTING_DOWN, WorkerStatus.WORKER_STATUS_SHUTDOWN)


def polled_lately(poller: PollerInfo) -> bool:
    """Tell whether a poller is one that could still be there."""
    return poller.last_access_time.ToDatetime(tzinfo=UTC) > datetime.now(UTC) - POLL_LASTS


async def live_pollers(client: Client, task_queue: str, pollers: Sequence[PollerInfo]) -> list[PollerInfo]:
    """Return the pollers that are alive; the server names each for five minutes after its last poll.

    One that has said goodbye is left out at once, as is one whose process was on this machine and is gone; of others it
    shows when they have not polled for more than a minute. Costs one round trip; a server that lists no workers is told
    by its refusal.

    Args:
        client: A connected client.
        task_queue: Its name.
        pollers: All that the server names.
    """
    lately = [poller for poller in pollers if polled_lately(poller) and not _is_gone(poller.identity)]
    if not lately:
        return []
    ended = {each.worker_identity for each in await _heartbeats(client, task_queue) if each.status in _ENDED}
    return [poller for poller in lately if poller.identity not in ended]


async def _heartbeats(client: Client, task_queue: str) -> list[WorkerHeartbeat]:
    """Return what each worker of a task queue has said last; of several of one identity the newest."""
    request = ListWorkersRequest(namespace=client.namespace, page_size=1000)
    newest: dict[str, WorkerHeartbeat] = {}
    while True:
        try:
            response = await retried(lambda: client.workflow_service.list_workers(request))
        except RPCError as error:
            if error.status in (RPCStatusCode.UNIMPLEMENTED, RPCStatusCode.PERMISSION_DENIED):
                return []
            raise
        for info in response.workers_info:
            found = info.worker_heartbeat
            known = newest.get(found.worker_identity)
            if found.task_queue == task_queue and (known is None or _at(known) < _at(found)):
                newest[found.worker_identity] = found
        request.next_page_token = response.next_page_token
        if not response.next_page_token:
            return list(newest.values())


def _at(heartbeat: WorkerHeartbeat) -> tuple[int, int]:
    started = heartbeat.start_time
    return (started.seconds, started.nanos)


def _is_gone(identity: str) -> bool:
    """Tell whether an identity, as the SDK makes them, is that of a process of this machine that is not there."""
    process_id, _, host = identity.partition("@")
    if not process_id.isdecimal() or host != socket.gethostname():
        return False
    try:
        os.kill(int(process_id), 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):  # It is somebody else's, or no process id at all.
        return False
    return False
