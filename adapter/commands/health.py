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


class Health:
    """Answers `/healthz`, whether the process is alive, and `/readyz`, whether the worker takes tasks.

    Args:
        client: The worker's client.
        is_running: Whether the worker polls and has not been told to stop.
    """

    def __init__(self, client: Client, is_running: Callable[[], bool]) -> None:
        self._client = client
        self._is_running = is_running

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
        except OSError as error:
            raise UsageError(f"--health-port {port} cannot be listened on: {error.strerror}") from error
        try:
            yield int(server.sockets[0].getsockname()[1])
        finally:
            server.close()

    async def _answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_REQUEST_SECONDS):
                parts = (await reader.readline()).split()
                status, body = await self._status(parts[1].decode("latin-1") if len(parts) > 1 else "")
                data = json.dumps(body).encode()
                head = f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(data)}\r\n"
                writer.write(head.encode() + b"Connection: close\r\n\r\n" + data)
                await writer.drain()
        except (TimeoutError, ValueError, ConnectionError):
            pass  # No probe: it gets no answer.
        finally:
            writer.close()

    async def _status(self, path: str) -> tuple[str, dict[str, object]]:
        if path == "/healthz":
            return "200 OK", {"alive": True}
        if path != "/readyz":
            return "404 Not Found", {"paths": ["/healthz", "/readyz"]}
        running = self._is_running()
        try:
            connected = await self._client.service_client.check_health(timeout=_CHECK_TIMEOUT)
        except (RPCError, RuntimeError):
            connected = False
        ready = running and connected
        return "200 OK" if ready else "503 Service Unavailable", {"running": running, "connected": connected}
