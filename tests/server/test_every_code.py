"""Each gRPC code at each call of each operation: success or an error of ours that tells the right story."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import pytest
from agent_framework_temporal import (
    AlreadyRunningError,
    Checkpoint,
    DurableWorkflowError,
    NoWorkerError,
    PayloadError,
    SearchAttributesError,
    ServerBusyError,
    ServerUnreachableError,
)
from agent_framework_temporal.adapter.temporal import server as _server
from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode
from temporalio.testing import WorkflowEnvironment

from tests.conftest import temporal_binary
from tests.flows import chain, countdown, shop
from tests.server._faults import CODES, Faults, faulty_client
from tests.server._operations import OPERATIONS, Operation, Place
from tests.support import worker

_UNREACHABLE = {RPCStatusCode.UNAVAILABLE, RPCStatusCode.DEADLINE_EXCEEDED, RPCStatusCode.CANCELLED}
_REFUSED = {RPCStatusCode.UNAUTHENTICATED, RPCStatusCode.PERMISSION_DENIED}
_TRANSIENT = [RPCStatusCode.UNAVAILABLE, RPCStatusCode.RESOURCE_EXHAUSTED, RPCStatusCode.INTERNAL]
_NOT_TWICE = {
    "start_workflow_execution",
    "signal_workflow_execution",
    "create_schedule",
    "update_workflow_execution",
}
"""Calls that are made again only if the server says that it has not done anything."""


@pytest.fixture(scope="module")
async def client() -> AsyncIterator[Client]:
    """Return a client of a server of its own, where no other thread waits."""
    environment = await WorkflowEnvironment.start_local(
        dev_server_existing_path=temporal_binary(), dev_server_log_level="never"
    )
    async with environment:
        yield environment.client


@pytest.fixture(autouse=True)
async def _nothing_waits(client: Client) -> AsyncIterator[None]:
    """Leave no thread behind that no worker answers for: the inbox would ask it, and wait."""
    yield
    async for execution in client.list_workflows("ExecutionStatus = 'Running'"):
        with contextlib.suppress(RPCError):
            await client.get_workflow_handle(execution.id).terminate()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_server, "PATIENCE_SECONDS", 0.15)
    monkeypatch.setattr(_server, "_FIRST_PAUSE", 0.02)


def _story(code: RPCStatusCode, rpc: str) -> tuple[type[Exception], ...]:
    """Return which errors say what has happened."""
    ours: tuple[type[Exception], ...] = (DurableWorkflowError,)
    if code in _UNREACHABLE:
        ours = (ServerUnreachableError,)
    elif code == RPCStatusCode.RESOURCE_EXHAUSTED:
        ours = (ServerBusyError,)
    elif code in _REFUSED:
        ours = (ServerUnreachableError,)
    if rpc in ("query_workflow", "update_workflow_execution"):  # A worker answers them.
        ours += (NoWorkerError,)
    if rpc.endswith("search_attributes"):
        ours += (SearchAttributesError,)
    return ours


class _Threads:
    """Threads as an operation needs them; one that a call has left as it was, as most that fail do, is taken again.

    Args:
        operation: The operation.
        healthy: Where they are made.
    """

    def __init__(self, operation: Operation, healthy: Place) -> None:
        self._prepare = operation.prepare
        self._healthy = healthy
        self._left: list[tuple[str, tuple[str, int]]] = []

    @contextlib.asynccontextmanager
    async def one(self) -> AsyncIterator[Checkpoint]:
        if self._left:
            handle, stood = self._left.pop()
            at = Checkpoint.from_json(handle)
        else:
            at = await self._prepare(self._healthy)
            handle, stands = at.to_json(), await self._standing(at)
            if stands is None:
                yield at
                return
            stood = stands
        yield at
        if await self._standing(at) == stood:
            self._left.append((handle, stood))

    async def _standing(self, at: Checkpoint) -> tuple[str, int] | None:
        """Return the thread's last run and how long its history is; None for a thread without any run."""
        try:
            description = await self._healthy.client.get_workflow_handle(at.thread_id).describe()
        except RPCError:
            return None
        return description.run_id, description.history_length


async def _fails(operation: Operation, threads: _Threads, faulty: Place, faults: Faults, rpc: str) -> None:
    async with threads.one() as at:
        await _fails_at(operation, at, faulty, faults, rpc)


async def _fails_at(operation: Operation, at: Checkpoint, faulty: Place, faults: Faults, rpc: str) -> None:
    code = faults.code
    faults.fail(rpc, code)
    try:
        await operation.call(faulty, at)
    except PayloadError as error:
        raise AssertionError(f"{code.name} at {rpc} is told as {error!r}") from error
    except DurableWorkflowError as error:
        # That a run is open is known without the worker's answer.
        told = (*_story(code, rpc), AlreadyRunningError, operation.ends_with or AlreadyRunningError)
        assert isinstance(error, told), f"{code.name} at {rpc}: {error!r}"
    except Exception as error:
        raise AssertionError(f"{code.name} at {rpc} comes as {error!r}") from error
    finally:
        faults.rpc = ""


async def _calls(operation: Operation, healthy: Place, faulty: Place, faults: Faults) -> list[str]:
    """Return the calls an operation makes where nothing fails."""
    at = await operation.prepare(healthy)
    faults.calls.clear()
    await _ends(operation, faulty, at)
    return list(faults.calls)


async def _ends(operation: Operation, place: Place, at: Checkpoint) -> None:
    with contextlib.nullcontext() if operation.ends_with is None else pytest.raises(operation.ends_with):
        await operation.call(place, at)


@pytest.mark.parametrize("name", OPERATIONS)
async def test_each_code_at_each_call(client: Client, name: str) -> None:
    operation = OPERATIONS[name]
    async with worker(client, shop, chain, countdown) as task_queue:
        healthy = Place(client, task_queue)
        faulty: list[tuple[Place, Faults]] = []
        for code in CODES:
            other, faults = await faulty_client(client)
            faults.code = code
            faulty.append((Place(other, task_queue), faults))
        rpcs = await _calls(operation, healthy, *faulty[0])
        assert rpcs
        threads = _Threads(operation, healthy)
        for rpc in rpcs:
            await asyncio.gather(*(_fails(operation, threads, place, faults, rpc) for place, faults in faulty))


@pytest.mark.parametrize("name", OPERATIONS)
async def test_one_refusal_is_not_the_end(client: Client, name: str) -> None:
    operation = OPERATIONS[name]
    async with worker(client, shop, chain, countdown) as task_queue:
        healthy = Place(client, task_queue)
        other, faults = await faulty_client(client)
        threads = _Threads(operation, healthy)
        for rpc in await _calls(operation, healthy, Place(other, task_queue), faults):
            for code in _TRANSIENT:
                if rpc in _NOT_TWICE and code != RPCStatusCode.RESOURCE_EXHAUSTED:
                    continue
                # A connection of its own, as some answers are remembered.
                other, faults = await faulty_client(client)
                async with threads.one() as at:
                    faults.fail(rpc, code, times=1)
                    await _ends(operation, Place(other, task_queue), at)
                    assert faults.times == 0
