"""DBOS: a step is a row of a database, here SQLite in a file."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any

from dbos import DBOS, SetWorkflowID

from benchmarks.peers._case import advanced, arguments, first_state, is_done, report


@DBOS.step()
def step(state: dict[str, Any]) -> dict[str, Any]:
    """Do a step."""
    return advanced(state)


@DBOS.workflow()
def loop(state: dict[str, Any]) -> int:
    """Run the loop."""
    while not is_done(state):
        state = step(state)
    return int(state["number"])


def main() -> None:
    """Run the workflow; one that was lost goes on by itself when the process starts."""
    given = arguments()
    path = Path(given.address) / f"{given.thread}.sqlite"
    DBOS(config={"name": "peers", "system_database_url": f"sqlite:///{path}", "log_level": "ERROR"})
    DBOS.launch()
    if given.again:
        DBOS.retrieve_workflow(given.thread).get_result()
    else:
        with SetWorkflowID(given.thread):
            loop(first_state(given.case, given.size, given.steps))
    DBOS.destroy()
    with sqlite3.connect(path) as database:
        rows = database.execute(
            "select count(*), coalesce(sum(length(output)), 0) from operation_outputs where workflow_uuid = ?",
            (given.thread,),
        ).fetchone()
        whole = database.execute(
            "select length(coalesce(inputs, '')) + length(coalesce(output, '')) from workflow_status"
            " where workflow_uuid = ?",
            (given.thread,),
        ).fetchone()
    report(events=rows[0] + 1, bytes=rows[1] + whole[0])


if __name__ == "__main__":
    main()
