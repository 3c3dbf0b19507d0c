"""How long one pair takes: each system in a fresh process, as the paper's Table 5 has it.

Five calls to warm up, twenty timed with the device waited for before and after, their median; with
the parameters of all networks that are loaded, and the most memory that was in use on the device.
What was timed on this device with these settings is kept in OUT/timings.json. Whatever goes wrong
in the process of a system, a lack of memory too, is the reason of its row, and of no other.
"""

from __future__ import annotations

import gc
import io
import logging
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import redirect_stdout
from dataclasses import asdict, dataclass, fields, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from jobs.pipeline.datasets import dreambenchplus
from jobs.pipeline.datasets.entries import REFERENCE, Entry
from jobs.pipeline.datasets.settings import DatasetConfig
from jobs.pipeline.errors import CallError
from jobs.pipeline.paper.figures import Found
from jobs.pipeline.paper.recipes import Recipe
from jobs.pipeline.paper.settings import PaperConfig
from jobs.pipeline.paper.stored import read_json, write_json
from jobs.pipeline.paper.systems import NO_DATA, NOT_SCORED, NOT_TIMED, Kind, System
from jobs.pipeline.results.numbers import ABSENT
from jobs.pipeline.results.paper.tables import Figure, PaperRow
from jobs.pipeline.run.fingerprint import MASC
from jobs.pipeline.scoring.config import ComparatorConfig
from masc_core.comparators import ComparatorSettings, find_comparator
from masc_core.comparators.settings import settings_key

log = logging.getLogger(__name__)

WARM_UP, TIMED = 5, 20
METHOD, CONCEPT = "dreambooth_sd", "object_00_motorcycle"
"""Of the paper's pair; where it is not there the first one that is takes its place."""
TIMINGS = "timings.json"


@dataclass(frozen=True)
class Pair:
    """A reference and a generation, with their masks."""

    name: str
    images: tuple[bytes, bytes]
    """As they are encoded, the reference first."""
    masks: tuple[bytes | None, bytes | None]
    prompt: str
    subject: str | None


@dataclass(frozen=True)
class Timing:
    """What a system takes."""

    median_ms: float
    n_parameters: int
    peak_bytes: int | None
    """On the device; None on a CPU."""


@dataclass(frozen=True)
class Asked:
    """A system with all that it takes, for a process that knows nothing yet."""

    name: str
    settings: Mapping[str, Any]
    is_masc: bool


def times(
    recipe: Recipe, config: PaperConfig, tree: Path, problems: Mapping[str, str]
) -> tuple[list[PaperRow], list[str]]:
    """The rows of a recipe, and what is to be said of them."""
    found, timings = Found(), dict[str, Timing]()
    device = _device_name()
    try:
        pair = find_pair(tree)
        notes = [
            f"{pair.name}, {_sizes(pair)}",
            f"on {device}; {WARM_UP} calls to warm up, the median of {TIMED}",
            "MaSC gives CP and PF; it and CLIP-T keep the text's embedding from the first call on",
        ]
        if None in pair.masks:
            notes.append("the pair has no masks: the whole image stands for them")
    except CallError as error:
        pair, notes = None, []
        found.why_not = {each.name: f"{NO_DATA}: {error}" for each in recipe.systems}
    known = read_json(config.out, TIMINGS) or {}
    for each in recipe.systems if pair is not None else ():
        if (why := _why_not(each, problems)) is not None:
            found.why_not[each.name] = why
            continue
        assert pair is not None
        asked = _asked(each, config)
        key = {"settings": dict(asked.settings), "device": device, "pair": pair.name}
        stored = known.get(each.name)
        if isinstance(stored, dict) and stored.get("key") == key:
            timings[each.name] = Timing(**stored["timing"])
        else:
            log.info("timing %s in a process of its own", each.name)
            try:
                timings[each.name] = in_fresh_process(asked, pair)
            except Exception as error:  # noqa: BLE001 - strangers' packages raise what they like
                found.why_not[each.name] = f"{NOT_SCORED}: {_reason(error)}"
                continue
            known[each.name] = {"key": key, "timing": asdict(timings[each.name])}
            write_json(config.out, TIMINGS, known)
        found.figures[each.name] = Figure(timings[each.name].median_ms)
    rows = [found.row(row) for row in recipe.rows]
    return [replace(row, beside=_beside(timings.get(row.system))) for row in rows], notes


def find_pair(tree: Path) -> Pair:
    """The pair of the paper, or the first of the tree.

    Raises:
        CallError: there is none.
    """
    try:
        entries = _entries(tree, [METHOD])
    except CallError:
        entries = _entries(tree, [])
    made = [entry for entry in entries if entry.role != REFERENCE]
    if not made:
        raise CallError(f"{tree}: no generation with a reference")
    chosen = next((entry for entry in made if entry.fields["concept"] == CONCEPT), made[0])
    concept = chosen.fields["concept"]
    [reference] = [e for e in entries if e.role == REFERENCE and e.fields["concept"] == concept]
    try:
        return Pair(
            chosen.key,
            (reference.image.read_bytes(), chosen.image.read_bytes()),
            (_mask_bytes(reference), _mask_bytes(chosen)),
            chosen.fields["prompt"],
            chosen.fields["subject"],
        )
    except OSError as error:
        raise CallError(f"{chosen.where}: {error.strerror}") from error


def _entries(tree: Path, methods: Sequence[str]) -> list[Entry]:
    config = DatasetConfig(source=str(tree), methods=list(methods))
    return list(dreambenchplus.read(config).entries)


def _mask_bytes(entry: Entry) -> bytes | None:
    return None if entry.mask is None else entry.mask.read_bytes()


def _why_not(system: System, problems: Mapping[str, str]) -> str | None:
    if system.name in problems:
        return problems[system.name]
    if system.kind is Kind.MASC:
        return problems.get(MASC)
    if system.kind is Kind.EXTRA and find_comparator(system.name) is not None:
        return None
    return NOT_TIMED


def _asked(system: System, config: PaperConfig) -> Asked:
    if system.kind is Kind.MASC:
        own = asdict(config.encoder)
        return Asked(system.name, own, is_masc=True)
    given = asdict(config.comparators.get(settings_key(system.name), ComparatorConfig()))
    # What is not the comparator's own says where it stands in a run.
    its_own = {each.name for each in fields(ComparatorSettings)}
    settings = {name: value for name, value in given.items() if name in its_own}
    return Asked(system.name, settings, is_masc=False)


def in_fresh_process(asked: Asked, pair: Pair) -> Timing:
    """Time a system where nothing else has been loaded.

    Raises:
        BrokenProcessPool: the process ended, as where there is too little memory.
        Exception: whatever the system raises.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(time_pair, asked, pair).result()


def _reason(error: Exception) -> str:
    if isinstance(error, BrokenProcessPool):
        return "its process was ended from outside, as where memory runs out"
    said = " ".join(str(error).split())[:300]
    is_for_the_reader = isinstance(error, (OSError, ValueError, RuntimeError, ImportError))
    return said if is_for_the_reader and said else f"{type(error).__name__}: {said}"


def time_pair(asked: Asked, pair: Pair) -> Timing:
    """Load a system, and time it here."""
    with redirect_stdout(sys.stderr):  # packages print; stdout belongs to the tables
        return _time_pair(asked, pair)


def _time_pair(asked: Asked, pair: Pair) -> Timing:
    import torch

    _quieten()
    wait = _waiting()
    call = _masc_call(asked, pair) if asked.is_masc else _comparator_call(asked, pair)

    def seconds() -> float:
        wait()
        began = time.perf_counter()
        call()
        wait()
        return time.perf_counter() - began

    for _ in range(WARM_UP):
        seconds()
    median = statistics.median(seconds() for _ in range(TIMED))
    gc.collect()  # what was loaded for a moment only
    # Whatever network a package has loaded, its weights are among what Python knows.
    known = gc.get_objects()
    # Not isinstance, which asks every object for its attributes.
    weights = {id(each): each for each in known if issubclass(type(each), torch.nn.Parameter)}
    return Timing(
        1e3 * median,
        sum(each.numel() for each in weights.values()),
        torch.cuda.max_memory_allocated() if torch.cuda.is_available() else None,
    )


def _waiting() -> Callable[[], None]:
    """What returns when the device has done all that it was given."""
    import torch

    from masc_core.encoder import best_device

    on_device: dict[str, Callable[[], None]] = {
        "cuda": torch.cuda.synchronize,
        "mps": torch.mps.synchronize,
    }
    return on_device.get(best_device().type, lambda: None)


def _quieten() -> None:
    """Progress bars of one process after the other tell nobody anything."""
    from masc_core.torchvision_compat import make_torchvision_importable

    make_torchvision_importable()
    from transformers.utils import logging as of_transformers

    of_transformers.set_verbosity_error()
    of_transformers.disable_progress_bar()


def _masc_call(asked: Asked, pair: Pair) -> Callable[[], Any]:
    from masc_core import MaSC

    masc = MaSC.from_pretrained(**asked.settings)
    (reference, generation), (first, second) = _images(pair), _masks(pair)
    return lambda: masc.score(reference, first, generation, second, pair.prompt, pair.subject)


def _comparator_call(asked: Asked, pair: Pair) -> Callable[[], Any]:
    from masc_core.comparators import load_comparator

    comparator = load_comparator(asked.name, **asked.settings)
    (reference, generation), (first, second) = _images(pair), _masks(pair)
    return lambda: comparator(
        generation,
        [reference],
        prompt=pair.prompt,
        subject=pair.subject,
        mask=second,
        reference_masks=[first],
    )


def _images(pair: Pair) -> list[Image.Image]:
    """Opened, and brought to RGB by each call anew, as in the paper."""
    return [Image.open(io.BytesIO(encoded)) for encoded in pair.images]


def _sizes(pair: Pair) -> str:
    first, second = (f"{image.width} x {image.height}" for image in _images(pair))
    return f"{first} pixels against {second}"


def _masks(pair: Pair) -> list[np.ndarray]:
    shapes = [(image.height, image.width) for image in _images(pair)]
    return [
        np.full(shape, 255, np.uint8)
        if encoded is None
        else np.asarray(Image.open(io.BytesIO(encoded)).convert("L"))
        for encoded, shape in zip(pair.masks, shapes, strict=True)
    ]


def _device_name() -> str:
    import torch

    from masc_core.encoder import best_device

    names = {"cuda": torch.cuda.get_device_name, "mps": lambda: "Apple's GPU"}
    return names.get(best_device().type, lambda: "the CPU")()


def _beside(timing: Timing | None) -> dict[str, str]:
    if timing is None:
        return {}
    memory = ABSENT if timing.peak_bytes is None else f"{timing.peak_bytes / 1e6:,.0f} MB"
    return {"parameters": f"{timing.n_parameters / 1e6:,.1f} M", "device memory": memory}
