"""Answers an order from Python with nothing but `temporalio`: `python answer.py order-1 approve-pen`."""

from __future__ import annotations

import asyncio
import atexit
import sys
import time

from temporalio.client import Client, WorkflowUpdateFailedError
from temporalio.envconfig import ClientConfig
from temporalio.exceptions import ApplicationError


async def main(thread_id: str, request_id: str) -> None:
    """Look what is asked, answer wrongly, answer rightly, and wait for the end."""
    config = ClientConfig.load_client_connect_config()  # TEMPORAL_ADDRESS and its like.
    config.setdefault("target_host", "localhost:7233")
    client = await Client.connect(**config)
    thread = client.get_workflow_handle(thread_id)
    for request in await thread.query("pending_requests"):
        # Others have chosen the id: what it may do to a terminal is shown instead.
        request_name = request["request_id"].encode("unicode_escape").decode()
        print(request_name, request["request"], list(request["response_schema"]["properties"]))
    try:
        await thread.execute_update("respond", {"request_id": request_id, "response": {"approved": "perhaps"}})
    except WorkflowUpdateFailedError as error:
        if isinstance(error.cause, ApplicationError):
            print(error.cause.details[0]["errors"])
    answer = {"request_id": request_id, "response": {"approved": True}, "responder": "ada"}
    print(await thread.execute_update("respond", answer))
    # A signal would do as well: await thread.signal("respond", answer)
    print((await thread.result())["outputs"])


if __name__ == "__main__":
    # The SDK's threads abort an interpreter that ends under them (temporalio/sdk-python issue 300).
    atexit.register(time.sleep, 0.2)
    asyncio.run(main(*sys.argv[1:3]))
