"""Shell in launch/, and stand-ins for what it calls."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path

from tests.launch.validators import LAUNCH, ROOT, read


def put(folder: Path, name: str, script: str) -> None:
    """A stand-in for a program."""
    folder.mkdir(exist_ok=True)
    path = folder / name
    path.write_text(f"#!/usr/bin/env bash\n{script}\n")
    path.chmod(0o755)


def run(
    words: list[str | Path], folder: Path, **variables: str
) -> subprocess.CompletedProcess[str]:
    """With the stand-ins of `folder/bin` before all else."""
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    return subprocess.run(
        [*map(str, words)],
        cwd=ROOT,
        env={
            **os.environ,
            "PATH": path,
            "TMPDIR": str(folder),
            "LOG": str(folder / "log"),
            **variables,
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def cron_line() -> tuple[dict[str, str], str]:
    """The variables of the crontab, and the command of its one entry."""
    variables, commands = {}, []
    for line in (LAUNCH / "nightly.cron").read_text().splitlines():
        if match := re.fullmatch(r"([A-Z_]+)=(.*)", line):
            variables[match[1]] = match[2]
        elif line and not line.startswith("#"):
            # As cron reads it: five fields of time, and % would be a line's end.
            fields = line.split(maxsplit=5)
            assert re.fullmatch(r"[\d*/,-]+( [\d*/,-]+){4}", " ".join(fields[:5]))
            assert "%" not in fields[5]
            commands.append(fields[5])
    [command] = commands
    return variables, command


def shell_of_manifests() -> Mapping[str, str]:
    """Shell that stands in other files."""
    sky = read(LAUNCH / "skypilot.yaml")
    [ranges] = read(LAUNCH / "aws-batch.json")["nodeProperties"]["nodeRangeProperties"]
    [group] = read(LAUNCH / "google-batch.json")["taskGroups"]
    [google] = group["taskSpec"]["runnables"]
    return {
        "skypilot.setup": sky["setup"],
        "skypilot.run": sky["run"],
        "aws-batch": ranges["container"]["command"][2],
        "google-batch": google["container"]["commands"][1],
        "nightly.cron": cron_line()[1],
    }
