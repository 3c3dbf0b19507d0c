"""DreamBench++'s tree, whole and with holes, as shards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from jobs.pipeline import packing
from jobs.pipeline.datasets import dreambenchplus
from jobs.pipeline.errors import CallError
from jobs.pipeline.packing import PackConfig, Packed, pack
from jobs.pipeline.shards.members import RawSample
from tests.datasets.trees import (
    METHODS,
    DreamBenchTree,
    dreambenchplus_tree,
    painted_shots,
    save,
    write_text,
)
from tests.manifests import samples_of

KITTEN = "live_subject_animal_00_kitten"

BANK = "object_02_piggy_bank"

CATEGORIES = {
    KITTEN: "live_subject/animal",
    "object_01_motorcycle": "object",
    BANK: "object",
}

STEPS = "_gs7_5_step100_seed42_torch_float16"


@pytest.fixture
def tree(tmp_path: Path) -> DreamBenchTree:
    return dreambenchplus_tree(tmp_path / "data", painted_shots((32, 32)))


def packed(tree: DreamBenchTree, **settings: Any) -> Packed:
    out = tree.root.parent / "out"
    asked = {"kind": "dreambenchplus", "source": str(tree.root), "methods": list(METHODS)}
    return pack(PackConfig(**{**asked, "out": str(out), **settings}))


def samples(tree: DreamBenchTree, role: str = "generations") -> dict[str, RawSample]:
    return {each.key: each for each in samples_of(tree.root.parent / "out", f"{role}-*.tar")}


def counts(packed: Packed) -> dict[str, int]:
    return {cause: lack["n"] for cause, lack in packed.missing.documents().items()}


def test_a_whole_tree_is_packed_as_it_is(tree: DreamBenchTree) -> None:
    done = packed(tree)
    assert counts(done) == {}
    assert vars(done.written["generations"]) == {"samples": 12, "shards": 1, "without_mask": 0}
    generations = samples(tree)
    assert len(generations) == 12
    for concept in tree.concepts:
        for method in tree.methods:
            for prompt in range(2):
                sample = generations[f"{method}/{concept}/{prompt}_0"]
                where = method, concept, prompt
                assert sample.members["jpg"] == tree.image(*where).read_bytes()
                assert sample.members["mask.png"] == tree.mask(*where).read_bytes()
                assert json.loads(sample.members["json"]) == {
                    "model": method,
                    "concept": concept,
                    "prompt": tree.text(*where).read_text().strip(),
                    "subject": tree.subjects[concept],
                    "prompt_id": str(prompt),
                    "seed": 0,
                    "category": CATEGORIES[concept],
                }


def test_each_concept_has_its_reference(tree: DreamBenchTree) -> None:
    packed(tree)
    references = samples(tree, "references")
    assert list(references) == ["live_subject/animal/00", "object/01", "object/02"]
    for sample, concept in zip(references.values(), tree.concepts, strict=True):
        assert sample.members["jpg"] == tree.reference(concept).read_bytes()
        assert sample.members["mask.png"] == tree.reference_mask(concept).read_bytes()
        fields = json.loads(sample.members["json"])
        assert (fields["concept"], fields["subject"]) == (concept, tree.subjects[concept])


def test_the_methods_have_the_directories_of_the_authors() -> None:
    same = ("textual_inversion_sd", "dreambooth_sd", "dreambooth_lora_sdxl", "blip_diffusion")
    expected = {
        **{name: name + STEPS for name in same},
        "emu2": "emu2_gs3_step50_seed42_torch_bfloat16",
        "ip_adapter_plus_vit_h_sdxl": "ip_adapter_plus_vit_huge_sdxl_scale0_6" + STEPS,
        "ip_adapter_vit_g_sdxl": "ip_adapter_vit_giant_sdxl_scale0_6" + STEPS,
    }
    assert expected == dreambenchplus.METHODS


def test_all_methods_are_asked_for_unless_some_are_and_those_that_are_absent_are_named(
    tree: DreamBenchTree,
) -> None:
    (tree.root / "samples" / "mine").mkdir()
    missing = packed(tree, methods=[]).missing.documents()
    assert missing == {
        dreambenchplus.ABSENT_METHOD: {
            "n": 5,
            "first": [
                *("textual_inversion_sd", "dreambooth_lora_sdxl", "blip_diffusion"),
                *("ip_adapter_plus_vit_h_sdxl", "ip_adapter_vit_g_sdxl"),
            ],
        },
        dreambenchplus.OTHER_METHOD: {"n": 1, "first": ["mine"]},
    }
    done = packed(tree, methods=["emu2"], overwrite=True)
    assert counts(done) == {}
    assert {key.partition("/")[0] for key in samples(tree)} == {"emu2"}


def test_a_method_of_ones_own_is_named_by_its_directory(tree: DreamBenchTree) -> None:
    tree.directory("emu2").rename(tree.root / "samples" / "mine")
    packed(tree, methods=["mine"])
    assert f"mine/{KITTEN}/0_0" in samples(tree)


def test_of_several_seeds_the_last_in_name_order_counts(tree: DreamBenchTree) -> None:
    shot = painted_shots((32, 32))(77, 0)
    # In name order 0_10 comes before 0_9.
    for seed in (10, 9):
        image = tree.image("emu2", KITTEN, 0).with_name(f"0_{seed}.jpg")
        save(shot, image, tree.mask("emu2", KITTEN, 0).with_name(f"0_{seed}.png"))
        write_text(tree.text("emu2", KITTEN, 0).with_name(f"0_{seed}.txt"), f"seed {seed}")
    done = packed(tree)
    assert counts(done) == {dreambenchplus.EARLIER_SEED: 2}
    kept = [key for key in samples(tree) if key.startswith(f"emu2/{KITTEN}/0_")]
    assert kept == [f"emu2/{KITTEN}/0_9"]
    fields = json.loads(samples(tree)[kept[0]].members["json"])
    assert (fields["seed"], fields["prompt"]) == (9, "seed 9")


def cut_holes(tree: DreamBenchTree) -> None:
    """Of every kind, one or two."""
    tree.captions(BANK).unlink()
    tree.text("emu2", KITTEN, 0).unlink()
    tree.text("emu2", KITTEN, 1).write_text(" \n")
    tree.image("dreambooth_sd", KITTEN, 0).unlink()
    tree.image("dreambooth_sd", KITTEN, 1).write_bytes(b"no image")
    whole = tree.image("emu2", BANK, 0).read_bytes()
    tree.image("emu2", BANK, 0).write_bytes(whole[: len(whole) // 2])
    tree.mask("emu2", BANK, 1).write_bytes(b"")
    Image.fromarray(np.zeros((8, 32), np.uint8)).save(tree.mask("dreambooth_sd", BANK, 0))
    tree.mask("dreambooth_sd", BANK, 1).unlink()
    # The motorcycle's reference cannot be read, so nothing can be held against it.
    tree.reference("object_01_motorcycle").write_bytes(b"")
    strange = tree.directory("emu2") / "tgt_image"
    write_text(strange / "readme" / "notes.txt", "")
    write_text(strange / KITTEN / "notes.txt", "")
    (strange / "object_77_ghost").mkdir()
    save(painted_shots((32, 32))(5, 5), tree.root / "images/style/09.jpg", tree.root / "spare.png")


def test_holes_are_counted_by_cause_and_named(
    tree: DreamBenchTree, caplog: pytest.LogCaptureFixture
) -> None:
    cut_holes(tree)
    done = packed(tree)
    assert counts(done) == {
        dreambenchplus.NO_CONCEPT: 1,
        dreambenchplus.NO_REFERENCE: 1,
        dreambenchplus.NO_CAPTIONS: 1,
        dreambenchplus.UNUSED_REFERENCE: 1,
        dreambenchplus.BAD_REFERENCE: 1,
        dreambenchplus.STRANGE_NAME: 1,
        dreambenchplus.NO_TEXT: 2,
        dreambenchplus.NO_GENERATION: 1,
        packing.UNREADABLE_IMAGE: 2,
        packing.UNREADABLE_MASK: 2,
    }
    first = {cause: lack["first"] for cause, lack in done.missing.documents().items()}
    assert first[dreambenchplus.NO_GENERATION] == [f"dreambooth_sd/{KITTEN}-0"]
    unreadable, cut_off = first[packing.UNREADABLE_IMAGE]
    image = tree.image("dreambooth_sd", KITTEN, 1)
    assert unreadable == f"{image}: image: cannot identify image file as JPEG, PNG or WebP"
    image = tree.image("emu2", BANK, 0)
    assert cut_off.startswith(f"{image}: image: cannot be decoded: OSError: ")
    # Left are both prompts of both methods for the bank, but for the image that is cut off.
    assert sorted(samples(tree)) == [
        *(f"dreambooth_sd/{BANK}/{prompt}_0" for prompt in range(2)),
        f"emu2/{BANK}/1_0",
    ]
    assert list(samples(tree, "references")) == ["live_subject/animal/00", "object/02"]
    lines = [line for line in caplog.messages if line.startswith("2 masks that cannot be read")]
    assert len(lines) == 1
    assert "3 of 5 samples have no mask" in caplog.text


def test_without_captions_the_subject_is_the_folders_keyword(tree: DreamBenchTree) -> None:
    tree.captions(BANK).unlink()
    packed(tree)
    fields = json.loads(samples(tree)[f"emu2/{BANK}/0_0"].members["json"])
    assert fields["subject"] == "piggy bank"


def test_a_concept_that_a_method_has_not_tried_is_named(tree: DreamBenchTree) -> None:
    for path in sorted((tree.directory("emu2") / "tgt_image" / KITTEN).iterdir()):
        path.unlink()
    missing = packed(tree).missing.documents()
    assert missing == {
        dreambenchplus.ABSENT_CONCEPT: {"n": 1, "first": [f"emu2/{KITTEN}"]},
    }


def test_masks_may_be_missing_or_lie_elsewhere(
    tree: DreamBenchTree, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tree.masks.rename(tmp_path / "elsewhere")
    done = packed(tree)
    assert done.written["generations"].without_mask == 12
    assert "15 of 15 samples have no mask" in caplog.text
    assert "jobs.segment comes next" in caplog.text
    assert "have no `subject` either" not in caplog.text
    done = packed(tree, masks=str(tmp_path / "elsewhere"), overwrite=True)
    assert done.written["generations"].without_mask == 0


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"source": "{root}/none"}, "source={root}/none: no such directory"),
        ({"source": None}, "source= is required: "),
        (
            {"source": "{root}/images"},
            "source={root}/images: not of the layout of kind=dreambenchplus: it has no images/, "
            "samples/ (there are: live_subject, object)",
        ),
        ({"methods": ["blip_diffusion"]}, "samples/ has none of blip_diffusion_gs7_5"),
        ({"methods": ["emu"]}, "methods=emu: neither a method of DreamBench++ nor in"),
        ({"masks": "{root}/images"}, "masks={root}/images: a directory with refs/ and samples/ in"),
        ({"kind": "manifest"}, "source=: is no setting of kind=manifest, which has"),
        ({"manifest": "x.csv"}, "manifest=: is no setting of kind=dreambenchplus, which"),
        ({"values": {"model": "x"}}, "values=: is no setting of kind=dreambenchplus"),
    ],
)  # fmt: skip
def test_a_wrong_call_is_one_line(
    tree: DreamBenchTree, settings: dict[str, Any], said: str
) -> None:
    filled = {
        name: value.format(root=tree.root) if isinstance(value, str) else value
        for name, value in settings.items()
    }
    with pytest.raises(CallError) as error:
        packed(tree, **filled)
    assert said.format(root=tree.root) in str(error.value)
    assert "\n" not in str(error.value)
    assert not (tree.root.parent / "out").exists()


def test_references_alone_are_not_packed(tree: DreamBenchTree) -> None:
    for path in tree.root.rglob("text/*/*.txt"):
        path.unlink()
    with pytest.raises(CallError, match="there are no generations in it: 12 generations without"):
        packed(tree)
    assert not (tree.root.parent / "out").exists()
