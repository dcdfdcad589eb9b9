"""Runs a command until standard input closes: so a dev server never outlives the process that started it.

The kernel closes that pipe however its owner ends, by SIGKILL too. The signals a terminal sends to everyone in front of
it are for the owner, who may still need the server to end in good order. Run as a file: it must start fast.
"""

import os
import signal
import subprocess
import sys
import threading

_GRACE_SECONDS = 10


def _stop_when_owner_ends(server: "subprocess.Popen[bytes]") -> None:
    # Not `sys.stdin`: its lock would be held while the interpreter ends, if the server ends first.
    while os.read(0, 1024):
        pass
    server.terminate()
    try:
        server.wait(_GRACE_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()


def main() -> int:
    """Run the command; return its exit code."""
    # A handler and not SIG_IGN, which the server would inherit and which would make it deaf to `terminate`.
    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda number, frame: None)
    server = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)  # noqa: S603 - the owner's own command line
    threading.Thread(target=_stop_when_owner_ends, args=(server,), daemon=True).start()
    return server.wait()


if __name__ == "__main__":
    sys.exit(main())
