"""One server for all tests of a session, whatever event loops they run in, and workers for each of them."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Iterator, Mapping
from concurrent.futures import Future
from contextlib import ExitStack, contextmanager
from typing import Any, Self, TypeVar, Unpack

from agent_framework_temporal.adapter.client.durable_workflow import DurableWorkflow
from agent_framework_temporal.adapter.client.options import DurableOptions, OptionArguments
from agent_framework_temporal.adapter.framework.definition import WorkflowSource
from temporalio.client import Client
from temporalio.testing import TimeSkipper

from .environment import DurableTestEnvironment, running_server
from .exported import exported_for_tests

_Result = TypeVar("_Result")


@exported_for_tests
class SharedTestEnvironment(DurableTestEnvironment):
    """A server that all tests of a session share, on its own event loop in its own thread; the fixture `durable_env`.

    It hosts nothing by itself: the fixture `durable` hosts a workflow for one test, and `host` hosts some in the
    test's own event loop. Its `client`, `host`, `skip_time` and `replay` can be awaited in any event loop.

    Args:
        client: Connected to the server.
        skipper: Skips time.
        loop: Where the server, and the workers of `durable`, run.
    """

    def __init__(self, client: Client, skipper: TimeSkipper, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(client, "", skipper)
        self._loop = loop
        self._own = asyncio.new_event_loop()

    @classmethod
    @contextmanager
    def open(cls) -> Iterator[Self]:
        """Start the server, in about a second; it stops when the context exits.

        Raises:
            ServerUnreachableError: When the server does not start, for example because the extra `dev` is missing.
        """
        started: Future[tuple[Self, asyncio.Event]] = Future()
        thread = threading.Thread(
            target=lambda: asyncio.run(cls._serve(started)), name="durable test environment", daemon=True
        )
        thread.start()
        environment, stopping = started.result()
        try:
            yield environment
        finally:
            environment._own.close()
            environment._loop.call_soon_threadsafe(stopping.set)
            thread.join()

    @classmethod
    async def _serve(cls, started: Future[tuple[Self, asyncio.Event]]) -> None:
        stopping = asyncio.Event()
        try:
            async with running_server() as server:
                environment = cls(server.client, server._skipper, asyncio.get_running_loop())
                started.set_result((environment, stopping))
                await stopping.wait()
        except BaseException as error:
            if started.done():
                raise
            started.set_exception(error)

    def run(self, awaitable: Awaitable[_Result]) -> _Result:
        """Wait for a result in a test that is not async: `durable_env.run(essay.run("night trains"))`.

        Args:
            awaitable: What to wait for, in an event loop that all calls of the session share.

        Raises:
            RuntimeError: When called in an event loop, where `await` does the same.
        """

        async def awaited() -> _Result:
            return await awaitable

        if _is_in_a_loop():
            raise RuntimeError("`run` is for tests that are not async. Here, use `await`.")
        return self._own.run_until_complete(awaited())

    @contextmanager
    def hosting(self, workflow: WorkflowSource, **arguments: Any) -> Iterator[DurableTestEnvironment]:
        """Do as `host` does, on a worker in the environment's own event loop; for code that cannot await."""
        context = self.host([workflow], **arguments)
        hosted = asyncio.run_coroutine_threadsafe(context.__aenter__(), self._loop).result()
        try:
            yield hosted
        finally:
            asyncio.run_coroutine_threadsafe(context.__aexit__(None, None, None), self._loop).result()


def _is_in_a_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


@exported_for_tests
class DurableFactory:
    """Hosts workflows for one test and returns facades of them; the fixture `durable`.

    Args:
        environment: The server.
        workers: Where the workers are left, to be stopped.
    """

    def __init__(self, environment: SharedTestEnvironment, workers: ExitStack) -> None:
        self._environment = environment
        self._workers = workers
        self._hosted: list[tuple[WorkflowSource, dict[str, Any], DurableTestEnvironment]] = []

    def __call__(
        self,
        workflow: WorkflowSource,
        *,
        options: DurableOptions | None = None,
        replay_each_task: bool = False,
        plugin: Mapping[str, Any] | None = None,
        **changes: Unpack[OptionArguments],
    ) -> DurableWorkflow:
        """Host a workflow until the test ends, and return a facade of it; each facade has a fresh default thread.

        The worker runs in the environment's event loop and thread, as it would in another process: executors cannot
        wait for an `asyncio.Event` of the test. Where they must, use `async with durable_env.host([build])`.

        Costs a few milliseconds; a workflow that the test has hosted already costs nothing.

        Args:
            workflow: The factory, or an instance.
            options: Options of the runs.
            replay_each_task: Keep nothing on the worker between supersteps, as if another worker took over each time.
                Slower, but reveals state that no checkpoint holds.
            plugin: More arguments for `AgentFrameworkPlugin`.
            **changes: Arguments of `DurableOptions`; they override those of `options`.

        Raises:
            HostingError: When the workflow cannot be hosted.
            ValueError: For an option that cannot work.
        """
        arguments: dict[str, Any] = {"replay_each_task": replay_each_task, **(plugin or {})}
        for hosted, having, environment in self._hosted:
            if hosted is workflow and having == arguments:
                return environment.durable(workflow, options=options, **changes)
        environment = self._workers.enter_context(self._environment.hosting(workflow, **arguments))
        self._hosted.append((workflow, arguments, environment))
        return environment.durable(workflow, options=options, **changes)
