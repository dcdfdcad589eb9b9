"""Runs the chat, and answers as the person: once with a wish, then with approval."""

from __future__ import annotations

import asyncio

from agent_framework import AgentExecutorResponse, AgentResponse, Message
from agent_framework.orchestrations import AgentRequestInfoResponse
from agent_framework_temporal import terminal_text

from examples._local import hosted

from .workflow import build


async def main() -> None:
    """Run the example."""
    async with hosted(build) as durable:
        checkpoint = durable.checkpoint()
        result = await durable.run("Find a motto for a railway.", checkpoint=checkpoint)
        wishes = ["Please, a shorter one."]
        while requests := result.get_request_info_events():
            responses = {}
            for event in requests:
                review: AgentExecutorResponse = event.data
                print(terminal_text(f"{review.executor_id} says: {review.agent_response.text}", margin="  "))
                if wishes:
                    print(f"you say: {wishes[0]}")
                    responses[event.request_id] = AgentRequestInfoResponse.from_strings([wishes.pop()])
                else:
                    print("you approve")
                    responses[event.request_id] = AgentRequestInfoResponse.approve()
            # The process could end here: the thread waits in the server, and its handle is a line of JSON.
            result = await durable.run(responses=responses, checkpoint=checkpoint)
        for output in result.get_outputs():
            messages: list[Message] = output.messages if isinstance(output, AgentResponse) else output
            print(terminal_text(f"outcome: {messages[-1].text}", margin="  "))


if __name__ == "__main__":
    asyncio.run(main())
