"""A connection that fails at one of its calls, as a server or a network would."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from temporalio.client import Client
from temporalio.service import RPCError, RPCStatusCode

CODES = [code for code in RPCStatusCode if code != RPCStatusCode.OK]


@dataclass
class Faults:
    """What fails from now on; nothing by default."""

    rpc: str = ""
    code: RPCStatusCode = RPCStatusCode.UNKNOWN
    message: str = "injected"
    times: int | None = None
    """How often; None for always."""
    calls: Counter[str] = field(default_factory=Counter)

    def fail(self, rpc: str, code: RPCStatusCode, times: int | None = None, message: str = "injected") -> None:
        """Fail at a call."""
        self.rpc, self.code, self.times, self.message = rpc, code, times, message
        self.calls.clear()


async def faulty_client(client: Client) -> tuple[Client, Faults]:
    """Connect once more, and return what decides which calls of that connection fail.

    It fails where the SDK's own retries are through, so each failure is one that they could not mend.
    """
    other = await Client.connect(client.service_client.config.target_host, namespace=client.namespace)
    service: Any = other.service_client
    call, faults = service._rpc_call, Faults()

    async def faulty(rpc: str, req: Any, *arguments: Any, **options: Any) -> Any:
        faults.calls[rpc] += 1
        if rpc == faults.rpc and faults.times != 0:
            faults.times = None if faults.times is None else faults.times - 1
            raise RPCError(faults.message, faults.code, b"")
        return await call(rpc, req, *arguments, **options)

    service._rpc_call = faulty
    return other, faults
