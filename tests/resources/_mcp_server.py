"""A tool server that speaks MCP over its standard input and output; its arguments tell the tests whose it is."""

from __future__ import annotations

from mcp.server import MCPServer

server = MCPServer("doubling")


@server.tool()
def double(n: int) -> str:
    """Double a number."""
    return str(n * 2)


if __name__ == "__main__":
    server.run()
