"""How many weights a checkpoint has, told without loading it."""

from __future__ import annotations

import inspect
import json
from pathlib import Path

import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import save_file
from transformers import ViTConfig, ViTModel

from masc_core.checkpoint_size import n_weights
from masc_core.comparators import COMPARATORS, ComparatorSettings, make_comparators
from masc_core.masc_scores import MascScores, MascSettings
from tests.faults.serving import QuietHandler, served
from tests.masc_core.comparators import checkpoints

SMALL = {"hidden_size": 48, "intermediate_size": 96, "num_attention_heads": 3}


def saved_vit(path: Path, shard_bytes: int | str) -> int:
    """The parameters of a ViT that is saved there."""
    model = ViTModel(ViTConfig(num_hidden_layers=2, **SMALL), add_pooling_layer=False)
    model.save_pretrained(path, max_shard_size=shard_bytes)
    return int(model.num_parameters())


@pytest.mark.parametrize(("shard_bytes", "n_files"), [("5GB", 1), (100_000, 3)])
def test_a_checkpoint_has_as_many_weights_as_its_model(
    shard_bytes: int | str, n_files: int, tmp_path: Path
) -> None:
    n = saved_vit(tmp_path, shard_bytes)
    assert len(list(tmp_path.glob("*.safetensors"))) == n_files
    # Of another precision, for others to load: transformers takes no notice of it.
    save_file({"half": torch.zeros(7)}, tmp_path / "model.fp16.safetensors")
    assert n_weights(str(tmp_path)) == n


def test_what_is_damaged_or_not_there_tells_nothing(tmp_path: Path) -> None:
    saved_vit(tmp_path, 100_000)
    missing = sorted(tmp_path.glob("*.safetensors"))[0]
    missing.rename(tmp_path / "elsewhere")
    assert n_weights(str(tmp_path)) is None
    missing.write_bytes(b"no safetensors")
    assert n_weights(str(tmp_path)) is None
    (tmp_path / "model.safetensors.index.json").write_text("[]")
    assert n_weights(str(tmp_path)) is None
    assert n_weights("owner/no-such-checkpoint", "c" * 40) is None


@pytest.mark.slow  # with the others of RADIO, which the lowest transformers does not have
def test_a_metric_states_the_bytes_of_its_weights_by_their_precision(tmp_path: Path) -> None:
    checkpoints.write_dino(tmp_path / "dino")
    checkpoints.write_radio(tmp_path / "radio")
    n, n_radio = (n_weights(str(tmp_path / name)) or 0 for name in ("dino", "radio"))

    def stated(name: str, path: Path, **settings: object) -> int | None:
        own = ComparatorSettings(name_or_path=str(path), **settings)  # type: ignore[arg-type]
        return make_comparators([name], own).weight_bytes

    assert stated("dino_i", tmp_path / "dino") == 4 * n > 0
    assert stated("dino_i", tmp_path / "dino", dtype="float16") == 2 * n
    # Mixed precision rounds products, not weights.
    assert stated("am_radio", tmp_path / "radio") == 4 * n_radio > 0


def test_masc_states_the_weights_of_its_encoder() -> None:
    settings = MascSettings(
        *("demo", None, "", "float32", 144, True, False, False, 0.5, "regex", "mean")
    )
    # The checkpoint's own README: 1.4 million parameters.
    assert MascScores(settings).weight_bytes == pytest.approx(4 * 1.4e6, rel=0.05)


@pytest.mark.parametrize("name", COMPARATORS)
def test_every_comparator_states_it(name: str) -> None:
    try:
        metric = make_comparators([name], ComparatorSettings())
    except ImportError as error:
        pytest.skip(str(error))
    assert isinstance(inspect.getattr_static(metric, "weight_bytes"), property | int)


@pytest.mark.services
def test_the_hub_is_asked_for_what_is_not_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """It answers for `owner/name` at one commit, as huggingface.co does."""
    said = {"id": "owner/name", "safetensors": {"parameters": {"F32": 5, "BF16": 2}, "total": 7}}
    asked = []

    class Hub(QuietHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200 if f"/revision/{'c' * 40}" in self.path else 404)
            body = json.dumps(said).encode()
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    with served(Hub) as port:
        monkeypatch.setattr(constants, "ENDPOINT", f"http://127.0.0.1:{port}")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        assert n_weights("owner/name", "c" * 40) == 7
        assert n_weights("owner/name", "d" * 40) is None
    assert "expand=safetensors" in asked[0]
