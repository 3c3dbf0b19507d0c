"""`python -m jobs.pack`: makes WebDataset shards from images that lie in folders."""

from __future__ import annotations

import sys

if __name__ == "__main__":
    # Before the imports that take seconds.
    from jobs.pipeline.command.interrupts import exit_at_interrupt, run_main

    exit_at_interrupt()

import json
from dataclasses import asdict

from jobs.pipeline.command.call import run_command
from jobs.pipeline.command.exit_status import EXIT_DONE
from jobs.pipeline.packing import PackConfig, pack
from jobs.pipeline.storage.redaction import redact


def pack_shards(config: PackConfig, as_json: bool) -> int:
    """Make shards from images and what is known of them.

    kind=manifest: `manifest=` has a row an image, with the columns image, mask, model, concept,
    prompt, subject, prompt_id, seed, references and role (generation or reference; generation when
    there is no such column). Paths are relative to the manifest. `references`, a list or a text
    with semicolons, names keys or images of references. Further columns are carried along; a
    column `key` names the sample, else its image's path does.

    kind=dreambenchplus, kind=orida: trees as those data sets ship. kind=pairs: SOURCE/SUBJECT/*.jpg
    as pairs of one subject and of two. kind=hf: a table with columns of images. What these lack is
    counted by cause, and the first few are named.

    Without a mask, `jobs.segment` makes one. Images and masks are stored as they are; but 16 bits
    of grey become 8, masks become PNG, and upright=true turns photos (JPEGs are coded anew).
    """
    packed = pack(config)
    redacted = redact(config.out)
    if as_json:
        written = {name: asdict(each) for name, each in packed.written.items()}
        notes = {note.name.lower(): count for note, count in packed.notes.items()}
        said = {"notes": notes, "missing": packed.missing.documents()}
        sys.stdout.write(json.dumps({"out": redacted, **written, **said}) + "\n")
    else:
        sys.stdout.write(f"{redacted}\n")
    return EXIT_DONE


def main() -> int:
    """The command line."""
    return run_command("pack", PackConfig, pack_shards, sys.argv[1:])


if __name__ == "__main__":
    sys.exit(run_main(main))
