"""Runs the report, answers as the person, and shows that no step that had finished ran again."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from agent_framework_temporal import terminal_text

from examples._local import hosted

from .workflow import calls, travel_report


async def main() -> None:
    """Run the example."""
    async with hosted(travel_report, retry_initial_interval=timedelta(milliseconds=100)) as durable:
        checkpoint = durable.checkpoint()
        result = await durable.run("night trains", checkpoint=checkpoint)
        [request] = result.get_request_info_events()
        print(terminal_text(f"asked: {request.data}", margin="  "))
        # The process could end here: the thread waits in the server, with what its steps returned.
        result = await durable.run(responses={request.request_id: "Asleep to Vienna"}, checkpoint=checkpoint)
        [report] = result.get_outputs()
        print(terminal_text(f"filed as {report.number}: {report.title}", margin="  "))
        print("steps that ran:")
        for call in calls:
            print(f"  {call}")


if __name__ == "__main__":
    asyncio.run(main())
