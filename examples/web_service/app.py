"""The service: POST /threads begins, GET /threads/{id}/events streams by SSE, POST /threads/{id}/responses answers.

The service keeps nothing: a thread's id is all there is to a run, so any replica serves any request, and a browser that
comes back reads on from the offset it has seen last (SSE's Last-Event-ID).
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Annotated, Any

from agent_framework import WorkflowEvent
from agent_framework_temporal import (
    DurableWorkflow,
    DurableWorkflowError,
    Response,
    ThreadNotFoundError,
    position_of,
)
from fastapi import FastAPI, Header, HTTPException
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import BaseModel

from examples._local import hosted

from .workflow import build

_PAGE = Path(__file__).with_name("page.html").read_text(encoding="utf-8")


def _policy(page: str) -> str:
    """Return the Content-Security-Policy of a page: the scripts and styles in it, and nothing that gets in later."""
    kinds = {}
    for kind in ("script", "style"):
        texts = re.findall(rf"<{kind}>(.*?)</{kind}>", page, re.DOTALL)
        digests = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts]
        kinds[kind] = " ".join(f"'sha256-{digest}'" for digest in digests)
    scripts = f"script-src {kinds['script']}; style-src {kinds['style']}; connect-src 'self'"
    return f"default-src 'none'; {scripts}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


_HEADERS = {"Content-Security-Policy": _policy(_PAGE), "X-Content-Type-Options": "nosniff"}


class NewThread(BaseModel):
    """What begins a thread."""

    message: str


class Answer(BaseModel):
    """A response to one of its requests."""

    request_id: str
    response: dict[str, Any]


def create_app(facade: AbstractAsyncContextManager[DurableWorkflow] | None = None) -> FastAPI:
    """Make the application.

    Args:
        facade: Gives the facade for as long as the application runs; by default with a server and worker of its own.
    """
    durable: DurableWorkflow

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        nonlocal durable
        async with facade or hosted(build) as durable:
            yield

    app = FastAPI(title="Durable replies", lifespan=lifespan)

    @app.get("/")
    async def page() -> HTMLResponse:
        return HTMLResponse(_PAGE, headers=_HEADERS)

    @app.post("/threads", status_code=201)
    async def begin(new: NewThread) -> dict[str, str]:
        checkpoint = durable.checkpoint()
        # The first event says that the run has begun; leaving the stream does not stop it.
        async for _ in durable.run_stream(new.message, checkpoint=checkpoint):
            break
        return {"thread_id": checkpoint.thread_id}

    @app.get("/threads/{thread_id}/events")
    async def events(
        thread_id: str, last_event_id: Annotated[int, Header(alias="Last-Event-ID")] = -1
    ) -> StreamingResponse:
        return StreamingResponse(_lines(durable, thread_id, last_event_id), media_type="text/event-stream")

    @app.get("/threads/{thread_id}/requests")
    async def requests(thread_id: str) -> list[dict[str, Any]]:
        with_schema = await durable.pending_requests(durable.checkpoint(thread_id))
        return [request.model_dump(mode="json") for request in with_schema]

    @app.post("/threads/{thread_id}/responses", status_code=202)
    async def respond(thread_id: str, answer: Answer) -> dict[str, str]:
        stream = durable.run_stream(
            [Response(answer.request_id, answer.response)], checkpoint=durable.checkpoint(thread_id)
        )
        try:
            async for _ in stream:
                break
        except ThreadNotFoundError as error:
            raise HTTPException(404, str(error)) from error
        except (ValueError, RuntimeError) as error:
            raise HTTPException(422, str(error)) from error
        return {"accepted": answer.request_id}

    return app


async def _lines(durable: DurableWorkflow, thread_id: str, after: int) -> AsyncIterator[str]:
    try:
        async for event in durable.run_stream(checkpoint=durable.checkpoint(thread_id), after=after):
            yield _line(event)
    except DurableWorkflowError as error:
        yield f"event: error\ndata: {json.dumps({'message': str(error)})}\n\n"
    yield "event: end\ndata: {}\n\n"


def _line(event: WorkflowEvent[Any]) -> str:
    position = position_of(event)
    data: dict[str, Any] = {"type": event.type, "executor": event.executor_id}
    if event.type in ("intermediate", "output"):
        data["text"] = event.data if isinstance(event.data, str) else getattr(event.data, "text", "")
    elif event.type == "request_info":
        data |= {"request_id": event.request_id, "draft": event.data.text}
    elif event.state is not None:
        data["state"] = event.state.name
    # Only what is committed counts as seen: a browser that reconnects gets the rest of a lost superstep again.
    offset = f"id: {position.offset}\n" if position is not None and not position.live else ""
    return f"{offset}data: {json.dumps(data)}\n\n"
