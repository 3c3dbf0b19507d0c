"""The Dockerfile, read; and as a program, its installation in a clean environment.

`python -m tests.launch.dockerfile` copies what the image is built from into an empty folder, and
installs it there as the image for GPUs does: all but the base, which cannot be pulled everywhere.
Minutes, and some gigabytes.
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
COMMANDS = ([], ["evaluate", "--help"], ["status", "--help"])


def instructions() -> Iterator[tuple[str, str]]:
    """Each instruction's name, and the rest of it."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    for line in text.replace("\\\n", " ").splitlines():
        if line.strip():
            name, _, rest = line.partition(" ")
            yield name, rest.strip()


def copied() -> list[str]:
    """What is copied from the project, each once."""
    sources: dict[str, None] = {}
    for name, rest in instructions():
        words = [word for word in rest.split() if not word.startswith("--")]
        if name == "COPY" and "--from=" not in rest:
            sources |= dict.fromkeys(words[:-1])
    return list(sources)


def pip_words() -> Iterator[list[str]]:
    """The words after `pip install`, of each call."""
    for name, rest in instructions():
        if name == "RUN":
            for call in re.findall(r"pip install (.*?)(?= && |$)", rest):
                yield shlex.split(call)


def main() -> int:
    """Install as the default image does, and call what it is for."""
    *_, words = pip_words()
    with tempfile.TemporaryDirectory() as folder:
        context, environment = Path(folder) / "context", Path(folder) / "environment"
        for source in copied():
            place = context / source
            place.parent.mkdir(parents=True, exist_ok=True)
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, place, symlinks=True)
            else:
                shutil.copy(ROOT / source, place)
        subprocess.run([sys.executable, "-m", "venv", environment], check=True)
        python = environment / "bin" / "python"
        subprocess.run([python, "-m", "pip", "install", "--quiet", *words], cwd=context, check=True)
        shutil.rmtree(context)  # what is installed must not need it
        context.mkdir()
        for command in COMMANDS:
            called = [environment / "bin" / "masc-eval", *command]
            subprocess.run(called, cwd=context, check=True, stdout=subprocess.DEVNULL)
        subprocess.run([environment / "bin" / "ray", "--version"], check=True)
    sys.stdout.write("the image's installation works\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
