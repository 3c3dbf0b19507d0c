"""HPSv3 by its authors' package, small: `hpsv3.inference`, on the CPU in float32.

The package is whole, and so are its classes; of its published configuration three entries differ:
where the backbone is, and float32 for bfloat16 twice.
"""

from __future__ import annotations

from pathlib import Path

from masc_core.torchvision_compat import make_torchvision_importable

make_torchvision_importable()

import hpsv3  # noqa: E402
import torch  # noqa: E402
from hpsv3.inference import HPSv3RewardInferencer  # noqa: E402
from hpsv3.train import create_model_and_processor  # noqa: E402
from hpsv3.utils.parser import (  # noqa: E402
    DataConfig,
    ModelConfig,
    PEFTLoraConfig,
    TrainingConfig,
    parse_args_with_yaml,
)
from omegaconf import OmegaConf  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from transformers import Qwen2VLConfig, Qwen2VLForConditionalGeneration  # noqa: E402

from tests.parity.reference import fill, out, read_cases, write_expected  # noqa: E402
from tests.parity.small_qwen2_vl import BACKBONE, write_backbone  # noqa: E402

WEIGHTS = "HPSv3.safetensors"


def configured(folder: Path) -> str:
    """The published configuration, but for where the backbone is and the precision."""
    published = Path(hpsv3.__file__ or "").parent / "config" / "HPSv3_7B.yaml"
    config = OmegaConf.load(published)
    config.model_name_or_path = str(folder / BACKBONE)
    config.torch_dtype = "float32"
    config.bf16 = False
    OmegaConf.save(config, folder / "config.yaml")
    return str(folder / "config.yaml")


def save_checkpoint(folder: Path, config: str) -> dict[str, list[int]]:
    """Its weights, by the authors' class: shapes by name."""
    settings = (DataConfig, TrainingConfig, ModelConfig, PEFTLoraConfig)
    (_, training, model_config, lora), _ = parse_args_with_yaml(settings, config, is_train=False)
    model, _, _ = create_model_and_processor(model_config, lora, training)
    state = model.state_dict()
    fill(state)
    save_file(state, folder / WEIGHTS)
    return {name: list(own.shape) for name, own in state.items()}


def main() -> None:
    folder = out("small")
    write_backbone(folder)
    backbone = folder / BACKBONE
    Qwen2VLForConditionalGeneration(Qwen2VLConfig.from_pretrained(backbone)).save_pretrained(
        folder / "weights-of-the-backbone"
    )
    # The package loads the backbone's weights, and then overwrites each of them.
    weights = folder / "weights-of-the-backbone" / "model.safetensors"
    weights.rename(backbone / weights.name)
    config = configured(folder)
    shapes = save_checkpoint(folder, config)
    reward = HPSv3RewardInferencer(config, str(folder / WEIGHTS), device="cpu")
    with torch.inference_mode():
        scores = [
            reward.reward([str(case.image)], [case.prompt])[0][0].item() for case in read_cases()
        ]
    (backbone / weights.name).unlink()
    write_expected(
        folder,
        scores,
        loaded="Qwen2-VL of transformers, our head",
        packages=["hpsv3", "transformers", "torch"],
        settings={"dtype": "float32"},
        weights=shapes,
    )


if __name__ == "__main__":
    main()
