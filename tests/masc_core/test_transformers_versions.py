"""Beside an old transformers, which some comparators' packages ask for."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest

from masc_core import checkpoint
from masc_core.checkpoint import CheckpointError, find_checkpoint
from masc_core.comparators import ComparatorSettings, make_comparators
from masc_core.encoder import Encoder

PROJECT = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
LEAST = ".".join(map(str, checkpoint.TRANSFORMERS))


@pytest.fixture(params=["4.45.2", "5.5.9"])
def installed(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setattr(checkpoint, "version", lambda name: request.param)
    return request.param


def test_the_encoder_and_what_transformers_loads_say_what_they_need(installed: str) -> None:
    reason = (
        rf"needs transformers {LEAST} or later, and {installed} is installed: "
        r"pip install 'masc-eval\[encoder\]'$"
    )
    with pytest.raises(CheckpointError, match=f"^demo: {reason}"):
        find_checkpoint("demo")
    with pytest.raises(CheckpointError, match=f"^demo: {reason}"):
        Encoder.from_pretrained("demo")
    dino = make_comparators(["dino_i"], ComparatorSettings("nowhere/there"))
    with pytest.raises(CheckpointError, match=f"^nowhere/there: {reason}"):
        dino.fingerprint()


@pytest.mark.parametrize("found", [LEAST + ".0", "5.10.1", "6.0.0.dev0", "10.1"])
def test_a_release_that_will_do_is_found(found: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "version", lambda name: found)
    assert find_checkpoint("demo").is_naflex


def test_the_extra_asks_for_what_the_line_says() -> None:
    assert PROJECT["optional-dependencies"]["encoder"] == [f"transformers>={LEAST}"]
    assert any("encoder" in each for each in PROJECT["optional-dependencies"]["test"])


@pytest.mark.parametrize(
    "pinned", ["transformers>=4.45", "torch>=2.4", "numpy>=1.26", "pillow>=10", "torchvision>=0.19"]
)
def test_the_base_installs_where_old_packages_do(pinned: str) -> None:
    """hpsv3 1.0.0 asks for transformers 4.45.2, t2v-metrics 3.0 for torch 2.5.1, torchvision
    0.20.1, NumPy 1.26.4 and Pillow 10.0.0."""
    assert pinned in PROJECT["dependencies"]
