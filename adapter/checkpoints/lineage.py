"""The checkpoints of a thread: what lies in its history, newest run back to the first, and where an id points to."""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal
from urllib.parse import quote, unquote

from temporalio.client import Client

from ...workflows.exported import exported
from ...workflows.messages import WORKFLOW_TYPE, BetweenFacts, CheckpointRef, RunStartFacts
from ..advice import Advice, Step, Way
from ..errors import CheckpointNotFoundError
from ..lru import BoundedCache
from ..temporal.server import list_runs, rpc_errors
from .history import HistoryGoneError, StoredFrame, load_checkpoint, run_frames
from .thread import latest_run

OUR_ID = re.compile(r"([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})\.[0-9a-f]{8,}")
"""The id of a checkpoint that a superstep has made: the run, and a random part."""
_EDITED_ID = re.compile(r"(.+)\.edit\.[0-9a-f]{12}")
"""The id of a checkpoint that a person has edited: its thread, quoted, as the run that will hold it has no id yet."""
_MAX_QUOTED = 400
_MAX_SEEN = 1_000
_LOOKUPS = 12
_LOOKUP_PAUSE = 0.25
"""Visibility is eventually consistent: a run is listed up to about a second after it began."""


@exported
@dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointInfo:
    """What is known of a checkpoint without decoding it."""

    checkpoint_id: str
    """For `run_stream(checkpoint_id=...)`."""
    previous_checkpoint_id: str | None
    """The checkpoint it followed; of another thread where this one was forked from there."""
    thread_id: str
    """Temporal workflow id."""
    run_id: str
    """Temporal run id of the run whose history holds it."""
    superstep: int
    """The framework's iteration count."""
    timestamp: datetime
    """When the framework made it, by the worker's clock."""
    kind: Literal["entry", "step", "superstep", "edit"] | str
    """`entry`: a run begins, its message or responses in flight; `step`: a step of a functional workflow has finished;
    `superstep`: a superstep has ended; `edit`: a person has edited the checkpoint that it follows; or another that a
    newer release has written."""
    state: str
    """Where it left the run: `running`, `waiting`, `idle`, `failed` where the superstep that began from it failed for
    good, or another that a newer release has written."""
    size_bytes: int
    """Raw size."""
    history_bytes: int
    """Size of its frame in history, with the events of its superstep; 0 for one that shares the frame of a later one:
    an entry, a step."""
    edited_by: str | None = None
    """Of an edit: who made it, as the caller said."""
    edited_at: datetime | None = None
    """Of an edit: when, by the caller's clock."""


def checkpoint_infos(thread_id: str, run_id: str, stored: StoredFrame) -> list[CheckpointInfo]:
    """Describe the checkpoints in a frame, newest first."""
    facts = stored.facts
    found = [
        CheckpointInfo(
            checkpoint_id=facts.checkpoint_id,
            previous_checkpoint_id=facts.previous_checkpoint_id,
            thread_id=thread_id,
            run_id=run_id,
            superstep=facts.superstep,
            timestamp=_time(facts.timestamp),
            kind=stored.kind,
            state=stored.state,
            size_bytes=facts.size_bytes,
            history_bytes=facts.frame_bytes,
            edited_by=None if stored.edited is None else stored.edited.by,
            edited_at=None if stored.edited is None else _time(stored.edited.at),
        )
    ]
    earlier: list[RunStartFacts | BetweenFacts] = [] if stored.entry is None else [stored.entry]
    earlier += stored.between
    before: str | None = None
    for passed in earlier:
        info = CheckpointInfo(
            checkpoint_id=passed.checkpoint_id,
            previous_checkpoint_id=passed.previous_checkpoint_id or before,
            thread_id=thread_id,
            run_id=run_id,
            superstep=passed.superstep,
            timestamp=_time(passed.timestamp),
            kind="entry" if isinstance(passed, RunStartFacts) else passed.kind or "superstep",
            state="running",
            size_bytes=passed.size_bytes,
            history_bytes=0,
        )
        found.insert(1, info)
        before = passed.checkpoint_id
    return found


async def thread_frames(client: Client, thread_id: str, run_id: str) -> AsyncIterator[tuple[str, StoredFrame]]:
    """Yield the stored frames of a thread with their runs, newest first, from `run_id` back to its first run.

    A thread's runs name the checkpoint they began from, so that no search is needed and nothing lags behind. It ends
    where the thread was forked from another or begun from another storage, and where retention has removed a run.
    """
    next_run: str | None = run_id
    while next_run is not None:
        current, next_run = next_run, None
        try:
            async for found in run_frames(client, thread_id, current):
                if isinstance(found, StoredFrame):
                    yield current, found
                else:
                    next_run = found.previous_run_id(thread_id)
        except CheckpointNotFoundError:
            if current == run_id:
                raise


async def thread_infos(client: Client, thread_id: str, run_id: str) -> list[CheckpointInfo]:
    """Describe every checkpoint of a thread up to `run_id`, oldest first; no checkpoint is decoded.

    Costs a round trip for each 200 history events.
    """
    found, _ = await newest_infos(client, thread_id, run_id, limit=None)
    return list(reversed(found))


async def newest_infos(
    client: Client, thread_id: str, run_id: str, *, limit: int | None, behind: str | None = None
) -> tuple[list[CheckpointInfo], bool]:
    """Describe the newest checkpoints of a thread up to `run_id`, newest first.

    Costs a round trip for each 200 history events that they, and those of that run before them, lie in.

    Args:
        client: A client with our payload converter.
        thread_id: Temporal workflow id.
        run_id: The run to begin in.
        limit: At most so many.
        behind: Only those before this one of that run.

    Returns:
        Them, and whether there are more.
    """
    found: dict[str, CheckpointInfo] = {}
    passed = behind is None
    async for run, stored in thread_frames(client, thread_id, run_id):
        for info in checkpoint_infos(thread_id, run, stored):
            if not passed:
                passed = info.checkpoint_id == behind
                continue
            # A run that continued as new may have stored its predecessor's checkpoint once more: the older one counts.
            found.pop(info.checkpoint_id, None)
            found[info.checkpoint_id] = info
            if limit is not None and len(found) > limit:
                return list(found.values())[:limit], True
    return list(found.values()), False


def edited_id(thread_id: str) -> str:
    """Return an id for a checkpoint that was edited to go on from in a thread; a good file name, too.

    A thread whose name is very long is not in it: its edits are found by whoever has listed its checkpoints.
    """
    quoted = quote(thread_id, safe="")
    return f"{quoted}.edit.{uuid.uuid4().hex[:12]}" if len(quoted) <= _MAX_QUOTED else str(uuid.uuid4())


def thread_of_edit(checkpoint_id: str) -> str | None:
    """Return the thread that the id of an edited checkpoint names; None for any other id."""
    match = _EDITED_ID.fullmatch(checkpoint_id)
    return unquote(match[1]) if match is not None else None


def is_ours(checkpoint_id: str) -> bool:
    """Tell whether history may hold a checkpoint under this id: its id says where."""
    return OUR_ID.fullmatch(checkpoint_id) is not None or thread_of_edit(checkpoint_id) is not None


class Locator:
    """Finds the history that holds a checkpoint, by the run id, or the thread's, in the checkpoint's id.

    Args:
        client: A client with our payload converter.
    """

    def __init__(self, client: Client) -> None:
        self._client = client
        self._seen: BoundedCache[str, str] = BoundedCache(_MAX_SEEN)
        self._edits: BoundedCache[str, CheckpointRef] = BoundedCache(_MAX_SEEN)

    def saw(self, thread_id: str, run_id: str) -> None:
        """Remember a run, so that its checkpoints are found without asking the server."""
        self._seen.put(run_id, thread_id)

    def saw_edit(self, thread_id: str, run_id: str, checkpoint_id: str) -> None:
        """Remember which run begins from an edited checkpoint."""
        ref = CheckpointRef(thread_id=thread_id, run_id=run_id, checkpoint_id=checkpoint_id)
        self._edits.put(checkpoint_id, ref)

    async def locate(self, checkpoint_id: str, *, lookups: int = _LOOKUPS) -> CheckpointRef:
        """Return where a checkpoint lies: no round trip for a run that was seen, else one visibility query.

        One that a person has edited is looked for in its thread's history, a round trip for each 200 events.

        A run that is not listed is looked for again for 3 seconds, as visibility lags behind.

        Args:
            checkpoint_id: Its id.
            lookups: How often at most a run is looked for.

        Raises:
            CheckpointNotFoundError: For an id that is not ours, or of a run that is not in the namespace.
        """
        edit = self._edits.get(checkpoint_id)
        if edit is not None:
            return edit
        thread_id = thread_of_edit(checkpoint_id)
        if thread_id is not None:
            return await self._locate_edit(thread_id, checkpoint_id)
        match = OUR_ID.fullmatch(checkpoint_id)
        if match is None:
            raise CheckpointNotFoundError(
                Advice(
                    f"{checkpoint_id!r} is not the id of a checkpoint in Temporal history; one looks like "
                    "'<run id>.<12 hexadecimal digits>', see ",
                    Step(Way.CHECKPOINTS),
                    ". To start from a checkpoint of ",
                    Step(Way.OTHER_STORAGE),
                    ".",
                )
            )
        run_id = match[1]
        thread_id = self._seen.get(run_id)
        if thread_id is None:
            thread_id = await self._thread_of(checkpoint_id, run_id, lookups)
            self.saw(thread_id, run_id)
        return CheckpointRef(thread_id=thread_id, run_id=run_id, checkpoint_id=checkpoint_id)

    async def _locate_edit(self, thread_id: str, checkpoint_id: str) -> CheckpointRef:
        with rpc_errors(self._client, f"look up checkpoint {checkpoint_id!r}"):
            latest = (await latest_run(self._client, thread_id, end=False)).description
            if latest is not None and latest.info.type.name == WORKFLOW_TYPE:
                async for run_id, stored in thread_frames(self._client, thread_id, latest.run_id):
                    if stored.facts.checkpoint_id == checkpoint_id:
                        self.saw_edit(thread_id, run_id, checkpoint_id)
                        return CheckpointRef(thread_id=thread_id, run_id=run_id, checkpoint_id=checkpoint_id)
        raise CheckpointNotFoundError(
            Advice(
                f"Thread {thread_id!r} in namespace {self._client.namespace!r} has no checkpoint {checkpoint_id!r}, "
                "or no longer has it. Choose another with ",
                Step(Way.CHECKPOINTS, thread_id),
                ".",
            )
        )

    async def _thread_of(self, checkpoint_id: str, run_id: str, lookups: int) -> str:
        query = f"WorkflowType = '{WORKFLOW_TYPE}' AND RunId = '{run_id}'"
        for attempt in range(lookups):
            if attempt:
                await asyncio.sleep(_LOOKUP_PAUSE)
            with rpc_errors(self._client, f"look up checkpoint {checkpoint_id!r}"):
                async for info in list_runs(self._client, query):
                    return info.execution.workflow_id
        raise CheckpointNotFoundError(
            Advice(
                f"No thread in namespace {self._client.namespace!r} has a run {run_id!r}, so checkpoint "
                f"{checkpoint_id!r} is not available: the run was deleted, is past the namespace's retention, or "
                "belongs to another namespace. Start from ",
                Step(Way.COPY),
                ", or choose another checkpoint with ",
                Step(Way.CHECKPOINTS),
                ".",
            )
        )


async def load_held(client: Client, locator: Locator, checkpoint_id: str) -> bytes | None:
    """Return what history holds under an id of ours; None where its run is not there (any more).

    Raises:
        CheckpointNotFoundError: When the run is there, and it is not in its history.
        CheckpointCorruptedError: When it does not restore to its digest.
    """
    try:
        ref = await locator.locate(checkpoint_id, lookups=1)
    except CheckpointNotFoundError:
        return None
    try:
        return await load_checkpoint(client, ref)
    except HistoryGoneError:
        return None


def _time(timestamp: str) -> datetime:
    time = datetime.fromisoformat(timestamp)
    return time.replace(tzinfo=time.tzinfo or UTC)
