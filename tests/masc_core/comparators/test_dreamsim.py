"""DreamSim, by its authors' package where that is installed."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from masc_core.checkpoint import CheckpointError
from masc_core.comparators import ComparatorSettings, make_comparators
from tests.masc_core.comparators.checkpoints import narrow_dreamsim, write_dreamsim
from tests.masc_core.comparators.scoring import Note, Sample, loaded, scored

pytestmark = pytest.mark.slow

needs_package = pytest.mark.skipif(
    importlib.util.find_spec("dreamsim") is None,
    reason="no package dreamsim: pip install -e '.[dreamsim]'",
)


def test_without_its_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("masc_core.comparators.weight_files.find_spec", lambda name: None)
    with pytest.raises(ImportError, match=r"pip install 'masc-eval\[dreamsim\]'$"):
        make_comparators(["dreamsim"], ComparatorSettings())


def test_the_extra_is_one_of_the_projects() -> None:
    import tomllib

    project = tomllib.loads((Path(__file__).parents[3] / "pyproject.toml").read_text())["project"]
    assert project["name"] == "masc-eval"
    assert any(each.startswith("dreamsim") for each in project["optional-dependencies"]["dreamsim"])


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Of the ensemble, narrow."""
    pytest.importorskip("dreamsim")
    path = tmp_path_factory.mktemp("dreamsim")
    with narrow_dreamsim():
        write_dreamsim(path)
        yield path


@needs_package
@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 3])
def test_it_is_one_minus_the_packages_distance(
    weights: Path,
    generations: list[Sample],
    references: list[Sample],
    size: int,
    note_difference: Note,
) -> None:
    from dreamsim import dreamsim

    hub = torch.hub.get_dir()
    metric = loaded("dreamsim", path=weights)
    assert torch.hub.get_dir() == hub
    images, photos = generations[:3], references[:2]
    found = scored(metric, images, photos, size)["dreamsim_per_reference"]
    model, preprocess = dreamsim(cache_dir=str(weights), device="cpu")
    torch.hub.set_dir(hub)
    with torch.inference_mode():
        expected = [
            [1 - float(model(preprocess(own.image), preprocess(other.image))) for other in photos]
            for own in images
        ]
    note_difference("dreamsim", found, expected)
    torch.testing.assert_close(torch.tensor(found), torch.tensor(expected), atol=1e-5, rtol=0)
    assert torch.tensor(expected).std() > 0.01


@needs_package
@pytest.mark.slow
def test_its_products_are_rounded_where_that_is_asked_for(
    weights: Path, generations: list[Sample], references: list[Sample]
) -> None:
    metrics = [loaded("dreamsim", path=weights, dtype=each) for each in ("float32", "bfloat16")]
    exact, rounded = (
        scored(metric, generations[:2], references[:1], 2)["dreamsim"] for metric in metrics
    )
    assert rounded == pytest.approx(exact, abs=2**-6)
    assert rounded != exact


@needs_package
@pytest.mark.slow
def test_its_fingerprint_tells_its_weights(weights: Path, tmp_path: Path) -> None:
    own = make_comparators(["dreamsim"], ComparatorSettings(str(weights))).fingerprint()
    assert own["weights"].startswith("sha256:")
    for file in weights.iterdir():
        if file.name != "ensemble_lora":
            (tmp_path / file.name).symlink_to(file)
    (tmp_path / "ensemble_lora").mkdir()
    for file in (weights / "ensemble_lora").iterdir():
        (tmp_path / "ensemble_lora" / file.name).write_bytes(file.read_bytes())
    moved = make_comparators(["dreamsim"], ComparatorSettings(str(tmp_path)))
    assert moved.fingerprint() == own
    adapter = tmp_path / "ensemble_lora" / "adapter_config.json"
    adapter.write_text(json.dumps({**json.loads(adapter.read_text()), "lora_alpha": 9}))
    assert moved.fingerprint() != own


@needs_package
def test_what_its_directory_lacks_is_named_before_anything_is_downloaded(tmp_path: Path) -> None:
    for path, reason in ((tmp_path, "no dino_vitb16_pretrain.pth"), (tmp_path / "no", "no such")):
        metric = make_comparators(["dreamsim"], ComparatorSettings(str(path)))
        with pytest.raises(CheckpointError, match=f"^{path}: {reason}"):
            metric.fingerprint()
    with pytest.raises(ValueError, match="revision=main: there are no revisions"):
        make_comparators(["dreamsim"], ComparatorSettings(revision="main"))


@needs_package
def test_the_published_weights_go_by_their_release() -> None:
    from dreamsim.config import dreamsim_weights

    metric = make_comparators(["dreamsim"], ComparatorSettings())
    release = str(metric.fingerprint()["weights"]).removeprefix("release:")
    assert dreamsim_weights["ensemble"].endswith(f"/releases/download/{release}")


@needs_package
def test_before_it_is_loaded_it_costs_no_torch() -> None:
    code = (
        "import sys; from masc_core.comparators import ComparatorSettings, make_comparators;"
        "make_comparators(['dreamsim'], ComparatorSettings()).fingerprint();"
        "print('torch' in sys.modules)"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "False"
