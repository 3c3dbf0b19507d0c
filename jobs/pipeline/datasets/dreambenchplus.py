"""DreamBench++ as its authors ship it, with a mask beside each image where there are masks.

    SOURCE/images/<category>/<idx>.jpg                             a reference
    SOURCE/captions/<category>/<idx>.txt                           line 1: the subject; then prompts
    SOURCE/samples/<method>/tgt_image/<concept>/<prompt>_<seed>.jpg
    SOURCE/samples/<method>/text/<concept>/<prompt>_<seed>.txt     the prompt
    MASKS/refs/<category>/<idx>.png
    MASKS/samples/<method>/<concept>/<prompt>_<seed>.png

`<concept>` is the category with `_` for `/`, the index and a keyword. Two rules of the protocol are
kept elsewhere: `jobs.evaluate` skips pairs with a mask of 5 % or less (`metric.min_fg_fraction`),
and `jobs.agree protocol=dreambenchplus` leaves style concepts out of PF.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from jobs.pipeline.datasets.entries import GENERATION, REFERENCE, ROLES, Contents, Entry
from jobs.pipeline.datasets.folders import names_in, require_folders, text_in
from jobs.pipeline.datasets.loading import image_problem
from jobs.pipeline.datasets.missing import Missing
from jobs.pipeline.datasets.settings import DatasetConfig
from jobs.pipeline.errors import CallError
from jobs.pipeline.shards.members import IMAGE_SUFFIXES

_STEPS = "_gs7_5_step100_seed42_torch_float16"

METHODS = {
    "textual_inversion_sd": f"textual_inversion_sd{_STEPS}",
    "dreambooth_sd": f"dreambooth_sd{_STEPS}",
    "dreambooth_lora_sdxl": f"dreambooth_lora_sdxl{_STEPS}",
    "blip_diffusion": f"blip_diffusion{_STEPS}",
    "emu2": "emu2_gs3_step50_seed42_torch_bfloat16",
    "ip_adapter_plus_vit_h_sdxl": f"ip_adapter_plus_vit_huge_sdxl_scale0_6{_STEPS}",
    "ip_adapter_vit_g_sdxl": f"ip_adapter_vit_giant_sdxl_scale0_6{_STEPS}",
}
"""A method's short name, which becomes the model, and its directory in `samples/`."""

CATEGORIES = {
    name.replace("/", "_"): name
    for name in ("live_subject/animal", "live_subject/human", "object", "style")
}
"""As a concept's name begins, and as the folders are called."""

CONCEPT = re.compile(rf"({'|'.join(CATEGORIES)})_([0-9]+)_(.+)")

GENERATED = re.compile(r"([^.]+)_([0-9]+)")
"""Prompt and seed, in the name of a generation without its suffix."""

ABSENT_METHOD = "methods that are not in samples/"
OTHER_METHOD = "directories in samples/ that are none of the known methods, left out unless named"
NO_CONCEPT = "folders of generations that name no concept, left out"
ABSENT_CONCEPT = "concepts of which a method has no generation"
NO_REFERENCE = "concepts without a reference image, left out with their generations"
BAD_REFERENCE = "reference images that cannot be read, left out with their generations"
UNUSED_REFERENCE = "reference images that no method has generations of, left out"
NO_CAPTIONS = "concepts without captions, whose subject is their folder's keyword"
NO_GENERATION = "prompts without a generation"
NO_TEXT = "generations without the text of their prompt, left out"
EARLIER_SEED = "generations of a prompt that has a later one, which counts; left out"
STRANGE_NAME = "files that are not called PROMPT_SEED as an image is, left out"


@dataclass(frozen=True)
class _Concept:
    name: str
    category: str
    reference: Path
    subject: str
    captions: tuple[str, ...]


def read(config: DatasetConfig) -> Contents:
    """The references and generations of a tree.

    Raises:
        CallError: it is not of that layout, or a method is asked for that nobody knows.
    """
    assert config.source is not None
    source = require_folders(config.source, "dreambenchplus", "images", "samples")
    tree = _Tree(source, _masks(config, source), Missing())
    methods = tree.methods(config.methods)
    concepts = tree.concepts(methods)
    entries = [
        *(tree.reference(concept) for concept in concepts),
        *(entry for concept in concepts for entry in tree.generations(concept, methods)),
    ]
    return Contents(entries, ROLES, tree.missing, required=ROLES)


def _masks(config: DatasetConfig, source: Path) -> Path | None:
    if config.masks is None:
        return source / "masks" if (source / "masks").is_dir() else None
    masks = Path(config.masks).expanduser()
    if not any((masks / name).is_dir() for name in ("refs", "samples")):
        raise CallError(f"masks={config.masks}: a directory with refs/ and samples/ in it, please")
    return masks


@dataclass
class _Tree:
    source: Path
    masks: Path | None
    missing: Missing

    def methods(self, asked: list[str]) -> dict[str, str]:
        """Those asked for that are there: model, and directory in `samples/`."""
        there = names_in(self.source / "samples")
        found = {}
        for name in asked or METHODS:
            directory = METHODS.get(name, name)
            if directory in there:
                found[name] = directory
            elif name in METHODS:
                self.missing.add(ABSENT_METHOD, name)
            else:
                nearest = difflib.get_close_matches(name, [*METHODS, *there], 1, 0)[0]
                raise CallError(
                    f"methods={name}: neither a method of DreamBench++ nor in samples/; "
                    f"did you mean {nearest!r}?"
                )
        if not asked:
            for directory in there:
                if directory not in METHODS.values():
                    self.missing.add(OTHER_METHOD, directory)
        if not found:
            wanted = ", ".join(METHODS.get(name, name) for name in asked or METHODS)
            raise CallError(
                f"source={self.source}: samples/ has none of {wanted}"
                f" (there are: {', '.join(there[:9]) or 'no directories'})"
            )
        return found

    def concepts(self, methods: dict[str, str]) -> list[_Concept]:
        """Those that methods have generations of, and whose reference can be read."""
        folders = {
            method: names_in(self.source / "samples" / directory / "tgt_image")
            for method, directory in methods.items()
        }
        names = sorted({name for own in folders.values() for name in own})
        images = {
            category: {
                Path(name).stem: name for name in names_in(self.source / "images" / category)
            }
            for category in CATEGORIES.values()
        }
        found = [concept for name in names if (concept := self._concept(name, images))]
        self._count_unused(found, images)
        with ThreadPoolExecutor() as pool:
            problems = list(pool.map(lambda each: image_problem(each.reference), found))
        for concept, problem in zip(found, problems, strict=True):
            if problem:
                self.missing.add(BAD_REFERENCE, f"{concept.reference}: {problem}")
        return [each for each, problem in zip(found, problems, strict=True) if not problem]

    def _count_unused(self, found: list[_Concept], images: dict[str, dict[str, str]]) -> None:
        used = {concept.reference for concept in found}
        for category, names in images.items():
            for name in names.values():
                path = self.source / "images" / category / name
                if path not in used:
                    self.missing.add(UNUSED_REFERENCE, str(path))

    def _concept(self, name: str, images: dict[str, dict[str, str]]) -> _Concept | None:
        named = CONCEPT.fullmatch(name)
        if named is None:
            self.missing.add(NO_CONCEPT, name)
            return None
        category, index, keyword = CATEGORIES[named[1]], named[2], named[3]
        if index not in images[category]:
            self.missing.add(NO_REFERENCE, f"{name}: images/{category}/{index}.jpg")
            return None
        text = text_in(self.source / "captions" / category / f"{index}.txt")
        if text is None:
            self.missing.add(NO_CAPTIONS, f"{name}: captions/{category}/{index}.txt")
        subject, *captions = (text or keyword.replace("_", " ")).splitlines()
        reference = self.source / "images" / category / images[category][index]
        return _Concept(name, category, reference, subject.strip(), tuple(filter(None, captions)))

    def reference(self, concept: _Concept) -> Entry:
        """A concept's."""
        index = concept.reference.stem
        mask = self._mask(f"refs/{concept.category}", index)
        fields = {
            "concept": concept.name,
            "subject": concept.subject,
            "category": concept.category,
        }
        key = f"{concept.category}/{index}"
        return Entry(REFERENCE, key, concept.reference, mask, fields, str(concept.reference))

    def generations(self, concept: _Concept, methods: dict[str, str]) -> Iterator[Entry]:
        """What the methods made of a concept: one generation a prompt."""
        by_method = {
            method: self._last_seeds(
                self.source / "samples" / directory / "tgt_image" / concept.name
            )
            for method, directory in methods.items()
        }
        # As many as the captions list; without them, those that any method has.
        prompts = {str(number) for number in range(len(concept.captions))} or {
            prompt for own in by_method.values() for prompt in own
        }
        for method, own in by_method.items():
            if not own:
                self.missing.add(ABSENT_CONCEPT, f"{method}/{concept.name}")
                continue
            for prompt in sorted(prompts - set(own)):
                self.missing.add(NO_GENERATION, f"{method}/{concept.name}-{prompt}")
            for prompt, image in own.items():
                entry = self._generation(concept, method, methods[method], prompt, image)
                if entry is not None:
                    yield entry

    def _last_seeds(self, folder: Path) -> dict[str, Path]:
        """A generation for each prompt: of several seeds the last in name order, as the authors'
        scripts have it."""
        found: dict[str, Path] = {}
        for name in names_in(folder):
            path = folder / name
            named = GENERATED.fullmatch(path.stem)
            if named is None or path.suffix.lstrip(".").lower() not in IMAGE_SUFFIXES:
                self.missing.add(STRANGE_NAME, str(path))
                continue
            if named[1] in found:
                self.missing.add(EARLIER_SEED, str(found[named[1]]))
            found[named[1]] = path
        return found

    def _generation(
        self, concept: _Concept, method: str, directory: str, prompt: str, image: Path
    ) -> Entry | None:
        text = self.source / "samples" / directory / "text" / concept.name / f"{image.stem}.txt"
        said = text_in(text)
        if said is None:
            self.missing.add(NO_TEXT, str(text))
            return None
        fields = {
            "model": method,
            "concept": concept.name,
            "prompt": said,
            "subject": concept.subject,
            "prompt_id": prompt,
            "seed": int(image.stem.rpartition("_")[2]),
            "category": concept.category,
        }
        mask = self._mask(f"samples/{directory}/{concept.name}", image.stem)
        key = f"{method}/{concept.name}/{image.stem}"
        return Entry(GENERATION, key, image, mask, fields, str(image))

    def _mask(self, folder: str, stem: str) -> Path | None:
        mask = self.masks / folder / f"{stem}.png" if self.masks else None
        return mask if mask and mask.is_file() else None
