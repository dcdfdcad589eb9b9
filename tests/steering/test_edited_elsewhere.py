"""A thread that was edited is exported, listed, replayed and looked into like any other."""

from __future__ import annotations

from pathlib import Path

import pytest
from agent_framework_temporal import CheckpointEdit, DurableWorkflow, ThreadArchive, export_thread
from agent_framework_temporal.testing import replay_history, replay_superstep
from temporalio.client import Client, WorkflowHistory
from temporalio.testing import WorkflowEnvironment

from tests.cli._commands import Commands
from tests.steering._essays import Style, essay
from tests.support import unique, worker


@pytest.fixture(scope="module")
def cli(server: WorkflowEnvironment) -> Commands:
    return Commands(server.client.service_client.config.target_host)


def louder(edit: CheckpointEdit) -> None:
    edit.state["style"] = Style(name="vivid")


async def test_an_edited_thread_in_a_file(client: Client, cli: Commands, tmp_path: Path) -> None:
    path = tmp_path / "edited.jsonl"
    async with worker(client, essay) as task_queue:
        durable = DurableWorkflow(essay, client=client, task_queue=task_queue, keep_journal=True)
        thread = durable.checkpoint(unique("edited"))
        await durable.run("trains", checkpoint=thread)
        # Once while it waits, and once more when its run is over: from an earlier checkpoint.
        await durable.edit(thread, edit=louder, edited_by="ada")
        await durable.run(checkpoint=thread)
        await durable.run(responses={"publish": True}, checkpoint=thread)
        first = (await durable.checkpoints(thread))[1].checkpoint_id
        await durable.edit(thread, edit=louder, edited_by="bob", checkpoint_id=first)
        await durable.run(checkpoint=thread)
        infos = await durable.checkpoints(thread)
        with path.open("w") as file:
            async for line in export_thread(client, thread):
                file.write(line)
        # The newest superstep 2 is the one after the second edit; it is in a run that has no other before the edit.
        live = await replay_superstep(client, thread, 2, essay)
        oldest = await replay_superstep(client, thread, 1, essay)
        (listed,) = [found async for found in durable.threads() if found.thread_id == thread.thread_id]
        assert listed.state in ("waiting", "open")
    live.assert_same()
    oldest.assert_same()
    edits = [(info.edited_by, info.kind) for info in infos if info.kind == "edit"]
    assert edits == [("ada", "edit"), ("bob", "edit")]

    archive = ThreadArchive(path)
    offline = DurableWorkflow(essay, client=archive.client, task_queue="none")
    assert await offline.checkpoints(archive.thread_id) == infos
    assert len(archive.run_ids) == len({info.run_id for info in infos})
    for run_id in archive.run_ids:
        await replay_history(archive.history(run_id))
    (await replay_superstep(archive.client, archive.thread_id, 1, essay)).assert_same()
    assert isinstance(archive.history(archive.run_ids[0]), WorkflowHistory)

    edited = next(info for info in infos if info.edited_by == "bob")
    options = ("--from-file", str(path))
    shown = (await cli("show", edited.checkpoint_id, *options)).out
    assert "edited         by bob, 20" in shown
    told = (await cli("diff", first, edited.checkpoint_id, *options, "--json")).json
    assert {"kind": "changed", "before": "dull", "after": "vivid", "place": "state.style.name"} in told
    told = (await cli("diff", first, edited.checkpoint_id, *options, "-t", archive.thread_id, "--json")).json
    assert [change["place"] for change in told] == ["state.style.name"]
