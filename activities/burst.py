"""A burst: supersteps that one activity runs one after the other, while its budget lasts and nothing is pending.

What a superstep has come to is brought to the server before the next one begins, in the heartbeat, as the journal is: a
worker that is lost loses nothing that had finished, and the next attempt goes on after it. The answer to that write
tells whether the run has something else in mind meanwhile, so no superstep begins that it would not have begun.
"""

from __future__ import annotations

import logging
import struct
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Any

from pydantic import Field, ValidationError
from temporalio import activity
from zstandard import ZstdError

from ..adapter.checkpoints.frames import digest, patch, unpatched
from ..adapter.checkpoints.logged_events import EventWriter
from ..adapter.encoding.document import join
from ..adapter.errors import CheckpointCorruptedError
from ..workflows.messages import Calls, CheckpointRef, LoggedEvent, SuperstepInput, WireModel, json_bytes
from ..workflows.usage import add_calls, sum_of
from .capturing_storage import Captured, CapturingStorage
from .framework_run import FrameworkRun
from .heartbeat import Beat
from .journal.stream import EntryStream, entries_of
from .limits import MAX_BURST_BYTES, MAX_BURST_EVENTS_BYTES
from .passed import MOST, MOST_BYTES

_LOGGER = logging.getLogger("agent_framework_temporal.worker")
_LENGTH = struct.Struct("<I")


class _Saved(WireModel):
    """A checkpoint of a superstep that has finished, beside the patch that it is."""

    checkpoint_id: str
    previous_checkpoint_id: str | None = None
    superstep: int
    timestamp: str
    has_messages: bool = False
    sources: list[str] = Field(default_factory=list)
    digest: str


class _Finished(WireModel):
    """What a superstep that has finished has told."""

    saved: list[_Saved]
    """Its checkpoint; before it the one that the run had entered with, where it was the first."""
    records: list[LoggedEvent]
    payloads: int
    """How many typed data its text holds."""
    readable: list[Any] = Field(default_factory=list)
    calls: Calls | None = None
    executors: list[str] = Field(default_factory=list)


@dataclass
class Recovered:
    """What attempts before this one have finished of a burst."""

    finished: list[tuple[_Finished, bytes, list[Captured]]]
    """Each with the text of its typed data and its checkpoints."""
    texts: list[bytes]
    """As they were packed."""

    @classmethod
    def read(cls, packed: Iterable[bytes], base_raw: bytes | None) -> Recovered:
        """Read what a heartbeat has brought, as far as it can be read: what cannot runs again.

        Args:
            packed: As `Burst` has packed it.
            base_raw: The checkpoint that the burst began from.
        """
        found = cls([], [])
        raw = base_raw
        for text in (text for part in packed for text in entries_of(part)):
            try:
                head, payloads, *patches = parted(text)
                finished = _Finished.model_validate_json(head)
                captured: list[Captured] = []
                for saved, data in zip(finished.saved, patches, strict=True):
                    raw = unpatched(data, raw)
                    captured.append(_captured(saved, raw))
                if not captured:
                    raise ValueError("it has no checkpoint")
            except (ValidationError, ValueError, struct.error, ZstdError, CheckpointCorruptedError) as error:
                _LOGGER.warning("A superstep that had finished in a burst cannot be read, and runs again: %s", error)
                break
            found.finished.append((finished, payloads, captured))
            found.texts.append(text)
        return found

    @property
    def last(self) -> Captured:
        """The newest checkpoint."""
        return self.finished[-1][2][-1]

    def following(self, step: SuperstepInput) -> SuperstepInput:
        """Return the input of the superstep that follows, of the activity's."""
        return step.following(_ref(self.last), [one for finished, _, _ in self.finished for one in finished.records])


class Burst:
    """The supersteps of one activity: as many as its input allows, most often one.

    Args:
        step: What the activity was given.
        beat: Brings to the server what has finished.
        capture: Has the checkpoints.
        base_raw: The checkpoint that the first superstep began from.
    """

    def __init__(self, step: SuperstepInput, beat: Beat, capture: CapturingStorage, base_raw: bytes | None) -> None:
        info = activity.info()
        self._attempt = info.attempt
        self.step: SuperstepInput = step
        """What runs now: the input of the activity, or what follows from it."""
        self.base_raw = base_raw
        """The checkpoint that the superstep began from that runs now."""
        self.count: int = 0
        """Supersteps that have finished."""
        self._payloads = 0
        self._rule = step.burst
        self._ends_at = time.monotonic() + (step.burst.seconds if step.burst is not None else 0.0)
        self.executors: list[str] = []
        """Whom the messages of the last that has finished may reach."""
        self.capture = capture
        self._beat = beat
        self._records: list[LoggedEvent] = []
        self._readable: list[Any] = []
        self._texts: list[bytes] = []
        self._stream = EntryStream()
        self._events_size = 0
        self._patches: list[bytes] = []
        """The checkpoints of the superstep that has just ended."""
        self._calls: Calls | None = None

    def writer(self) -> EventWriter:
        """Return what takes the events of the superstep that is next."""
        return EventWriter(
            offset=self.step.offset,
            attempt=self._attempt,
            payloads_before=self._payloads,
            readable_before=len(self._readable),
        )

    def may_go_on(self, run: FrameworkRun, executors: Sequence[str], max_iterations: int) -> bool:
        """Tell whether another superstep may follow the one that has just ended.

        Args:
            run: What that one has told.
            executors: Whom its messages may reach.
            max_iterations: Of the workflow. Its last superstep may fail although it has ended, which is told best by an
                activity of its own.
        """
        rule, last = self._rule, self.capture.last
        if rule is None or last is None or run.finished or run.pending or run.rejected:
            return False
        if self._beat.is_asked_to_end or time.monotonic() >= self._ends_at or last.superstep + 1 >= max_iterations:
            return False
        if rule.supersteps is not None and self.count + 1 >= rule.supersteps:
            return False
        journal = self._beat.current_journal
        if self.step.keep_journal and journal is not None and journal.noted:
            return False  # It is kept with the result of its superstep.
        if any(fnmatchcase(name, pattern) for name in executors for pattern in rule.breakpoints or ()):
            return False
        if "*" in (rule.breakpoints or ()):
            return False
        return self._has_room(run, last)

    def _has_room(self, run: FrameworkRun, last: Captured) -> bool:
        passed = self.capture.passed
        if len(passed.facts) + 2 >= MOST or passed.size + 2 * len(last.raw) > MOST_BYTES:
            return False
        if self.base_raw is None and len(last.raw) > MAX_BURST_BYTES:
            return False  # It is stored whole, once; as patches on it the next take little.
        self._patches, raw = [], self.base_raw
        for found in self.capture.saved:
            self._patches.append(patch(found.raw, raw))
            raw = found.raw
        self._events_size += sum(map(json_bytes, run.writer.records)) + json_bytes(run.writer.readable)
        packed = self._stream.packed_size + sum(map(len, self._patches))
        return packed < MAX_BURST_BYTES and self._events_size < MAX_BURST_EVENTS_BYTES

    async def finish(self, run: FrameworkRun, payloads: bytes, executors: list[str]) -> bool:
        """Bring to the server what a superstep has come to, and make ready for the next; one round trip.

        Returns whether the server has it, so that the next may begin.

        Args:
            run: What it has told.
            payloads: The text of its typed data.
            executors: Whom its messages may reach.
        """
        calls = self._beat.calls
        finished = _Finished(
            saved=[_saved(found) for found in self.capture.saved],
            records=run.writer.records,
            payloads=len(run.writer.payloads),
            readable=run.writer.readable,
            calls=calls,
            executors=executors,
        )
        self._stream.append(joined(finished.model_dump_json().encode(), payloads, *self._patches))
        self._take(finished, payloads)
        return await self._beat.finished(self._stream.packed, self.step.offset)

    def resume(self, recovered: Recovered) -> None:
        """Go on from what attempts before this one have finished."""
        base, self.capture.saved = self.capture.base, []
        for (finished, payloads, captured), text in zip(recovered.finished, recovered.texts, strict=True):
            self.capture.saved = captured
            self._stream.append(text)
            self._take(finished, payloads)
        self.capture.base = base  # The instance is still to be restored from it.

    def _take(self, finished: _Finished, payloads: bytes) -> None:
        self.count += 1
        self.executors = finished.executors
        self._records += finished.records
        self._readable += finished.readable
        self._texts += [payloads] if payloads else []
        self._payloads += finished.payloads
        self._calls = sum_of_calls(self._calls, finished.calls)
        self.capture.close_up()
        last = self.capture.saved[-1]
        self.capture.pass_on()
        self.base_raw = last.raw
        self.step = self.step.following(_ref(last), finished.records)

    def close(self, run: FrameworkRun | None, payloads: bytes) -> tuple[FrameworkRun, bytes]:
        """Return what all supersteps have told, and the text of their typed data.

        Args:
            run: What the last has told, where it has not gone through `finish`; what had before is put before it.
            payloads: The text of its typed data.
        """
        if run is None:
            run, payloads = FrameworkRun(self.writer(), None), b""
            self.capture.fall_back()
        else:
            self.capture.close_up()
        run.writer.put_before(self._records, self._readable)
        return run, join([*self._texts, *([payloads] if payloads else [])])

    def calls(self, current: Calls | None) -> Calls | None:
        """Return what all supersteps have called, with one that has not gone through `finish`."""
        return sum_of_calls(self._calls, current)


def _ref(found: Captured) -> CheckpointRef:
    info = activity.info()
    return CheckpointRef(
        thread_id=info.workflow_id or "",
        run_id=info.workflow_run_id or "",
        checkpoint_id=found.checkpoint_id,
        digest=digest(found.raw),
    )


def sum_of_calls(total: Calls | None, more: Calls | None) -> Calls | None:
    """Return the sum of what supersteps of one attempt have called, with what they have spent."""
    result = add_calls(total, more)
    spent = [calls.spent for calls in (total, more) if calls is not None and calls.spent is not None]
    if result is not None and spent:
        result.spent = sum_of(spent)
    return result


def _saved(found: Captured) -> _Saved:
    return _Saved(
        checkpoint_id=found.checkpoint_id,
        previous_checkpoint_id=found.previous_checkpoint_id,
        superstep=found.superstep,
        timestamp=found.timestamp,
        has_messages=found.has_messages,
        sources=list(found.sources),
        digest=digest(found.raw),
    )


def _captured(saved: _Saved, raw: bytes) -> Captured:
    if digest(raw) != saved.digest:
        raise ValueError(f"checkpoint {saved.checkpoint_id!r} does not restore to its digest")
    return Captured(
        checkpoint_id=saved.checkpoint_id,
        previous_checkpoint_id=saved.previous_checkpoint_id,
        superstep=saved.superstep,
        timestamp=saved.timestamp,
        has_messages=saved.has_messages,
        sources=tuple(saved.sources),
        raw=raw,
    )


def joined(*parts: bytes) -> bytes:
    """Put parts together, for `parted`."""
    return b"".join(piece for part in parts for piece in (_LENGTH.pack(len(part)), part))


def parted(text: bytes) -> list[bytes]:
    """Take apart what `joined` put together.

    Raises:
        struct.error: When it is none.
    """
    parts: list[bytes] = []
    start = 0
    while start < len(text):
        (size,) = _LENGTH.unpack_from(text, start)
        start += _LENGTH.size
        parts.append(text[start : start + size])
        start += size
    return parts
