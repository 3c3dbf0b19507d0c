"""The check of alpha's formula: the table that DreamBench++ publishes of its own ratings.

Table 3 of arXiv 2406.16855, concept preservation; by method the alpha of people with one another
(H-H), of DINO with people (D-H) and of CLIP-I with people (C-H).
"""

from __future__ import annotations

from dataclasses import dataclass

from jobs.pipeline.errors import CallError
from jobs.pipeline.results.agreement.agreeing import Section

TOLERANCE = 0.02
PEOPLE = "H-H"
ROWS = {"D-H": "dino_i (shipped)", "C-H": "clip_i (shipped)"}
TABLE_3 = {
    "textual_inversion_sd": {"H-H": 0.685, "D-H": 0.262, "C-H": -0.030},
    "dreambooth_sd": {"H-H": 0.647, "D-H": 0.408, "C-H": 0.229},
    "dreambooth_lora_sdxl": {"H-H": 0.656, "D-H": 0.371, "C-H": 0.321},
    "blip_diffusion": {"H-H": 0.613, "D-H": -0.078, "C-H": -0.186},
    "emu2": {"H-H": 0.746, "D-H": 0.518, "C-H": 0.258},
    "ip_adapter_plus_vit_h_sdxl": {"H-H": 0.602, "D-H": -0.141, "C-H": -0.150},
    "ip_adapter_vit_g_sdxl": {"H-H": 0.591, "D-H": -0.073, "C-H": -0.212},
}


@dataclass(frozen=True)
class Checked:
    """One cell of the table."""

    model: str
    pair: str
    """As the table calls it."""
    ours: float
    published: float

    @property
    def difference(self) -> float:
        """NaN where ours is undefined."""
        return self.ours - self.published


def check(section: Section, named: str) -> list[Checked]:
    """Every cell of the table.

    Args:
        section: CP of the shipped ratings, with the rows of CLIP-I and DINO.
        named: where the ratings come from, for messages.

    Raises:
        CallError: a method or a row of the table is not there.
    """
    rows = {row.name: row for row in section.rows}
    for name in ROWS.values():
        if name not in rows:
            raise CallError(f"{named}: no ratings of {name.removesuffix(' (shipped)')}")
    found = []
    for model, cells in TABLE_3.items():
        if model not in section.people_per_model:
            raise CallError(f"{named}: no ratings of {model} by both groups, CLIP-I and DINO")
        ours = {PEOPLE: section.people_per_model[model].alpha}
        ours |= {pair: rows[name].per_model[model].alpha for pair, name in ROWS.items()}
        found += [Checked(model, pair, ours[pair], cells[pair]) for pair in cells]
    return found
