"""The shell of launch/ is good shell, and what it calls is a call."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from jobs.evaluate import EvaluateConfig
from jobs.pipeline.command.call import parse
from jobs.pipeline.nightly_settings import NightlyConfig
from jobs.pipeline.nightly_settings import check as check_night
from tests.launch.shell import cron_line, run, shell_of_manifests
from tests.launch.validators import LAUNCH, ROOT

pytestmark = pytest.mark.slow

SCRIPTS = ("on-nodes.sh", "ray-cluster.sh", "slurm.sbatch", "until-done.sh")
SHELLCHECK = Path(sys.prefix) / "bin" / "shellcheck"


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_is_good_shell(name: str) -> None:
    path = LAUNCH / name
    assert subprocess.run(["bash", "-n", path], check=False).returncode == 0
    checked = subprocess.run([SHELLCHECK, path], capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stdout


@pytest.mark.parametrize("name", shell_of_manifests())
def test_shell_in_a_manifest_is_good_shell(name: str) -> None:
    checked = subprocess.run(
        [SHELLCHECK, "--shell=sh" if name == "nightly.cron" else "--shell=bash", "-"],
        input=shell_of_manifests()[name],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout


def test_shellcheck_sees_a_fault() -> None:
    checked = subprocess.run(
        [SHELLCHECK, "--shell=bash", "-"],
        input="echo $1 | read x",
        text=True,
        capture_output=True,
        check=False,
    )
    assert checked.returncode != 0


def words_after(name: str, shell: str) -> list[str]:
    """The settings that `masc-eval NAME` or `python -m jobs.NAME` is given, within some shell."""
    words = shlex.split(shell.replace("\\\n", " "))
    at = max(i for i, word in enumerate(words) if word in (name, f"jobs.{name}"))
    return [word for word in words[at + 1 :] if "=" in word or word.endswith(".yaml")]


@pytest.mark.parametrize("name", ["skypilot.run", "aws-batch", "google-batch"])
def test_what_a_cloud_calls_is_a_call(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    shell = shell_of_manifests()[name]
    if name == "skypilot.run":
        [shell] = re.findall(r"masc-eval evaluate .*?(?= \|\|)", shell, re.DOTALL)
    words = [word for word in words_after("evaluate", shell) if not word.startswith("status=")]
    config = parse(words, EvaluateConfig)
    assert config.metric.min_fg_fraction == 0.05
    assert config.run
    assert config.samples
    assert config.references
    if name != "skypilot.run":
        # The run that on-nodes judges by is the one that is written.
        assert f"on-nodes {config.run} " in shell


@pytest.mark.parametrize("cloud", ["gke", "eks"])
def test_what_kubernetes_calls_is_a_call(cloud: str) -> None:
    folder = LAUNCH / "kubernetes" / cloud
    config = parse([str(folder / "evaluate.conf.yaml")], EvaluateConfig)
    scheme = {"gke": "gs", "eks": "s3"}[cloud]
    assert config.run == f"{scheme}://BUCKET/runs/first"
    night = parse([str(folder / "nightly.conf.yaml")], NightlyConfig)
    assert night.inbox == f"{scheme}://BUCKET/checkpoints/{{checkpoint}}/*.tar"
    if cloud == "eks":  # Google's driver is not among what tests need
        assert check_night(night).pattern == night.inbox
    assert config.metric.min_fg_fraction == night.metric.min_fg_fraction == 0.05


def test_what_cron_calls_is_a_call(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    variables, command = cron_line()
    for name, value in variables.items():
        command = command.replace(f"${name}", value)
    night = parse(words_after("nightly", command), NightlyConfig)
    assert check_night(night).pattern == variables["INBOX"]
    assert night.home == variables["NIGHTS"]


@pytest.mark.parametrize("goal", ["evaluate", "dry-run"])
def test_what_make_calls_is_a_call(goal: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    said = run(["make", "--dry-run", "--file", LAUNCH / "laptop.mk", goal, "RUN=runs/second"], ROOT)
    assert said.returncode == 0, said.stderr
    config = parse(words_after("evaluate", said.stdout), EvaluateConfig)
    assert config.run == "runs/second"
    assert config.dry_run is (goal == "dry-run")


@pytest.mark.parametrize(
    "name",
    [
        *("laptop.mk", "ray-cluster.sh", "slurm.sbatch", "nightly.cron", "skypilot.yaml"),
        *("aws-cluster.yaml", "gcp-cluster.yaml", "nightly.github.yaml", "nightly.gitlab-ci.yaml"),
        *("kubernetes/gke/kustomization.yaml", "kubernetes/eks/kustomization.yaml"),
    ],
)
def test_a_recipe_marks_the_three_places_to_change_and_is_read_in_a_minute(name: str) -> None:
    text = (LAUNCH / name).read_text()
    assert all(text.count(f"({place})") >= 2 for place in (1, 2, 3)) or "kubernetes" in name
    assert all(f"({place})" in text for place in (1, 2, 3))
    assert len(text.splitlines()) <= 80


@pytest.mark.parametrize("name", ["aws-batch.json", "google-batch.json"])
def test_json_has_words_to_change(name: str) -> None:
    text = (LAUNCH / name).read_text()
    for word in ("OWNER", "BUCKET", "PROJECT" if "google" in name else "ACCOUNT"):
        assert word in text
