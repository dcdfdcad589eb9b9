"""What is logged has data in it: it is shown on a terminal, one line a record, and can do nothing there."""

from __future__ import annotations

import logging

from ..workflows.display import terminal_line, terminal_text

_MARGIN = "    "


def data_logger(name: str) -> logging.Logger:
    """Return a logger whose messages are one line and have no control characters, whatever handler writes them."""
    logger = logging.getLogger(name)
    if not any(isinstance(found, _OneLine) for found in logger.filters):
        logger.addFilter(_OneLine())
    return logger


def log_to_terminal(level: int | str, style: str) -> None:
    """Log to standard error if nothing is configured yet, all loggers' records, with their tracebacks.

    Args:
        level: The level.
        style: The format of a record.
    """
    handler = logging.StreamHandler()
    handler.setFormatter(_RecordFormatter(style))
    logging.basicConfig(level=level, handlers=[handler])


class _OneLine(logging.Filter):
    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        shown = terminal_line(message)
        if shown != message:  # Else the template stays, by which log services group.
            record.msg, record.args = shown, None
        return True


class _RecordFormatter(logging.Formatter):
    """Indents a record's further lines: no text in it can pass for a record."""

    def format(self, record: logging.LogRecord) -> str:
        return terminal_text(super().format(record), margin=_MARGIN)
