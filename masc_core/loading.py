"""Loading the weights of a model of transformers or diffusers: all of them, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError

from masc_core.checkpoint import installed_transformers


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
    _require_all(loading, where, "config.json")
    return model.eval().requires_grad_(False)


def load_state(
    model_class: Any,
    config: Any,
    state: Mapping[str, torch.Tensor],
    *,
    where: str,
    configured: str,
    is_all: bool = False,
    **options: Any,
) -> Any:
    """A model from weights that are in memory, on the CPU, not to be trained.

    Args:
        model_class: a class of transformers.
        config: of its configuration class.
        state: by the model's own names.
        where: the path or hub id that they are from, for messages.
        configured: the file there that says their shapes, likewise.
        is_all: whether what the model has no place for is refused, and not left out.
        options: of the model's class, and `dtype` where it is not to be float32: one that the
            weights have already costs no memory.

    Raises:
        OSError: some are missing, of another shape, or not to be there.
    """
    dtype = options.pop("dtype", torch.float32)
    model, loading = model_class.from_pretrained(
        None,
        **options,
        **{_name_of_dtype(): dtype},
        config=config,
        state_dict=dict(state),
        ignore_mismatched_sizes=True,
        output_loading_info=True,
    )
    _require_all(loading, where, configured)
    if is_all and (others := sorted(loading["unexpected_keys"])):
        raise OSError(f"{where}: {len(others)} weights are of another model: {others[0]}, ...")
    return model.eval().requires_grad_(False)


def _name_of_dtype() -> str:
    """What transformers calls it: what does not need the encoder loads in older releases too."""
    return "dtype" if installed_transformers() >= (4, 56) else "torch_dtype"


def load_torch_file(file: Path, where: str, device: str = "cpu") -> dict[str, torch.Tensor]:
    """The weights that a file of `torch.save` holds, by name; no code of it is run.

    Args:
        where: for messages.
        device: "cpu", mapped from the file where its format allows; or "meta", shapes alone.

    Raises:
        OSError: it holds anything else, or is damaged.
    """
    try:
        state = torch.load(
            file,
            map_location=device,
            weights_only=True,
            # Else gigabytes are read at once. Before torch 1.6 files were no zip archives.
            mmap=is_zipfile(file),
        )
    except (UnpicklingError, RuntimeError, EOFError, ValueError, KeyError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise OSError(
            f"{where}: {file.name} holds no weights that can be read: {reason}"
        ) from error
    if not isinstance(state, dict) or not all(map(torch.is_tensor, state.values())):
        raise OSError(f"{where}: {file.name} holds something other than weights by their names")
    return state


def _require_all(loading: Mapping[str, Any], where: str, configured: str) -> None:
    """transformers fills what it did not find with random numbers, and warns."""
    if missing := sorted(loading["missing_keys"]):
        raise OSError(f"{where}: {len(missing)} weights are missing: {missing[0]}, ...")
    if misfits := sorted(str(each[0]) for each in loading["mismatched_keys"]):
        raise OSError(
            f"{where}: {len(misfits)} weights are of another shape than its {configured} "
            f"says: {misfits[0]}, ..."
        )
