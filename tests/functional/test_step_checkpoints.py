"""Each finished step leaves a checkpoint, as in process: listed, loaded, forked, mirrored; few bytes each."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path
from typing import Any, cast

import pytest
from agent_framework import InMemoryCheckpointStorage, RunContext, WorkflowCheckpoint, step, workflow
from agent_framework_temporal import (
    AgentFrameworkPlugin,
    CheckpointInfo,
    DurableWorkflow,
    FileStorageDriver,
    HistoryCheckpointStorage,
)
from agent_framework_temporal.activities import passed
from agent_framework_temporal.adapter.checkpoints.frames import unpack
from agent_framework_temporal.adapter.framework.functional import FunctionalFactory
from agent_framework_temporal.workflows.messages import SuperstepResult
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client
from temporalio.converter import ExternalStorage

from tests.checkpoints._threads import assert_lineage
from tests.functional._flows import Connection, Verdict, many, pipeline, retried, review, unlucky
from tests.functional._ledger import noted
from tests.mirrors._waiting import eventually
from tests.parity._canonical import Canonical
from tests.parity._turns import record
from tests.parity.gallery import Row
from tests.parity.gallery.functional import ROWS
from tests.sealing._rogue import connect
from tests.support import worker


def _chain(checkpoints: list[WorkflowCheckpoint]) -> list[int | None]:
    """Return for each checkpoint which of them it follows."""
    places = {found.checkpoint_id: place for place, found in enumerate(checkpoints)}
    return [
        None if found.previous_checkpoint_id is None else places[found.previous_checkpoint_id] for found in checkpoints
    ]


def _comparable(checkpoints: list[WorkflowCheckpoint]) -> Any:
    canonical = Canonical()
    return [
        canonical.value((found.state, found.pending_request_info_events, found.iteration_count, _place))
        for found, _place in zip(checkpoints, _chain(checkpoints), strict=True)
    ]


async def _saved(storage: InMemoryCheckpointStorage, name: str) -> list[WorkflowCheckpoint]:
    return sorted(await storage.list_checkpoints(workflow_name=name), key=lambda found: found.timestamp)
