"""A tool server that speaks MCP over its standard input and output; it notes its calls in the file it is given."""

from __future__ import annotations

import sys
from pathlib import Path

from mcp.server import MCPServer
from mcp.types import CallToolResult, TextContent

server = MCPServer("selling")


@server.tool()
def sell(item: str) -> CallToolResult:
    """Sell something."""
    with Path(sys.argv[1]).open("a") as file:
        file.write(f"{item}\n")
    return CallToolResult(content=[TextContent(type="text", text=f"sold {item}")], _meta={"receipt": 7})


if __name__ == "__main__":
    server.run()
