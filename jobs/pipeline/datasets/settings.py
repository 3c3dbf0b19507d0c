"""Where a data set lies and how it is to be read: typed, each default once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields

from jobs.pipeline.command.settings import help_of, setting, table
from jobs.pipeline.datasets.entries import Contents
from jobs.pipeline.errors import CallError

COLUMN = "hf: the column of {}; null: `{}` where there is one"


@dataclass
class DatasetConfig:
    """Each kind of data set reads some of these, and the others are refused."""

    manifest: str | None = setting(
        None, "for kind=manifest: FILE.csv, .jsonl or .parquet with a row an image"
    )
    source: str | None = setting(
        None, "for the other kinds: a directory; hf: Parquet (URLs, globs), or a name on the hub"
    )
    masks: str | None = setting(
        None, "dreambenchplus: directory with refs/ and samples/; null: SOURCE/masks if it is there"
    )
    methods: list[str] = setting([], "dreambenchplus: short names of methods; none means all")
    subset: str | None = setting(None, "hf: configuration of a data set on the hub")
    split: str = setting("train", "hf: split of a data set on the hub")
    image: str | None = setting(None, COLUMN.format("images", "image"))
    mask: str | None = setting(None, COLUMN.format("masks, which are images too", "mask"))
    key: str | None = setting(None, COLUMN.format("names of samples", "key"))
    role: str | None = setting(None, COLUMN.format("roles, generation or reference", "role"))
    model: str | None = setting(None, COLUMN.format("what is being evaluated", "model"))
    concept: str | None = setting(None, COLUMN.format("ids of concepts", "concept"))
    prompt: str | None = setting(None, COLUMN.format("prompts", "prompt"))
    subject: str | None = setting(None, COLUMN.format("nouns that name concepts", "subject"))
    prompt_id: str | None = setting(None, COLUMN.format("ids of prompts", "prompt_id"))
    seed: str | None = setting(None, COLUMN.format("seeds", "seed"))
    references: str | None = setting(None, COLUMN.format("keys of references", "references"))
    values: dict[str, str] = table("hf: what all rows share, as in values.model=mine")
    upright: bool = setting(False, "turn images by their EXIF orientation, as their masks are")


COMMON = ("upright",)
"""Settings that every kind of data set reads."""


@dataclass(frozen=True)
class Dataset:
    """A kind of data set that can be packed."""

    read: Callable[[DatasetConfig], Contents]
    """Raises a `CallError` for what is not of this kind."""
    needs: str
    """The setting that it cannot do without."""
    takes: tuple[str, ...] = ()
    """Further settings that it reads."""

    def check(self, kind: str, config: DatasetConfig) -> None:
        """Refuse a call that leaves out what is needed, or gives what would not be read.

        Raises:
            CallError: naming the setting.
        """
        known = (self.needs, *self.takes, *COMMON)
        defaults = DatasetConfig()
        for each in fields(DatasetConfig):
            if each.name not in known and getattr(config, each.name) != getattr(
                defaults, each.name
            ):
                raise CallError(
                    f"{each.name}=: is no setting of kind={kind}, which has {', '.join(known)}"
                )
        if not getattr(config, self.needs):
            [needed] = (each for each in fields(DatasetConfig) if each.name == self.needs)
            raise CallError(f"{self.needs}= is required: {help_of(needed)} (see --help)")
