"""A checkpoint of any thread, as history holds it."""

from __future__ import annotations

from temporalio.client import Client

from ..checkpoints.history import HistoryGoneError, load_checkpoint
from ..checkpoints.lineage import OUR_ID, Locator, thread_infos
from ..temporal.server import rpc_errors
from .thread_facts import ThreadFacts, existing_thread


async def raw_checkpoint(client: Client, checkpoint_id: str, thread: str | None) -> bytes:
    """Load a checkpoint from history.

    Args:
        client: A client with our payload converter.
        checkpoint_id: Its id.
        thread: The thread that may hold it: visibility, where a run is looked up else, lags behind.

    Costs a round trip for each 200 events behind it in its run, and not the whole thread, but for one that a person has
    edited.
    """
    locator = Locator(client)
    with rpc_errors(client, f"load checkpoint {checkpoint_id!r}"):
        if thread is None:
            return await load_checkpoint(client, await locator.locate(checkpoint_id))
        await look_in_thread(client, locator, await existing_thread(client, thread), checkpoint_id)
        try:
            return await load_checkpoint(client, await locator.locate(checkpoint_id, lookups=1))
        except HistoryGoneError:  # It may be of another thread, as of the one that this was forked from.
            return await load_checkpoint(client, await Locator(client).locate(checkpoint_id, lookups=1))


async def look_in_thread(client: Client, locator: Locator, facts: ThreadFacts, checkpoint_id: str) -> None:
    """Have a locator look for a checkpoint in a thread, which it need not hold.

    Costs nothing, as most ids name their run; of one that a person has edited the thread's checkpoints are listed.

    Args:
        client: A client with our payload converter.
        locator: Looks for it then.
        facts: The thread.
        checkpoint_id: The checkpoint.
    """
    named = OUR_ID.fullmatch(checkpoint_id)
    if named is not None:
        locator.saw(facts.thread_id, named[1])
        return
    for info in await thread_infos(client, facts.thread_id, facts.run_id):
        if info.kind == "edit":
            locator.saw_edit(facts.thread_id, info.run_id, info.checkpoint_id)
