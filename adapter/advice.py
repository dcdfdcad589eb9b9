"""What an error tells its reader to do: a caller of the API reads Python, a user of the command line a command.

The text of an error is written once, and where it names a way out that is a `Step`. `Advice` is the text as the API
says it, and knows its parts, so that the command line can say each step as what to type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import Enum, auto
from typing import Self

from ..workflows.display import shell_command


class Way(Enum):
    """A way out of an error."""

    FOLLOW = auto()
    RESUME = auto()
    RESUME_FIRST = auto()
    BEGIN = auto()
    CLIENT = auto()
    BEGIN_AGAIN = auto()
    NEW_THREAD = auto()
    FORK_INTO = auto()
    FROM_THREAD = auto()
    FORK = auto()
    RESPOND = auto()
    RETRY = auto()
    CANCEL = auto()
    TERMINATE = auto()
    CHECKPOINTS = auto()
    COPY = auto()
    OTHER_STORAGE = auto()
    WITH_RESPONSES = auto()
    PENDING = auto()
    RETYPE = auto()
    KEYS = auto()
    KEYS_EVERYWHERE = auto()
    HOST = auto()
    START_WORKER = auto()
    REGISTER = auto()
    ALLOW_CALLS = auto()
    KEEP_JOURNAL = auto()
    UPDATE_SCHEDULE = auto()
    REFUSED_WAITING = auto()
    TYPES = auto()


_PYTHON = {
    Way.FOLLOW: "`run_stream(checkpoint=...)`",
    Way.RESUME: "`run_stream(checkpoint=...)`",
    Way.RESUME_FIRST: (
        "from a checkpoint (checkpoint_id=...) or wait for the prior run to complete. Workflows that need to recover "
        "from a mid-run failure must use checkpointing; there is no in-process recovery path."
    ),
    Way.CLIENT: "`DurableWorkflow`",
    Way.BEGIN: "`run_stream(message, checkpoint=checkpoint)`",
    Way.BEGIN_AGAIN: "with 'message', or supply 'checkpoint_id' to restore a specific checkpoint.",
    Way.NEW_THREAD: "`checkpoint=durable.checkpoint()`",
    Way.FORK_INTO: "`checkpoint=durable.checkpoint()`",
    Way.FROM_THREAD: "`durable.checkpoint(...)`",
    Way.FORK: "`fork`",
    Way.RESPOND: "`responses=`",
    Way.RETRY: "`durable.retry(checkpoint)`",
    Way.CANCEL: "`durable.cancel(...)` (`{cancel}`)",
    Way.TERMINATE: "`terminate=True`",
    Way.CHECKPOINTS: "`DurableWorkflow.checkpoints`",
    Way.COPY: "a mirror of it with `checkpoint_storage=`",
    Way.OTHER_STORAGE: "another storage pass that storage too: `run_stream(checkpoint_id=..., checkpoint_storage=...)`",
    Way.WITH_RESPONSES: "`responses`",
    Way.PENDING: "`pending`",
    Way.RETYPE: "`declare({subject!r}, ...)`",
    Way.KEYS: "`data_converter=sealing_data_converter(keys=...)`",
    Way.KEYS_EVERYWHERE: (
        "`sealing_data_converter(keys=...)`; for threads from before sealing was on add `accept_unsealed=True`"
    ),
    Way.HOST: "`AgentFrameworkPlugin(workflows=[...])`",
    Way.START_WORKER: "`agent-framework-temporal-worker --workflow ... --task-queue {subject}`",
    Way.REGISTER: "`await register_search_attributes(client)`",
    Way.ALLOW_CALLS: "`live=True`",
    Way.KEEP_JOURNAL: "`keep_journal=True`",
    Way.UPDATE_SCHEDULE: "`DurableWorkflow.update_schedule`",
    Way.REFUSED_WAITING: ", as `when_waiting='reject'` says",
    Way.TYPES: "create the facade from the workflow's factory, not from its name",
}


@dataclass(frozen=True, slots=True)
class Step:
    """A way out of one error, and what it is about.

    Args:
        way: Which one.
        subject: The thread, task queue or other name it is about; empty where it is not known.
    """

    way: Way
    subject: str = ""

    @property
    def python(self) -> str:
        """What a caller of the API does."""
        cancel = ""
        if self.way is Way.CANCEL:
            cancel = shell_command(["agent-framework-temporal", "cancel"], [self.subject])
        return _PYTHON[self.way].format(subject=self.subject, cancel=cancel)


class Advice(str):
    """The text of an error as a caller of the API reads it, which others can have in their own terms.

    Args:
        *parts: Texts, and the steps between them; an `Advice` gives its own parts.
    """

    __slots__ = ("parts",)

    parts: tuple[str | Step, ...]

    def __new__(cls, *parts: str | Step) -> Self:
        """Join the parts."""
        flat = tuple(each for part in parts for each in (part.parts if isinstance(part, Advice) else (part,)))
        advice = super().__new__(cls, "".join(part.python if isinstance(part, Step) else part for part in flat))
        advice.parts = flat
        return advice

    def __reduce__(self) -> tuple[type[Self], tuple[str | Step, ...]]:
        return type(self), self.parts

    def told(self, say: Callable[[Step], str]) -> str:
        """Return the text with each step in other terms.

        Args:
            say: Returns the terms.
        """
        return "".join(say(part) if isinstance(part, Step) else part for part in self.parts)

    @classmethod
    def found_in(cls, text: str, *steps: Step) -> Self:
        """Return a text that a workflow has written, in which some steps stand as Python: histories hold its words.

        Args:
            text: The text.
            *steps: The steps that it may name.
        """
        parts: list[str | Step] = [text]
        for step in steps:
            split: list[str | Step] = []
            for part in parts:
                if isinstance(part, Step):
                    split.append(part)
                    continue
                first, *others = part.split(step.python)
                split.append(first)
                for other in others:
                    split += [step, other]
            parts = split
        return cls(*parts)

    @classmethod
    def lines(cls, texts: Iterable[str]) -> Self:
        """Return several texts as one, a line each."""
        parts: list[str] = []
        for text in texts:
            parts += ["\n", text] if parts else [text]
        return cls(*parts)


def told_of(error: BaseException, say: Callable[[Step], str]) -> str | None:
    """Return what an error says, its steps in other terms; None where it names none.

    Args:
        error: The error.
        say: Returns the terms of a step.
    """
    text = error.args[0] if error.args else None
    return text.told(say) if isinstance(text, Advice) and str(error) == text else None
