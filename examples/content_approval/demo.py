"""The demo: a framework workflow on a real Temporal server, with a human in the loop and, if asked, a crash.

    python -m examples.content_approval.demo --topic "..." --audience "..." --words 120

It starts a local Temporal server and a worker process, and runs the workflow of `workflow.py`, unchanged, through
`DurableWorkflow`. What is of interest is in `_Demo.run`; the modules beside this one show it and take care of it.
"""

from __future__ import annotations

import argparse
import asyncio
import shlex
import signal
import sys
import tempfile
import time
import uuid
from collections.abc import Coroutine, Sequence
from contextlib import AsyncExitStack, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote

from agent_framework import WorkflowRunResult, WorkflowRunState
from agent_framework_temporal import (
    Checkpoint,
    DevServer,
    DurableWorkflow,
    DurableWorkflowError,
    Response,
    RunUsage,
    ServerUnreachableError,
    start_dev_server,
    terminal_text,
)

from . import crash, ledger, reviewer, supersteps
from .console import console
from .options import DEFAULT_DATABASE, parse
from .processes import DemoError, WorkerProcess
from .view import View
from .workflow import WORKFLOW_NAME, ApprovalDecision, ApprovalRequest, Brief, content_approval

_TASK_QUEUE = "content-approval-demo"
_LOOK_SECONDS = 0.25


class _Demo:
    def __init__(self, options: argparse.Namespace, brief: Brief, view: View) -> None:
        self.thread_id: str = options.resume or f"{WORKFLOW_NAME}-{uuid.uuid4().hex[:8]}"
        self.begun = False
        self._options = options
        self._brief = brief
        self._view = view
        self._streaming = False
        self._supersteps = 0
        self._killed_in = 0
        self._workers: list[WorkerProcess] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._trouble: asyncio.Future[NoReturn] = asyncio.get_running_loop().create_future()

    async def run(self) -> None:
        """Start all that the run needs, run it, and stop all that was started.

        Raises:
            DemoError: When something of the demo ends before it should.
            DurableWorkflowError: When the run fails.
        """
        async with AsyncExitStack() as self._stack:
            self._folder = Path(self._stack.enter_context(tempfile.TemporaryDirectory(prefix="content-approval-")))
            self._view.now("starting a Temporal server")
            self._server = await self._stack.enter_async_context(await self._start_server())
            self._stack.push_async_callback(self._end_tasks)
            self._in_background(self._watch_server())
            self._client = await self._server.connect()
            served = console(self._client, _TASK_QUEUE, temporal_ui=self._server.ui_url)
            self._console_url = await self._stack.enter_async_context(served)
            self._view.now("starting a worker")
            await self._start_worker()

            durable = DurableWorkflow(
                content_approval,
                client=self._client,
                task_queue=_TASK_QUEUE,
                # Short, so that a killed worker is soon missed. The default is 10 seconds.
                heartbeat_timeout=timedelta(seconds=2),
            )
            checkpoint = durable.checkpoint(self.thread_id)
            self._introduce()
            if self._view.is_terminal:
                self._in_background(self._show_superstep_in_hand(checkpoint))
            if self._options.crash:
                self._in_background(self._crash(checkpoint))
            await self._unless_trouble(self._run_workflow(durable, checkpoint))
            await self._unless_trouble(self._wait_for_the_person())
            self._view.now("stopping the worker and the server")

    async def _run_workflow(self, durable: DurableWorkflow, checkpoint: Checkpoint) -> None:
        """Run the workflow, with a decision about each draft, until one is published."""
        message: Brief | list[Response] | None = None if self._options.resume else self._brief
        while True:
            self._streaming = True
            stream = durable.run_stream(message, checkpoint=checkpoint)
            request_id, request = "", None
            async for event in stream:
                self.begun = True
                self._view.event(event, checkpoint)
                if event.type == "request_info":
                    request_id, request = event.request_id, event.data
                elif event.type == "superstep_completed":
                    self._supersteps = event.iteration or 0
            self._streaming = False
            result = await stream.get_final_response()
            if request is None or result.get_final_state() is not WorkflowRunState.IDLE_WITH_PENDING_REQUESTS:
                break
            message = [Response(request_id, await self._decide(request))]
        if self._options.crash:
            await self._prove(checkpoint)
        self._conclude(result, checkpoint, await durable.usage(checkpoint))

    async def _decide(self, request: ApprovalRequest) -> ApprovalDecision:
        self._view.request(request)
        if self._options.auto_approve:
            self._view.success("Approved by the demo itself: --auto-approve.")
        elif not reviewer.somebody_is_there():
            self._view.success("Approved by the demo itself: standard input is no terminal, so nobody can be asked.")
        else:
            decision = await reviewer.decide()
            self._view.success("Approved." if decision.approved else "Rejected: back to the writer.")
            return decision
        return ApprovalDecision(approved=True)

    async def _crash(self, checkpoint: Checkpoint) -> None:
        """Kill the worker in the middle of a superstep, start another, and say what Temporal makes of it."""
        (first,) = self._workers
        killed = await crash.kill_in_the_middle(self._client, checkpoint, first, self._folder / "ledger")
        since = time.monotonic()
        done = await supersteps.committed(self._client, checkpoint)
        self._killed_in = len(done) + 1
        self._view.heading("crash", style="bold red")
        self._view.alarm(
            f"SIGKILL to worker {first.pid} in the middle of superstep {self._killed_in}: the {crash.VICTIM} had "
            f"called its tool {crash.TOOL_CALLS} times and was at it again, and {len(done)} supersteps were committed."
        )
        second = await self._start_worker()
        self._view.note(f"Worker {second.pid} started. It knows nothing of the run.")
        attempt = await crash.until_lost(self._client, checkpoint, killed)
        self._view.success(
            f'Temporal missed its heartbeat ("{attempt.failure}"). {time.monotonic() - since:.1f} s after the kill, '
            f"attempt {attempt.attempt} of superstep {self._killed_in} runs on worker {attempt.worker}."
        )

    async def _prove(self, checkpoint: Checkpoint) -> None:
        done = await supersteps.committed(self._client, checkpoint)
        entries = ledger.read(self._folder / "ledger")
        rows = crash.reconcile(done, entries)
        self._view.heading("what the crash cost: Temporal's history, and the ledger of the executors")
        self._view.table(
            ("superstep", "executor", "invoked", "attempts", "committed by"),
            [
                (
                    str(row.superstep.number),
                    row.executor,
                    f"{1 + row.killed}, {row.killed} killed" if row.killed else "1",
                    str(row.superstep.attempts),
                    f"worker {row.superstep.worker}",
                )
                for row in rows
            ],
            emphasis=[index for index, row in enumerate(rows) if row.killed],
        )
        first, second = self._workers
        crash.prove(rows, killed_in=self._killed_in, first=first, second=second)
        (killed,) = [step for step in done if step.number == self._killed_in]
        proof = crash.prove_journal(killed, entries, first=first.pid, second=second.pid)
        self._view.success(
            f"{proof.model_calls} model calls and {proof.tool_calls} tool calls taken from the journal, "
            f"{proof.repeated} repeated. Worker {second.pid} made the other {proof.made} itself, the one that was "
            "killed in the middle among them."
        )
        self._view.success(
            f"Each of the {len(done)} supersteps was committed exactly once. Only the one that was killed ran again: "
            f"the {self._killed_in - 1} before it, done by worker {first.pid}, were not repeated."
        )

    def _introduce(self) -> None:
        view, options = self._view, self._options
        view.heading("content approval, on Temporal", style="bold cyan")
        if options.resume:
            view.facts([("resumes", options.resume)])
        else:
            brief = self._brief
            view.facts([("topic", brief.topic), ("audience", brief.audience), ("words", str(brief.words))])
            view.facts([("thread", self.thread_id)])
        view.facts(
            [
                ("model", options.model or "offline, deterministic"),
                ("server", f"{self._server.address}, threads kept in {options.database}"),
                ("console", f"{self._console_url}/threads/{quote(self.thread_id, safe='')}"),
                ("Web UI", self._server.ui_url),
                ("worker", f"process {self._workers[0].pid}"),
            ]
        )

    def _conclude(self, result: WorkflowRunResult, checkpoint: Checkpoint, usage: RunUsage) -> None:
        outputs = result.get_outputs()
        if not outputs:
            raise DemoError(
                f"The run of thread {self.thread_id} ended {result.get_final_state().name} and without output."
            )
        self._view.published(outputs[-1])
        page = f"{self._server.ui_url}/namespaces/{self._server.namespace}/workflows"
        self._view.facts(
            [
                ("revision", str(outputs[-1].revision)),
                ("supersteps", str(self._supersteps)),
                ("cost", f"{usage.usage.get('total_token_count') or 0:,} tokens"),
                ("thread", checkpoint.thread_id),
                ("checkpoint", checkpoint.checkpoint_id or "none"),
                ("console", f"{self._console_url}/threads/{quote(checkpoint.thread_id, safe='')}"),
                ("Web UI", f"{page}/{checkpoint.thread_id}/{checkpoint.run_id}/history"),
                ("look again", self.resume_command),
            ]
        )

    @property
    def resume_command(self) -> str:
        """What to type to go on with the thread, or to see it again with its page in the Web UI."""
        arguments = f"--resume {shlex.quote(self.thread_id)}"
        if self._options.database != DEFAULT_DATABASE:
            arguments += f" --database {shlex.quote(str(self._options.database))}"
        return f"make demo ARGS={shlex.quote(arguments)}"

    async def _wait_for_the_person(self) -> None:
        if self._options.no_wait or self._options.auto_approve:
            return
        if self._view.is_terminal and reviewer.somebody_is_there():
            print()
            with suppress(DemoError):  # The input may end here: it asks nothing.
                await reviewer.ask("  The console and the Web UI are up until you press Enter. ")

    async def _show_superstep_in_hand(self, checkpoint: Checkpoint) -> None:
        # The server has no call that waits for a change of this; looking costs no history.
        shown, since = None, 0.0
        while True:
            running = await supersteps.in_hand(self._client, checkpoint) if self._streaming else None
            if running is None or not self._streaming:
                self._view.now("")
            else:
                if running != shown:
                    shown, since = running, time.monotonic()
                where = f"runs on worker {running.worker}" if running.started else "waits for a worker"
                again = f", attempt {running.attempt}" if running.attempt > 1 else ""
                self._view.now(f"superstep {self._supersteps + 1} {where}{again}, {time.monotonic() - since:.0f} s")
            await asyncio.sleep(_LOOK_SECONDS)

    async def _start_server(self) -> DevServer:
        try:
            return await start_dev_server(
                database=self._options.database,
                ui_port=self._options.ui_port,
                # It reports every poll that a killed or stopped worker leaves behind as an error.
                log_level="never",
            )
        except ServerUnreachableError as error:
            raise DemoError(f"{error} See --database and --ui-port.") from error

    async def _watch_server(self) -> None:
        code = await self._server.wait()
        raise DemoError(f"The Temporal server ended by itself with exit code {code}.")

    async def _start_worker(self) -> WorkerProcess:
        # Only what of the person's Temporal configuration fits this server: nothing.
        config_file = self._folder / "temporal.toml"
        config_file.write_text("")
        with_ledger = (
            "examples.content_approval.ledger" if self._options.crash else "examples.content_approval.workflow"
        )
        worker = await WorkerProcess.start(
            f"{with_ledger}:content_approval",
            address=self._server.address,
            task_queue=_TASK_QUEUE,
            config_file=config_file,
            variables={
                "CONTENT_APPROVAL_MODEL": self._options.model or "",
                "CONTENT_APPROVAL_DELAY": str(self._options.delay),
                ledger.LEDGER_VARIABLE: str(self._folder / "ledger"),
            },
        )
        self._stack.push_async_callback(worker.stop)
        self._workers.append(worker)
        self._in_background(worker.watch())
        return worker

    def _in_background(self, work: Coroutine[Any, Any, None]) -> None:
        """Do `work` beside the run, which ends if it fails."""

        def note(task: asyncio.Task[None]) -> None:
            error = None if task.cancelled() else task.exception()
            if error is not None and not self._trouble.done():
                self._trouble.set_exception(error)

        task = asyncio.create_task(work)
        task.add_done_callback(note)
        self._tasks.add(task)

    async def _unless_trouble(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        first: set[asyncio.Future[Any]] = {task, self._trouble}
        await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
        if self._trouble.done():
            task.cancel()  # It would only find out by itself, and later.
            self._trouble.result()
        await task

    async def _end_tasks(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if not self._trouble.cancel():
            self._trouble.exception()  # Told already, or no more of interest: the demo is ending.


async def _run(options: argparse.Namespace, brief: Brief, view: View) -> int:
    demo, loop = _Demo(options, brief, view), asyncio.get_running_loop()
    running = asyncio.create_task(demo.run())
    stopped_by: list[signal.Signals] = []

    def stop(number: signal.Signals) -> None:
        # Once: a second ctrl-C must not leave processes behind. What is stopped has a time limit each.
        if not stopped_by:
            running.cancel()
        stopped_by.append(number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stop, number)
    kept = f"The thread is kept: {demo.resume_command}"
    try:
        await running
    except asyncio.CancelledError:
        view.now("")
        said = f"\ndemo: stopped by {stopped_by[0].name}." + (f" {kept}" if demo.begun else "")
        print(terminal_text(said), file=sys.stderr)
        return 128 + stopped_by[0]
    except Exception as error:
        view.now("")
        ours = isinstance(error, DemoError | DurableWorkflowError | BrokenPipeError)
        said = str(error) if ours else f"{type(error).__name__}: {error}"
        print(terminal_text(f"\ndemo: {said}" + (f"\n{kept}" if demo.begun else "")), file=sys.stderr)
        return 1
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demo; returns the exit code."""
    options, brief = parse(arguments)
    with View() as view:
        return asyncio.run(_run(options, brief, view))


if __name__ == "__main__":
    sys.exit(main())
