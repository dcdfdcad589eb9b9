"""A checkpoint of any thread, as history holds it."""

from __future__ import annotations

from temporalio.client import Client

from ..checkpoints.history import load_checkpoint
from ..checkpoints.lineage import Locator, thread_infos
from ..checkpoints.thread import latest_run_id
from ..temporal.server import rpc_errors
from .thread_facts import existing_thread


async def raw_checkpoint(client: Client, checkpoint_id: str, thread: str | None) -> bytes:
    """Load a checkpoint from history.

    Args:
        client: A client with our payload converter.
        checkpoint_id: Its id.
        thread: The thread whose list may hold it: visibility, where a run is looked up else, lags behind.
    """
    locator = Locator(client)
    with rpc_errors(client, f"load checkpoint {checkpoint_id!r}"):
        if thread is not None:
            facts = await existing_thread(client, thread)
            run_id = await latest_run_id(client, thread, facts.workflow_name)
            for info in await thread_infos(client, thread, run_id):
                locator.saw(thread, info.run_id)
                if info.kind == "edit":
                    locator.saw_edit(thread, info.run_id, info.checkpoint_id)
        return await load_checkpoint(client, await locator.locate(checkpoint_id))
