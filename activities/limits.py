"""Keeps what a superstep reports within Temporal's limits, while it can still be said which part is to blame."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic_core import to_json
from temporalio.client import Client
from temporalio.converter import StorageDriverSelectContext, StorageDriverStoreContext, StorageDriverWorkflowInfo

from ..adapter.checkpoints.logged_events import ALWAYS_READABLE
from ..adapter.encoding.decoding import loads
from ..adapter.encoding.encoding import dumps
from ..adapter.errors import PayloadError
from ..adapter.framework.definition import WorkflowDefinition
from ..adapter.temporal.converter import MAX_PAYLOAD_BYTES, encoded_payload, stores_outside
from ..workflows.messages import LoggedEvent, SuperstepFailure, SuperstepResult, json_bytes
from ..workflows.value_limits import words_for
from .capturing_storage import CapturingStorage, parts

MAX_PENDING_BYTES = 512 * 1024
"""Pending requests as plain JSON, without their schemas: a query answers with them, and a run that continues as new
hands them on."""
MAX_FAILURE_BYTES = 1_000_000
"""Of a failed attempt: the run's own failure repeats it, and the server terminates a run whose failure is too large."""
MAX_STORED_FAILURE_BYTES = 16_000_000
"""Where external storage takes it."""
MAX_JOURNAL_BYTES = 1_000_000
"""Packed, in a heartbeat: of one over 2 MB the server fails the superstep for good."""
MAX_BURST_BYTES = 64 * 1024
"""Of a burst, packed: each of its supersteps writes all of it with its heartbeat. It ends where it is larger, and
another begins."""
MAX_BURST_EVENTS_BYTES = 400_000
"""Of its events as JSON, which its result holds as they are."""
MAX_LEFT_JOURNAL_BYTES = 500_000
"""Of the superstep that a burst has begun and not finished, in its result."""
_MAX_FAILED_EVENTS = 300_000
_READABLE = 1024


async def fits(result: SuperstepResult, client: Client) -> bool:
    """Tell whether Temporal would take a result, or external storage is there to take it instead."""
    if stores_outside(client.data_converter):
        return True
    return (await encoded_payload(client.data_converter, result)).ByteSize() <= MAX_PAYLOAD_BYTES


async def guard_result(
    result: SuperstepResult,
    hosted: WorkflowDefinition,
    capture: CapturingStorage,
    client: Client,
    target: StorageDriverWorkflowInfo,
) -> None:
    """Refuse a result that Temporal, or the external storage, would refuse, or that no reader could read.

    Args:
        result: What is about to be returned.
        hosted: The hosted workflow.
        capture: Holds the checkpoint of the result.
        client: The worker's client.
        target: The run, for the external storage.

    Raises:
        PayloadError: Naming the largest part.
    """
    _guard_pending(result, hosted)
    size = len(result.frame) + _read_back(result, hosted)
    if size <= MAX_PAYLOAD_BYTES and client.data_converter.payload_codec is None:
        return
    payload = await encoded_payload(client.data_converter, result)
    size = payload.ByteSize()
    if size <= MAX_PAYLOAD_BYTES:
        return
    if not stores_outside(client.data_converter):
        raise PayloadError(
            f"{_what(result, hosted, size)}, more than the {MAX_PAYLOAD_BYTES:,} that fit in a Temporal payload; "
            f"largest: {_largest(result, hosted, capture)}. Keep a reference in the state instead of the data, or "
            "configure external storage on the client's data converter."
        )
    storage = client.data_converter.external_storage
    if storage is None:
        return
    driver = storage.drivers[0]
    if storage.driver_selector is not None:
        driver = storage.driver_selector(StorageDriverSelectContext(target=target), payload) or driver
    try:
        # What it refuses it would refuse after each attempt, and each would run the executors again. The drivers go by
        # content, so that storing it here costs a look when the SDK stores it.
        await driver.store(StorageDriverStoreContext(target=target), [payload])
    except ValueError as error:
        raise PayloadError(
            f"{_what(result, hosted, size)}, and external storage {driver.name()!r} refuses it ({error}); largest: "
            f"{_largest(result, hosted, capture)}. Keep a reference in the state instead of the data, or raise the "
            "storage's limit."
        ) from error


def _read_back(result: SuperstepResult, hosted: WorkflowDefinition) -> int:
    """Read a result as its readers will: what they could not read would be in the thread for good.

    Returns:
        The size of its JSON.
    """
    try:
        text = to_json(result)
        SuperstepResult.model_validate_json(text)
    except ValueError as error:
        for record in result.events:
            try:
                LoggedEvent.model_validate_json(to_json(record))
            except ValueError:
                name = f"event {record.type!r} of executor {record.executor_id!r}"
                break
        else:
            name = "its facts"
        raise PayloadError(
            f"The result of a superstep of workflow {hosted.name!r} could not be read back ({words_for(str(error))}), "
            f"because of {name}. Names and ids must be Unicode text."
        ) from error
    return len(text)


def _guard_pending(result: SuperstepResult, hosted: WorkflowDefinition) -> None:
    pending = result.pending
    total = sum(map(json_bytes, pending))
    if total <= MAX_PENDING_BYTES:
        return
    largest = max(pending, key=json_bytes)
    raise PayloadError(
        f"The pending requests of workflow {hosted.name!r} take {total:,} bytes, more than the {MAX_PENDING_BYTES:,} "
        f"that can be pending at once; largest: request {largest.request_id!r} of executor {largest.executor_id!r}. "
        "Put a reference into the request instead of the data."
    )


def _what(result: SuperstepResult, hosted: WorkflowDefinition, size: int) -> str:
    superstep = result.checkpoint.superstep if result.checkpoint is not None else "?"
    return f"The result of superstep {superstep} of workflow {hosted.name!r} takes {size:,} bytes"


def _largest(result: SuperstepResult, hosted: WorkflowDefinition, capture: CapturingStorage) -> str:
    found = [
        # Other events repeat messages, which are the messages' to answer for.
        (
            json_bytes(record) + (record.data_bytes or 0 if record.type in ALWAYS_READABLE else 0),
            f"event {record.type!r} of executor {record.executor_id!r}",
        )
        for record in result.events
    ]
    if capture.last is not None:
        checkpoint = loads(capture.last.raw, hosted.catalog)
        found += [(len(dumps(value, hosted.catalog)), name) for name, value in parts(checkpoint)]
    size, name = max(found, default=(0, "unknown"))
    return f"{name} ({size:,} bytes)"


def smaller_failures(failure: SuperstepFailure) -> Iterator[tuple[bool, bool]]:
    """Take from a failure what it can do without until it fits; the error always stays.

    Args:
        failure: What is about to be reported, without its frame.

    Yields:
        Whether the frame may hold the events' typed data, and whether the checkpoint; the caller stops when it fits.
    """
    yield True, True
    for record in failure.events:
        size = json_bytes(record)
        record.payload = record.readable = None
        if record.data is not None and size > _READABLE:
            record.data, record.data_bytes = None, size
    failure.events = _newest(failure.events)
    yield False, True
    yield False, False


def _newest(events: list[LoggedEvent]) -> list[LoggedEvent]:
    left = _MAX_FAILED_EVENTS
    for index in range(len(events) - 1, -1, -1):
        left -= json_bytes(events[index])
        if left < 0:
            return events[index + 1 :]
    return events
