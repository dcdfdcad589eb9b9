"""A stand-in for OpenAI's service: it asks for a tool once, then answers with a text."""

from __future__ import annotations

import json
import threading
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self


class FakeOpenAI:
    """Serves `POST /responses` on a free port, as a context manager.

    Args:
        tool: The tool it asks for.
        arguments: With these.
        text: What it answers when it has the tool's result.
    """

    def __init__(self, tool: str, arguments: Mapping[str, Any], text: str) -> None:
        self.requests: list[dict[str, Any]] = []
        """What it was sent."""
        call = {"type": "function_call", "id": "fc_1", "call_id": "call_1", "name": tool, "status": "completed"}
        content = {"type": "output_text", "text": text, "annotations": []}
        message = {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed", "content": [content]}
        outputs = ({**call, "arguments": json.dumps(arguments)}, message)
        requests = self.requests

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                sent = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                requests.append(sent)
                told = any(item.get("type") == "function_call_output" for item in sent["input"])
                body = json.dumps(_response(outputs[told], len(requests))).encode()
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def variables(self) -> dict[str, str]:
        """What tells a client of OpenAI to ask here."""
        url = f"http://127.0.0.1:{self._server.server_port}"
        return {"OPENAI_API_KEY": "none", "OPENAI_CHAT_MODEL": "fake", "OPENAI_BASE_URL": url, "NO_PROXY": "127.0.0.1"}

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


def _response(output: Mapping[str, Any], number: int) -> dict[str, Any]:
    return {
        "id": f"resp_{number}",
        "object": "response",
        "created_at": 0,
        "status": "completed",
        "model": "fake",
        "output": [output],
        "parallel_tool_calls": False,
        "tool_choice": "auto",
        "tools": [],
    }
