"""Loading the weights of a model of transformers: all of them, and nothing but them."""

from __future__ import annotations

from typing import Any

import torch


def load_pretrained(model_class: Any, name_or_path: str, **options: Any) -> Any:
    """A model from its checkpoint, in float32 on the CPU, not to be trained.

    Args:
        model_class: a class of transformers, with `from_pretrained`.
        options: for that method, as `revision`.

    Raises:
        OSError: no such checkpoint, no safetensors weights in it, or not those of this model.
    """
    try:
        model, loading = model_class.from_pretrained(
            name_or_path,
            **options,
            dtype=torch.float32,
            use_safetensors=True,
            output_loading_info=True,
        )
    except RuntimeError as error:
        # By its last lines a table of every weight of another shape.
        reason = str(error).splitlines()[0]
        raise OSError(f"{name_or_path}: its weights do not fit: {reason}") from error
    if loading["missing_keys"]:
        # transformers fills these with random numbers, and warns.
        missing = sorted(loading["missing_keys"])
        raise OSError(f"{name_or_path}: {len(missing)} weights are missing: {missing[0]}, ...")
    return model.eval().requires_grad_(False)
