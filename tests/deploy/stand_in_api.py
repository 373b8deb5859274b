"""Answers /healthz and /readyz on the configured port: stands for the API where only supervision
is under test."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Healthy(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b'{"state": "ok"}')

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - its interface
        pass


ThreadingHTTPServer(("127.0.0.1", int(os.environ["MUNIMENT_API__PORT"])), Healthy).serve_forever()
