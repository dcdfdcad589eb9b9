"""Where the newcomer is: a clone, a new home, an environment with nothing in it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from tests.docs._pages import ROOT
from tests.newcomer.terminal import Terminal

PORTS = (7233, 8233, 8234)
"""Those the pages name: server, Web UI, console."""
_FETCHING = re.compile(
    r"(PIP_\w+|UV_\w+|\w+_PROXY|\w+_proxy|SSL_CERT_\w+|\w+_CA_BUNDLE|NODE_EXTRA_CA_CERTS|LANG|LC_ALL|TZ)\Z"
)
"""Variables that a machine needs to fetch packages, or that say which language its user reads."""


class PortTakenError(Exception):
    """The pages name this port, and something listens on it."""


@dataclass
class Place:
    """The newcomer's machine.

    Args:
        root: A new folder, for all of it.
        python: The Python that is installed there, 3.11 or newer.
    """

    root: Path
    python: Path
    terminals: list[Terminal] = field(default_factory=list)
    """Those that are open."""

    @property
    def clone(self) -> Path:
        """The clone of this checkout."""
        return self.root / "agent-framework-temporal"

    @property
    def tour(self) -> Path:
        """The folder of the README's tour."""
        return self.clone / "tour"

    def make(self) -> None:
        """Clone what is committed, and make home and PATH."""
        (self.root / "home").mkdir()
        (self.root / "bin").mkdir()
        if not self._is_installed():
            (self.root / "bin" / "python3").symlink_to(self.python)
        subprocess.run(["git", "clone", "--quiet", "--no-hardlinks", ROOT, self.clone], check=True)

    def _is_installed(self) -> bool:
        found = shutil.which("python3", path="/usr/bin:/bin")
        return found is not None and Path(found).resolve() == self.python.resolve()

    @property
    def variables(self) -> dict[str, str]:
        """All that a shell is given."""
        kept = {name: value for name, value in os.environ.items() if _FETCHING.match(name)}
        path = "/usr/bin:/bin" if self._is_installed() else f"{self.root / 'bin'}:/usr/bin:/bin"
        return {"LANG": "C.UTF-8", **kept, "HOME": str(self.root / "home"), "PATH": path, "USER": "newcomer"}

    def terminal(self, folder: Path | None = None, *, active: bool = True) -> Terminal:
        """Open a terminal.

        Args:
            folder: Where; the tour's by default.
            active: Whether the environment is activated in it, as the README says of each.
        """
        opened = Terminal(self.variables, self.tour if folder is None else folder)
        self.terminals.append(opened)
        if active:
            code, said = opened.run(f". {self.clone / '.venv' / 'bin' / 'activate'}")
            if code:
                raise RuntimeError(f"the environment could not be activated: {said}")
        return opened

    def close(self, *terminals: Terminal) -> None:
        """Close terminals, the last one first."""
        for terminal in reversed(terminals):
            self.terminals.remove(terminal)
            terminal.close()


@contextlib.contextmanager
def place(root: Path, python: Path) -> Iterator[Place]:
    """Make the newcomer's machine; everything that still runs in it is ended.

    Raises:
        PortTakenError: When a port is taken that the pages name.
    """
    for port in PORTS:
        need_free(port)
    made = Place(root, python)
    made.make()
    try:
        yield made
    finally:
        made.close(*made.terminals)


def need_free(port: int) -> None:
    """Refuse a port that is taken.

    Raises:
        PortTakenError: When it is.
    """
    with socket.socket() as tried:
        tried.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            tried.bind(("127.0.0.1", port))
        except OSError as error:
            raise PortTakenError(
                f"Port {port} is taken ({error.strerror}), and the pages name it; they are done word for word. "
                "End what listens there, and try again."
            ) from error
