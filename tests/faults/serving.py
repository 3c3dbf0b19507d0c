"""An HTTP server on the loopback interface, whose answers a test gives."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class QuietHandler(BaseHTTPRequestHandler):
    """Answers requests, and says nothing of them."""

    def log_message(self, format: str, *values: object) -> None:
        """Not on the tests' stderr."""


@contextmanager
def served(handler: type[QuietHandler]) -> Iterator[int]:
    """The port of a server whose requests `handler` answers, while the context lasts."""
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
