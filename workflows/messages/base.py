"""What all messages are made of: JSON that leaves out what is unset, bounds, a binary attachment."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PrivateAttr,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
)
from pydantic_core import to_json

MAX_SECONDS = 10 * 366 * 24 * 3600.0
"""The longest duration anybody may ask for: longer ones do not fit what Temporal computes with."""
MAX_ATTEMPTS = 1_000_000
MAX_NAME = 1_000
"""Characters of a name, a workflow id, a key: what runs carry in each step."""
Seconds = Annotated[float, Field(gt=0, le=MAX_SECONDS, allow_inf_nan=False)]
HeartbeatSeconds = Annotated[float, Field(ge=1, le=MAX_SECONDS, allow_inf_nan=False)]
"""A busy worker needs a second to send one."""
Factor = Annotated[float, Field(ge=1, le=MAX_ATTEMPTS, allow_inf_nan=False)]
Attempts = Annotated[int, Field(ge=1, le=MAX_ATTEMPTS)]
Count = Annotated[int, Field(ge=1, le=2**53)]
Trace = Annotated[str, Field(max_length=64)]
Name = Annotated[str, Field(max_length=MAX_NAME)]
MAX_PRIORITY = 1_000
"""The server has 5 levels unless it is configured otherwise, and takes what is beyond its last for its last."""
MAX_FAIRNESS_BYTES = 64
"""Of a fairness key. With a longer one the server refuses what the workflow does, and so it would be stuck."""
MIN_FAIRNESS_WEIGHT, MAX_FAIRNESS_WEIGHT = 0.001, 1000.0


def fairness_key_fits(key: str) -> str:
    """Return a fairness key.

    Raises:
        ValueError: When the server would not take it.
    """
    if not 1 <= len(key.encode()) <= MAX_FAIRNESS_BYTES:
        raise ValueError(f"a fairness key has 1 to {MAX_FAIRNESS_BYTES} bytes")
    return key


PriorityKey = Annotated[int, Field(ge=1, le=MAX_PRIORITY)]
FairnessKey = Annotated[str, Field(max_length=MAX_FAIRNESS_BYTES), AfterValidator(fairness_key_fits)]
FairnessWeight = Annotated[float, Field(ge=MIN_FAIRNESS_WEIGHT, le=MAX_FAIRNESS_WEIGHT, allow_inf_nan=False)]
VERSION = 1
"""Of the wire models; see `Versioned`."""


class NewerVersionError(Exception):
    """What was read is of a release whose meaning this one cannot know."""


def json_bytes(value: Any) -> int:
    """Return the size of a value as JSON in bytes, which limits count: a character takes up to six of them."""
    return len(to_json(value))


_ONLY_NONE: tuple[Any, ...] = (None,)


class WireModel(BaseModel):
    """A model that ignores fields of a newer release and leaves out what is unset, to keep histories small."""

    model_config: ClassVar[ConfigDict] = ConfigDict(extra="ignore", protected_namespaces=())
    _left_out: ClassVar[tuple[Any, ...]] = _ONLY_NONE
    sealed_as: ClassVar[frozenset[str] | None] = None
    """Names of the models it may be read from where payloads are sealed; its own where there is none."""

    @model_serializer(mode="wrap")
    def _without_unset(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        left_out, fields = self._left_out, handler(self)
        if left_out is _ONLY_NONE:
            return {key: value for key, value in fields.items() if value is not None}
        return {key: value for key, value in fields.items() if value not in left_out}


class Versioned(WireModel):
    """A model that says what its reader must know.

    `VERSION` goes up when a reader that does not know of a change would do the wrong thing: when a field or a value
    changes what others mean. It does not for fields and values that may be ignored. An older message is read as what it
    is; a newer one is refused, so that a worker leaves it to one that is upgraded, and a caller is told.
    """

    version: int = VERSION

    @field_validator("version")
    @classmethod
    def _not_newer(cls, version: int) -> int:
        if version > VERSION:
            raise NewerVersionError(
                f"A {cls.__name__.lstrip('_')} of version {version} was written by a newer release of "
                f"agent-framework-temporal; this one reads up to version {VERSION}. Upgrade it here."
            )
        return version


class Framed(WireModel):
    """A model with one binary attachment, at most one frame of a few kilobytes to a payload's limit."""

    _frame: bytes = PrivateAttr(default=b"")

    @property
    def frame(self) -> bytes:
        """The attachment; empty where the reader's converter does not know about frames."""
        return self._frame

    def with_frame(self, frame: bytes) -> Any:
        """Attach `frame` and return self."""
        self._frame = frame
        return self


class Journalled(Framed):
    """A model with a superstep's journal beside its frame."""

    _journal: bytes = PrivateAttr(default=b"")

    @property
    def journal(self) -> bytes:
        """The journal as `activities/journal` packs it; empty where there is none."""
        return self._journal

    def with_journal(self, journal: bytes) -> Any:
        """Attach `journal` and return self."""
        self._journal = journal
        return self


class JournalPart(Journalled):
    """The older part of a superstep's journal, on its way to external storage."""

    answers: str | None = None
    """`SuperstepInput.superstep_id` of the superstep whose it is."""
    of: str | None = None
    """`burst`: it is no journal, but what has finished of a burst; left out otherwise."""
