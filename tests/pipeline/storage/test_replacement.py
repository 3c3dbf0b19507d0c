"""Files that take their places together: locally, and in a bucket of a real S3 server."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import fsspec
import pytest
from fsspec import AbstractFileSystem

from jobs.pipeline.storage.replacement import Replacement
from tests.faults.s3 import s3_server

Folder = tuple[AbstractFileSystem, str]

NAMES = iter(range(1000))


@pytest.fixture(scope="module")
def bucket() -> Iterator[Callable[[], Folder]]:
    with s3_server() as server:
        fs = server.filesystem()
        fs.mkdir("shards")
        yield lambda: (fs, f"shards/d[{next(NAMES)}]")


@pytest.fixture(params=["local", pytest.param("s3", marks=pytest.mark.services)])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Folder:
    if request.param == "local":
        return fsspec.filesystem("file"), str(tmp_path / "d[1]")
    return request.getfixturevalue("bucket")()


def nothing_against_it() -> None:
    """The check of a caller who is alone."""


def write(replacement: Replacement, **contents: bytes) -> None:
    for name, content in contents.items():
        with replacement.open(name) as file:
            file.write(content)


def contents_of(folder: Folder) -> dict[str, bytes]:
    fs, path = folder
    if not fs.exists(path):
        return {}
    return {name.rpartition("/")[2]: fs.cat_file(name) for name in fs.ls(path, detail=False)}


def test_files_take_their_places_and_others_go(folder: Folder) -> None:
    with Replacement(*folder) as replacement:
        write(replacement, a=b"1", b=b"2", c=b"3")
        assert not {"a", "b", "c"} & set(contents_of_files(folder))
        replacement.put_in_place([], nothing_against_it)
    assert contents_of(folder) == {"a": b"1", "b": b"2", "c": b"3"}
    with Replacement(*folder) as replacement:
        write(replacement, a=b"4", d=b"5")
        assert contents_of_files(folder) == {"a": b"1", "b": b"2", "c": b"3"}
        replacement.put_in_place(["a", "b"], nothing_against_it)
    assert contents_of(folder) == {"a": b"4", "c": b"3", "d": b"5"}


def contents_of_files(folder: Folder) -> dict[str, bytes]:
    """Without what lies beside."""
    fs, path = folder
    files = [each["name"] for each in fs.ls(path, detail=True) if each["type"] == "file"]
    return {name.rpartition("/")[2]: fs.cat_file(name) for name in files}


@pytest.mark.parametrize("was_there", [True, False])
def test_what_fails_before_leaves_what_was_there(folder: Folder, was_there: bool) -> None:
    before = {}
    if was_there:
        with Replacement(*folder) as replacement:
            write(replacement, a=b"1")
            replacement.put_in_place([], nothing_against_it)
        before = {"a": b"1"}
    with pytest.raises(KeyboardInterrupt), Replacement(*folder) as replacement:
        write(replacement, a=b"2", b=b"3")
        raise KeyboardInterrupt
    assert contents_of(folder) == before
    assert folder[0].exists(folder[1]) == was_there


def test_a_rename_that_fails_takes_back_those_before_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in "abc":
        (tmp_path / name).write_text(name)
    rename = Path.rename

    def fail_at_c(path: Path, target: Any) -> Path:
        if path.parent != tmp_path and Path(target) == tmp_path / "c" and path.read_text() == "new":
            raise OSError(28, "No space left on device")
        return rename(path, target)

    monkeypatch.setattr(Path, "rename", fail_at_c)
    with (
        pytest.raises(OSError, match="No space left"),
        Replacement(fsspec.filesystem("file"), str(tmp_path)) as replacement,
    ):
        write(replacement, a=b"new", c=b"new")
        replacement.put_in_place(["a", "b", "c"], nothing_against_it)
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == {n: n for n in "abc"}


def test_what_the_last_check_refuses_leaves_what_was_there(folder: Folder) -> None:
    with Replacement(*folder) as replacement:
        write(replacement, a=b"1")
        replacement.put_in_place([], nothing_against_it)

    def refuse() -> None:
        raise ValueError("too late")

    with pytest.raises(ValueError, match="too late"), Replacement(*folder) as replacement:
        write(replacement, a=b"2", b=b"3")
        replacement.put_in_place(["a"], refuse)
    assert contents_of(folder) == {"a": b"1"}


def test_the_last_check_of_one_waits_until_another_is_done(tmp_path: Path) -> None:
    """Else both would find nothing against it, and leave files of both."""
    local = fsspec.filesystem("file"), str(tmp_path)
    is_first = threading.Lock()
    in_check, go_on = threading.Event(), threading.Event()

    def nothing_there() -> None:
        if is_first.acquire(blocking=False):
            in_check.set()
            assert go_on.wait(60)
        if [path for path in tmp_path.iterdir() if path.is_file()]:
            raise ValueError("too late")

    def put(content: bytes) -> str:
        with Replacement(*local) as replacement:
            write(replacement, **{f"{content.decode()}-{i}": content for i in range(9)})
            try:
                replacement.put_in_place([], nothing_there)
            except ValueError as error:
                return str(error)
        return "done"

    with ThreadPoolExecutor() as pool:
        first = pool.submit(put, b"x")
        assert in_check.wait(60)
        second = pool.submit(put, b"y")
        with pytest.raises(TimeoutError):
            second.result(0.5)
        go_on.set()
        assert (first.result(60), second.result(60)) == ("done", "too late")
    assert set(contents_of(local).values()) == {b"x"}


LEFT_BY = """
import os, signal, sys
import fsspec
from jobs.pipeline.storage.replacement import Replacement

with Replacement(fsspec.filesystem("file"), sys.argv[1]) as replacement:
    with replacement.open("a") as file:
        file.write(b"1")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_goes_with_the_next_and_what_is_in_use_stays(
    tmp_path: Path,
) -> None:
    folder = tmp_path / "d"
    ended = subprocess.run([sys.executable, "-c", LEFT_BY, str(folder)], check=False)
    assert ended.returncode == -signal.SIGKILL
    [left] = folder.iterdir()
    fs = fsspec.filesystem("file")
    with Replacement(fs, str(folder)) as first:
        write(first, a=b"1")
        with Replacement(fs, str(folder)) as second:
            write(second, b=b"2")
            assert not left.exists()
            assert len(list(folder.iterdir())) == 2
            second.put_in_place([], nothing_against_it)
        first.put_in_place([], nothing_against_it)
    assert {path.name for path in folder.iterdir()} == {"a", "b"}
