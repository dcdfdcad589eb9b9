"""`ag_ui_workflow`: a durable workflow for agent-framework's AG-UI adapter, which is not imported until it is made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from temporalio.client import Client

from ...workflows.exported import exported
from ..client.durable_workflow import DurableWorkflow
from ..client.options import DurableOptions
from ..client.queries import ThreadQueries
from ..framework.definition import WorkflowSource
from ..temporal.client import framed_client
from .ag_ui_thread import AGUIThreads

if TYPE_CHECKING:
    from agent_framework_ag_ui import AgentFrameworkWorkflow


@exported
def ag_ui_workflow(
    client: Client,
    workflow: WorkflowSource,
    *,
    task_queue: str = "agent-framework",
    options: DurableOptions | None = None,
) -> AgentFrameworkWorkflow:
    """Return what agent-framework's AG-UI adapter serves: `add_agent_framework_fastapi_endpoint(app, ...)` takes it.

    Each AG-UI thread is a durable thread, in whatever process its next request arrives. A request_info that waits is
    the interrupt of its run, and what resumes that answers it. A client that leaves does not stop the run: a request
    without messages follows what runs from there on, or shows the interrupts that wait.

    Args:
        client: A connected client; its data converter has the keys and the external storage.
        workflow: The workflow's factory or instance, whose start executor takes a list of messages.
        task_queue: Where a worker hosts it.
        options: Options of the runs.

    Raises:
        ImportError: Without the extra `ag-ui`.
        HostingError: When the workflow cannot be hosted, or the client has a payload converter of its own.

    Cost: a request takes up to three round trips more than its run, to look what the thread waits for; where it is
    open also a query, which a worker answers, and where it waits a read of its last checkpoint.
    """
    try:
        from .ag_ui_runner import AGUIRunner
    except ImportError as error:
        raise ImportError("AG-UI needs the extra: pip install 'agent-framework-temporal[ag-ui]'") from error
    durable = DurableWorkflow(workflow, client=client, task_queue=task_queue, options=options)
    framed = framed_client(client)
    queries = ThreadQueries(framed, task_queue, (options or DurableOptions()).worker_timeout)
    return AGUIRunner(AGUIThreads(durable, framed, workflow, queries))
