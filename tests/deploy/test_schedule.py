"""Schedules begin threads like any other."""

from __future__ import annotations

import asyncio

import pytest
from agent_framework_temporal import DurableWorkflow, PayloadError, ThreadExistsError
from temporalio.client import Client, ScheduleActionExecutionStartWorkflow

from tests.flows import Order, shop
from tests.support import unique, worker


async def test_each_action_begins_a_thread(client: Client) -> None:
    async with worker(client, shop) as queue:
        durable = DurableWorkflow(shop, client=client, task_queue=queue)
        schedule_id = unique("nightly")
        schedule = await durable.schedule(
            schedule_id, [Order(item="kettle")], cron="0 3 * * *", time_zone="Europe/Berlin"
        )
        try:
            with pytest.raises(ThreadExistsError, match="already exists"):
                await durable.schedule(schedule_id, Order(item="pan"), cron="0 3 * * *")
            with pytest.raises(PayloadError):
                await durable.schedule(unique("other"), object(), cron="0 3 * * *")
            description = await schedule.describe()
            assert description.schedule.spec.time_zone_name == "Europe/Berlin"
            await schedule.trigger()
            async with asyncio.timeout(50):
                while not (actions := (await schedule.describe()).info.recent_actions):
                    await asyncio.sleep(0.1)
            action = actions[0].action
            assert isinstance(action, ScheduleActionExecutionStartWorkflow)
            assert action.workflow_id.startswith(f"{schedule_id}-")
            result = await durable.run(checkpoint=durable.checkpoint(action.workflow_id))
            [request] = result.get_request_info_events()
            assert request.data == Order(item="kettle")
            await durable.cancel(durable.checkpoint(action.workflow_id))
        finally:
            await schedule.delete()
