"""Networks placed by hand sums. A device of 24 GB has 14.4 for what may be parted, 21.6 at most."""

from __future__ import annotations

import re

import pytest

from jobs.pipeline.errors import CallError
from jobs.pipeline.scoring.placing import Need, passes_of

GB = 10**9
ROOM = 24 * GB

SIZES = {
    "masc": 4.5,
    "clip_i": 0.6,
    "dreamsim": 1.0,
    "dift_sdxl": 7.0,
    "hpsv3": 15.5,
    "vqascore": 21.6,
    "medium": 8.0,
}


def need(name: str, own_pass: bool | None = None, is_first: bool = False) -> Need:
    size = SIZES.get(name)
    n = None if size is None else round(size * GB)
    source = f"comparators.{name}.name_or_path=somewhere"
    return Need(name, source, n, own_pass, is_first or name == "masc")


def placed(*needs: Need, room: int | None = ROOM) -> list[str]:
    return [" ".join(needs[n].name for n in own) for own in passes_of(needs, room)]


@pytest.mark.parametrize(
    ("names", "passes"),
    [
        ("masc", ["masc"]),
        # 4.5 + 0.6 + 1 + 7 = 13.1
        ("masc clip_i dreamsim dift_sdxl", ["masc clip_i dreamsim dift_sdxl"]),
        # 15.5 stands nowhere but alone; 21.6 is all that may stand at all.
        ("masc hpsv3 clip_i vqascore", ["masc clip_i", "hpsv3", "vqascore"]),
        # The larger of two that are too much together has the first place: 4.5 + 8 + 7 = 19.5,
        # 4.5 + 8 + 1 = 13.5; and what is left joins the smaller: 7 + 0.6 fits beside it, but
        # 13.5 + 0.6 = 14.1 comes first.
        ("masc dift_sdxl medium dreamsim clip_i", ["masc medium dreamsim clip_i", "dift_sdxl"]),
        # Without the encoder the largest comes first; passes are in the order of the call.
        ("clip_i hpsv3 dift_sdxl", ["clip_i dift_sdxl", "hpsv3"]),
        ("hpsv3 clip_i", ["hpsv3", "clip_i"]),
        # A size that is not known counts nothing.
        ("masc unheard_of", ["masc unheard_of"]),
    ],
)
def test_what_does_not_fit_beside_the_others_has_a_pass_more(names: str, passes: list[str]) -> None:
    assert placed(*map(need, names.split())) == passes


def test_what_takes_nothing_has_no_pass_of_its_own() -> None:
    # The encoder alone is more than 0.6 of 7 GB, and no more than 0.9.
    assert placed(need("masc"), need("unheard_of"), room=7 * GB) == ["masc unheard_of"]
    assert placed(need("masc"), need("clip_i"), room=7 * GB) == ["masc", "clip_i"]


def test_what_is_too_large_for_a_room_that_is_a_guess_is_tried_by_itself() -> None:
    needs = [need("masc"), need("hpsv3"), need("clip_i")]
    assert passes_of(needs, 12 * GB, is_firm=False) == [[0, 2], [1]]
    with pytest.raises(CallError):
        passes_of(needs, 12 * GB)


def test_a_bound_belongs_to_what_fits() -> None:
    # 4.5 + 0.6 = 5.1 is 0.6 of 8.5.
    assert placed(need("masc"), need("clip_i"), room=round(8.5 * GB)) == ["masc clip_i"]
    assert placed(need("masc"), need("clip_i"), room=round(8.49 * GB)) == ["masc", "clip_i"]
    # 21.6 is 0.9 of 24.
    assert placed(need("vqascore")) == ["vqascore"]
    with pytest.raises(CallError):
        placed(need("vqascore"), room=ROOM - GB // 10)


def test_the_call_has_the_last_word() -> None:
    masc, alone = need("masc"), need("clip_i", own_pass=True)
    assert placed(masc, alone, need("dreamsim")) == ["masc dreamsim", "clip_i"]
    # 4.5 + 15.5 = 20 is less than 21.6.
    assert placed(masc, need("hpsv3", own_pass=False), alone) == ["masc hpsv3", "clip_i"]
    # Also where the memory is not known, by which nothing is parted.
    assert placed(masc, need("hpsv3"), alone, room=None) == ["masc hpsv3", "clip_i"]


def test_what_decides_a_run_early_is_in_the_first_pass() -> None:
    gated = need("hpsv3", is_first=True)
    assert placed(need("masc"), need("dift_sdxl"), gated) == ["masc hpsv3", "dift_sdxl"]
    with pytest.raises(CallError, match=r"^clip_i: asked for by own_pass=true, and gated"):
        placed(need("masc"), need("clip_i", own_pass=True, is_first=True), room=None)


@pytest.mark.parametrize(
    ("needs", "line"),
    [
        (
            [need("masc"), need("hpsv3")],
            "comparators.hpsv3.name_or_path=somewhere: cannot be loaded: its weights take 15.5 GB, "
            "and a worker's device has 16 GB; ",
        ),
        (
            [
                *(need("masc"), need("medium", own_pass=False), need("dreamsim", own_pass=False)),
                *(need("clip_i", is_first=True), need("dift_sdxl")),
            ],
            "masc (4.5 GB), medium (8 GB), dreamsim (1 GB), clip_i (0.6 GB): have to stand "
            "together, and a worker's device has 15 GB; ",
        ),
    ],
)
def test_what_fits_nowhere_is_refused(needs: list[Need], line: str) -> None:
    # 15.5 > 14.4; 4.5 + 8 + 1 + 0.6 = 14.1 > 13.5.
    room = 16 * GB if len(needs) == 2 else 15 * GB
    with pytest.raises(CallError, match=f"^{re.escape(line)}") as refused:
        passes_of(needs, room)
    assert "\n" not in str(refused.value)
