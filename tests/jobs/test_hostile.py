"""A stranger's shard: nothing in it is run, unpickled or written, and nothing is shown raw."""

from __future__ import annotations

import io
import os
import pickle
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jobs.pipeline.results.leaderboard import print_leaderboard
from jobs.pipeline.results.summary import summarise_run
from tests.pipeline.scoring.small_scorer import SmallScorer, small_scorer
from tests.shards import generation, write_tar

FORBIDDEN = ("pickle.find_class", "subprocess.Popen", "os.system", "os.exec", "os.posix_spawn")
CHANGING = ("os.rename", "os.remove", "os.symlink", "os.link", "os.mkdir", "os.chmod")
WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND

_watching: list[tuple[str, Any]] | None = None


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching is None:
        return
    is_write = event == "open" and not isinstance(arguments[0], int) and arguments[2] & WRITING
    if is_write or event in FORBIDDEN or event in CHANGING:
        _watching.append((event, arguments[0]))


sys.addaudithook(_watch)


@contextmanager
def watched() -> Iterator[list[tuple[str, Any]]]:
    """What this process writes, renames, unpickles or starts meanwhile."""
    global _watching
    _watching = seen = []
    try:
        yield seen
    finally:
        _watching = None


class Bomb:
    """Unpickled, it makes a file."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


@pytest.fixture(scope="module")
def scorer(naflex_checkpoint: Path, tmp_path_factory: pytest.TempPathFactory) -> SmallScorer:
    return small_scorer(naflex_checkpoint, tmp_path_factory.mktemp("hostile"))


def every_file(folder: Path) -> set[Path]:
    return {path for path in folder.rglob("*") if "run" not in path.relative_to(folder).parts}


def test_nothing_is_run_unpickled_or_written_outside_the_run(
    scorer: SmallScorer, tmp_path: Path
) -> None:
    marker = tmp_path / "marker"
    payload = pickle.dumps(Bomb(marker))
    array = io.BytesIO()
    np.save(array, np.array([Bomb(marker)], dtype=object), allow_pickle=True)
    program = b"%%!PS-Adobe-3.0 EPSF-3.0\n%%%%BoundingBox: 0 0 9 9\n(%s) (w) file closefile\n"
    members = [
        *generation("../../escaped", 1),
        *generation(str(tmp_path / "absolute"), 2),
        *((f"pickles.{suffix}", payload) for suffix in ("pyd", "pth", "pkl", "pickle", "pt")),
        ("pickles.npy", array.getvalue()),
        *generation("pickles", 3),
        *generation("renamed", 4)[:1],
        ("renamed.mask.png", payload),
        ("renamed.png", array.getvalue()),
        *generation("postscript", 5)[:2],
        ("postscript.png", program % str(marker).encode()),
    ]
    shard = write_tar(tmp_path / "hostile.tar", members)
    with tarfile.open(shard, "a") as tar:
        for kind in (tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE):
            member = tarfile.TarInfo(f"links.{'png' if kind == tarfile.SYMTYPE else 'jpg'}")
            member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member)
        for name, content in generation("links", 6)[:2]:
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    before = every_file(scorer.folder), every_file(tmp_path)
    scorer.rows(shard)  # what is imported at first use, now is
    with watched() as seen:
        rows = {row["key"]: row for row in scorer.rows(shard)}
    assert (every_file(scorer.folder), every_file(tmp_path)) == before
    assert not marker.exists()
    run = str(scorer.folder / "run")
    assert [event for event in seen if not str(event[1]).startswith((run, "/dev/"))] == []
    assert seen, "the part itself was written"

    scored = ["../../escaped", str(tmp_path / "absolute"), "pickles"]
    assert [rows[key]["status"] for key in scored] == ["ok"] * 3
    errors = {key: row["error"] for key, row in rows.items() if row["status"] == "error"}
    assert errors == {
        "renamed": "mask.png: cannot identify image file as JPEG, PNG or WebP",
        "postscript": "png: cannot identify image file as JPEG, PNG or WebP",
        "links": "image: no member of jpg, jpeg, png, webp",
    }


NAMES = (
    "<script>alert(1)</script>",
    "a | b",
    "two\nlines",
    "\x1b[2J\x1b]0;title\x07",
    "[red]markup[/red]",
    "\u202ereversed",
    "`code` [link](javascript:x) <!-- ",
)


def test_names_and_prompts_are_carried_as_they_are_and_shown_as_what_they_are(
    scorer: SmallScorer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    members = [
        member
        for i, name in enumerate(NAMES)
        for member in generation(
            f"{i} {name}",
            i,
            model=name,
            concept=name,
            prompt=f"{name} a cat",
            references=["cat/0"],
        )
    ]
    rows = scorer.rows_of(members)
    assert [row["status"] for row in rows.values()] == ["ok"] * len(NAMES)
    assert [row["model"] for row in rows.values()] == list(NAMES)
    assert [row["concept"] for row in rows.values()] == list(NAMES)

    run = tmp_path / "run"
    (run / "scores").mkdir(parents=True)
    [part] = (scorer.folder / "run" / "scores").glob("generations-*.parquet")
    (run / "scores" / "part.parquet").write_bytes(part.read_bytes())
    summary = summarise_run(str(run))
    written = (run / "summary" / "leaderboard.md").read_text()
    table = [line for line in written.splitlines() if line.startswith("|")]
    assert len(table) == 2 + len(NAMES)
    for harmful in ("<script", "<!--", "\x1b", "\x07", "\u202e", "](javascript"):
        assert harmful not in written.replace(r"\]", "")
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in written

    print_leaderboard(summary.model)
    shown = capsys.readouterr().out
    assert "[red]markup[/red]" in shown
    assert all(char.isprintable() or char == "\n" for char in shown)


def test_a_key_that_is_no_text_is_spelled_out(scorer: SmallScorer, tmp_path: Path) -> None:
    shard = tmp_path / "latin.tar"
    with tarfile.open(shard, "w", format=tarfile.GNU_FORMAT, encoding="latin-1") as tar:
        for name, content in generation("caf\xe9", 1):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            tar.addfile(member, io.BytesIO(content))
    [row] = scorer.rows(shard)
    assert (row["key"], row["status"]) == (r"caf\xe9", "ok")


def test_half_a_character_in_the_json_is_an_error_of_that_sample(scorer: SmallScorer) -> None:
    rows = scorer.rows_of(
        [
            *generation("prompt", 1, prompt="half \ud800 a character"),
            *generation("model", 1, model="\udc00"),
            *generation("references", 1, references=["\ud800"]),
            *generation("extra", 1, note="half \ud800"),
        ]
    )
    assert {key: row["status"] for key, row in rows.items()} == {
        "prompt": "error",
        "model": "error",
        "references": "error",
        "extra": "ok",
    }
    assert rows["prompt"]["error"].startswith("json: prompt must be a text that is not empty, not")
    assert rows["prompt"]["model"] == "alpha"
    assert rows["extra"]["extra"] == r'{"note": "half \ud800"}'


def test_an_error_that_quotes_a_stranger_is_cut(scorer: SmallScorer) -> None:
    row = scorer.rows_of(generation("a", 1, concept="x" * 50_000))["a"]
    assert row["status"] == "error"
    assert len(row["error"]) < 1100
