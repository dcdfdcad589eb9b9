"""An edited checkpoint that a waiting run goes on from: it ends, and the next run begins from it, in one step."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import ValidationError
from temporalio import workflow
from temporalio.common import RawValue
from temporalio.exceptions import ApplicationError

from . import limits
from .claims import wrong_edit
from .messages import EDIT_UPDATE, MESSAGE_UPDATE, EditUpdate, NewerVersionError
from .next_message import BUSY as NOT_TAKEN
from .requests.signals import places
from .unreadable import why_unreadable

BUSY = "EditNotTaken"
"""Type of the error that the sender of an update is given when the run does not wait, or at another checkpoint."""
REFUSED = "EditRefused"
"""Type of the error that it is given for an edit that cannot be used."""


class NextEdit:
    """Takes update `edit`, once and only while the run waits with no answer in hand."""

    def __init__(self) -> None:
        self.taken: EditUpdate | None = None

    def check(
        self, arguments: Sequence[RawValue], *, busy: str | None, checkpoint_id: str | None, graph_hash: str | None
    ) -> None:
        """Refuse an edit that cannot be taken; changes nothing.

        Args:
            arguments: Of the update.
            busy: Why the run cannot take one now; None where it can.
            checkpoint_id: The checkpoint that the run waits at.
            graph_hash: Of the graph that has made it.

        Raises:
            ApplicationError: Of type `EditNotTaken` or `EditRefused`.
        """
        if busy is not None:
            raise _failure(busy, BUSY)
        edit = self._read(arguments)
        if edit.seen_checkpoint_id != checkpoint_id:
            raise _failure(f"It has gone on to checkpoint {checkpoint_id!r} since it was read. Edit that one.", BUSY)
        wrong = wrong_edit(edit.facts, edit.edited)
        if wrong is None and edit.facts.graph_hash != graph_hash:
            wrong = "another graph has made it."
        if wrong is not None:  # The next run would be refused, and this one be over.
            raise _failure(f"`{EDIT_UPDATE}`: {wrong}", REFUSED)

    def take(self, arguments: Sequence[RawValue]) -> None:
        """Keep an edit that was checked.

        Raises:
            RuntimeError: When it cannot be read now, but was when it was accepted: the workflow task is tried again.
        """
        reason = why_unreadable(arguments)
        if reason is not None:
            raise RuntimeError(f"An update that was accepted before cannot be read now: {reason}")
        self.taken = self._read(arguments)

    @staticmethod
    def _read(arguments: Sequence[RawValue]) -> EditUpdate:
        reason = why_unreadable(arguments)
        size = sum(argument.payload.ByteSize() for argument in arguments)
        if reason is not None:
            raise _failure(f"The edit cannot be read: {reason}.", REFUSED)
        if size > limits.MAX_SIGNAL_BYTES or len(arguments) != 1:
            raise _failure(
                f"`{EDIT_UPDATE}` takes one argument of {limits.MAX_SIGNAL_BYTES:,} bytes; got {len(arguments)} of "
                f"{size:,} bytes. Cancel the run, and edit the thread's last checkpoint then.",
                REFUSED,
            )
        try:
            edit = workflow.payload_converter().from_payload(arguments[0].payload, EditUpdate)
        except ValidationError as error:
            raise _failure(f"`{EDIT_UPDATE}`: {'; '.join(places(error))}", REFUSED) from None
        except (ValueError, RecursionError, NewerVersionError) as error:
            raise _failure(str(error), REFUSED) from None
        if not isinstance(edit, EditUpdate) or not edit.frame:
            raise _failure(f"`{EDIT_UPDATE}` takes a checkpoint that this package has packed.", REFUSED)
        return edit


def another_begins(name: str) -> ApplicationError:
    """Return what is told to the sender of an update to a run that ends this moment, as an edit was taken."""
    kinds = {EDIT_UPDATE: BUSY, MESSAGE_UPDATE: NOT_TAKEN}
    return _failure("It goes on in another run, from an edited checkpoint. Send it again.", kinds.get(name, BUSY))


def _failure(message: str, kind: str) -> ApplicationError:
    return ApplicationError(f"Thread {workflow.info().workflow_id!r}: {message}", type=kind, non_retryable=True)
