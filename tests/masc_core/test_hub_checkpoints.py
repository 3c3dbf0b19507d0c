"""Checkpoints on the hub, which is a server on this machine."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.faults.serving import QuietHandler, served

pytestmark = pytest.mark.services

COMMIT = "c" * 40

FIND = """
import sys
from masc_core.checkpoint import CheckpointError, find_checkpoint
try:
    print(find_checkpoint("owner/name", sys.argv[1] if len(sys.argv) > 1 else None))
except CheckpointError as error:
    print(error)
"""


@dataclass
class Hub:
    """One repository."""

    cache: Path
    files: dict[str, bytes] = field(default_factory=dict)
    is_gated: bool = False
    port: int = 0

    def find(self, *revision: str) -> str:
        """What a process that has nothing in its cache finds."""
        run = subprocess.run(
            [sys.executable, "-c", FIND, *revision],
            env={
                **os.environ,
                "HF_ENDPOINT": f"http://127.0.0.1:{self.port}",
                "HF_HUB_CACHE": str(self.cache),
                "HF_HUB_OFFLINE": "0",
                "NO_PROXY": "127.0.0.1",
            },
            capture_output=True,
            text=True,
            check=True,
        )
        return run.stdout.strip()


@pytest.fixture
def hub(tmp_path: Path) -> Iterator[Hub]:
    hub = Hub(tmp_path / "cache")

    class Handler(QuietHandler):
        def do_HEAD(self) -> None:
            self.answer()

        def do_GET(self) -> None:
            self.wfile.write(self.answer())

        def answer(self) -> bytes:
            content = hub.files.get(urlsplit(self.path).path.rpartition("/")[2])
            missing = (404, "EntryNotFound")
            status, code = (403, "GatedRepo") if hub.is_gated else missing
            if content is not None and not hub.is_gated:
                status, code = 200, ""
            self.send_response(status)
            self.send_header("Content-Length", str(len(content or b"")))
            self.send_header("X-Repo-Commit", COMMIT)
            self.send_header("ETag", '"etag"')
            if code:
                self.send_header("X-Error-Code", code)
            self.end_headers()
            return content or b""

    with served(Handler) as port:
        hub.port = port
        yield hub


def test_a_checkpoint_is_known_by_its_commit(hub: Hub) -> None:
    hub.files = {"config.json": b'{"model_type": "siglip2"}', "model.safetensors": b""}
    expected = f"revision='{COMMIT}', weights='commit:{COMMIT}', model_type='siglip2'"
    assert expected in hub.find()


def test_sharded_weights_are_weights(hub: Hub) -> None:
    hub.files = {"config.json": b'{"model_type": "siglip"}', "model.safetensors.index.json": b"{}"}
    assert f"commit:{COMMIT}" in hub.find()


def test_one_without_safetensors_is_refused_where_the_run_is_described(hub: Hub) -> None:
    hub.files = {"config.json": b'{"model_type": "siglip"}', "pytorch_model.bin": b""}
    formats = "(model.safetensors or model.safetensors.index.json)"
    assert hub.find() == f"owner/name: no weights at its default branch {formats}"
    assert hub.find("v2") == f"owner/name: no weights at v2 {formats}"


def test_a_gated_one_says_what_to_do(hub: Hub) -> None:
    hub.is_gated = True
    licence = "accept its licence on huggingface.co and log in (hf auth login)"
    assert hub.find() == f"owner/name: gated; {licence}"
