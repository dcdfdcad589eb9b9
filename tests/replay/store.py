"""The stored histories: `histories/VERSION/SCENARIO/NN.json`, each run of each thread that a scenario leaves behind."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from temporalio.client import WorkflowHistory

HISTORIES = Path(__file__).with_name("histories")
_PLAIN_BYTES = 16 * 1024
"""A larger history is compressed."""


@dataclass(frozen=True)
class StoredRun:
    """One run, as it lay in history."""

    path: Path

    @property
    def name(self) -> str:
        """Release, scenario and number."""
        return self.path.relative_to(HISTORIES).as_posix().removesuffix(".gz").removesuffix(".json")

    @property
    def version(self) -> str:
        """The release that wrote it."""
        return self.path.relative_to(HISTORIES).parts[0]

    def history(self) -> WorkflowHistory:
        """Read it."""
        data = self.path.read_bytes()
        text = (gzip.decompress(data) if self.path.suffix == ".gz" else data).decode()
        history = WorkflowHistory.from_json("", text)
        return replace(history, workflow_id=history.events[0].workflow_execution_started_event_attributes.workflow_id)


def stored(version: str = "*", scenario: str = "*") -> list[StoredRun]:
    """Return the stored runs of a release and scenario, or of all, in order."""
    return [StoredRun(path) for path in sorted(HISTORIES.glob(f"{version}/{scenario}/*.json*"))]


def store(version: str, scenario: str, histories: Sequence[WorkflowHistory]) -> list[StoredRun]:
    """Write the runs of a scenario.

    Raises:
        FileExistsError: When the release has that scenario already.
    """
    folder = HISTORIES / version / scenario
    folder.mkdir(parents=True)
    written: list[StoredRun] = []
    for number, history in enumerate(histories, start=1):
        data = history.to_json().encode() + b"\n"
        path = folder / f"{number:02}.json"
        if len(data) > _PLAIN_BYTES:
            path, data = path.with_suffix(".json.gz"), gzip.compress(data, mtime=0)
        path.write_bytes(data)
        written.append(StoredRun(path))
    return written
