"""`hf://`: data sets on the Hugging Face hub, here a server of ours that speaks its few routes."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from jobs.pipeline.storage.streams import STREAM_BLOCK_SIZE
from tests.commands import Run
from tests.faults.serving import QuietHandler, served

pytestmark = pytest.mark.services

REPO = "datasets/owner/name"
URL = f"hf://{REPO}"

ASK = """
import hashlib, json, sys
from jobs.pipeline.storage.listing import expand
from jobs.pipeline.storage.redaction import redact
from jobs.pipeline.storage.streams import open_stream
from jobs.pipeline.storage.versions import version_of

def content(url):
    with open_stream(url) as stream:
        return b"".join(iter(lambda: stream.read(1 << 20), b""))

found = []
for url in expand(sys.argv[1:], "samples"):
    version = version_of(url)
    digest = hashlib.sha256(content(url)).hexdigest()
    found.append([redact(url), version.size, version.tag, digest])
print(json.dumps(found))
"""


@dataclass
class Hub:
    """One data set: its files by revision and path."""

    files: dict[tuple[str, str], bytes] = field(default_factory=dict)
    is_gated: bool = False
    failures: int = 0
    """So many requests are not answered, from now on."""
    ranges: list[str] = field(default_factory=list)
    """That were asked for."""
    port: int = 0

    def ask(self, *urls: str, **environment: str) -> Run:
        """Expand, tell the versions of, and read what these URLs stand for."""
        own = {
            "HF_ENDPOINT": f"http://127.0.0.1:{self.port}",
            "HF_HUB_OFFLINE": "0",
            "NO_PROXY": "127.0.0.1",
        }
        return subprocess.run(
            [sys.executable, "-c", ASK, *urls],
            env={**os.environ, **own, **environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def answer(self, path: str) -> tuple[int, str, Any]:
        """Status, error code, and a document or the bytes of a file."""
        if self.failures:
            self.failures -= 1
            return 503, "", {}
        route, _, rest = path.removeprefix("/").removeprefix("api/").partition(f"{REPO}")
        action, _, rest = rest.removeprefix("/").partition("/")
        revision, _, name = rest.partition("/")
        revision, name = unquote(revision) or "main", unquote(name)
        if route:
            return 404, "RepoNotFound", {}
        if not any(revision == known for known, _ in self.files):
            return 404, "RevisionNotFound", {}
        if action == "tree":
            listed = self.listing(revision, f"{name}/" if name else "")
            return (200, "", listed) if listed else (404, "EntryNotFound", {})
        if action == "resolve":
            return (
                (403, "GatedRepo", {}) if self.is_gated else (200, "", self.files[revision, name])
            )
        return 200, "", {"id": REPO.removeprefix("datasets/"), "sha": "c" * 40}

    def listing(self, revision: str, folder: str) -> list[dict[str, Any]]:
        entries: dict[str, dict[str, Any]] = {}
        for (of, path), content in self.files.items():
            if of != revision or not path.startswith(folder):
                continue
            name, slash, _ = path.removeprefix(folder).partition("/")
            kind = {"type": "directory", "size": 0} if slash else {"type": "file"}
            oid = hashlib.sha1(content).hexdigest()
            entries[name] = {"size": len(content), "oid": oid, "path": folder + name, **kind}
        return list(entries.values())


@pytest.fixture
def hub() -> Iterator[Hub]:
    hub = Hub()

    class Handler(QuietHandler):
        def do_GET(self) -> None:
            status, code, answer = hub.answer(urlsplit(self.path).path)
            body = answer if isinstance(answer, bytes) else json.dumps(answer).encode()
            if "Range" in self.headers and status == 200:
                hub.ranges.append(self.headers["Range"])
                first, last = self.headers["Range"].removeprefix("bytes=").split("-")
                status, body = 206, body[int(first) : int(last) + 1]
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            if code:
                self.send_header("X-Error-Code", code)
            self.end_headers()
            self.wfile.write(body)

    with served(Handler) as port:
        hub.port = port
        yield hub


def described(url: str, content: bytes) -> list[Any]:
    tag = hashlib.sha1(content).hexdigest()
    return [url, len(content), tag, hashlib.sha256(content).hexdigest()]


def test_shards_of_a_data_set_are_found_told_apart_and_read(hub: Hub) -> None:
    large, small = os.urandom(STREAM_BLOCK_SIZE + 12_345), b"small"
    hub.files = {
        ("main", "shards/generations-000000.tar"): large,
        ("main", "shards/generations-000001.tar"): small,
        ("main", "README.md"): b"of the data set",
    }
    done = hub.ask(f"{URL}/shards/generations-*.tar", f"{URL}/shards/generations-{{0..1}}.tar")
    assert done.returncode == 1
    assert f"samples={URL}/shards/generations-0.tar: no such file" in done.stderr
    expected = [
        described(f"{URL}/shards/generations-000000.tar", large),
        described(f"{URL}/shards/generations-000001.tar", small),
    ]
    for pattern in ("generations-*.tar", "generations-{000000..000001}.tar"):
        done = hub.ask(f"{URL}/shards/{pattern}")
        assert done.returncode == 0, done.stderr
        assert json.loads(done.stdout) == expected
    assert f"bytes=0-{STREAM_BLOCK_SIZE - 1}" in hub.ranges


def test_a_revision_is_part_of_the_url_and_no_user(hub: Hub) -> None:
    contents = {"main": b"now", "v1.0": b"then", "refs/pr/2": b"perhaps"}
    hub.files = {(revision, "a.tar"): content for revision, content in contents.items()}
    for revision, content in contents.items():
        for pattern in ("a.tar", "*.tar"):
            done = hub.ask(f"{URL}@{revision}/{pattern}")
            assert done.returncode == 0, done.stderr
            assert json.loads(done.stdout) == [described(f"{URL}@{revision}/a.tar", content)]


@pytest.mark.parametrize(
    ("url", "said"),
    [
        (f"{URL}/none.tar", "samples={url}: no such file"),
        (f"{URL}@none/a.tar", "samples={url}: no such file"),
        ("hf://datasets/owner/other/a.tar", "samples={url}: no such file"),
        ("hf://datasets/owner/other/*.tar", "samples={url}: cannot be listed: "),
        (f"{URL}/*.zip", "samples={url}: matches no file"),
        (URL, "samples={url}: a directory; name its shards, as in {url}/*.tar"),
        ("hf://datasets", "samples={url}: cannot be listed: "),
    ],
)
def test_what_is_not_on_the_hub_is_named(hub: Hub, url: str, said: str) -> None:
    hub.files = {("main", "a.tar"): b"content"}
    done = hub.ask(url)
    assert done.returncode == 1
    assert said.format(url=url) in done.stderr.splitlines()[-1]
    assert "trying again" not in done.stderr


def test_what_may_not_be_read_is_not_asked_for_again(hub: Hub) -> None:
    hub.files = {("main", "a.tar"): b"content"}
    hub.is_gated = True
    done = hub.ask(f"{URL}/a.tar")
    assert done.returncode == 1
    assert "StorageError" in done.stderr.splitlines()[-1]
    assert "GatedRepoError" in done.stderr.splitlines()[-1]
    assert "trying again" not in done.stderr


def test_a_hub_that_does_not_answer_is_asked_again(hub: Hub) -> None:
    hub.files = {("main", "a.tar"): b"content"}
    hub.failures = 1
    done = hub.ask(f"{URL}/a.tar")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [described(f"{URL}/a.tar", b"content")]
