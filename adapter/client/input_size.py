"""What a caller gives is held to Temporal's limits before anything is sent: a run must not be stuck with it later."""

from __future__ import annotations

from collections.abc import Sequence

from temporalio.client import Client

from ...workflows.limits import MAX_OPTIONS_BYTES, MAX_QUEUED_BYTES
from ...workflows.messages import RespondSignal, RunInput, json_bytes
from ..errors import PayloadError
from ..temporal.converter import MAX_PAYLOAD_BYTES, encoded_payload, stores_outside


async def check_input(client: Client, run_input: RunInput) -> None:
    """Refuse a run's input that is too large. Costs one more encoding of it, and no round trip.

    Raises:
        PayloadError: Saying how large it is, and what to do instead.
    """
    options = json_bytes(run_input.options)
    if options > MAX_OPTIONS_BYTES:
        raise PayloadError(
            f"The run's options take {options:,} bytes, more than the {MAX_OPTIONS_BYTES:,} that fit in each run. Use "
            "default responses that refer to the data instead of containing it."
        )
    if run_input.responses is not None:
        check_answers(run_input.responses)
    size = (await encoded_payload(client.data_converter, run_input)).ByteSize()
    if size > MAX_PAYLOAD_BYTES and not stores_outside(client.data_converter):
        what = "The message" if run_input.message is not None else "The input"
        raise PayloadError(
            f"{what} is too large: it takes {size:,} bytes, more than the {MAX_PAYLOAD_BYTES:,} that fit in a "
            "payload. Pass a reference instead of the data, or configure external storage on the client's data "
            "converter."
        )


def check_answers(batch: Sequence[RespondSignal]) -> None:
    """Refuse responses that no run would take at once.

    Raises:
        PayloadError: Saying how large they are, and what to do instead.
    """
    size = sum(map(json_bytes, batch))
    if size > MAX_QUEUED_BYTES:
        raise PayloadError(
            f"The responses are too large: they take {size:,} bytes, more than the {MAX_QUEUED_BYTES:,} that a run "
            "accepts at once. Answer with a reference to the data, or send fewer responses at a time."
        )
