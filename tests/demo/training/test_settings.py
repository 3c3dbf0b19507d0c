"""The settings of a training: what is refused, and how it is said."""

from __future__ import annotations

import pytest

from jobs.demo.training.settings import TrainingConfig
from jobs.pipeline.errors import CallError


def test_the_defaults_are_a_training() -> None:
    TrainingConfig().check()


@pytest.mark.parametrize(
    ("name", "value", "allowed"),
    [
        ("seed", -1, "from 0 to"),
        ("steps", 0, "from 1 to 1e+06"),
        ("pairs", 721, "from 2 to 720"),
        ("individuals", 0, "from 1 to 100"),
        ("scenes", 25, "from 2 to 24"),
        ("drop_subject", 1.5, "from 0 to 1"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_is_allowed(
    name: str, value: float, allowed: str
) -> None:
    with pytest.raises(CallError) as refused:
        TrainingConfig(**{name: value}).check()
    assert str(refused.value).startswith(f"training.{name}={value}: must be {allowed}")


def test_captions_cannot_drop_more_than_all() -> None:
    TrainingConfig(drop_subject=0.6, drop_scene=0.4).check()
    with pytest.raises(CallError, match=r"drop_scene=0\.5: must be from 0 to 0\.4"):
        TrainingConfig(drop_subject=0.6, drop_scene=0.5).check()
