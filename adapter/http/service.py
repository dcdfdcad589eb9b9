"""What the routes share: the threads, who calls, addresses, and answers that many browsers ask for."""

from __future__ import annotations

from urllib.parse import quote

from fastapi import Request
from temporalio.client import Client

from ..client.thread_facts import existing_thread
from ..client.threads import ThreadInfo
from ..temporal.sealing import SealingCodec
from .events import Streams
from .guard import CALLER
from .hosted import ThreadCalls, Threads
from .models import ThreadRef, ThreadSummary
from .settings import API_PREFIX, AppSettings
from .shared_reads import SharedReads

_CLOUD = (".tmprl.cloud", ".api.temporal.io")


class Service:
    """What the routes share.

    Args:
        settings: What `http_app` was given.
    """

    def __init__(self, settings: AppSettings) -> None:
        self.settings = settings
        self.client: Client = settings.client
        self.threads: Threads = Threads(settings)
        self.reads: SharedReads = SharedReads()
        self.streams: Streams = Streams(settings.max_streams, self.reads)
        host = self.client.service_client.config.target_host.rpartition(":")[0]
        self.temporal_ui: str | None = settings.temporal_ui or (
            "https://cloud.temporal.io" if host.endswith(_CLOUD) else None
        )

    @property
    def is_sealed(self) -> bool:
        """Whether there are keys."""
        return isinstance(self.client.data_converter.payload_codec, SealingCodec)

    async def of_thread(self, thread_id: str, *, writes: bool = False) -> ThreadCalls:
        """Return what carries out the calls of a thread.

        Args:
            thread_id: Temporal workflow id.
            writes: Whether something is sent, so that what was read before is not good any more.

        Raises:
            ThreadNotFoundError: When there is none.
        """
        if writes:
            self.reads.changed()
        facts = await self.reads.read(("facts", thread_id), lambda: existing_thread(self.client, thread_id))
        return await self.threads.of_thread(facts)

    def temporal(self, thread_id: str, run_id: str | None) -> str | None:
        """Return the address of a run in Temporal's Web UI, as far as it is known."""
        if self.temporal_ui is None or run_id is None:
            return None
        parts = (self.client.namespace, "workflows", thread_id, run_id, "history")
        return f"{self.temporal_ui}/namespaces/{'/'.join(quote(part, safe='') for part in parts)}"

    def ref(self, request: Request, workflow: str, thread_id: str, run_id: str | None) -> ThreadRef:
        """Return what a caller goes on with."""
        return ThreadRef(
            thread_id=thread_id,
            workflow=workflow,
            run_id=run_id,
            events=f"{self.base(request)}{API_PREFIX}/threads/{quote(thread_id, safe='')}/events",
            temporal=self.temporal(thread_id, run_id),
        )

    def summary(self, info: ThreadInfo, *, known: bool) -> ThreadSummary:
        """Return a thread as it is listed."""
        return ThreadSummary(
            thread_id=info.thread_id,
            workflow=info.workflow_name,
            run_id=info.run_id,
            state=info.state,
            since=info.since,
            started_at=info.started_at,
            pending_requests=info.pending_requests,
            failure=info.failure,
            tags=list(info.tags),
            task_queue=info.task_queue,
            known=known,
            temporal=self.temporal(info.thread_id, info.run_id),
        )

    def base(self, request: Request) -> str:
        """Return the address by which the service is reached."""
        return self.settings.base_url or str(request.base_url).rstrip("/")


def caller_of(request: Request) -> str | None:
    """Return who calls, where that is known."""
    name = request.scope.get(CALLER)
    return name if isinstance(name, str) else None
