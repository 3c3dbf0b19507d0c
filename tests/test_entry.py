"""`masc-eval`, and `python -m jobs`: what there is, and the way to each command."""

from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.commands import Run, command

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[1]

COMMANDS = sorted(
    [path.stem for path in (ROOT / "jobs").glob("*.py") if not path.stem.startswith("__")]
    + [path.parent.name for path in (ROOT / "jobs").glob("*/__main__.py")]
)


def entry(*words: str) -> Run:
    """`masc-eval WORDS` by the function that pyproject.toml names for it."""
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]
    module, _, function = scripts["masc-eval"].partition(":")
    code = f"import sys; from {module} import {function}; sys.exit({function}())"
    return subprocess.run(
        [sys.executable, "-c", code, *words], capture_output=True, text=True, check=False
    )


def module(*words: str) -> Run:
    return command("__main__", *words)


@pytest.mark.parametrize("call", [entry, module])
@pytest.mark.parametrize("words", [[], ["--help"]])
def test_alone_it_lists_the_commands_a_line_each(
    call: Callable[..., Run], words: list[str]
) -> None:
    done = call(*words)
    assert (done.returncode, done.stderr) == (0, "")
    listed = [line.split(maxsplit=1) for line in done.stdout.splitlines() if "  " in line]
    assert [name for name, _ in listed] == [*COMMANDS, "version"]
    assert all(not text.startswith("`") and len(text) > 20 for _, text in listed)


@pytest.mark.parametrize(
    "code",
    [
        "import jobs",
        "from jobs.__main__ import main; main()",
        "from jobs.__main__ import main; sys.argv.append('--help'); main()",
        "from jobs.__main__ import main; sys.argv.append('version'); main()",
        "from jobs.__main__ import main; sys.argv.append('nothing'); main()",
    ],
)
def test_what_there_is_is_said_without_torch_or_ray(code: str) -> None:
    report = "import json; print(json.dumps(sorted(sys.modules)), file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; {code}; {report}"],
        capture_output=True,
        text=True,
        check=True,
    )
    loaded = json.loads(done.stderr.splitlines()[-1])
    assert "jobs" in loaded
    assert not {"ray", "torch", "masc_core"} & set(loaded)


def test_commands_begin_without_torch_which_is_their_workers() -> None:
    names = ", ".join(f"jobs.{name}" for name in COMMANDS if "demo" not in name)
    code = f"import sys, {names}; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize("words", [["--help"], ["rnu=/there", "--json"]])
def test_the_words_after_its_name_are_the_commands(words: list[str]) -> None:
    runs = [command("reduce", *words), entry("reduce", *words), module("reduce", *words)]
    outcomes = [(run.returncode, run.stdout, run.stderr) for run in runs]
    assert outcomes[0] == outcomes[1] == outcomes[2]
    assert outcomes[0][0] == (0 if words == ["--help"] else 1)


@pytest.mark.parametrize(
    ("word", "line"),
    [
        ("evalute", "unknown command 'evalute'; did you mean 'evaluate'?"),
        ("render-demo", "unknown command 'render-demo'; did you mean 'render_demo'?"),
        ("versions", "unknown command 'versions'; did you mean 'version'?"),
        ("\x1b[2Jpack", r"unknown command '\x1b[2Jpack'; did you mean 'pack'?"),
        ("run=s3://id:secret@bucket/x", "unknown command 'run=s3://bucket/x'; did you mean "),
        ("pipeline", "unknown command 'pipeline'; did you mean "),
        ("../evil", "unknown command '../evil'; did you mean "),
    ],
)
def test_an_unknown_command_is_one_line_that_names_the_nearest(word: str, line: str) -> None:
    done = entry(word)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"masc-eval: {line}")
    assert done.stderr.count("\n") == 1


def test_version_names_what_the_scores_depend_on() -> None:
    done = entry("version")
    assert done.returncode == 0
    named = dict(line.split() for line in done.stdout.splitlines())
    assert list(named) == ["masc-eval", "torch", "transformers", "ray", "python"]
    assert named["torch"] == importlib.metadata.version("torch")
    assert named["python"] == sys.version.split()[0]
