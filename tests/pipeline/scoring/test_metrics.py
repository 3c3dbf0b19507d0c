"""Which metrics a configuration asks for."""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from jobs.pipeline.errors import CallError
from jobs.pipeline.scoring.config import ComparatorConfig, EncoderConfig, MetricConfig
from jobs.pipeline.scoring.metrics import groups_asked, metrics_asked, metrics_for
from masc_core.comparators import COMPARATORS
from masc_core.comparators.settings import settings_key
from tests.masc_core.comparators.checkpoints import write_clip
from tests.pipeline.scoring.asking import metrics_of

DEMO = EncoderConfig(name_or_path="demo")


@pytest.fixture(autouse=True)
def known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(COMPARATORS, "mean_colour", "tests.comparators.mean_colour:MeanColour")
    monkeypatch.setitem(COMPARATORS, "tones", "tests.comparators.tones:Tones")
    monkeypatch.setitem(COMPARATORS, "elsewhere", "a_package_that_is_not_here:Metric")


def test_masc_comes_first_and_the_others_as_they_are_named() -> None:
    metrics = metrics_of(DEMO, MetricConfig(extra=["tones", "mean_colour"]))
    assert [metric.name for metric in metrics] == ["masc", "tones", "mean_colour"]


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["tones", "tones"], r"^metric\.extra=.*: a metric is named twice"),
        (["clip_t:3"], r"^metric\.extra=clip_t:3: no such metric"),
        (["roma.recal"], r"^metric\.extra=roma\.recal: no .*; did you mean roma\.recall\?$"),
        (["fid"], r"^metric\.extra=fid: no such metric; known: .*mean_colour, tones"),
        (["elsewhere"], r"^metric\.extra=elsewhere: No module named 'a_package_that_is_not_here'"),
    ],
)
def test_what_cannot_be_asked_for_is_named_before_anything_is_loaded(
    extra: list[str], said: str
) -> None:
    with pytest.raises(CallError, match=said):
        metrics_of(DEMO, MetricConfig(extra=extra))


def test_a_checkpoint_that_is_not_there_is_named_by_its_setting() -> None:
    with pytest.raises(CallError, match=r"^encoder\.name_or_path=/nowhere: no such directory$"):
        metrics_of(EncoderConfig(name_or_path="/nowhere"), MetricConfig())


def test_the_fingerprint_tells_weights_and_settings_and_not_where_the_weights_lie(
    naflex_checkpoint: Path, fixed_checkpoint: Path, tmp_path: Path
) -> None:
    def fingerprint(path: Path, metric: MetricConfig | None = None, pixels: int = 9) -> object:
        metric = metric or MetricConfig()
        encoder = EncoderConfig(name_or_path=str(path))
        return groups_asked(metrics_asked(encoder, metric, {}, pixels))

    moved = shutil.copytree(naflex_checkpoint, tmp_path / "moved")
    own = fingerprint(naflex_checkpoint)
    assert fingerprint(moved) == own
    assert fingerprint(fixed_checkpoint) != own
    assert fingerprint(moved, pixels=10) != own
    for other in (
        MetricConfig(fg_threshold=0.4),
        MetricConfig(stripper="none"),
        MetricConfig(reference_reduction="max"),
        MetricConfig(min_fg_fraction=0.1),
    ):
        assert fingerprint(moved, other) != own


def test_settings_of_the_metric_go_to_the_comparators_that_use_them(tmp_path: Path) -> None:
    """Into the fingerprint of their groups and of no others: what else was scored stands."""
    write_clip(tmp_path)
    names = ["clip_t", "pf.bg.stripped@clip_b"]
    comparators = {settings_key(name): ComparatorConfig(str(tmp_path)) for name in names}

    def groups(**settings: Any) -> dict[str, Mapping[str, Any]]:
        metric = MetricConfig(extra=names, **settings)
        return dict(groups_asked(metrics_asked(DEMO, metric, comparators, 9)))

    own = groups()
    for changed in (groups(stripper="none"), groups(fg_threshold=0.4)):
        differing = [group for group in own if changed[group] != own[group]]
        assert differing == ["masc", "pf.bg.stripped@clip_b"]


def test_a_comparator_that_cannot_strip_says_so_by_the_settings_name(tmp_path: Path) -> None:
    write_clip(tmp_path)
    metric = MetricConfig(extra=["pf.bg.full@clip_b"], stripper="spacy", spacy_model="/nowhere")
    asked = metrics_asked(DEMO, metric, {"clip_b": ComparatorConfig(str(tmp_path))}, 9)
    with pytest.raises(CallError, match=r"^metric\.spacy_model=/nowhere: no such directory"):
        metrics_for(asked, {"pf.bg.full@clip_b"})


def test_both_forms_of_a_matcher_are_one_metric_with_the_runs_threshold(tmp_path: Path) -> None:
    pytest.importorskip("kornia")
    (tmp_path / "loftr.ckpt").write_bytes(b"1")
    write_clip(tmp_path / "clip")
    asked = metrics_asked(
        DEMO,
        MetricConfig(extra=["loftr.recall", "clip_i", "loftr.masked"], fg_threshold=0.25),
        {
            "loftr": ComparatorConfig(str(tmp_path / "loftr.ckpt")),
            "clip_i": ComparatorConfig(str(tmp_path / "clip")),
        },
        max_image_pixels=9,
    )
    [loftr] = [each for each in asked if "loftr.recall" in each.groups]
    assert loftr.groups == ("loftr.recall", "loftr.masked")
    assert loftr.fingerprint["fg_threshold"] == 0.25
    assert loftr.columns_of("loftr.masked") == {"loftr.masked", "loftr.masked_per_reference"}


def test_code_of_its_authors_that_is_missing_is_a_package_that_is(tmp_path: Path) -> None:
    def problem(source: str | None) -> tuple[str | None, bool]:
        settings = {"mast3r": ComparatorConfig(source=source)}
        *_, own = metrics_asked(DEMO, MetricConfig(extra=["mast3r.recall"]), settings, 9)
        return own.problem, own.lacks_package

    said, lacks_package = problem(None)
    assert str(said).startswith("metric.extra=mast3r.recall: needs a checkout of MASt3R: git clone")
    assert lacks_package
    said, lacks_package = problem(str(tmp_path))
    assert f"comparators.mast3r.source={tmp_path}: no mast3r/model.py there" in str(said)
    assert not lacks_package
