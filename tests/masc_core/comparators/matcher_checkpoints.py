"""Checkpoints of matchers with random weights, under which like places match: those of an untrained
matcher find next to nothing, and a score of nothing tells no right one from a wrong one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from tests.masc_core.comparators.checkpoints import differing


@torch.no_grad()
def write_lightglue(path: Path, seed: int = 0, max_keypoints: int = -1) -> None:
    """A small SuperPoint and LightGlue, whose layers change descriptors but a little."""
    from transformers import LightGlueConfig, LightGlueForKeypointMatching, SuperPointConfig

    width = 32
    detector = SuperPointConfig(
        encoder_hidden_sizes=[8, 8, 16, 16],
        decoder_hidden_size=16,
        descriptor_decoder_dim=width,
        keypoint_threshold=0.02,
        max_keypoints=max_keypoints,
    )
    config = LightGlueConfig(
        keypoint_detector_config=detector,
        descriptor_dim=width,
        num_hidden_layers=3,
        num_attention_heads=2,
    )
    model = differing(lambda: LightGlueForKeypointMatching(config), seed)
    for layer in model.transformer_layers:
        for mlp in (layer.self_mlp, layer.cross_mlp):
            mlp.fc2.weight.mul_(0.01)
            mlp.fc2.bias.zero_()
    for layer in model.match_assignment_layers:
        layer.final_projection.weight.copy_(200 * torch.eye(width))
        layer.final_projection.bias.zero_()
        layer.matchability.bias.fill_(2)
    model.save_pretrained(path)


@torch.no_grad()
def write_loftr(path: Path, seed: int = 0) -> None:
    """LoFTR's weights under `state_dict`, as in its release."""
    from kornia.feature import LoFTR

    model = matching_loftr(seed)
    assert isinstance(model, LoFTR)
    torch.save({"state_dict": model.state_dict()}, path)


@torch.no_grad()
def matching_loftr(seed: int = 0) -> nn.Module:
    """A LoFTR whose coarse features are what is particular to a place.

    What all places have in common, which is nearly everything where weights are random, is taken
    out of the backbone's last layer and out of the transformer's; the rest is brought to a size at
    which a softmax over all places tells one from another.
    """
    from kornia.feature import LoFTR

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LoFTR(None).eval()
        coarse = F.interpolate(torch.rand(1, 1, 16, 16), size=(128, 128), mode="bicubic")
    picture = coarse.clamp(0, 1)
    for layer in model.loftr_coarse.layers:
        layer.norm2.weight.mul_(0.02)
    last_conv, last_layer = model.backbone.layer3_outconv, model.loftr_coarse.layers[-1]
    seen = _inputs_of(last_conv, lambda: model.backbone(picture))[0][0].flatten(1).T
    common, weight = seen.mean(0), last_conv.weight[:, :, 0, 0]
    weight -= torch.outer(weight @ common, common) / (common @ common)
    weight *= 2 / (seen @ weight.T).std()
    last_layer.norm2.weight.fill_(6)
    last_layer.mlp[0].weight[:, weight.shape[0] :] = 0
    both = {"image0": picture, "image1": picture}
    features = _inputs_of(model.coarse_matching, lambda: model(both))[0][0]
    last_layer.norm2.bias.copy_(-features.mean(0))
    return model


def _inputs_of(module: nn.Module, run: Callable[[], Any]) -> tuple[Any, ...]:
    """What a module is called with, the first time."""
    calls: list[tuple[Any, ...]] = []
    hook = module.register_forward_pre_hook(lambda module, inputs: calls.append(inputs))
    run()
    hook.remove()
    return calls[0]


@contextmanager
def shallow_roma(depth: int = 1) -> Iterator[None]:
    """RoMa's DINOv2 of so many layers in place of 24: everything else of it is as it is."""
    from romatch.models import transformer

    real = transformer.vit_large

    def shallow(**kwargs: Any) -> Any:
        return transformer.dinov2.DinoVisionTransformer(
            embed_dim=1024,
            depth=depth,
            num_heads=16,
            mlp_ratio=4,
            block_fn=partial(transformer.dinov2.Block, attn_class=transformer.MemEffAttention),
            **kwargs,
        )

    assert callable(real)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(transformer, "vit_large", shallow)
        yield


def write_roma(path: Path, seed: int = 0) -> None:
    """RoMa's two files of weights, of the depth that its DINOv2 has by now."""
    from romatch import roma_outdoor
    from romatch.models import transformer
    from romatch.models.matcher import RegressionMatcher

    path.mkdir(parents=True, exist_ok=True)
    with torch.random.fork_rng(devices=[]), pytest.MonkeyPatch.context() as patch:
        torch.manual_seed(seed)
        vit = {"img_size": 518, "patch_size": 14, "init_values": 1.0, "ffn_layer": "mlp"}
        dinov2 = transformer.vit_large(**vit, block_chunks=0).state_dict()
        patch.setattr(RegressionMatcher, "load_state_dict", lambda self, weights: None)
        model = roma_outdoor("cpu", {}, dinov2, use_custom_corr=False)
    torch.save(dinov2, path / "dinov2_vitl14_pretrain.pth")
    torch.save(model.state_dict(), path / "roma_outdoor.pth")


def tiny_mast3r(seed: int = 0) -> Any:
    """A MASt3R with small encoder and decoders; its code is importable by now."""
    from mast3r.model import AsymmetricMASt3R

    infinity = float("inf")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return AsymmetricMASt3R(
            pos_embed="RoPE100",
            patch_embed_cls="PatchEmbedDust3R",
            img_size=(512, 512),
            landscape_only=False,
            head_type="catmlp+dpt",
            output_mode="pts3d+desc24",
            two_confs=True,
            enc_embed_dim=64,
            enc_depth=2,
            enc_num_heads=2,
            dec_embed_dim=48,
            dec_depth=10,
            dec_num_heads=2,
            depth_mode=("exp", -infinity, infinity),
            conf_mode=("exp", 1, infinity),
            desc_conf_mode=("exp", 0, infinity),
        ).eval()
