"""The HTTP server of the stand-in."""

import http.server
import json
import re
import threading
from typing import Any

from stand_in import Platform, Refusal


def serve(platform: Platform) -> http.server.ThreadingHTTPServer:
    """Start to answer requests in a thread of this process; `shutdown` ends it."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def send(self, status: int, content: bytes, **headers: str) -> None:
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            for name, value in headers.items():
                self.send_header(name.replace("_", "-"), value)
            self.end_headers()
            self.wfile.write(content)

        def content(self) -> bytes:
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))

        def fails(self) -> bool:
            """Answer with an error if a fault applies."""
            with platform.lock:
                for fault in platform.faults:
                    if fault.times > 0 and re.search(fault.path, self.path):
                        fault.times -= 1
                        break
                else:
                    return False
            self.content()
            kind = "ServiceUnavailable" if fault.status == 503 else "InvalidAuthentication"
            error = {"error": {"type": kind, "message": "injected"}}
            self.send(fault.status, json.dumps(error).encode())
            return True

        def do_POST(self) -> None:
            if self.fails():
                return
            body = json.loads(self.content() or b"{}")
            try:
                status, answer = 200, platform.answer(self.path, body)
            except Refusal as refusal:
                status = refusal.status
                answer = {"error": {"type": refusal.kind, "message": str(refusal)}}
            self.send(status, json.dumps(answer).encode(), Content_Type="application/json")

        def do_PUT(self) -> None:
            if self.fails():
                return
            _, _, one, part = self.path.split("/")
            platform.folder.joinpath(f"{one}.part.{part}").write_bytes(self.content())
            self.send(200, b"")

        def do_GET(self) -> None:
            if self.fails():
                return
            content = platform.path(self.path.split("/")[2]).read_bytes()
            wanted = re.match(r"bytes=(\d+)-(\d+)?", self.headers.get("Range") or "")
            if not wanted:
                self.send(200, content)
                return
            first, last = int(wanted[1]), int(wanted[2] or len(content) - 1)
            part = content[first : last + 1]
            where = f"bytes {first}-{first + len(part) - 1}/{len(content)}"
            self.send(206, part, Content_Range=where)

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    platform.port = server.server_address[1]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
