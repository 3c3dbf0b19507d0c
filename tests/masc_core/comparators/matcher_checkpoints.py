"""Checkpoints of matchers with random weights, under which like places match: those of an untrained
matcher find next to nothing, and a score of nothing tells no right one from a wrong one."""

from __future__ import annotations

from pathlib import Path

import torch

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
