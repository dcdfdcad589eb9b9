"""Editing what a functional workflow has come to: the results of its steps."""

from __future__ import annotations

import pytest
from agent_framework_temporal import CheckpointEdit, DurableWorkflow, EditRefusedError
from temporalio.client import Client

from tests.functional._flows import Draft, Verdict, review
from tests.support import unique, worker


async def test_a_step_returns_what_a_person_says(client: Client) -> None:
    def rewrite(edit: CheckpointEdit) -> None:
        (key,) = edit.state["_step_cache"]
        edit.state["_step_cache"] = {key: Draft(title="boats", words=9)}

    async with worker(client, review) as task_queue:
        durable = DurableWorkflow(review, client=client, task_queue=task_queue)
        thread = durable.checkpoint(unique("review"))
        await durable.run("tides", checkpoint=thread)
        await durable.edit(thread, edit=rewrite, edited_by="ada")
        (asked,) = (await durable.run(checkpoint=thread)).get_request_info_events()
        assert asked.data == Draft(title="boats", words=9)
        assert [info.edited_by for info in await durable.checkpoints(thread)].count("ada") == 1
        waiting = await durable.run(responses={asked.request_id: Verdict(accepted=True)}, checkpoint=thread)
        assert [event.data for event in waiting.get_request_info_events()] == [{"who reads": "tides"}]


async def test_a_request_is_what_the_code_makes_of_it(client: Client) -> None:
    def ask_else(edit: CheckpointEdit) -> None:
        for event in edit.pending.values():
            event.data = Draft(title="boats", words=9)

    async with worker(client, review) as task_queue:
        durable = DurableWorkflow(review, client=client, task_queue=task_queue)
        thread = durable.checkpoint(unique("review"))
        await durable.run("tides", checkpoint=thread)
        with pytest.raises(EditRefusedError, match="there is no executor 'review'"):
            await durable.edit(thread, edit=ask_else, edited_by="ada")
