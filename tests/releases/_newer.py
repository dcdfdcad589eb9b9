"""A release that does not exist yet, as far as its wire goes: more fields everywhere, and values nobody knows today."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

from agent_framework_temporal.workflows.messages import SUPERSTEP_ACTIVITY, WORKFLOW_TYPE
from temporalio import activity, workflow

MORE = {"lesson": {"of": "a newer release"}, "weight": 1.5}
"""Fields that this release does not know."""
PENDING: dict[str, Any] = {
    "request_id": "q0",
    "thread_id": "any",
    "executor_id": "asker",
    "asked_at": "2030-01-01T00:00:00+00:00",
    "request": "may I?",
    "request_type": "builtins:str",
    "response_type": "builtins:str",
    "deadline": "2031-01-01T00:00:00+00:00",
    "on_deadline": "escalate",
    **MORE,
}


def _facts(number: int) -> dict[str, Any]:
    return {
        "checkpoint_id": f"checkpoint-{number}",
        "previous_checkpoint_id": f"checkpoint-{number - 1}" if number else None,
        "superstep": number,
        "digest": "00" * 16,
        "size_bytes": 10,
        "frame_bytes": 10,
        "graph_hash": "hash",
        "timestamp": "2030-01-01T00:00:00+00:00",
        **MORE,
    }


def _events(offset: int) -> list[dict[str, Any]]:
    records: list[dict[str, Any]] = [
        {"type": "status", "origin": "FRAMEWORK", "state": "THINKING"},
        {"type": "thought", "origin": "MODEL", "executor_id": "asker", "data": "hm"},
        {"type": "steered", "data": "a record of ours that is no event"},
        {"type": "output", "origin": "EXECUTOR", "executor_id": "asker", "data": f"said {offset}"},
        {"type": "superstep_completed", "origin": "FRAMEWORK", "iteration": offset},
    ]
    return [{"offset": offset + index, "attempt": 1, **record, **MORE} for index, record in enumerate(records)]


@activity.defn(name=SUPERSTEP_ACTIVITY)
async def superstep(step: dict[str, Any]) -> dict[str, Any]:
    """Tell a live event, and commit."""
    number = int(step["chain_length"])
    live = {"type": "thought", "origin": "MODEL", "data": "hm, live", "offset": step["offset"] + 1, "attempt": 1}
    activity.heartbeat({"attempt": 1, "offset": step["offset"], "events": [live], "version": 7, **MORE})
    await asyncio.sleep(0.5)
    return {
        "version": step.get("written_as", 1),
        "kind": "prefetched",
        "state": step["ends"],
        "events": _events(step["offset"]),
        "checkpoint": _facts(number),
        "pending": [PENDING],
        **MORE,
    }


@workflow.defn(name=WORKFLOW_TYPE, sandboxed=False)
class NewerWorkflow:
    """Runs two supersteps, the second when it is told to."""

    def __init__(self) -> None:
        self._goes_on = False

    @workflow.signal
    def go_on(self, written_as: int = 1) -> None:
        self._goes_on = True
        self._written_as = written_as

    @workflow.run
    async def run(self, run_input: dict[str, Any]) -> dict[str, Any]:
        await self._superstep(run_input, 0, "draining")
        await workflow.wait_condition(lambda: self._goes_on)
        await self._superstep(run_input, 1, "asleep", self._written_as)
        return {"state": "archived", "checkpoint": self._ref(1), "graph_hash": "hash", "next_offset": 10, **MORE}

    async def _superstep(self, run_input: dict[str, Any], number: int, ends: str, written_as: int = 1) -> None:
        step = {
            "workflow_name": run_input["workflow_name"],
            "mode": "prefetch",
            "offset": 5 * number,
            "chain_length": number,
            "ends": ends,
            "written_as": written_as,
        }
        await workflow.execute_activity(
            SUPERSTEP_ACTIVITY,
            {**step, **MORE},
            start_to_close_timeout=timedelta(minutes=1),
            heartbeat_timeout=timedelta(seconds=10),
        )

    def _ref(self, number: int) -> dict[str, Any]:
        info = workflow.info()
        return {
            "thread_id": info.workflow_id,
            "run_id": info.run_id,
            "checkpoint_id": f"checkpoint-{number}",
            **MORE,
        }

    @workflow.query
    def status(self) -> dict[str, Any]:
        info = workflow.info()
        return {
            "workflow_name": "newer",
            "thread_id": info.workflow_id,
            "run_id": info.run_id,
            "state": "draining",
            "superstep": 1,
            "executors": ["asker"],
            "checkpoint": self._ref(0),
            "next_offset": 5,
            "pending_requests": ["q0"],
            **MORE,
        }

    @workflow.query
    def events(self, after: int = -1, limit: int = 500) -> dict[str, Any]:
        page = {"run_id": workflow.info().run_id, "state": "draining", "first_offset": 0, "next_offset": 5}
        return {**page, "events": _events(0)[after + 1 :][:limit], **MORE}

    @workflow.query
    def pending_requests(self) -> list[dict[str, Any]]:
        return [{**PENDING, "thread_id": workflow.info().workflow_id, "workflow_name": "newer"}]
