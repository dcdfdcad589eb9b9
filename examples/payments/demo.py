"""Charges two cards with workers that die in the middle, and asks a person each time."""

from __future__ import annotations

import asyncio
import os
import sys
import tempfile
import uuid
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

from agent_framework_temporal import DurableWorkflow, InDoubt, start_dev_server, terminal_text
from temporalio.client import Client

from . import bank
from .workflow import Order, Paid, build

ORDERS = (Order(number="1", amount=40), Order(number="2", amount=90))


async def pay(durable: DurableWorkflow, order: Order) -> Paid:
    """Pay one order, on a thread of its own; a person answers by what the bank says."""
    checkpoint = durable.checkpoint()
    result = await durable.run(order, checkpoint=checkpoint)
    (request,) = result.get_request_info_events()
    assert isinstance(request.data, InDoubt)  # noqa: S101 - for the type checker
    print(terminal_text(f"order {order.number}: is {request.data.call} done? It had begun when its worker died."))
    is_charged = order.number in bank.charges()
    print(f"order {order.number}: the bank {'has it' if is_charged else 'knows nothing of it'}")
    result = await durable.run(responses={request.request_id: not is_charged}, checkpoint=checkpoint)
    (paid,) = result.get_outputs()
    assert isinstance(paid, Paid)  # noqa: S101 - for the type checker
    print(terminal_text(f"order {order.number}: {paid.parcel} is sent with {paid.receipt}"))
    return paid


@asynccontextmanager
async def workers(client: Client, task_queue: str) -> AsyncIterator[None]:
    """Run a worker, and another one when it has died."""
    address = client.service_client.config.target_host
    worker = ("-m", "agent_framework_temporal.worker", "--workflow", "examples.payments.workflow:build")
    process: Process | None = None
    serving = asyncio.Event()

    async def keep() -> None:
        nonlocal process
        while True:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, *worker, "--task-queue", task_queue, "--address", address),
                stdout=PIPE,
            )
            assert process.stdout is not None  # noqa: S101 - for the type checker
            async for _ in process.stdout:  # Its first line says that it serves; the end, that it has died.
                serving.set()

    keeping = asyncio.create_task(keep())
    try:
        await serving.wait()
        yield
    finally:
        keeping.cancel()
        if process is not None and process.returncode is None:
            process.terminate()
            await process.wait()


async def main() -> None:
    """Run the example."""
    async with AsyncExitStack() as stack:
        os.environ[bank.FILE] = str(Path(stack.enter_context(tempfile.TemporaryDirectory())) / "bank")
        address = os.environ.get("TEMPORAL_ADDRESS")
        if address is None:
            server = await stack.enter_async_context(await start_dev_server())
            address = server.address
        client = await Client.connect(address)
        queue = f"payments-{uuid.uuid4().hex[:8]}"
        await stack.enter_async_context(workers(client, queue))
        # A lost worker is noticed after a second; 30 where nothing is said.
        quick = timedelta(seconds=1)
        durable = DurableWorkflow(build, client=client, task_queue=queue, heartbeat_timeout=quick)
        for order in ORDERS:
            await pay(durable, order)
        print(f"charged: orders {', '.join(bank.charges())}; reserved: orders {', '.join(bank.reservations())}")


if __name__ == "__main__":
    asyncio.run(main())
