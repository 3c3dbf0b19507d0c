"""Loading the weights of a model of transformers: all of them, and nothing but them."""

from __future__ import annotations

from collections.abc import Mapping
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
    return _checked(model, loading, name_or_path)


def load_state(
    model_class: Any,
    config: Any,
    state: Mapping[str, torch.Tensor],
    dtype: torch.dtype,
    where: str,
) -> Any:
    """A model with weights that were read from elsewhere than transformers looks for them.

    Args:
        model_class: a class of transformers, with `from_pretrained`.
        config: of that class.
        state: weights by the names that this or an earlier transformers gives them; `dtype` is what
            they become.
        where: they are from, for messages.

    Returns:
        The model on the CPU, not to be trained.

    Raises:
        OSError: they are not those of this model: one is missing, or too many, or of another shape.
    """
    model, loading = model_class.from_pretrained(
        None,
        config=config,
        state_dict=dict(state),
        dtype=dtype,
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    if others := sorted(loading["unexpected_keys"]):
        raise OSError(f"{where}: {len(others)} weights are not this model's: {others[0]}, ...")
    return _checked(model, loading, where)


def _checked(model: Any, loading: Mapping[str, Any], where: str) -> Any:
    """The model, frozen, unless weights are not as they should be."""
    # transformers fills what it did not find with random numbers, and warns.
    if missing := sorted(loading["missing_keys"]):
        raise OSError(f"{where}: {len(missing)} weights are missing: {missing[0]}, ...")
    if misfits := sorted(str(each[0]) for each in loading["mismatched_keys"]):
        raise OSError(
            f"{where}: {len(misfits)} weights are of another shape than its config.json "
            f"says: {misfits[0]}, ..."
        )
    return model.eval().requires_grad_(False)
