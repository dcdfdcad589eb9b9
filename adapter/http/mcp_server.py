"""`mcp_server`: durable workflows as MCP tools; the `mcp` package is not imported until it is made."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from temporalio.client import Client

from ...workflows.exported import exported
from ..client.options import DurableOptions
from ..framework.definition import WorkflowSource
from ..temporal.client import framed_client
from .settings import ThreadSettings

if TYPE_CHECKING:
    from mcp.server.lowlevel import Server


@exported
def mcp_server(
    client: Client,
    workflows: Sequence[WorkflowSource],
    *,
    task_queue: str = "agent-framework",
    options: DurableOptions | None = None,
    name: str = "agent-framework-temporal",
    instructions: str | None = None,
) -> Server[Any]:
    """Return an MCP server whose tools are workflows: serve it over stdio, or by `streamable_http_app()`.

    Each workflow is a tool that takes a message by the workflow's own JSON Schema, waits as long as it is told to, and
    says the thread's id, its outputs and what it waits for. The tool `wait_for_thread` goes on waiting, from whatever
    process, and `answer_request` answers. A client that leaves does not stop a run.

    Whoever may call the server may read and answer every thread of these workflows whose id they know.

    Args:
        client: A connected client; its data converter has the keys and the external storage.
        workflows: Factories, instances or functional workflows.
        task_queue: Where threads begin; a thread that has begun stays on its own.
        options: Options of the runs.
        name: The server's name.
        instructions: What a model is told about the server.

    Raises:
        ImportError: Without the extra `mcp`.
        HostingError: When the client has a payload converter of its own.

    Cost: of a call that of starting and following a run. One to a thread that has begun reads its events from the
    beginning.
    """
    try:
        from .mcp_tools import build_server
    except ImportError as error:
        raise ImportError("MCP needs the extra: pip install 'agent-framework-temporal[mcp]'") from error
    settings = ThreadSettings(
        client=framed_client(client),
        workflows=tuple(workflows),
        task_queue=task_queue,
        options=options or DurableOptions(),
    )
    return build_server(settings, name, instructions)
