"""A real S3 server on the loopback interface, and what clients need to know of it."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

import fsspec.config
from s3fs import S3FileSystem

HOST = "127.0.0.1"
REGION = "eu-central-1"
KEY_ID = "AKIATHEKEYOFTHETESTS"
SECRET = "the-secret-of-the-tests-is-nowhere-to-be-found"

START_SECONDS = 120.0


def client_environment(endpoint: str) -> dict[str, str]:
    """What a command needs to use the storage at `endpoint`; its Ray workers inherit it.

    Only what a user could set too: botocore's variables, and fsspec's for the time-outs and
    attempts, whose defaults would make a test of a storage that hangs a long one.
    """
    return {
        "AWS_ACCESS_KEY_ID": KEY_ID,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": REGION,
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_MAX_ATTEMPTS": "2",
        "FSSPEC_S3_CONFIG_KWARGS": json.dumps({"connect_timeout": 5, "read_timeout": 5}),
        "NO_PROXY": HOST,
        "no_proxy": HOST,
    }


@contextmanager
def environment(variables: dict[str, str]) -> Iterator[None]:
    """Set variables for what is started within the context, as a Ray cluster and its workers."""
    before = {name: os.environ.get(name) for name in variables}
    conf = dict(fsspec.config.conf)
    os.environ.update(variables)
    _as_the_environment_says()
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
        fsspec.config.conf.clear()
        fsspec.config.conf.update(conf)
        S3FileSystem.clear_instance_cache()


def _as_the_environment_says() -> None:
    """For this process, which read it when it began."""
    fsspec.config.set_conf_env(fsspec.config.conf)
    S3FileSystem.clear_instance_cache()  # those that there are have the addresses of before


@dataclass(frozen=True)
class S3Server:
    """A server that answers."""

    port: int

    @property
    def url(self) -> str:
        """Its own endpoint."""
        return f"http://{HOST}:{self.port}"

    def filesystem(self) -> S3FileSystem:
        """Straight to the server, and never what it said before."""
        return S3FileSystem(
            key=KEY_ID,
            secret=SECRET,
            endpoint_url=self.url,
            client_kwargs={"region_name": REGION},
            use_listings_cache=False,
            skip_instance_cache=True,
        )


@contextmanager
def s3_server() -> Iterator[S3Server]:
    """Start a server without buckets; it ends with the context, and all that it held."""
    port = _free_port()
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            _wait_until_it_answers(process, port, output)
            yield S3Server(port)
        finally:
            process.terminate()
            process.wait()


def upload(fs: S3FileSystem, folder: Path, bucket: str) -> None:
    """Copy the shards that lie in `folder` into a bucket, which is made if it is not there."""
    fs.makedirs(bucket, exist_ok=True)
    for path in sorted(folder.glob("*.tar")):
        fs.pipe_file(f"{bucket}/{path.name}", path.read_bytes())


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind((HOST, 0))
        return listener.getsockname()[1]


def _wait_until_it_answers(process: subprocess.Popen, port: int, output: IO[str]) -> None:
    until = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < until:
        connection = http.client.HTTPConnection(HOST, port, timeout=5)
        try:
            connection.request("GET", "/moto-api/")
            connection.getresponse()
        except OSError:
            time.sleep(0.1)
        else:
            return
        finally:
            connection.close()
    output.seek(0)
    raise RuntimeError(f"the S3 server does not answer:\n{output.read()}")
