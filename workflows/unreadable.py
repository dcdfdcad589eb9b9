"""Payloads that the worker could not read: what the workflow is given in their place, and what it makes of it.

Whether a payload can be read may change: storage is down, an object is deleted, a key comes back. A workflow that
decided by that alone would decide otherwise when it is replayed, and be stuck. So what was read from external storage,
and what a codec could not decode, is noted in history where it is rare, and decided as before where it is replayed.
"""

from __future__ import annotations

from collections.abc import Sequence

from temporalio import workflow
from temporalio.api.common.v1 import Payload
from temporalio.common import RawValue

from . import limits

UNREADABLE = "agent-framework-unreadable"
"""Metadata of a payload that stands for one that could not be read; its data says why, as text."""
STORED = "agent-framework-stored"
"""Metadata of a payload that came as a reference to external storage, read or not."""
PASSING = b"now"
"""Value of `UNREADABLE` where it may be readable elsewhere or later."""
LASTING = b"ever"
"""Value of `UNREADABLE` where it never is."""
SEALED = b"binary/encrypted"
"""Encoding of a payload that is sealed, where a worker has not opened it."""
MAX_REASON = 300


def why_unreadable(arguments: Sequence[RawValue]) -> str | None:
    """Return why the first of the arguments that could not be read could not; None where all could."""
    for argument in arguments:
        if UNREADABLE in argument.payload.metadata:
            return argument.payload.data.decode(errors="replace")[:MAX_REASON]
        if is_sealed(argument):
            return _why_sealed(argument.payload)
    return None


def is_sealed(argument: RawValue) -> bool:
    """Tell whether a payload is sealed, and this worker has not opened it."""
    return argument.payload.metadata.get("encoding") == SEALED


def waits_for_key(error: Exception) -> bool:
    """Tell whether a worker with other keys could open what the payload converter of this one raises for."""
    # One that has no keys at all does not know the encoding, which is a KeyError.
    return isinstance(error, KeyError) or bool(getattr(error, "waits_for_key", False))


def _why_sealed(payload: Payload) -> str:
    try:
        workflow.payload_converter().from_payload(payload)
    except Exception as error:
        if not waits_for_key(error):
            return "it was sealed for another place, or altered since"
    key_id = payload.metadata.get("encryption-key-id", b"").decode(errors="replace")[:64]
    return f"it says that key {key_id!r} has sealed it, and this worker does not have that key"


def unreadable(reason: str, *, lasting: bool = False, stored: bool = False) -> Payload:
    """Return what the workflow is given in the place of a payload that cannot be read.

    Args:
        reason: For people, in the middle of a sentence.
        lasting: Whether it never will be readable, by whatever worker.
        stored: Whether it is a reference to external storage.
    """
    payload = Payload(metadata={"encoding": b"binary/plain", UNREADABLE: LASTING if lasting else PASSING})
    payload.data = reason[:MAX_REASON].encode(errors="replace")
    if stored:
        payload.metadata[STORED] = b"true"
    return payload


class Readable:
    """Decides which signals of a run were readable when they came.

    What is sealed and was not opened counts with what a codec could not decode: another worker may have the key.
    """

    def __init__(self) -> None:
        self._sent = self._stored = self._read = self._noted = 0

    @property
    def is_exhausted(self) -> bool:
        """Whether the run has to continue as new before it takes one more answer from external storage."""
        return self._read >= limits.MAX_READ

    def why_not(self, arguments: Sequence[RawValue]) -> str | None:
        """Return why a signal counts as unreadable; None where its arguments can be used.

        Raises:
            RuntimeError: When it was readable and is not now. The workflow task is tried again.
        """
        reason = why_unreadable(arguments)
        if any(STORED in argument.payload.metadata for argument in arguments):
            return self._of_stored(reason)
        if any(argument.payload.metadata.get(UNREADABLE) == LASTING for argument in arguments):
            return reason
        self._sent += 1
        if self._noted >= limits.MAX_NOTED or (reason is None and not workflow.unsafe.is_replaying()):
            return reason
        # Failure is what is noted here, as most signals can be decoded; a replay asks what was noted of each.
        noted = workflow.patched(f"undecoded-{self._sent}")
        self._noted += noted
        if noted or not workflow.unsafe.is_replaying():
            return reason or "it could not be decoded when it came"
        if reason is not None:
            raise RuntimeError(f"A signal that was decoded before cannot be decoded now: {reason}")
        return None

    def _of_stored(self, reason: str | None) -> str | None:
        if self.is_exhausted:
            return f"a run takes {limits.MAX_READ} answers from external storage, and then has to continue as new first"
        self._stored += 1
        if reason is not None and not workflow.unsafe.is_replaying():
            return reason
        # Success is what is noted here: whoever sends references to nowhere costs nothing.
        if not workflow.patched(f"stored-{self._stored}"):
            return reason or "it could not be read from external storage when it came"
        if reason is not None:
            raise RuntimeError(f"A signal that was read from external storage before cannot be read now: {reason}")
        self._read += 1
        return None
