"""An HTTP proxy that puts faults between clients and the S3 server behind it.

Clients take its address for the storage's own. What no rule applies to passes unharmed: method,
path, headers and body as they are, in both directions.
"""

from __future__ import annotations

import http.client
import random
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from enum import StrEnum
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socket import SHUT_RDWR
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Any
from urllib.parse import unquote

HOST = "127.0.0.1"

POLL_SECONDS = 0.2

OF_ONE_CONNECTION = {
    "connection",
    "expect",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
}
"""Headers that are between two neighbours and are not passed on (RFC 9110, section 7.6.1)."""


class Fault(StrEnum):
    """What can happen to a request."""

    SLOW_DOWN = "503"
    EXPIRED = "expired credentials"
    UNKNOWN_KEY = "unknown credentials"
    HANG = "no answer"
    """It does not reach the storage, and is never answered."""
    UNANSWERED = "done, but no answer"
    """The storage does what was asked, and nobody hears of it."""
    CUT = "cut"
    """The connection ends in the middle of the body: of the answer's, or of what is uploaded."""
    SHORT = "short answer"
    """Half a body, with headers that say that it is all there is."""
    DELAY = "delay"
    """Otherwise it goes well; the one fault that adds to another."""


REFUSALS = {
    Fault.SLOW_DOWN: (503, "SlowDown", "Please reduce your request rate."),
    Fault.EXPIRED: (400, "ExpiredToken", "The provided token has expired."),
    Fault.UNKNOWN_KEY: (
        403,
        "InvalidAccessKeyId",
        "The AWS Access Key Id you provided does not exist in our records.",
    ),
}
"""Status, code and message of S3's error answers."""


@dataclass(eq=False)
class Rule:
    """Which requests meet a fault."""

    fault: Fault
    method: str = ""
    """`GET`, `PUT`, ...; empty for any."""
    path: str = ""
    """What occurs in the request's path, its query included, percent-encoding undone."""
    count: int | None = None
    """The next so many that match; falls with each. None is all of them."""
    probability: float = 1.0
    seconds: float = 0.0
    """Of a delay."""

    def applies_to(self, method: str, path: str) -> bool:
        """Whether a request is one of those, leaving chance aside."""
        return self.count != 0 and self.method in ("", method) and self.path in path


@dataclass(frozen=True)
class Answer:
    """What the storage said."""

    status: int
    reason: str
    headers: list[tuple[str, str]]
    body: bytes


class FaultyProxy:
    """A proxy on a free port of the loopback interface. A context manager; safe with threads."""

    def __init__(self, upstream_port: int, seed: int = 0) -> None:
        """Stand before the server at `upstream_port`; `seed` is of the rules' chances."""
        self.upstream_port = upstream_port
        self.injected: Counter[Fault] = Counter()
        """Faults that happened, by kind."""
        self.is_closed = Event()
        self._rules: list[Rule] = []
        self._random = random.Random(seed)
        self._lock = Lock()
        self._server = _Server(self)

    def __enter__(self) -> FaultyProxy:
        serving = Thread(target=self._server.serve_forever, args=(POLL_SECONDS,), daemon=True)
        serving.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.is_closed.set()
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        """The endpoint for clients."""
        return f"http://{HOST}:{self._server.server_port}"

    def add(self, *rules: Rule) -> None:
        """Put rules behind those there are: of several that apply, the first one's fault comes."""
        with self._lock:
            self._rules.extend(rules)

    def clear(self, *faults: Fault) -> None:
        """Take away the rules of these faults; all rules, if none is named."""
        with self._lock:
            self._rules = [rule for rule in self._rules if faults and rule.fault not in faults]

    def draw(self, method: str, path: str) -> tuple[float, Fault | None]:
        """How long a request is held up, and what happens to it then; counted as done."""
        with self._lock:
            seconds = 0.0
            for rule in self._applying(method, path):
                self.injected[rule.fault] += 1
                if rule.count is not None:
                    rule.count -= 1
                if rule.fault is not Fault.DELAY:
                    return seconds, rule.fault
                seconds += rule.seconds
            return seconds, None

    def _applying(self, method: str, path: str) -> Iterator[Rule]:
        for rule in self._rules:
            if rule.applies_to(method, path) and self._random.random() < rule.probability:
                yield rule


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, proxy: FaultyProxy) -> None:
        super().__init__((HOST, 0), _Handler)
        self.proxy = proxy

    def handle_error(self, request: Any, client_address: Any) -> None:
        # A client that does not wait for its answer, as one that was killed, is nothing to tell.
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # Headers and body are two writes: the second would wait for the first's acknowledgement.
    disable_nagle_algorithm = True
    server: _Server

    def handle_one_request_of_any_method(self) -> None:
        seconds, fault = self.server.proxy.draw(self.command, unquote(self.path))
        self.server.proxy.is_closed.wait(seconds)
        length = int(self.headers.get("Content-Length", 0))
        if fault is Fault.CUT and length:
            self.rfile.read(length // 2)
            self._hang_up()
            return
        body = self.rfile.read(length)
        if fault is Fault.HANG:
            self._say_nothing()
        elif fault in REFUSALS:
            self._send(self._refusal(fault))
        elif "Transfer-Encoding" in self.headers:
            self._send(Answer(411, "Length Required", [("Connection", "close")], b""))
        else:
            self._pass_on(body, fault)

    do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = handle_one_request_of_any_method

    def _pass_on(self, body: bytes, fault: Fault | None) -> None:
        answer = self._ask(body)
        if fault is Fault.UNANSWERED:
            self._say_nothing()
        elif fault is Fault.CUT:
            if len(answer.body) > 1:
                self._send(answer, len(answer.body) // 2)
            self._hang_up()
        elif fault is Fault.SHORT:
            half = answer.body[: len(answer.body) // 2]
            headers = [each for each in answer.headers if each[0].lower() != "content-length"]
            self._send(Answer(answer.status, answer.reason, headers, half))
        else:
            self._send(answer)

    def _ask(self, body: bytes) -> Answer:
        connection = http.client.HTTPConnection(HOST, self.server.proxy.upstream_port, timeout=60)
        with closing(connection):
            connection.putrequest(
                self.command, self.path, skip_host=True, skip_accept_encoding=True
            )
            for name, value in self.headers.items():
                if name.lower() not in OF_ONE_CONNECTION:
                    connection.putheader(name, value)
            connection.endheaders(body)
            response = connection.getresponse()
            return Answer(response.status, response.reason, response.getheaders(), response.read())

    def _refusal(self, fault: Fault) -> Answer:
        status, code, message = REFUSALS[fault]
        body = (
            '<?xml version="1.0" encoding="UTF-8"?>\n'
            f"<Error><Code>{code}</Code><Message>{message}</Message></Error>"
        )
        return Answer(status, code, [("Content-Type", "application/xml")], body.encode())

    def _send(self, answer: Answer, n_bytes: int | None = None) -> None:
        """Send it, or the first `n_bytes` of its body under the headers of the whole."""
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.headers:
            if name.lower() not in OF_ONE_CONNECTION:
                self.send_header(name, value)
        # To a HEAD the storage itself says how long the body would be.
        has_length = any(name.lower() == "content-length" for name, _ in answer.headers)
        if not has_length and self.command != "HEAD":
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body[:n_bytes])

    def _say_nothing(self) -> None:
        """Hold the connection until the client gives up."""
        self.close_connection = True
        self.connection.settimeout(POLL_SECONDS)
        while not self.server.proxy.is_closed.is_set():
            with suppress(TimeoutError):
                if not self.connection.recv(1):
                    return

    def _hang_up(self) -> None:
        self.close_connection = True
        with suppress(OSError):  # the client was faster
            self.connection.shutdown(SHUT_RDWR)

    def log_message(self, *words: Any) -> None:
        """Nothing: what happened is counted."""
