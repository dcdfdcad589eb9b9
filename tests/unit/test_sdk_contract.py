"""Private names of Temporal's SDK that this package uses: each is there, and is called as it expects."""

from __future__ import annotations

import inspect
from typing import Any

import pytest
from agent_framework_temporal.adapter.temporal import reading, sdk
from temporalio import activity
from temporalio.bridge.worker import Worker as BridgeWorker
from temporalio.client import Client
from temporalio.converter import DataConverter
from temporalio.service import ServiceClient
from temporalio.worker import Worker

from tests.support import unique


@activity.defn(name="nothing")
async def _nothing() -> None:
    """Do nothing."""


def _parameters(function: Any) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self"]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [("record_activity_heartbeat", ["comp"]), ("poll_activity_task", []), ("complete_activity_task", ["comp"])],
)
def test_what_is_asked_of_the_bridge(name: str, parameters: list[str]) -> None:
    assert _parameters(getattr(BridgeWorker, name)) == parameters


async def test_a_worker_has_its_bridge_where_it_is_looked_for(client: Client) -> None:
    """Before it runs; and it looks up what is put in the place of its methods."""
    worker = Worker(client, task_queue=unique("queue"), activities=[_nothing])
    assert sdk.heartbeat_recorder(worker) is not None
    before = vars(worker)["_bridge_worker"].poll_activity_task
    sdk.watch_activities(worker, lambda token, start: None, lambda token: None)
    assert vars(worker)["_bridge_worker"].poll_activity_task is not before
    async with worker:
        pass


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("_with_contexts", ["serialization_ctx", "store_ctx"]),
        ("_decode_reference_payload_sequence", ["payloads"]),
        ("_external_retrieve_payload_sequence", ["payloads"]),
        ("_decode_payload_sequence", ["payloads"]),
    ],
)
def test_what_a_worker_overrides_of_its_data_converter(name: str, parameters: list[str]) -> None:
    """The order in which the SDK calls them is in `tests/unit/test_reading.py`."""
    assert _parameters(getattr(DataConverter, name)) == parameters
    assert any(name in vars(cls) for cls in (reading.ReadingDataConverter, reading._TaskDataConverter))


def test_what_stands_for_a_server() -> None:
    assert ServiceClient.__abstractmethods__ == {
        "_rpc_call",
        "update_api_key",
        "update_rpc_metadata",
        "worker_service_client",
    }
    theirs, ours = (inspect.signature(kind._rpc_call).parameters for kind in (ServiceClient, sdk.RecordedService))
    assert list(theirs) == list(ours)
