"""A tool server that speaks MCP over its standard input and output; its arguments tell the tests whose it is.

Without the package `mcp`, whose import takes a second of CPU: dozens of these are started, and only their lives are
tested. `tests/journal/_mcp_server.py` has it.
"""

from __future__ import annotations

import json
import sys
from typing import Any

_TOOL = {
    "name": "double",
    "description": "Double a number.",
    "inputSchema": {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]},
}


def _answer(method: str, parameters: dict[str, Any]) -> dict[str, Any] | None:
    match method:
        case "initialize":
            return {
                "protocolVersion": parameters["protocolVersion"],
                "capabilities": {"tools": {}},
                "serverInfo": {"name": "doubling", "version": "1"},
            }
        case "tools/list":
            return {"tools": [_TOOL]}
        case "tools/call":
            doubled = str(2 * parameters["arguments"]["n"])
            return {"content": [{"type": "text", "text": doubled}], "structuredContent": {"result": doubled}}
        case "ping":
            return {}
        case _:
            return None


if __name__ == "__main__":
    for line in sys.stdin:
        asked = json.loads(line)
        if "id" not in asked:
            continue
        result = _answer(asked["method"], asked.get("params") or {})
        said = {"error": {"code": -32601, "message": "unknown method"}} if result is None else {"result": result}
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], **said}), flush=True)
