"""What the steps that errors name are on the command line: the command to type."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from ..advice import Advice, Step, Way, told_of
from ..temporal.sealing import KEYS_VARIABLE


class _Session(Protocol):
    """What is asked of the call of a command."""

    def again(self, command: str, *arguments: str, options: Sequence[str] = ()) -> str:
        """Return the command line of another command that connects as this one has."""


_THREAD, _ID = "THREAD", "ID"
_SAY: dict[Way, Callable[[_Session, str], str]] = {
    Way.FOLLOW: lambda session, thread: _typed(session, "stream", thread),
    Way.RESUME: lambda session, thread: _typed(session, "resume", thread),
    Way.RESUME_FIRST: lambda session, thread: f"it first: {_typed(session, 'resume', thread)}",
    Way.BEGIN: lambda session, thread: f"`{session.again('run', 'MESSAGE', options=['--thread', thread or _ID])}`",
    Way.BEGIN_AGAIN: lambda session, thread: (
        f"with a message: `{session.again('run', 'MESSAGE', options=['--thread', thread or _ID])}`"
    ),
    Way.CLIENT: lambda session, _thread: f"`{session.again('run', 'MESSAGE')}`",
    Way.NEW_THREAD: lambda _session, _thread: "another `--thread ID`, or none",
    Way.FORK_INTO: lambda _session, _thread: "`--into ID`, or none for one that is made up",
    Way.FROM_THREAD: lambda session, thread: _typed(session, "status", thread),
    Way.FORK: lambda session, thread: f"`{session.again('fork', thread or _THREAD, 'CHECKPOINT')}`",
    Way.RESPOND: lambda session, thread: _typed(session, "respond", thread),
    Way.RETRY: lambda session, thread: _typed(session, "retry", thread),
    Way.CANCEL: lambda session, thread: _typed(session, "cancel", thread),
    Way.TERMINATE: lambda _session, _thread: "`--terminate`",
    Way.CHECKPOINTS: lambda session, thread: _typed(session, "checkpoints", thread),
    Way.COPY: lambda session, _thread: f"an export of it: `{session.again('import', 'FILE', options=['--into', _ID])}`",
    Way.OTHER_STORAGE: lambda session, _thread: (
        f"an exported thread: `{session.again('import', 'FILE', options=['--into', _ID])}`"
    ),
    Way.WITH_RESPONSES: lambda _session, _thread: "`--responses`",
    Way.PENDING: lambda _session, _thread: "`pending_requests`",
    Way.RETYPE: lambda _session, _thread: "an edit by a function in Python; a JSON edit keeps the type it has",
    Way.KEYS: lambda _session, _subject: f"`export {KEYS_VARIABLE}=ID=BASE64`",
    Way.KEYS_EVERYWHERE: lambda _session, _subject: f"keys: `export {KEYS_VARIABLE}=ID=BASE64`",
    Way.HOST: lambda session, queue: _worker(session, queue),
    Way.START_WORKER: lambda session, queue: _worker(session, queue),
    Way.REGISTER: lambda session, _subject: f"`{session.again('attributes register')}`",
    Way.ALLOW_CALLS: lambda _session, _subject: "`--live`",
    Way.KEEP_JOURNAL: lambda _session, _subject: "`--option keep_journal=true`",
    Way.UPDATE_SCHEDULE: lambda session, name: f"`{session.again('schedule update', name or 'NAME')}`",
    Way.REFUSED_WAITING: lambda _session, _subject: "",
    Way.TYPES: lambda _session, _subject: "say where it is defined, `--workflow MODULE:ATTR`",
}


def said_by(session: _Session, step: Step) -> str:
    """Return what to type for a step."""
    return _SAY[step.way](session, step.subject)


def error_text(session: _Session, error: BaseException) -> str:
    """Return what an error says to a user of the command line."""
    told = told_of(error, lambda step: said_by(session, step))
    return str(error) if told is None else told


def recorded_text(session: _Session, text: str, thread: str) -> str:
    """Return what a failure that a history holds says, which a workflow or a worker has written as Python."""
    ways = (Way.RESPOND, Way.RESUME, Way.HOST, Way.CLIENT)
    return Advice.found_in(text, *(Step(way, thread if way is not Way.HOST else "") for way in ways)).told(
        lambda step: said_by(session, step)
    )


def has_steps(error: BaseException) -> bool:
    """Tell whether an error names ways out: it is of this package then, whatever its type."""
    return told_of(error, lambda _step: "") is not None


def _typed(session: _Session, command: str, thread: str) -> str:
    return f"`{session.again(command, thread or _THREAD)}`"


def _worker(session: _Session, task_queue: str) -> str:
    options = ["--workflow", "MODULE:ATTR", "--task-queue", task_queue or "QUEUE"]
    return f"`{session.again('worker', options=options)}`"
