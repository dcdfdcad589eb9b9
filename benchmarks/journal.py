"""What a model or tool call costs that a lost worker does not repeat: in the journal, and as an activity of its own."""

from __future__ import annotations

import uuid
from statistics import median

from agent_framework_temporal import DurableWorkflow

from ._agents import tool_loop
from ._bare import ToolLoopWorkflow
from ._bench import Bench, Run, milliseconds
from ._table import Table

_ROUNDS = 20


async def measure(bench: Bench) -> list[Table]:
    """Run the same tool loop with the journal, without it, and with an activity for each call, in turns."""
    rounds, turns = (5, 3) if bench.quick else (_ROUNDS, 20)
    calls = 2 * rounds + 1
    table = Table(
        f"(j) an agent that calls a model and a tool {calls} times, {turns} runs each",
        ("", "ms a call (median)", "history events a call", "history bytes a call"),
    )
    seconds: dict[str, list[float]] = {"journal": [], "no journal": [], "activities": []}
    runs: dict[str, Run] = {}
    async with bench.worker() as queue:
        for turn in range(turns + 1):  # The first warms up.
            for name in seconds:
                took, runs[name] = await _run(bench, queue, name, rounds)
                if turn:
                    seconds[name] += took
    bare = len(runs["no journal"].events), runs["no journal"].history_bytes
    for name, label in (
        ("journal", "ours: in the journal"),
        ("no journal", "ours: `journal=False`, nothing is kept"),
        ("activities", "an activity for each call, as Temporal's agent plugins have it"),
    ):
        run = runs[name]
        events, size = len(run.events), run.history_bytes
        if name != "activities":  # Of the superstep itself, which both have.
            events, size = events - bare[0], size - bare[1]
        table.add(label, milliseconds(seconds[name]), round(events / calls, 2), round(size / calls))
    cost = milliseconds([median(seconds["journal"]) - median(seconds["no journal"])])
    table.goal("a journalled call, ms", cost, 5.0)
    table.goal("its history events", (len(runs["journal"].events) - bare[0]) / calls, 0.0)
    table.note("Events and bytes of ours are those beyond the superstep, which is one activity with or without.")
    return [table]


async def _run(bench: Bench, queue: str, name: str, rounds: int) -> tuple[list[float], Run]:
    """Run it once; returns the seconds between the starts of its calls, and its history."""
    if name == "activities":
        thread_id = f"tool-loop-{uuid.uuid4().hex}"
        await bench.client.execute_workflow(ToolLoopWorkflow.run, rounds, id=thread_id, task_queue=queue)
        run = await bench.finished(thread_id)
        return run.seconds_per_step(), run
    durable = DurableWorkflow(tool_loop, client=bench.client, task_queue=queue, journal=name == "journal")
    checkpoint = durable.checkpoint()
    (seconds,) = (await durable.run(rounds, checkpoint=checkpoint)).get_outputs()
    return seconds, await bench.finished(checkpoint.thread_id)
