"""Real framework workflows, each with the turns that are run in process and durably and then compared."""

from tests.parity.gallery import agents, declarative, errors, functional, graph, human, orchestrations, state
from tests.parity.gallery._row import Row, Turn

GALLERY: tuple[Row, ...] = (
    *graph.ROWS,
    *state.ROWS,
    *human.ROWS,
    *agents.ROWS,
    *orchestrations.ROWS,
    *declarative.ROWS,
    *functional.ROWS,
    *errors.ROWS,
)

__all__ = ["GALLERY", "Row", "Turn"]
