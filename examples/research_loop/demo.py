"""Runs a long loop; its history never grows beyond a bound, and the caller sees one run."""

from __future__ import annotations

import asyncio
import sys

from agent_framework_temporal import terminal_text

from examples._local import hosted

from .workflow import Plan, Report, build


async def main(questions: int) -> None:
    """Run the example."""
    # Small, to show it: by default a run continues as new at 4 MB of history or when the server suggests it.
    async with hosted(build, supersteps_per_run=20) as durable:
        checkpoint = durable.checkpoint()
        supersteps = 0
        runs: set[str] = set()
        async for event in durable.run_stream(Plan(topic="night trains", questions=questions), checkpoint=checkpoint):
            if event.type == "superstep_completed":
                supersteps += 1
                runs.add(checkpoint.run_id or "")
            elif event.type == "output" and isinstance(event.data, Report):
                print(terminal_text(f"{event.data.findings} findings; the last: {event.data.last}", margin="  "))
        checkpoints = await durable.checkpoints(checkpoint)
        print(f"{supersteps} supersteps in {len(runs)} runs of one thread, {len(checkpoints)} checkpoints")


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]) if len(sys.argv) > 1 else 40))
