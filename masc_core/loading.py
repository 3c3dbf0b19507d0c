"""Loading the weights of a model of transformers or diffusers: all of them, and nothing else."""

from __future__ import annotations

from typing import Any

import torch
from safetensors import SafetensorError


def load_pretrained(model_class: Any, name_or_path: str, **options: Any) -> Any:
    """A model from its checkpoint, on the CPU, not to be trained.

    Args:
        model_class: a class of transformers or diffusers, with `from_pretrained`.
        options: for that method, as `revision` and `subfolder`; `dtype` is float32, but where they
            say otherwise.

    Raises:
        OSError: no such checkpoint, no safetensors weights in it, damaged ones, or not those of
            this model.
    """
    where = "/".join([name_or_path, *filter(None, [options.get("subfolder")])])
    try:
        model, loading = model_class.from_pretrained(
            name_or_path,
            **{"dtype": torch.float32, **options},
            use_safetensors=True,
            # So that it is said below, in one line.
            ignore_mismatched_sizes=True,
            output_loading_info=True,
        )
    except SafetensorError as error:
        raise OSError(f"{where}: its weights are damaged: {error}") from error
    # transformers fills what it did not find with random numbers, and warns.
    if missing := sorted(loading["missing_keys"]):
        raise OSError(f"{where}: {len(missing)} weights are missing: {missing[0]}, ...")
    if misfits := sorted(str(each[0]) for each in loading["mismatched_keys"]):
        raise OSError(
            f"{where}: {len(misfits)} weights are of another shape than its config.json "
            f"says: {misfits[0]}, ..."
        )
    return model.eval().requires_grad_(False)
