"""A long conversation that goes on for 100 supersteps: the case of temporalio/sdk-python #1890."""

from __future__ import annotations

from statistics import median

from ._bench import Bench, Run
from ._flows import conversation
from ._table import Table

INITIAL = 836_000
SUPERSTEPS = 100


async def measure(bench: Bench) -> list[Table]:
    """Run it once with each kind of text."""
    initial, supersteps = (100_000, 12) if bench.quick else (INITIAL, SUPERSTEPS)
    table = Table(
        f"(c) conversation of {initial:,} characters, {supersteps} supersteps that add 5,000 each",
        ("text", "completed", "history bytes", "bytes a patch", "largest patch", "keyframes", "events", "ms (median)"),
    )
    parts = Table(
        "(c) where the bytes of its history are",
        ("text", "run input", "keyframes", "patches", "logged events", "the rest"),
    )
    async with bench.worker() as queue:
        for kind in ("hex", "words"):
            run = await bench.durable(queue, "speak", conversation(initial, supersteps, kind))
            patches = _patch_bytes(run)
            keyframes = [found for found in run.results if found.checkpoint and not found.checkpoint.base_checkpoint_id]
            completed = sum(found.checkpoint is not None for found in run.results)
            typical, largest = round(median(patches)), max(patches)
            times = round(median(run.seconds_per_step()) * 1_000, 1)
            table.add(kind, completed, run.history_bytes, typical, largest, len(keyframes), len(run.events), times)
            if not bench.quick:
                table.goal(f"history bytes, {kind}", run.history_bytes, 2_000_000)
            table.goal(f"bytes of a superstep between keyframes, {kind}", largest, 6_000)
            parts.add(kind, *_parts(run))
    table.note(
        "A patch: all history events of a superstep whose checkpoint is no keyframe, the workflow's own included."
    )
    return [table, parts]


def _patch_bytes(run: Run) -> list[int]:
    """Return the bytes of each superstep between keyframes, with the six events that it takes."""
    sizes: list[int] = []
    results = iter(run.results)
    size = 0
    for event in run.events[1:]:
        size += event.ByteSize()
        if event.HasField("activity_task_completed_event_attributes"):
            result = next(results)
            if result.checkpoint is not None and result.checkpoint.base_checkpoint_id is not None:
                sizes.append(size)
            size = 0
    return sizes


def _parts(run: Run) -> tuple[int, ...]:
    first = run.events[0].ByteSize()
    keyframes = sum(len(found.frame) for found in run.results if not _is_patch(found))
    patches = sum(len(found.frame) for found in run.results if _is_patch(found))
    records = sum(len(found.model_dump_json()) for found in run.results)
    return first, keyframes, patches, records, run.history_bytes - first - keyframes - patches - records


def _is_patch(result: object) -> bool:
    checkpoint = getattr(result, "checkpoint", None)
    return checkpoint is not None and checkpoint.base_checkpoint_id is not None
