"""What is installed: a wheel that holds what it should, and works where no checkout is."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import masc_core
from jobs.pipeline.command.call import parse
from jobs.pipeline.errors import CallError
from jobs.pipeline.evaluation import EvaluateConfig

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]

PACKAGES = ("jobs", "masc_core")

NOT_INSTALLED = {"jobs/README.md", "jobs/conf/README.md"}
"""These are for who reads the source."""

MOST_BYTES = 6_000_000
"""3.5 MB of it are the demo's encoder."""


def files_below(folder: Path) -> set[str]:
    """By their paths from the folder's parent; links are followed."""
    return {
        str((Path(place) / name).relative_to(folder.parent))
        for place, _, names in os.walk(folder, followlinks=True)
        for name in names
        if not place.endswith("__pycache__")
    }


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy, so that nothing is left in the checkout, nor taken from an old build."""
    folder = tmp_path_factory.mktemp("wheel")
    for name in ("jobs", "masc_core", "conf"):
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / name, folder / name, symlinks=True, ignore=ignored)
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, folder)
    build = "from setuptools import build_meta; build_meta.build_wheel('.')"
    words = [sys.executable, "-c", build]
    subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True)
    [built] = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


def test_the_wheel_holds_the_packages_and_the_recipes_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}
    expected = set.union(*(files_below(ROOT / package) for package in PACKAGES)) - NOT_INSTALLED
    assert held == expected
    assert {"jobs/conf/masc.yaml", "jobs/py.typed", "masc_core/py.typed"} <= held
    recipes = {name.removeprefix("jobs/") for name in held if name.startswith("jobs/conf/")}
    assert recipes == {name for name in files_below(ROOT / "conf") if name.endswith(".yaml")}
    assert wheel.stat().st_size < MOST_BYTES


def test_a_recipe_needs_no_checkout(installed: Path, tmp_path: Path) -> None:
    code = """
import sys, jobs
from jobs.__main__ import main
assert jobs.__file__.startswith(sys.argv.pop()), jobs.__file__
sys.exit(main())
"""
    found = os.pathsep.join(filter(None, [str(installed), os.environ.get("PYTHONPATH")]))
    words = [sys.executable, "-c", code, "reduce", "conf/masc.yaml", str(installed)]
    environment = {**os.environ, "PYTHONPATH": found}
    done = subprocess.run(
        words, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    # It was read: the recipe is of jobs.evaluate, which takes longer to be imported.
    assert "conf/masc.yaml: unknown setting 'encoder.name_or_path'" in done.stderr


def test_a_recipe_of_the_package_is_found_anywhere_and_ones_own_comes_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert parse(["conf/masc.yaml", "run=x"], EvaluateConfig).metric.min_fg_fraction == 0.05
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / "masc.yaml").write_text("metric: {min_fg_fraction: 0.2}")
    assert parse(["conf/masc.yaml", "run=x"], EvaluateConfig).metric.min_fg_fraction == 0.2


@pytest.mark.parametrize("word", ["masc.yaml", "conf/none.yaml", "pipeline/conf.yaml"])
def test_nothing_else_of_the_package_is_a_recipe(
    word: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CallError, match=f"{word}: no such configuration file"):
        parse([word, "run=x"], EvaluateConfig)


def test_the_public_names_are_in_one_place() -> None:
    assert masc_core.__all__ == sorted(masc_core.__all__)
    assert set(masc_core.__all__) <= set(dir(masc_core))
    for name in masc_core.__all__:
        assert getattr(masc_core, name).__name__ == name
        assert getattr(masc_core, name).__module__.startswith("masc_core.")
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = masc_core.nothing  # type: ignore[attr-defined]


def test_the_metrics_package_is_imported_at_once_and_without_torch() -> None:
    code = """
import json, sys, time
before = time.process_time()
import masc_core
dir(masc_core)
print(json.dumps([time.process_time() - before, sorted(sys.modules)]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    seconds, modules = json.loads(done.stdout)
    assert seconds < 0.2
    assert not {"torch", "numpy", "transformers"} & set(modules)
