"""What a worker needs of private names of Temporal's SDK; `tests/unit/test_sdk_contract.py` pins each one.

`reading.py` alone has more of them: it overrides how a worker's data converter decodes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import timedelta
from typing import Any, NoReturn, TypeAlias

from google.protobuf.message import Message
from temporalio import activity
from temporalio.api.common.v1 import Payload
from temporalio.bridge.proto import ActivityHeartbeat, ActivityTaskCompletion
from temporalio.bridge.proto.activity_task import ActivityTask, Start
from temporalio.converter import (
    ActivitySerializationContext,
    DataConverter,
    StorageDriverActivityInfo,
    StorageDriverStoreContext,
)
from temporalio.service import ConnectConfig, ServiceClient
from temporalio.worker import Worker

ActivityStart: TypeAlias = Start
HeartbeatRecorder: TypeAlias = Callable[[bytes, Sequence[Payload]], None]


def heartbeat_recorder(worker: Worker) -> HeartbeatRecorder | None:
    """Return what records a heartbeat of a worker's activity from any thread; None where this SDK has it elsewhere.

    `activity.heartbeat` needs the worker's event loop. A heartbeat sent past the SDK does not do: its core gives up an
    activity itself that it has had no heartbeat of, five seconds after the timeout.
    """
    record = getattr(getattr(worker, "_bridge_worker", None), "record_activity_heartbeat", None)
    if record is None:
        return None

    def recorded(task_token: bytes, details: Sequence[Payload]) -> None:
        record(ActivityHeartbeat(task_token=task_token, details=details))

    return recorded


def watch_activities(
    worker: Worker, begun: Callable[[bytes, ActivityStart], None], ended: Callable[[bytes], None]
) -> None:
    """Be told of a worker's activities for longer than their code runs; of none where this SDK has them elsewhere.

    Args:
        worker: The worker, before it runs.
        begun: Called with the task token before the SDK decodes what comes with an activity.
        ended: Called when the SDK has encoded what it ends with.
    """
    bridge = getattr(worker, "_bridge_worker", None)
    poll, complete = (getattr(bridge, name, None) for name in ("poll_activity_task", "complete_activity_task"))
    if bridge is None or poll is None or complete is None:
        return

    async def polled() -> ActivityTask:
        task: ActivityTask = await poll()
        if task.HasField("start"):
            begun(task.task_token, task.start)
        return task

    async def completed(completion: ActivityTaskCompletion) -> None:
        ended(completion.task_token)
        await complete(completion)

    vars(bridge).update(poll_activity_task=polled, complete_activity_task=completed)


def heartbeat_converter(converter: DataConverter, info: activity.Info) -> DataConverter:
    """Return the data converter as the SDK uses it for an activity's heartbeats."""
    context = ActivitySerializationContext(
        namespace=info.namespace,
        workflow_id=info.workflow_id,
        workflow_type=info.workflow_type,
        activity_type=info.activity_type,
        activity_id=info.activity_id,
        activity_task_queue=info.task_queue,
        is_local=info.is_local,
    )
    target = StorageDriverActivityInfo(
        id=info.activity_id, type=info.activity_type, run_id=info.activity_run_id, namespace=info.namespace
    )
    return converter._with_contexts(context, StorageDriverStoreContext(target=target))


class RecordedService(ServiceClient):
    """What a client calls in the place of a server: each call is answered here.

    Args:
        where: Named as the server in errors.
        answer: Returns the response to a call, by its name and request.
    """

    def __init__(self, where: str, answer: Callable[[str, Message], Message]) -> None:
        super().__init__(ConnectConfig(target_host=where, lazy=True))
        self._answer = answer

    async def _rpc_call(
        self,
        rpc: str,
        req: Message,
        resp_type: type[Any],
        *,
        service: str,
        retry: bool,
        metadata: Mapping[str, str | bytes],
        timeout: timedelta | None,  # noqa: ASYNC109 - the SDK's
    ) -> Any:
        """See base class."""
        return self._answer(rpc, req)

    @property
    def worker_service_client(self) -> NoReturn:
        """See base class; a worker has nothing to poll here.

        Raises:
            NotImplementedError: Always.
        """
        raise NotImplementedError("No worker can run on a recording.")

    def update_rpc_metadata(self, metadata: Mapping[str, str | bytes]) -> None:
        """See base class; there is nobody to tell."""

    def update_api_key(self, api_key: str | None) -> None:
        """See base class; there is nobody to tell."""
