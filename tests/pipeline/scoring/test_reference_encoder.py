"""The way of a reference shard, with two metrics that need no network."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from jobs.pipeline.errors import CallError
from jobs.pipeline.scoring.batched_pass import BatchedPass
from jobs.pipeline.scoring.plan import InputAnswer, ScoringPlan
from jobs.pipeline.scoring.reference_encoder import ReferenceEncoder
from jobs.pipeline.scoring.reference_store import Stored
from masc_core.protocol import Batch, Features
from tests.comparators.mean_colour import MeanColour
from tests.comparators.tones import Tones
from tests.shards import Member, png, write_tar


class OutOfMemory(MeanColour):
    """A first metric for whose references there is no room."""

    name = "masc"

    def encode_references(self, batch: Batch) -> list[Features]:
        raise torch.OutOfMemoryError("CUDA out of memory")


def encode(path: Path, first: MeanColour | None = None) -> tuple[InputAnswer, Stored]:
    metrics = (first or MeanColour(), Tones())
    through = BatchedPass(metrics, threads=1, batch_size=2)
    for metric in metrics:
        through.load(metric)
    return ReferenceEncoder(through, ScoringPlan("", metrics, {}, 0.0, 10_000)).encode(str(path))


def grey(key: str, level: int, foreground: int = 255, **fields: str) -> list[Member]:
    """A reference of one grey level; half of its mask has the value `foreground`."""
    mask = np.zeros((20, 20), np.uint8)
    mask[:10] = foreground
    return [
        (f"{key}.json", json.dumps({"concept": "cat", **fields}).encode()),
        (f"{key}.mask.png", png(mask)),
        (f"{key}.png", png(Image.new("L", (20, 20), level))),
    ]


def test_the_answer_lists_the_references_in_order_and_digests_the_file(tmp_path: Path) -> None:
    members = [*grey("b", 10, subject="tabby"), *grey("a", 200, concept="dog", foreground=0)]
    path = write_tar(tmp_path / "r.tar", members)
    answer, _ = encode(path)
    assert [(e.key, e.concept, e.subject, e.fg_fraction) for e in answer.entries] == [
        ("b", "cat", "tabby", 0.5),
        ("a", "dog", None, 0.0),
    ]
    assert {entry.shard for entry in answer.entries} == {str(path)}
    assert answer.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_what_is_stored_is_what_each_metric_keeps_by_key(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "r.tar", [*grey("dark", 10), *grey("light", 200)])
    _, stored = encode(path)
    # Of four tones, 10 is in the first and 200 in the last.
    assert stored["dark"]["tones"]["shares"].tolist() == [1, 0, 0, 0]
    assert stored["light"]["tones"]["shares"].tolist() == [0, 0, 0, 1]
    assert stored["dark"]["mean_colour"] == {}


def test_a_reference_that_cannot_be_read_is_an_entry_that_says_why(tmp_path: Path) -> None:
    broken = [(n, b"" if n.endswith("broken.png") else c) for n, c in grey("broken", 1)]
    answer, stored = encode(write_tar(tmp_path / "r.tar", [*broken, *grey("good", 1)]))
    assert [entry.error for entry in answer.entries] == ["png: 0 bytes", None]
    assert stored["broken"] == {}
    assert stored["good"].keys() == {"mean_colour", "tones"}


def test_a_reference_that_one_metric_refuses_is_kept_for_the_others(tmp_path: Path) -> None:
    answer, stored = encode(write_tar(tmp_path / "r.tar", grey("unprepared", 1)))
    [entry] = answer.entries
    assert (entry.error, entry.refused) == (None, {"tones": "no tones in it"})
    assert stored["unprepared"].keys() == {"mean_colour"}


def test_a_reference_of_no_concept_is_refused_with_its_shard(tmp_path: Path) -> None:
    members = [*grey("good", 1), ("bad.json", b"{}"), *grey("bad", 2)[1:]]
    with pytest.raises(CallError, match=r"^references=.*/r\.tar: bad: json: .*concept"):
        encode(write_tar(tmp_path / "r.tar", members))


def test_one_for_which_the_first_metric_has_no_memory_names_itself(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "r.tar", [*grey("a", 1), *grey("b", 1)])
    with pytest.raises(torch.OutOfMemoryError, match=r"^a: out of memory on the device: CUDA"):
        encode(path, OutOfMemory())
