"""A web service that says who may what, as users of RabbitMQ's rabbitmq-auth-backend-http have one.

Owns the HTTP server, in a thread, and what it was asked. A test says what it answers.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, urlsplit

Answer = Callable[[str, dict[str, str]], Any]
"""Path and parameters, to the body, or to (status, body)."""


class AuthenticationService:
    """Running. `asked`: method, path, parameters, in order."""

    def __init__(self, answer: Answer, tls: ssl.SSLContext | None = None) -> None:
        """`tls`: the server's side; with it, it is an `https` service."""
        self.answer = answer
        self.tls = tls
        self.asked: list[tuple[str, str, dict[str, str]]] = []
        service = self

        class Requests(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                self.reply("GET", urlsplit(self.path).query)

            def do_POST(self) -> None:
                self.reply("POST", self.rfile.read(int(self.headers["Content-Length"])).decode())

            def reply(self, method: str, query: str) -> None:
                path = urlsplit(self.path).path.strip("/")
                parameters = dict(parse_qsl(query, keep_blank_values=True))
                service.asked.append((method, path, parameters))
                answer = service.answer(path, parameters)
                status, body = answer if isinstance(answer, tuple) else (200, answer)
                self.send_response(status)
                self.send_header("Content-Length", str(len(body.encode())))
                self.end_headers()
                self.wfile.write(body.encode())

            def log_message(self, format: str, *arguments: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Requests)
        self.server.daemon_threads = True
        if tls is not None:
            self.server.socket = tls.wrap_socket(self.server.socket, server_side=True, do_handshake_on_connect=False)
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http{'s' if self.tls is not None else ''}://127.0.0.1:{self.server.server_address[1]}"

    def paths(self) -> dict[str, str]:
        """By the names of the settings."""
        return {f"{name}_path": f"{self.url}/{name}" for name in ("user", "vhost", "resource", "topic")}

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()


@contextmanager
def authentication_service(answer: Answer, tls: ssl.SSLContext | None = None) -> Iterator[AuthenticationService]:
    service = AuthenticationService(answer, tls)
    try:
        yield service
    finally:
        service.close()
