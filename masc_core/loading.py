"""Loading the weights of a model of transformers: all of them, and nothing but them."""

from __future__ import annotations

from typing import Any

import torch
from safetensors import SafetensorError


def load_pretrained(model_class: Any, name_or_path: str, **options: Any) -> Any:
    """A model from its checkpoint, in float32 on the CPU, not to be trained.

    Args:
        model_class: a class of transformers, with `from_pretrained`.
        options: for that method, as `revision`.

    Raises:
        OSError: no such checkpoint, no safetensors weights in it, damaged ones, or not those of
            this model.
    """
    try:
        model, loading = model_class.from_pretrained(
            name_or_path,
            **options,
            dtype=torch.float32,
            use_safetensors=True,
            # So that it is said below, in one line.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except SafetensorError as error:
        raise OSError(f"{name_or_path}: its weights are damaged: {error}") from error
    # transformers fills what it did not find with random numbers, and warns.
    if missing := sorted(loading["missing_keys"]):
        raise OSError(f"{name_or_path}: {len(missing)} weights are missing: {missing[0]}, ...")
    if misfits := sorted(str(each[0]) for each in loading["mismatched_keys"]):
        raise OSError(
            f"{name_or_path}: {len(misfits)} weights are of another shape than its config.json "
            f"says: {misfits[0]}, ..."
        )
    return model.eval().requires_grad_(False)
