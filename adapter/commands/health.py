"""The worker's health endpoint: plain HTTP, for an orchestrator's probes."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from temporalio.client import Client
from temporalio.service import RPCError

from .exit_codes import UsageError

_CHECK_TIMEOUT = timedelta(seconds=2)
_REQUEST_SECONDS = 5
_MAX_LINE = 8 * 1024
_MAX_CONNECTIONS = 64
"""Probes come one by one; whoever opens more finds them closed."""
_REMEMBERED_SECONDS = 0.5
"""A probe costs the server a round trip, and a flood of them no more than two a second."""


class Health:
    """Answers `/healthz`, whether the process is alive, and `/readyz`, whether the worker takes tasks.

    Args:
        client: The worker's client.
        is_running: Whether the worker polls and has not been told to stop.
    """

    def __init__(self, client: Client, is_running: Callable[[], bool]) -> None:
        self._client = client
        self._is_running = is_running
        self._connections = 0
        self._looking: asyncio.Task[bool] | None = None
        self._looked_at = 0.0

    @asynccontextmanager
    async def serve(self, port: int) -> AsyncIterator[int]:
        """Serve on all interfaces, as probes come from outside.

        Args:
            port: The port; 0 takes one that is free, on this machine only.

        Yields:
            The port.

        Raises:
            UsageError: When it is taken.
        """
        try:
            # IPv4 and IPv6 would each be given a free port of their own.
            host = None if port else "127.0.0.1"
            server = await asyncio.start_server(self._answer, host, port, limit=_MAX_LINE)
        except OverflowError as error:
            raise UsageError(
                f"--health-port {port} is not a valid port: use 1 to 65535, or 0 for any free one"
            ) from error
        except OSError as error:
            raise UsageError(f"--health-port {port} cannot be listened on: {error.strerror}") from error
        try:
            yield int(server.sockets[0].getsockname()[1])
        finally:
            server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            if self._connections > _MAX_CONNECTIONS:
                return
            async with asyncio.timeout(_REQUEST_SECONDS):
                method, path = _request(await reader.readline())
                status, body = await self._status(method, path)
                data = json.dumps(body).encode()
                head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n"
                head += "X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
                writer.write(head.encode() + (b"" if method == "HEAD" else data))
                await writer.drain()
        except (TimeoutError, ValueError, ConnectionError):
            pass  # No probe: it gets no answer.
        finally:
            self._connections -= 1
            writer.close()

    async def _status(self, method: str, path: str) -> tuple[str, dict[str, object]]:
        if path not in ("/healthz", "/readyz"):
            return "404 Not Found", {"paths": ["/healthz", "/readyz"]}
        if method not in ("GET", "HEAD"):
            return "405 Method Not Allowed\r\nAllow: GET, HEAD", {"methods": ["GET", "HEAD"]}
        if path == "/healthz":
            return "200 OK", {"alive": True}
        running, connected = self._is_running(), await self._is_connected()
        ready = running and connected
        return "200 OK" if ready else "503 Service Unavailable", {"running": running, "connected": connected}

    async def _is_connected(self) -> bool:
        """Ask the server, once for all probes of a moment."""
        now = asyncio.get_running_loop().time()
        if self._looking is None or (self._looking.done() and now - self._looked_at > _REMEMBERED_SECONDS):
            self._looking, self._looked_at = asyncio.create_task(self._look()), now
        return await asyncio.shield(self._looking)

    async def _look(self) -> bool:
        try:
            return await self._client.service_client.check_health(timeout=_CHECK_TIMEOUT)
        except (RPCError, RuntimeError):
            return False


def _request(line: bytes) -> tuple[str, str]:
    """Return method and path of a request's first line; empty where it is none."""
    parts = line.decode("latin-1").split()
    return (parts[0], parts[1].partition("?")[0]) if len(parts) > 1 else ("", "")
