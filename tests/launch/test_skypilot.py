"""SkyPilot reads its recipe, from an environment of its own: it asks for other versions."""

from __future__ import annotations

import json
import os
import subprocess

import pytest
import yaml

from tests.launch.validators import LAUNCH, misspelt, read

# One process for all: to import SkyPilot takes seconds.
PROGRAM = """
import json, sys, yaml
import sky
said = []
for text in json.load(sys.stdin):
    try:
        task = sky.Task.from_yaml_config(yaml.safe_load(text))
        said.append([None, len(task.resources), all(each.use_spot for each in task.resources)])
    except Exception as error:
        said.append([f"{type(error).__name__}: {error}", 0, False])
json.dump(said, sys.stdout)
"""


def test_sky_takes_the_recipe_and_no_misspelt_field() -> None:
    python = os.environ.get("MASC_SKY")
    if not python:
        pytest.skip("SkyPilot does not go together with our versions: make launch-check")
    recipe = read(LAUNCH / "skypilot.yaml")
    secrets = dict.fromkeys(recipe["secrets"], "x")
    named = {"as it is": {**recipe, "secrets": secrets}}
    named |= dict(misspelt(named["as it is"]))
    named |= dict(misspelt(named["as it is"], "resources"))
    done = subprocess.run(
        [python, "-c", PROGRAM],
        input=json.dumps([yaml.safe_dump(each) for each in named.values()]),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = dict(zip(named, json.loads(done.stdout), strict=True))
    assert said.pop("as it is") == [None, 2, True]
    assert len(said) == len(recipe) + len(recipe["resources"])
    assert not [name for name, (error, *_) in said.items() if error is None]
