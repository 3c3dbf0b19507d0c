"""What `run.json` says of a run on its way."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

from jobs.pipeline.run.directory import RunDirectory
from jobs.pipeline.run.record import RunRecord, redacted_settings
from tests.commands import description_of


def test_it_keeps_what_was_said_and_what_is_new_wins(tmp_path: Path) -> None:
    record = RunRecord(RunDirectory(str(tmp_path)), {"fingerprint": {"a": 1}}, n_shards=3)
    assert list(tmp_path.iterdir()) == []
    record.write("running")
    first = description_of(tmp_path)
    assert (first["state"], first["n_shards"]) == ("running", 3)
    assert first["driver"]["pid"] == os.getpid()
    assert {"masc_core", "python", "torch"} <= first["versions"].keys()
    record.write("done", fingerprint={"a": 2}, counts={"ok": 5})
    last = description_of(tmp_path)
    assert (last["state"], last["fingerprint"], last["counts"]) == ("done", {"a": 2}, {"ok": 5})
    assert last["started"] == first["started"]
    assert last["seconds"] >= first["seconds"] >= 0


def test_urls_in_the_settings_lose_their_credentials_wherever_they_stand() -> None:
    @dataclass
    class Inner:
        address: str | None = "https://me:secret@host/x"

    @dataclass
    class Settings:
        samples: list[str] = field(default_factory=lambda: ["/a.tar", "https://h/b.tar?sig=secret"])
        threshold: float = 0.5
        inner: Inner = field(default_factory=Inner)

    assert redacted_settings(Settings()) == {
        "samples": ["/a.tar", "https://h/b.tar"],
        "threshold": 0.5,
        "inner": {"address": "https://host/x"},
    }
