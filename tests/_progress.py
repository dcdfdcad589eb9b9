"""Says at once which test has failed, and why in a line: pytest tells names at the end, a quarter of an hour later."""

from __future__ import annotations

import pytest


class Failures:
    """Writes a line for each failure as it comes, also those of other test processes.

    Args:
        terminal: Where pytest shows how far it is.
    """

    def __init__(self, terminal: pytest.TerminalReporter) -> None:
        self._terminal = terminal

    @pytest.hookimpl(trylast=True)
    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Write it."""
        if report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            why = str(report.longrepr if crash is None else crash.message).strip().partition("\n")[0]
            self._terminal.write_line("")  # Ends the line of dots.
            what = "FAILED" if report.when == "call" else f"ERROR in {report.when} of"
            self._terminal.write_line(f"{what} {report.nodeid}: {why}", red=True)


@pytest.hookimpl(trylast=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    """Begin to, in the process that shows the progress."""
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal is not None and not hasattr(session.config, "workerinput"):
        session.config.pluginmanager.register(Failures(terminal))
