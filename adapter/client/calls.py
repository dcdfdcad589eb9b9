"""One call of the facade: where the thread stands, what to start or signal, and which events are the call's."""

from __future__ import annotations

import asyncio
import functools
import time
import uuid
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from agent_framework import CheckpointStorage, WorkflowEvent
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError

from ...workflows.display import markdown_summary
from ...workflows.messages import (
    CANCEL_SIGNAL,
    RESPOND_SIGNAL,
    WORKFLOW_TYPE,
    CheckpointRef,
    JournalRef,
    MessageUpdate,
    RespondSignal,
    RunInput,
    Value,
    WhenRunning,
)
from ...workflows.priority import priority_of
from ..advice import Advice, Step, Way
from ..checkpoints.frames import unpacked
from ..checkpoints.handle import Checkpoint
from ..checkpoints.history import load_checkpoint, runs_after
from ..checkpoints.lineage import CheckpointInfo, Locator, thread_infos
from ..checkpoints.thread import ThreadStanding, latest_run_id, read_standing
from ..encoding.decoding import loads
from ..errors import (
    AlreadyRunningError,
    CheckpointNotFoundError,
    PayloadError,
    StaleCheckpointError,
    StartRefusedError,
    ThreadExistsError,
    ThreadNotFoundError,
)
from ..framework.beginning import message_facts
from ..framework.catalog import TypeCatalog
from ..framework.definition import WorkflowDefinition, check_executors
from ..framework.static_details import static_details
from ..logging import data_logger
from ..temporal.labels import Labels, start_labels
from ..temporal.search_attributes import refuse_attributes, use_search_attributes
from ..temporal.server import (
    REFUSED,
    RunOverError,
    SignalLimitError,
    retried,
    rpc_errors,
)
from .arguments import (
    cancel_signal,
    encode_cancellation,
    encode_kwargs,
    encode_message,
    encode_responses,
    unwrap_message,
)
from .call_reader import NO_PENDING, CallReader, CallScope
from .edit import EditOrder, begin_from_edit
from .executor_policy import check_placed
from .fork import begin_from_history, seed_from_storage
from .input_size import check_input
from .live_reader import LiveReader
from .options import DurableOptions, wire_options
from .pace import Pace, RunPace, StreamPace
from .queries import ALREADY_RUNNING, ThreadQueries
from .run_follower import RunFollower
from .schedule import ScheduledStart
from .superstep_decoder import SuperstepDecoder
from .thread_cursor import ThreadCursor
from .waiting import send_edit, send_message, warn_still_pending

_LOGGER = data_logger("agent_framework_temporal")
_LOOK_AGAIN = 0.5
_IN_FLIGHT = "Cannot start a new run with 'message' while in-flight executor messages remain from a prior run. Resume "
"""The framework's words. Here `run_stream(checkpoint=...)` is what resumes."""
_NEEDS_TYPES = Advice(
    "An edit is checked against the workflow's types: ",
    Step(Way.TYPES),
    ".",
)


@dataclass(frozen=True, slots=True)
class Call:
    """What a caller gave, validated."""

    message: Any
    responses: Mapping[str, Any] | None
    streaming: bool
    after: int | None
    cancelled: list[str] | None
    """Ids of requests to cancel."""
    checkpoint_id: str | None
    storage: CheckpointStorage | None
    """Where `checkpoint_id` is; None for Temporal history."""
    mirror: CheckpointStorage | None
    """Takes a copy of each checkpoint."""
    own_storage: bool
    """Whether the caller has given a storage, which takes the place of the one that the workflow was built with."""
    function_invocation_kwargs: Any
    client_kwargs: Any
    trace: str | None = None
    """Of the span that the call is in."""
    order: EditOrder | None = None
    """What a person has made of the checkpoint that is gone on from."""
    when_running: WhenRunning | None = None
    """Left out, it is the option's."""
    priority: int | None = None
    fairness_key: str | None = None
    """As well."""
    anew: bool = False
    """Whether the call must start the thread, and not continue an existing one."""

    @property
    def only_follows(self) -> bool:
        """Whether nothing is sent; a run that failed is resumed all the same."""
        return self.message is None and self.responses is None and self.cancelled is None and self.checkpoint_id is None


class Caller:
    """Carries out calls.

    Args:
        client: A client with our payload converter.
        task_queue: Where new runs are started.
        options: Options of new runs.
    """

    def __init__(self, client: Client, task_queue: str, options: DurableOptions) -> None:
        self.client = client
        self.task_queue = task_queue
        self.options = options
        self.locator: Locator = Locator(client)
        self.queries: ThreadQueries = ThreadQueries(client, task_queue, options.worker_timeout)
        """What a thread's worker is asked."""

    async def events(
        self, call: Call, handle: Checkpoint, cursor: ThreadCursor, name: str, hosted: WorkflowDefinition | None
    ) -> AsyncGenerator[WorkflowEvent[Any]]:
        """Carry out a call and yield its events; the handle moves forward with them."""
        if (call.storage is not None or call.mirror is not None) and hosted is None:
            raise PayloadError(
                "`checkpoint_storage` needs the workflow's types: create the facade from its factory, not its name."
            )
        is_fork = call.checkpoint_id is not None
        standing = await read_standing(
            self.client, handle.thread_id, name, seen_run_id=handle.run_id, may_be_gone=is_fork
        )
        reader = await _ThreadCall(self, call, handle, cursor, name, hosted, standing).reader()
        async for event in reader.events():
            yield event

    async def start(
        self, call: Call, handle: Checkpoint, cursor: ThreadCursor, name: str, hosted: WorkflowDefinition | None
    ) -> None:
        """Start the run that a call wants; the handle names it then."""
        standing = await read_standing(self.client, handle.thread_id, name, seen_run_id=handle.run_id)
        thread = _ThreadCall(self, call, handle, cursor, name, hosted, standing)
        if call.order is not None and call.order.in_place:
            await thread.go_on_edited(call.order)
        else:
            await thread.reader()

    async def checkpoints(self, thread_id: str, name: str) -> list[CheckpointInfo]:
        """List the checkpoints of a thread."""
        run_id = await latest_run_id(self.client, thread_id, name)
        with rpc_errors(self.client, f"list the checkpoints of thread {thread_id!r}", thread_id):
            found = await thread_infos(self.client, thread_id, run_id)
        for info in found:
            self.locator.saw(thread_id, info.run_id)
            if info.kind == "edit":
                self.locator.saw_edit(thread_id, info.run_id, info.checkpoint_id)
        return found

    async def scheduled_start(
        self, message: Any, name: str, hosted: WorkflowDefinition | None, tags: Sequence[str]
    ) -> ScheduledStart:
        """Return what a schedule starts each thread with; see `DurableWorkflow.schedule`."""
        if hosted is not None:
            message = unwrap_message(message, hosted.catalog.input_types)
        check_executors(self.options.executors, hosted)
        run_input = RunInput(
            workflow_name=name,
            mode="message",
            message=encode_message(message, _catalog(hosted)),
            options=wire_options(self.options, _catalog(hosted), message_facts(hosted)),
        )
        await check_placed(self.client, run_input.options.executors)
        shows = await use_search_attributes(self.client, self.options.shows_attributes)
        run_input.options.search_attributes = shows
        await check_input(self.client, run_input)
        labels = Labels(tuple(tags), self.options.own_attributes)
        # Which thread it is known when it begins only: the link leads to the list.
        details = static_details(hosted, self.options.console_url)
        return ScheduledStart(run_input, self.task_queue, details, labels)


class _ThreadCall:
    """One call on one thread: what is started or signalled for it, and the reader of its events.

    Args:
        caller: Carries out calls.
        call: What the caller gave.
        handle: The thread.
        cursor: What this process has seen of it.
        name: Name of the framework workflow.
        hosted: Its definition; None for a client that has only its name.
        standing: Where the thread stood when the call was made.
    """

    def __init__(
        self,
        caller: Caller,
        call: Call,
        handle: Checkpoint,
        cursor: ThreadCursor,
        name: str,
        hosted: WorkflowDefinition | None,
        standing: ThreadStanding,
    ) -> None:
        self._caller = caller
        self._call = call
        self._handle = handle
        self._thread_id = handle.thread_id
        self._cursor = cursor
        self._name = name
        self._hosted = hosted
        self._standing = standing

    async def reader(self) -> CallReader:
        """Start, signal or only follow, as the call wants; returns the reader of its events."""
        if self._call.anew and self._standing.state != "new":
            raise ThreadExistsError(
                f"Thread {self._thread_id!r} has begun already. Send it a message, or choose another id."
            )
        if self._call.checkpoint_id is not None:
            return await self._begin(self._call.checkpoint_id)
        if self._call.message is not None:
            return await self._in_time(self._message)
        if self._call.responses is not None or self._call.cancelled is not None:
            return await self._in_time(self._respond)
        return await self._resume()

    async def _message(self) -> CallReader:
        if self._standing.state == "open":
            when = self._call.when_running or self._caller.options.when_running
            return await (self._message_while_waiting() if when == "reject" else self._message_while_open(when))
        if self._standing.in_flight:
            raise RuntimeError(Advice(_IN_FLIGHT, Step(Way.RESUME_FIRST, self._thread_id)))
        warn_still_pending(self._name, len(self._cursor.requests))
        run_input = self._input(mode="message")
        run_input.message = self._encoded_message()
        run_input.discard_in_flight = self._standing.state == "failed" and self._standing.checkpoint is not None
        return await self._start(run_input)

    def _encoded_message(self) -> Value:
        message = self._call.message
        if self._hosted is not None:
            message = unwrap_message(message, self._hosted.catalog.input_types)
        return encode_message(message, _catalog(self._hosted))

    async def _message_while_waiting(self) -> CallReader:
        options = self._caller.options
        status = await self._caller.queries.takes_message(
            self._thread_id, self._standing, when_waiting=options.when_waiting
        )
        update = self._update()
        await send_message(self._caller.client, self._thread_id, status.run_id, status.workflow_name, update, options)
        self._handle.run_id = status.run_id
        return self._reader(
            CallScope(
                call_id=update.call_id,
                after=status.next_offset - 1,
                until=self._standing.history_length,
                to_open_run=True,
                mirror=self._call.mirror,
            )
        )

    async def _message_while_open(self, when: WhenRunning) -> CallReader:
        """Send a message whose turn comes when it comes; the reader looks for the superstep that takes it."""
        options = self._caller.options
        update = self._update()
        update.message_id = update.call_id
        update.when_running = when
        update.waits = (options.when_waiting == "reject" and when == "enqueue") or None
        run_id = self._standing.run_id
        await send_message(self._caller.client, self._thread_id, run_id, self._name, update, options)
        self._handle.run_id = run_id
        check = functools.partial(self._caller.queries.raise_not_run, self._thread_id, update.call_id or "")
        return self._reader(
            CallScope(
                call_id=update.call_id,
                after=-1,
                until=self._standing.history_length,
                queued=True,
                mirror=self._call.mirror,
                raise_rejected=check,
            )
        )

    def _update(self) -> MessageUpdate:
        given = self._input(mode="message")
        value = self._encoded_message()
        return MessageUpdate(
            call_id=uuid.uuid4().hex,
            message=value.value,
            type=value.type,
            typed=value.typed,
            streaming=given.streaming,
            own_storage=given.own_storage,
            trace=given.trace,
            priority=given.options.priority,
            fairness_key=given.options.fairness_key,
            fairness_weight=given.options.fairness_weight,
            function_invocation_kwargs=given.function_invocation_kwargs,
            client_kwargs=given.client_kwargs,
        )

    async def _in_time(self, send: Callable[[], Awaitable[CallReader]]) -> CallReader:
        """Send to a run also where it continues as new at that moment, or has to as it was sent too many signals."""
        until = time.monotonic() + self._caller.options.worker_timeout.total_seconds()
        while True:
            try:
                return await send()
            except (SignalLimitError, RunOverError):
                if time.monotonic() > until:
                    raise
            await asyncio.sleep(_LOOK_AGAIN)
            self._standing = await read_standing(
                self._caller.client, self._thread_id, self._name, seen_run_id=self._handle.run_id
            )

    async def _respond(self) -> CallReader:
        responses = self._call.responses or {}
        nothing = self._standing.state == "new" or (self._standing.state == "idle" and self._call.cancelled is None)
        if nothing or (self._standing.state != "open" and self._standing.checkpoint is None):
            raise self._nothing_pending(responses)
        if self._call.cancelled is None:
            _refuse_no_responses(responses)
        call_id = uuid.uuid4().hex
        batch = _encode(self._call, call_id, self._cursor, self._hosted)
        if self._standing.state != "open":
            run_input = self._input(mode="responses" if self._call.cancelled is None else "cancel")
            run_input.responses = batch
            run_input.discard_in_flight = (
                self._standing.state == "failed"
                and self._standing.checkpoint is not None
                and not self._standing.met_limit
            )
            return await self._start(run_input, call_id=call_id)
        status = await self._caller.queries.status(self._thread_id, self._standing.run_id)
        self._caller.queries.refuse_paused(self._thread_id, status)
        if status.state == "waiting" and self._hosted is not None and self._hosted.is_functional and responses:
            responses = {name: value for name, value in responses.items() if name in status.pending_requests}
            if not responses:
                raise self._nothing_pending(self._call.responses or {}, status.pending_requests)
            batch = [answer for answer in batch if answer.request_id in responses]
        elif status.state == "waiting":
            for request_id in responses:
                if request_id not in status.pending_requests:
                    raise ValueError(f"Response provided for unknown request ID: {request_id}")
        self._handle.run_id = status.run_id
        reader = self._reader(
            CallScope(
                call_id=call_id,
                after=status.next_offset - 1,
                until=self._standing.history_length,
                to_open_run=True,
                mirror=self._call.mirror,
                raise_rejected=functools.partial(self._caller.queries.raise_rejected, self._thread_id, status, call_id),
            )
        )
        run = self._caller.client.get_workflow_handle(self._thread_id, run_id=status.run_id)
        cancels = self._call.cancelled is not None
        name, argument = (CANCEL_SIGNAL, cancel_signal(batch)) if cancels else (RESPOND_SIGNAL, batch)
        with rpc_errors(self._caller.client, f"answer thread {self._thread_id!r}", self._thread_id):
            await retried(lambda: run.signal(name, argument), only=REFUSED)
        await self._caller.queries.raise_rejected(self._thread_id, status, call_id)
        return reader

    def _nothing_pending(self, responses: Mapping[str, Any], pending: Sequence[str] = ()) -> Exception:
        """Return the framework's error for answers to nothing.

        In process a functional workflow is given all answers since its message, each time; here what was answered is
        remembered, and those are passed over.
        """
        if self._hosted is None or not self._hosted.is_functional:
            return RuntimeError(NO_PENDING)
        if pending:
            return ValueError(
                f"responses={list(responses)!r} do not answer any of the currently-pending requests on workflow "
                f"{self._name!r} ({sorted(pending)!r}).  Provide a response keyed by one of the pending request_ids."
            )
        return ValueError(
            Advice(
                f"responses={list(responses)!r} do not correspond to any pending request on workflow {self._name!r}.  "
                "The workflow has no pending request_info events, so there is nothing to resume.  Start a fresh run ",
                Step(Way.BEGIN_AGAIN, self._thread_id),
            )
        )

    async def _resume(self) -> CallReader:
        if self._standing.state == "new":
            if self._standing.refusal is not None:
                raise StartRefusedError(self._standing.refusal)
            raise ThreadNotFoundError(
                Advice(
                    f"Thread {self._thread_id!r} has no run to continue. Start it with a message: ",
                    Step(Way.BEGIN, self._thread_id),
                    ".",
                )
            )
        # One who says where to go on from wants to read; a run that failed is resumed only without that.
        if self._standing.state in ("open", "idle") or self._call.after is not None:
            reset_to = self._standing.reset_to
            if self._call.after is None and reset_to is not None and reset_to < self._handle.offset:
                _LOGGER.warning(
                    "Thread %r was reset to a point before events that its stream has already delivered. It "
                    "continues after offset %d.",
                    self._thread_id,
                    reset_to,
                )
                self._handle.offset = reset_to
            after = self._handle.offset if self._call.after is None else self._call.after
            with rpc_errors(self._caller.client, f"look up the runs of thread {self._thread_id!r}", self._thread_id):
                runs = await runs_after(self._caller.client, self._thread_id, self._standing.run_id or "", after)
            self._handle.run_id = runs[0]
            scope = CallScope(
                after=after, until=self._standing.history_length, later_runs=tuple(runs[1:]), mirror=self._call.mirror
            )
            return self._reader(scope)
        if self._standing.checkpoint is None:
            raise CheckpointNotFoundError(
                f"Thread {self._thread_id!r} ended ({self._standing.state}) before its first checkpoint. Send its "
                "message again."
            )
        run_input = self._input(mode="resume")
        if self._standing.state == "failed" and self._standing.run_id:
            run_input.journal = JournalRef(run_id=self._standing.run_id)
        return await self._start(run_input)

    async def _begin(self, checkpoint_id: str) -> CallReader:
        mode = "responses" if self._call.responses else "cancel" if self._call.cancelled is not None else "resume"
        run_input = self._input(mode=mode)
        if self._call.order is not None and self._hosted is None:
            raise PayloadError(_NEEDS_TYPES)
        if self._call.storage is None or self._hosted is None:
            if self._standing.state != "new":
                raise ThreadExistsError(
                    Advice(
                        f"Thread {self._thread_id!r} has already started, and a fork never changes an existing "
                        f"thread. Fork checkpoint {checkpoint_id!r} into a new thread: ",
                        Step(Way.FORK_INTO),
                        ".",
                    )
                )
            await begin_from_history(
                run_input, self._caller.client, self._caller.locator, self._thread_id, self._hosted, checkpoint_id
            )
        elif self._standing.state == "open":
            raise AlreadyRunningError(
                Advice(
                    f"Thread {self._thread_id!r} is running, so it cannot start from checkpoint {checkpoint_id!r}. "
                    f"{ALREADY_RUNNING} Use a new thread: ",
                    Step(Way.FORK_INTO),
                    ".",
                )
            )
        else:
            await seed_from_storage(
                run_input,
                self._caller.client,
                self._caller.locator,
                self._thread_id,
                self._hosted,
                self._call.storage,
                checkpoint_id,
            )
        if self._call.responses is not None and mode == "resume":
            await self._check_pending(run_input)
        if self._call.order is not None and self._hosted is not None:
            raw = await self._base(run_input)
            await begin_from_edit(run_input, self._caller.client, self._thread_id, self._hosted, self._call.order, raw)
        call_id = None
        if mode != "resume":
            call_id = uuid.uuid4().hex
            run_input.responses = _encode(self._call, call_id, self._cursor, self._hosted)
        return await self._start(run_input, call_id=call_id)

    async def _check_pending(self, run_input: RunInput) -> None:
        """Refuse an answer of nothing to a checkpoint in which nothing is pending, as the framework does."""
        if self._hosted is None or run_input.base is None:
            return
        if not loads(await self._base(run_input), self._hosted.catalog).pending_request_info_events:
            raise RuntimeError(NO_PENDING)

    async def _base(self, run_input: RunInput) -> bytes:
        if run_input.base_facts is None and run_input.base is not None:
            return await load_checkpoint(self._caller.client, run_input.base)
        return (await unpacked(run_input.frame, None)).checkpoint

    async def go_on_edited(self, order: EditOrder) -> None:
        """Let the thread itself go on from an edited copy of a checkpoint of its own."""
        client = self._caller.client
        if self._hosted is None:
            raise PayloadError(_NEEDS_TYPES)
        if self._standing.state == "new":
            raise ThreadNotFoundError(f"Thread {self._thread_id!r} has no run, so it has no checkpoint to edit.")
        status = None
        if self._standing.state == "open":
            status = await self._caller.queries.takes_edit(self._thread_id, self._standing.run_id)
        ref = self._standing.checkpoint if status is None else status.checkpoint
        if self._call.checkpoint_id is not None:
            ref = await self._of_thread(self._call.checkpoint_id)
        if ref is None:
            raise CheckpointNotFoundError(
                f"Thread {self._thread_id!r} ended ({self._standing.state}) before its first checkpoint. Send its "
                "message again."
            )
        with rpc_errors(client, f"read checkpoint {ref.checkpoint_id!r}"):
            raw = await load_checkpoint(client, ref)
        run_input = self._input(mode="resume")
        previous = self._standing.run_id if status is None else status.run_id
        await begin_from_edit(run_input, client, self._thread_id, self._hosted, order, raw, previous_run_id=previous)
        if status is None:
            self._handle.offset = max(self._handle.offset, run_input.next_offset - 1)
            await self._start(run_input)
            return
        try:
            await send_edit(client, self._thread_id, status, run_input, self._caller.options)
        except RunOverError as error:
            edited = run_input.base.checkpoint_id if run_input.base is not None else None
            infos = await self._caller.checkpoints(self._thread_id, self._name)
            if all(info.checkpoint_id != edited for info in infos):
                raise StaleCheckpointError(
                    f"Thread {self._thread_id!r} continued while its checkpoint {ref.checkpoint_id!r} was being "
                    "edited, because a response arrived first. Nothing was changed. Edit its last checkpoint instead."
                ) from error
        self._handle.run_id = await latest_run_id(client, self._thread_id, self._name)
        self._note_edit(run_input)

    def _note_edit(self, run_input: RunInput) -> None:
        if run_input.edited is not None and run_input.base is not None:
            checkpoint_id, run_id = run_input.base.checkpoint_id, self._handle.run_id or ""
            self._caller.locator.saw_edit(self._thread_id, run_id, checkpoint_id)
            self._handle.checkpoint_id = checkpoint_id

    async def _of_thread(self, checkpoint_id: str) -> CheckpointRef:
        infos = await self._caller.checkpoints(self._thread_id, self._name)
        for info in infos:
            if info.checkpoint_id == checkpoint_id:
                return CheckpointRef(thread_id=info.thread_id, run_id=info.run_id, checkpoint_id=checkpoint_id)
        raise CheckpointNotFoundError(
            Advice(
                f"Thread {self._thread_id!r} has no checkpoint {checkpoint_id!r}, or no longer has it. To continue "
                "from a checkpoint of another thread, use ",
                Step(Way.FORK),
                ".",
            )
        )

    def _input(self, *, mode: Any) -> RunInput:
        catalog = _catalog(self._hosted)
        options = wire_options(self._caller.options, catalog, message_facts(self._hosted))
        options.priority = self._call.priority or options.priority
        options.fairness_key = self._call.fairness_key or options.fairness_key
        return RunInput(
            workflow_name=self._name,
            mode=mode,
            base=self._standing.checkpoint,
            graph_hash=self._standing.graph_hash,
            streaming=self._call.streaming,
            own_storage=self._call.own_storage,
            trace=self._call.trace,
            function_invocation_kwargs=_kwargs(self._call, "function_invocation_kwargs", catalog),
            client_kwargs=_kwargs(self._call, "client_kwargs", catalog),
            next_offset=self._standing.next_offset,
            options=options,
        )

    def _console(self) -> str | None:
        url = self._caller.options.console_url
        return None if url is None else f"{url.rstrip('/')}/threads/{quote(self._thread_id, safe='')}"

    async def _start(self, run_input: RunInput, *, call_id: str | None = None) -> CallReader:
        check_executors(self._caller.options.executors, self._hosted)
        await check_placed(self._caller.client, run_input.options.executors)
        shows = await use_search_attributes(self._caller.client, self._caller.options.shows_attributes)
        run_input.options.search_attributes = shows
        memo, attributes = start_labels(run_input.workflow_name, self._thread_id, self._labels(), shows=shows)
        await check_input(self._caller.client, run_input)
        with rpc_errors(self._caller.client, f"start a run of thread {self._thread_id!r}"):
            try:
                run = await retried(
                    lambda: self._caller.client.start_workflow(
                        WORKFLOW_TYPE,
                        run_input,
                        id=self._thread_id,
                        task_queue=self._caller.task_queue,
                        # Where the thread was new, a run that has begun and ended since has made it another one.
                        id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE
                        if self._standing.is_untouched
                        else WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                        id_conflict_policy=WorkflowIDConflictPolicy.FAIL,
                        memo=memo,
                        static_summary=markdown_summary(run_input.workflow_name),
                        static_details=static_details(self._hosted, self._console()),
                        search_attributes=attributes,
                        priority=priority_of(run_input.options),
                    ),
                    only=REFUSED,
                )
            except WorkflowAlreadyStartedError as error:
                raise AlreadyRunningError(
                    Advice(
                        f"Another caller has just started a run of thread {self._thread_id!r}; nothing was sent. "
                        f"{ALREADY_RUNNING} Follow it with ",
                        Step(Way.FOLLOW, self._thread_id),
                        ", or use a thread of your own.",
                    )
                ) from error
            except RPCError as error:
                refuse_attributes(error, self._caller.client, attributes)
                raise
        self._handle.run_id = run.first_execution_run_id
        self._note_edit(run_input)
        scope = CallScope(after=run_input.next_offset - 1, call_id=call_id, started=True, mirror=self._call.mirror)
        return self._reader(scope)

    def _labels(self) -> Labels:
        """Return the thread's labels with what the caller has said of them."""
        labels, tags = self._standing.labels, self._handle.tags
        if tags is not None:
            labels = Labels(tuple(tags), labels.attributes)
        return labels.with_attributes(self._caller.options.own_attributes)

    def _reader(self, scope: CallScope) -> CallReader:
        run_id = self._handle.run_id or ""
        self._caller.locator.saw(self._thread_id, run_id)
        kept = self._cursor.take_reader(run_id)
        # What follows a thread may have to give events that were read before; what is sent to a run has only new ones.
        follower, decoder = kept if scope.to_open_run else (None, None)
        if follower is None or decoder is None:
            follower = RunFollower(
                self._caller.client,
                self._thread_id,
                run_id,
                task_queue=self._caller.task_queue,
                worker_timeout=self._caller.options.worker_timeout,
                server_timeout=self._caller.options.server_timeout,
            )
            decoder = SuperstepDecoder(self._caller.client, self._thread_id, run_id, _catalog(self._hosted))
        follower.pace = self._pace(started=scope.started)
        follower.pace.enter(fresh=scope.started)
        live = (
            LiveReader(self._caller.client, self._thread_id, _catalog(self._hosted)) if self._call.streaming else None
        )
        return CallReader(follower, decoder, self._handle, self._cursor, scope, live)

    def _pace(self, *, started: bool) -> Pace:
        # A mirror is given each checkpoint when it is there, whoever waits for the end.
        if self._call.streaming or self._call.mirror is not None:
            return StreamPace()
        if not started or self._hosted is None:
            return RunPace(may_wait=True)
        options = self._caller.options
        rules = [policy.in_doubt for policy in (options.executors or {}).values()]
        rules += [policy.in_doubt for policy in (options.tools or {}).values()]
        return RunPace(may_wait=self._hosted.can_ask or "ask" in rules or options.pause_on_failure)


def _encode(call: Call, call_id: str, cursor: ThreadCursor, hosted: WorkflowDefinition | None) -> list[RespondSignal]:
    catalog = _catalog(hosted)
    function_invocation_kwargs = _kwargs(call, "function_invocation_kwargs", catalog)
    client_kwargs = _kwargs(call, "client_kwargs", catalog)
    if call.cancelled is not None:
        batch = encode_cancellation(
            call.cancelled, call_id, call.own_storage, function_invocation_kwargs, client_kwargs
        )
        batch[0].trace = call.trace
        return batch
    # What a client without types was told of a request says nothing of its response.
    asked = cursor.requests if hosted is not None else {}
    batch = encode_responses(
        call.responses or {},
        call_id=call_id,
        streaming=call.streaming,
        own_storage=call.own_storage,
        function_invocation_kwargs=function_invocation_kwargs,
        client_kwargs=client_kwargs,
        expected={name: event.response_type for name, event in asked.items() if event.response_type is not object},
        catalog=catalog,
    )
    if batch:
        batch[0].trace = call.trace
    return batch


def _kwargs(call: Call, name: str, catalog: TypeCatalog | None) -> Value | None:
    return encode_kwargs(name, getattr(call, name), catalog)


def _catalog(hosted: WorkflowDefinition | None) -> TypeCatalog | None:
    return None if hosted is None else hosted.catalog


def _refuse_no_responses(responses: Mapping[str, Any] | None) -> None:
    if responses is not None and not responses:
        raise ValueError("'responses' is empty. Give at least one response, by request id.")
