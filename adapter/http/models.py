"""What the HTTP API takes and gives, as its OpenAPI document has it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from ...workflows.messages import PendingRequest, WhenRunning
from ...workflows.value_limits import MAX_ID

Json = Annotated[Any, Field(description="Any JSON.")]
_Id = Annotated[str, Field(min_length=1, max_length=MAX_ID)]


class _Taken(BaseModel):
    model_config: ClassVar[ConfigDict] = ConfigDict(extra="forbid")


class InputSchema(BaseModel):
    """A type that a workflow's start executor takes."""

    type: str
    json_schema: dict[str, Any] | None = Field(description="None where the type has no JSON Schema.")


class WorkflowSummary(BaseModel):
    """A workflow that this service knows."""

    name: str
    description: str | None
    functional: bool = Field(description="Whether it is a function, which has steps and no graph.")
    graph_hash: str
    inputs: list[InputSchema] = Field(description="What a thread is started with: one of these.")


class WorkflowDetail(WorkflowSummary):
    """A workflow with its graph."""

    graph: dict[str, Any] = Field(description="`Workflow.to_dict()`.")


class Service(BaseModel):
    """What this service is connected to."""

    version: str
    namespace: str
    task_queue: str
    workflows: list[str]
    temporal_ui: str | None = Field(description="Temporal's Web UI, if its address is configured.")
    links: bool = Field(description="Whether it creates respond links.")
    sealed: bool = Field(description="Whether it has keys, and so reads what is sealed.")


class NewThread(_Taken):
    """What begins a thread."""

    message: Json
    thread_id: _Id | None = Field(default=None, description="Generated if omitted.")
    tags: list[Annotated[str, Field(min_length=1, max_length=100)]] | None = Field(default=None, max_length=20)
    streaming: bool = Field(default=True, description="Whether agents stream tokens.")


class ThreadRef(BaseModel):
    """A thread that was begun or written to."""

    thread_id: str
    workflow: str
    run_id: str | None
    events: str = Field(description="URL of its events.")
    temporal: str | None = Field(description="Its run in Temporal's Web UI.")


class NewMessage(_Taken):
    """A message to a thread that has begun."""

    message: Json
    when_running: WhenRunning | None = Field(
        default=None, description="What happens to it while the thread is running."
    )
    streaming: bool = True


class ThreadSummary(BaseModel):
    """A thread as it is listed."""

    thread_id: str
    workflow: str
    run_id: str
    state: str
    since: datetime
    started_at: datetime
    pending_requests: int | None
    failure: str | None
    tags: list[str]
    task_queue: str
    known: bool = Field(description="Whether this service knows its workflow.")
    temporal: str | None


class ThreadPage(BaseModel):
    """Some of the threads."""

    threads: list[ThreadSummary]
    next: str | None = Field(description="`cursor` of the next page; null on the last one.")
    unreadable: int = Field(
        description="Threads of this page that this service cannot read, for example without a key."
    )


class Attempt(BaseModel):
    """Which attempt of a superstep runs, or is to run next."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow")

    attempt: int
    state: str
    failures: int
    worker_losses: int
    last_failure: str | None
    worker: str | None
    started_at: datetime | None
    next_at: datetime | None
    calls_made: dict[str, int]
    calls_taken: dict[str, int]
    usage: dict[str, Any]


class Failure(BaseModel):
    """Why a thread failed, or is paused."""

    error_type: str | None
    message: str
    executor_id: str | None
    superstep: int | None
    at: str | None


class ThreadDetail(BaseModel):
    """Where a thread stands."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow")

    thread_id: str
    workflow: str
    state: str
    run_id: str
    task_queue: str
    started_at: datetime
    closed_at: datetime | None
    history_events: int
    history_bytes: int
    worker: bool = Field(description="Whether a worker polls its task queue.")
    attempt: Attempt | None
    failure: Failure | None
    pending_requests: list[dict[str, Any]]
    superstep: int | None = None
    executors: list[str] = Field(default_factory=list, description="The executors that the next superstep may run.")
    checkpoint_id: str | None = None
    queued_messages: list[dict[str, Any]] = Field(default_factory=list)
    refused_messages: list[dict[str, Any]] = Field(default_factory=list)
    pause: dict[str, Any] | None = None
    breakpoints: list[str] = Field(default_factory=list)
    since: datetime | None
    seconds: float | None
    calls_made: dict[str, int] | None = None
    calls_taken: dict[str, int] | None = None
    usage: dict[str, Any] | None = None
    usage_by_executor: dict[str, dict[str, Any]] | None = None
    known: bool
    temporal: str | None


class Request(BaseModel):
    """A request that waits for its response."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="allow")

    thread_id: str
    request_id: str
    executor_id: str
    asked_at: str
    request: Json = None
    request_type: str
    response_type: str
    request_schema: dict[str, Any] | None = None
    response_schema: dict[str, Any] | None = None
    workflow_name: str | None = None
    deadline: str | None = None
    on_deadline: str | None = None
    errors: list[dict[str, Any]] | None = Field(default=None, description="The last responses that were refused.")

    @classmethod
    def of(cls, request: PendingRequest) -> Request:
        """Return it as the API gives it."""
        return cls.model_validate(request.model_dump(mode="json"))


class Requests(BaseModel):
    """Requests that wait."""

    requests: list[Request]


class NewResponse(_Taken):
    """A response to a request."""

    response: Json
    responder: _Id | None = Field(default=None, description="Who responds, for the audit; the caller if omitted.")
    early: bool = Field(default=False, description="Keep it for a request with that id that has not been made yet.")


class Verdict(BaseModel):
    """What became of a response: it fits its schema, and the thread goes on with it."""

    verdict: Literal["accepted", "early"] = Field(
        description="`early`: kept for a request that has not been made yet. A response that does not fit is a "
        "problem, `rejected`."
    )
    thread_id: str
    request_id: str


class NewLink(_Taken):
    """A respond link that is wanted."""

    expires_in_seconds: int = Field(default=7 * 86_400, gt=0, le=366 * 86_400)
    responder: _Id | None = Field(default=None, description="Who receives the link: recorded as who responds.")


class Link(BaseModel):
    """Answers one request, by whoever has it."""

    url: str
    thread_id: str
    request_id: str
    expires_at: datetime


class CheckpointSummary(BaseModel):
    """What is known of a checkpoint without reading it."""

    checkpoint_id: str
    previous_checkpoint_id: str | None
    thread_id: str
    run_id: str
    superstep: int
    timestamp: datetime
    kind: str
    state: str
    size_bytes: int
    history_bytes: int
    edited_by: str | None
    edited_at: datetime | None


class Checkpoints(BaseModel):
    """A thread's checkpoints, oldest first; with a limit the newest of them."""

    checkpoints: list[CheckpointSummary]
    next: str | None = Field(default=None, description="`cursor` of those before; null where there are none.")


class CheckpointDetail(BaseModel):
    """What a checkpoint holds."""

    content: dict[str, Any] = Field(description="State, executors' state, messages in flight, pending requests.")
    editable: dict[str, Any] | None = Field(
        description="The same in the form that an edit takes; null if this service does not know the workflow's types."
    )


class Difference(BaseModel):
    """One thing in which a checkpoint differs from another."""

    kind: Literal["added", "removed", "changed"]
    place: str
    before: Json = None
    after: Json = None


class Differences(BaseModel):
    """In what a checkpoint differs from another, but for ids and times."""

    before: str
    after: str
    differences: list[Difference]


class NewFork(_Taken):
    """A thread that is to begin from a checkpoint of this one, which stays as it is."""

    checkpoint_id: _Id
    thread_id: _Id | None = Field(default=None, description="The new thread; generated if omitted.")
    edit: dict[str, Any] | None = Field(default=None, description="What to change; see `editable`.")
    edited_by: _Id | None = Field(default=None, description="Who edits, for the lineage; the caller if omitted.")
    responses: dict[str, Any] | None = Field(
        default=None, description="Responses to requests that are pending after the edit, by id."
    )
    streaming: bool = True


class NewEdit(_Taken):
    """An edit that the thread itself goes on from."""

    edit: dict[str, Any] = Field(description='What to change, as in `{"state": {"style": "vivid"}}`.')
    checkpoint_id: _Id | None = Field(default=None, description="Its checkpoint; the last one if omitted.")
    edited_by: _Id | None = None
    streaming: bool = True


class NewPause(_Taken):
    """Why a thread is held."""

    reason: Annotated[str, Field(max_length=2_000)] | None = None


class NewBreakpoints(_Taken):
    """Before whom a thread pauses, in place of those before."""

    executors: list[_Id] = Field(max_length=100)


class Done(BaseModel):
    """A thread that was told something."""

    thread_id: str
    done: str


class Usage(BaseModel):
    """What a thread's latest run has called, and what that cost in tokens."""

    run_id: str
    usage: dict[str, Any]
    executors: dict[str, dict[str, Any]]
    calls_made: dict[str, int]
    calls_taken: dict[str, int]


class GivenAnswer(BaseModel):
    """An answer that a superstep was given."""

    request_id: str
    cancelled: bool = Field(description="Whether its request was cancelled instead.")
    responder: str | None = Field(description="Who answered, where that is known.")
    at: str | None


class SuperstepEntry(BaseModel):
    """A superstep in the timeline."""

    run_id: str
    event_id: int = Field(description="Of the history event that scheduled it.")
    superstep: int | None
    mode: str
    state: str = Field(description="`running`, where it ended (`running`, `waiting`, `idle`), `failed` or `lost`.")
    running: bool
    scheduled_at: datetime
    started_at: datetime | None = Field(description="Of its last attempt.")
    ended_at: datetime | None
    seconds: float | None = Field(description="Of its last attempt.")
    attempts: int
    worker: str | None
    checkpoint_id: str | None
    answers: list[GivenAnswer] = Field(description="What it was given to go on with.")
    first_offset: int
    last_offset: int | None
    failure: str | None
    calls_made: dict[str, int]
    calls_taken: dict[str, int] = Field(description="What it took from its journal.")
    usage: dict[str, Any]
    events: list[dict[str, Any]] | None = Field(description="Its events as they were logged, if requested.")


class Timeline(BaseModel):
    """A thread's supersteps, newest first."""

    supersteps: list[SuperstepEntry]
    next: str | None = Field(description="`cursor` of those before; null at the thread's beginning.")
