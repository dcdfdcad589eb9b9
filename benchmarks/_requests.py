"""Counts what callers ask of a server, by the server's own metrics: no noise of the machine touches that."""

from __future__ import annotations

import asyncio
import re
import socket
import urllib.request
from collections import Counter
from typing import Self

_LINE = re.compile(r"^service_requests\{(?P<labels>.*)\} (?P<count>\S+)$", re.MULTILINE)
_ACTION = re.compile(r"^action\{(?P<labels>.*)\} (?P<count>\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')
_OF_WORKERS = re.compile(
    r"Poll(Workflow|Activity|Nexus)TaskQueue|Respond|RecordActivityTaskHeartbeat|RecordWorkerHeartbeat|ShutdownWorker"
    r"|GetSystemInfo|DescribeNamespace|GetWorkerBuildIdCompatibility|GetWorkerTaskReachability|GetClusterInfo"
)
_SHOWN_AFTER = 2.0
"""Seconds until the metrics have what was served."""


class ServedRequests:
    """The requests that a server has served, but for what workers ask for to do their work.

    Args:
        port: Where the server shows its metrics.
    """

    def __init__(self, port: int) -> None:
        self._port = port
        self._before: Counter[str] = Counter()

    async def since(self) -> Counter[str]:
        """Return the requests since this was called before, by their names."""
        await asyncio.sleep(_SHOWN_AFTER)
        now = await asyncio.to_thread(self._served)
        found, self._before = now - self._before, now
        return found

    async def actions(self) -> Counter[str]:
        """Return the actions that the server has counted in the namespace `default` so far, by its own names."""
        await asyncio.sleep(_SHOWN_AFTER)
        found: Counter[str] = Counter()
        for line in _ACTION.finditer(await asyncio.to_thread(self._metrics)):
            labels = dict(_LABEL.findall(line["labels"]))
            if labels.get("namespace") == "default":
                found[labels.get("action_type", "")] += int(float(line["count"]))
        return found

    def _metrics(self) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self._port}/metrics", timeout=10) as response:
            text: str = response.read().decode()
        return text

    def _served(self) -> Counter[str]:
        served: Counter[str] = Counter()
        for line in _LINE.finditer(self._metrics()):
            labels = dict(_LABEL.findall(line["labels"]))
            name = labels.get("operation", "")
            if labels.get("service_name") == "frontend" and not _OF_WORKERS.match(name):
                served[name] += int(float(line["count"]))
        return served

    @classmethod
    def with_arguments(cls) -> tuple[Self, list[str]]:
        """Return a counter, and the arguments of the server that it counts the requests of."""
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port: int = probe.getsockname()[1]
        return cls(port), ["--metrics-port", str(port)]
