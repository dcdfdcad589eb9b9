"""The commands `export` and `import`: a thread as a file, for debugging at another place."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from temporalio.worker import Replayer

from ..checkpoints.archive import ThreadArchive
from ..checkpoints.export import export_thread
from ..checkpoints.lineage import CheckpointInfo, thread_infos
from ..checkpoints.storage import HistoryCheckpointStorage
from ..checkpoints.thread import latest_run, read_standing
from ..client.thread_facts import existing_thread, find_thread
from ..commands.exit_codes import FAILED, NotFoundError, UsageError
from ..errors import ThreadExistsError
from ..plugin import AgentFrameworkPlugin
from .command import Session, TaskQueue, Thread, Workflow, open_archive
from .follow import follow
from .lookup import facade, read_responses
from .options import Options, read_options
from .run import Interactive, Responses
from .text import size


async def export(
    session: Session,
    thread: Thread,
    *,
    opened: Annotated[
        bool,
        typer.Option(
            "--open", help="Decrypt sealed payloads and include external ones; anyone can then read the file."
        ),
    ] = False,
) -> None:
    """Write a thread to standard output: histories, checkpoints and events as JSON lines."""
    client = await session.client()
    async for line in export_thread(client, thread, opened=opened):
        sys.stdout.write(line)
    sys.stdout.flush()


async def import_(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file written by `export`.", show_default=False)],
    *,
    into: Annotated[
        str | None, typer.Option("--into", metavar="ID", help="Start this thread on the server from a checkpoint.")
    ] = None,
    checkpoint: Annotated[
        str | None, typer.Option(metavar="CHECKPOINT", help="Which checkpoint; defaults to the last good one.")
    ] = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Replay its histories with this release, as a worker taking over would.")
    ] = False,
    responses: Responses = None,
    workflow: Workflow = None,
    task_queue: TaskQueue = None,
    option: Options = None,
    interactive: Interactive = False,
) -> int:
    """Inspect an exported thread, replay it, or start a thread from one of its checkpoints."""
    if into is None and (checkpoint is not None or responses is not None):
        raise UsageError("--checkpoint and --responses go with --into THREAD")
    archive = open_archive(file)
    if replay:
        code = await _replay(session, archive)
        if code or into is None:
            return code
    if into is not None:
        return await _begin(
            session,
            archive,
            into,
            checkpoint,
            responses=responses,
            workflow=workflow,
            task_queue=task_queue,
            option=option,
            interactive=interactive,
        )
    _show(session, file, archive, await _checkpoints(archive))
    return 0


async def _checkpoints(archive: ThreadArchive) -> list[CheckpointInfo]:
    latest = (await latest_run(archive.client, archive.thread_id, end=False)).description
    if latest is None:
        return []
    return await thread_infos(archive.client, archive.thread_id, latest.run_id)


def _show(session: Session, file: Path, archive: ThreadArchive, found: list[CheckpointInfo]) -> None:
    output = session.output
    output.json(
        {
            "thread_id": archive.thread_id,
            "namespace": archive.namespace,
            "workflow": archive.workflow_name,
            "exported_at": archive.exported_at,
            "runs": archive.run_ids,
            "checkpoints": [info.checkpoint_id for info in found],
        },
        line=True,
    )
    output.facts(
        [
            ("thread", archive.thread_id),
            ("workflow", archive.workflow_name),
            ("namespace", archive.namespace),
            ("exported", archive.exported_at),
            ("runs", str(len(archive.run_ids))),
        ]
    )
    rows = [[str(info.superstep), info.kind, info.state, size(info.size_bytes), info.checkpoint_id] for info in found]
    output.table(["step", "kind", "state", "size", "checkpoint"], rows, keep=True)
    options = ["--from-file", str(file)]
    output.facts([("events", session.again("stream", archive.thread_id, options=options))])


async def _replay(session: Session, archive: ThreadArchive) -> int:
    replayer = Replayer(
        workflows=[],
        plugins=[AgentFrameworkPlugin()],
        namespace=archive.namespace,
        data_converter=archive.client.data_converter,
    )
    results: dict[str, str | None] = {}
    for run_id in archive.run_ids:
        result = await replayer.replay_workflow(archive.history(run_id), raise_on_replay_failure=False)
        results[run_id] = None if result.replay_failure is None else str(result.replay_failure)
    session.output.json({"replayed": {run_id: error is None for run_id, error in results.items()}}, line=True)
    for run_id, error in results.items():
        session.output.line(f"{run_id} {'replays' if error is None else 'does not replay on this release:'}")
        if error is not None:
            session.output.quoted(error[:2000])
    return FAILED if any(results.values()) else 0


async def _begin(
    session: Session,
    archive: ThreadArchive,
    into: str,
    checkpoint_id: str | None,
    *,
    responses: str | None,
    workflow: str | None,
    task_queue: str | None,
    option: list[str] | None,
    interactive: bool,
) -> int:
    if workflow is None or ":" not in workflow:
        raise UsageError(
            f"say where workflow {archive.workflow_name!r} is defined, --workflow package.module:attr: a checkpoint is "
            "read by the types that it declares before it is sent anywhere"
        )
    given = read_responses(responses) if responses is not None else None
    options = read_options(option)
    if await find_thread(await session.client(), into) is not None:
        raise ThreadExistsError(f"Thread {into!r} already exists. Choose another id with --into.")
    target = await facade(session, workflow=workflow, task_queue=task_queue, thread=None, options=options)
    name = (await existing_thread(archive.client, archive.thread_id)).workflow_name
    if target.workflow is None or target.workflow.name != name:
        raise UsageError(f"{workflow} is another workflow than {name!r}, of which the thread is")
    if checkpoint_id is None:
        standing = await read_standing(archive.client, archive.thread_id, name, seen_run_id=None)
        infos = await _checkpoints(archive)
        last = standing.checkpoint.checkpoint_id if standing.checkpoint is not None else None
        checkpoint_id = last or (infos[-1].checkpoint_id if infos else None)
        if checkpoint_id is None:
            raise NotFoundError(f"thread {archive.thread_id!r} was exported before its first checkpoint")
    chosen = checkpoint_id
    storage = HistoryCheckpointStorage(archive.client, target.workflow)
    handle = target.durable.checkpoint(into)
    return await follow(
        session,
        target,
        handle,
        lambda: target.durable.run_stream(
            checkpoint_id=chosen, checkpoint_storage=storage, responses=given, checkpoint=handle
        ),
        interactive=interactive,
    )
