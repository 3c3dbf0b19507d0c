"""A virtual environment for each system whose package asks for versions of its own."""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

log = logging.getLogger(__name__)

HERE = Path(__file__).parent
OURS = ("torch", "torchvision")
"""Packages that an environment has in the versions that we have ourselves, unless its requirements
name another: each is gigabytes, and the code of before runs on them."""


def python_of(name: str, folder: Path) -> Path:
    """The interpreter of a system's environment, which is built where it is not there as its
    requirements ask for it.

    Raises:
        CalledProcessError: pip cannot install it; it has said why.
    """
    folder = folder.absolute()
    environment, stamp = folder / name, folder / f"{name}.installed"
    python = environment / "bin" / "python"
    wanted = _requirements(name)
    if stamp.is_file() and stamp.read_text() == wanted and python.is_file():
        return python
    log.info("building the environment of %s in %s", name, environment)
    shutil.rmtree(environment, ignore_errors=True)
    stamp.unlink(missing_ok=True)
    folder.mkdir(parents=True, exist_ok=True)
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    constraints = folder / f"{name}.constraints"
    constraints.write_text(_constraints(wanted))
    pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    listed = HERE / f"{name}.txt"
    subprocess.run([*pip, "--constraint", constraints, "--requirement", listed], check=True)
    bare = HERE / f"{name}-no-deps.txt"
    if bare.is_file():
        subprocess.run([*pip, "--no-deps", "--requirement", bare], check=True)
    stamp.write_text(wanted)
    return python


def _requirements(name: str) -> str:
    files = (HERE / f"{name}.txt", HERE / f"{name}-no-deps.txt")
    return "".join(file.read_text() for file in files if file.is_file())


def _constraints(wanted: str) -> str:
    pinned = {line.partition("==")[0].strip() for line in wanted.splitlines() if "==" in line}
    own = [f"{name}=={version(name).partition('+')[0]}\n" for name in OURS if name not in pinned]
    return "".join(own)
