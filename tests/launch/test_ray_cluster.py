"""The Ray cluster recipe: a real head, dashboard and Jobs API, with the token on."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from tests.commands import description_of, rows_of
from tests.launch.namespaces import NAMESPACE, free_ports, need_namespace
from tests.launch.samples import write_samples
from tests.launch.validators import ROOT


@pytest.mark.services
@pytest.mark.slow
def test_a_run_is_submitted_to_a_cluster_that_asks_for_its_token(
    short_folder: Path, naflex_checkpoint: Path
) -> None:
    need_namespace("curl", "ss")
    keys = write_samples(short_folder, 2)
    run = short_folder / "run"
    port, dashboard = free_ports(2)
    ended = subprocess.run(
        [
            *NAMESPACE,
            Path(__file__).parent / "submitted.sh",
            short_folder,
            f"run={run}",
            f"samples={short_folder}/generations-*.tar",
            f"references={short_folder}/references-0.tar",
            f"encoder.name_or_path={naflex_checkpoint}",
        ],
        cwd=ROOT,
        env={
            **os.environ,
            "MASC_VENV": sys.prefix,
            "MASC_PORT": str(port),
            "MASC_DASHBOARD_PORT": str(dashboard),
            "RAY_TMPDIR": str(short_folder),
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        timeout=500,
        check=False,
    )
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "succeeded" in (short_folder / "submitted").read_text()
    assert (short_folder / "without-token").read_text() == "401"
    assert (short_folder / "with-token").read_text() == "200"
    [listening] = (short_folder / "listening").read_text().splitlines()
    assert f"127.0.0.1:{dashboard}" in listening
    assert description_of(run)["state"] == "done"
    assert Counter(row["key"] for row in rows_of(run)) == keys
