"""Fixtures for pytest, loaded by its entry point `pytest11`; everything else is imported when a test asks for one.

They are not async, so that they need no plugin for async tests and work with each: pytest-asyncio in both modes and
with any loop scope, anyio, and tests that are not async.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from .shared import DurableFactory, SharedTestEnvironment


@pytest.fixture(scope="session")
def durable_env() -> Iterator[SharedTestEnvironment]:
    """A Temporal server for the test session, which can skip time: `durable_env.skip_time(checkpoint, duration)`."""
    from . import SharedTestEnvironment

    with SharedTestEnvironment.open() as environment:
        yield environment


@pytest.fixture
def durable(durable_env: SharedTestEnvironment) -> Iterator[DurableFactory]:
    """Hosts a workflow for this test and returns a facade of it, with a fresh thread: `durable(build)`."""
    from . import DurableFactory

    with ExitStack() as workers:
        yield DurableFactory(durable_env, workers)
