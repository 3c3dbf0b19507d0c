"""What is missing in CI is an error there, and no test that nobody misses."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.programs import need_program

ROOT = Path(__file__).parents[1]


def test_a_program_that_is_there_is_named_by_its_path() -> None:
    assert os.access(need_program("git"), os.X_OK)


def test_without_a_program_a_test_is_skipped_and_fails_in_ci(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="no program git"):
        need_program("git")
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"no program git: \.ci/packages\.txt"):
        need_program("git")


@pytest.mark.parametrize(
    ("listed", "installed"),
    [("present\nmissing # why\n\nabsent\n", "missing absent"), ("present\n", ""), ("# none\n", "")],
)
def test_ci_installs_the_packages_that_are_missing(
    listed: str, installed: str, tmp_path: Path
) -> None:
    """With programs in Debian's place that note what they are asked for."""
    (tmp_path / ".ci").mkdir()
    (tmp_path / ".ci" / "run").write_text((ROOT / ".ci" / "run").read_text())
    (tmp_path / ".ci" / "packages.txt").write_text(listed)
    programs = {
        "dpkg-query": 'case "$*" in *present*) echo installed ;; *) exit 1 ;; esac',
        "apt-get": f'echo "$@" >> {tmp_path}/asked',
        "make": f"echo made >> {tmp_path}/asked",
    }
    for name, script in programs.items():
        program = tmp_path / "bin" / name
        program.parent.mkdir(exist_ok=True)
        program.write_text(f"#!/bin/sh\n{script}\n")
        program.chmod(0o755)
    subprocess.run(
        [need_program("bash"), ".ci/run"],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"},
        check=True,
    )
    asked = (tmp_path / "asked").read_text().splitlines()
    assert asked.pop() == "made"
    assert bool(asked) == bool(installed)
    if installed:
        update, install = asked
        assert update.split()[0] == "update"
        assert install.split()[0] == "install"
        assert install.endswith(f" {installed}")
