"""The proxy itself: what passes it, and what each fault looks like to a client."""

from __future__ import annotations

import http.client
import time
from collections.abc import Iterator

import pytest
from s3fs import S3FileSystem

from tests.faults.proxy import HOST, Fault, FaultyProxy, Rule
from tests.faults.s3 import KEY_ID, REGION, SECRET, S3Server, s3_server

pytestmark = pytest.mark.services

CONTENT = bytes(range(256)) * 40


@pytest.fixture(scope="module")
def server() -> Iterator[S3Server]:
    with s3_server() as server:
        server.filesystem().mkdir("bucket")
        yield server


@pytest.fixture
def proxy(server: S3Server) -> Iterator[FaultyProxy]:
    server.filesystem().pipe_file("bucket/there", CONTENT)
    with FaultyProxy(server.port) as proxy:
        yield proxy


@pytest.fixture
def connection(proxy: FaultyProxy) -> Iterator[http.client.HTTPConnection]:
    port = int(proxy.url.rpartition(":")[2])
    connection = http.client.HTTPConnection(HOST, port, timeout=1)
    yield connection
    connection.close()


def ask(
    connection: http.client.HTTPConnection, method: str, path: str, body: bytes | None = None
) -> None:
    """A request that is signed, as far as the server looks."""
    scope = f"{KEY_ID}/20260101/{REGION}/s3/aws4_request"
    signature = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host, Signature=0"
    connection.request(method, path, body, {"Authorization": signature})


def test_every_kind_of_request_passes_unharmed(server: S3Server, proxy: FaultyProxy) -> None:
    fs = S3FileSystem(
        key=KEY_ID,
        secret=SECRET,
        endpoint_url=proxy.url,
        client_kwargs={"region_name": REGION},
        use_listings_cache=False,
        skip_instance_cache=True,
    )
    fs.pipe_file("bucket/a folder/ü+1", CONTENT)
    with fs.open("bucket/in parts", "wb", block_size=5 << 20) as file:
        file.write(CONTENT * 1000)
    straight = server.filesystem()
    assert straight.cat_file("bucket/a folder/ü+1") == CONTENT
    assert straight.cat_file("bucket/in parts") == CONTENT * 1000
    assert fs.cat_file("bucket/there", start=3, end=7) == CONTENT[3:7]
    assert fs.info("bucket/there")["ETag"] == straight.info("bucket/there")["ETag"]
    assert fs.info("bucket/there")["size"] == len(CONTENT)
    assert fs.find("bucket") == straight.find("bucket")
    fs.rm("bucket/a folder", recursive=True)
    assert not straight.exists("bucket/a folder/ü+1")
    with pytest.raises(FileNotFoundError):
        fs.cat_file("bucket/not there")
    assert not proxy.injected


def test_a_refusal_is_as_s3_words_it(
    proxy: FaultyProxy, connection: http.client.HTTPConnection
) -> None:
    proxy.add(Rule(Fault.SLOW_DOWN, "GET", "/there", count=1), Rule(Fault.EXPIRED, count=1))
    ask(connection, "GET", "/bucket/there")
    answer = connection.getresponse()
    assert (answer.status, b"<Code>SlowDown</Code>" in answer.read()) == (503, True)
    # The connection goes on, as with S3.
    ask(connection, "HEAD", "/bucket/there")
    answer = connection.getresponse()
    assert (answer.status, answer.read()) == (400, b"")
    ask(connection, "GET", "/bucket/there")
    assert connection.getresponse().read() == CONTENT
    assert proxy.injected == {Fault.SLOW_DOWN: 1, Fault.EXPIRED: 1}


def test_a_cut_answer_breaks_off_under_the_length_of_the_whole(
    proxy: FaultyProxy, connection: http.client.HTTPConnection
) -> None:
    proxy.add(Rule(Fault.CUT, count=1))
    ask(connection, "GET", "/bucket/there")
    answer = connection.getresponse()
    assert int(answer.headers["Content-Length"]) == len(CONTENT)
    with pytest.raises(http.client.IncompleteRead) as broken:
        answer.read()
    assert broken.value.partial == CONTENT[: len(CONTENT) // 2]


def test_a_short_answer_does_not_say_that_it_is_short(
    proxy: FaultyProxy, connection: http.client.HTTPConnection
) -> None:
    proxy.add(Rule(Fault.SHORT, count=1))
    ask(connection, "GET", "/bucket/there")
    assert connection.getresponse().read() == CONTENT[: len(CONTENT) // 2]


def test_a_cut_upload_leaves_what_was_there(
    proxy: FaultyProxy, connection: http.client.HTTPConnection, server: S3Server
) -> None:
    proxy.add(Rule(Fault.CUT, "PUT"))
    with pytest.raises(ConnectionError):
        ask(connection, "PUT", "/bucket/there", b"other" * 100_000)
        connection.getresponse()
    assert server.filesystem().cat_file("bucket/there") == CONTENT


@pytest.mark.parametrize(("fault", "is_done"), [(Fault.HANG, False), (Fault.UNANSWERED, True)])
def test_without_an_answer_nobody_knows_whether_it_was_done(
    proxy: FaultyProxy,
    connection: http.client.HTTPConnection,
    server: S3Server,
    fault: Fault,
    is_done: bool,
) -> None:
    proxy.add(Rule(fault, "PUT", count=1))
    ask(connection, "PUT", f"/bucket/{is_done}", CONTENT)
    with pytest.raises(TimeoutError):
        connection.getresponse()
    assert server.filesystem().exists(f"bucket/{is_done}") == is_done


def test_a_delay_adds_to_what_else_happens(
    proxy: FaultyProxy, connection: http.client.HTTPConnection
) -> None:
    proxy.add(Rule(Fault.DELAY, seconds=0.3), Rule(Fault.SLOW_DOWN))
    began = time.monotonic()
    ask(connection, "HEAD", "/bucket/there")
    answer = connection.getresponse()
    assert answer.read() == b""
    assert answer.status == 503
    assert time.monotonic() - began >= 0.3
    proxy.clear(Fault.SLOW_DOWN)
    ask(connection, "HEAD", "/bucket/there")
    assert connection.getresponse().status == 200
    assert proxy.injected == {Fault.DELAY: 2, Fault.SLOW_DOWN: 1}


def test_chance_is_drawn_from_the_seed(server: S3Server) -> None:
    def drawn(seed: int) -> list[Fault | None]:
        with FaultyProxy(server.port, seed) as proxy:
            proxy.add(Rule(Fault.CUT, probability=0.5))
            return [proxy.draw("GET", "/")[1] for _ in range(40)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert {*drawn(1)} == {None, Fault.CUT}
