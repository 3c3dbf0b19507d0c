"""The recipes in launch/ that call `jobs.nightly`: what they call, and what they make of it."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest
import yaml

from jobs.pipeline.command.call import parse
from jobs.pipeline.nightly_settings import NightlyConfig, check
from tests.faults.serving import QuietHandler, served

LAUNCH = Path(__file__).parents[1] / "launch"


def github() -> list[dict[str, Any]]:
    return yaml.safe_load((LAUNCH / "nightly.github.yaml").read_text())["jobs"]["judge"]["steps"]


def gitlab() -> dict[str, Any]:
    return yaml.safe_load((LAUNCH / "nightly.gitlab-ci.yaml").read_text())["masc-nightly"]


def scripts() -> dict[str, str]:
    [judge] = [step["run"] for step in github() if step.get("id") == "judge"]
    return {"github": judge, "gitlab": "\n".join(gitlab()["script"])}


def run(script: str, folder: Path, status: int, says: str | None, **variables: str) -> int:
    """The exit status of a recipe's script, where `masc-eval` exits with this one."""
    command = folder / "masc-eval"
    writes = f"mkdir -p night; echo '{says}' > night/night.md" if says else "true"
    command.write_text(f"#!/bin/sh\n{writes}\nexit {status}\n")
    command.chmod(0o755)
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}", **variables}
    shell = ["bash", "-eo", "pipefail", "-c", script]
    return subprocess.run(shell, cwd=folder, env=environment, check=False).returncode


@pytest.mark.parametrize("where", ["github", "gitlab"])
def test_what_a_recipe_calls_is_a_call(where: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(LAUNCH.parent)
    words = shlex.split(scripts()[where].replace("\\\n", " ").replace("status=0\n", ""))
    words = words[words.index("nightly") + 1 :]
    words = [word for word in words[: words.index("out=night") + 1] if word]
    config = parse(words, NightlyConfig)
    assert config.out == "night"
    assert check(config).pattern == "s3://bucket/checkpoints/{checkpoint}/*.tar"


@pytest.mark.parametrize(("status", "expected"), [(0, 0), (4, 4), (3, 3), (2, 2), (1, 1), (5, 0)])
def test_on_github_undecided_is_no_failure_and_the_page_has_the_night(
    tmp_path: Path, status: int, expected: int
) -> None:
    files = {name: str(tmp_path / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    assert run(scripts()["github"], tmp_path, status, "# step-2: same", **files) == expected
    assert Path(files["GITHUB_STEP_SUMMARY"]).read_text() == "# step-2: same\n"
    assert "has_judged=true" in Path(files["GITHUB_OUTPUT"]).read_text()


def test_on_github_a_call_that_was_wrong_leaves_nothing_to_show(tmp_path: Path) -> None:
    files = {name: str(tmp_path / name) for name in ("GITHUB_OUTPUT", "GITHUB_STEP_SUMMARY")}
    assert run(scripts()["github"], tmp_path, 1, None, **files) == 1
    assert "has_judged=false" in Path(files["GITHUB_OUTPUT"]).read_text()


def test_on_gitlab_the_status_goes_through_and_statuses_have_their_meaning(tmp_path: Path) -> None:
    assert run(scripts()["gitlab"], tmp_path, 4, None) == 4
    job = gitlab()
    assert job["allow_failure"] == {"exit_codes": [5]}
    assert job["retry"]["exit_codes"] == [3]
    assert job["artifacts"]["reports"]["junit"] == "night/junit.xml"


@pytest.mark.services
def test_on_gitlab_the_night_is_a_comment_at_the_commit(tmp_path: Path) -> None:
    heard: list[tuple[str, str, bytes]] = []

    class Handler(QuietHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            heard.append((self.path, self.headers["PRIVATE-TOKEN"], body))
            self.send_response(201)
            self.end_headers()

    [comment] = gitlab()["after_script"]
    (tmp_path / "night").mkdir()
    (tmp_path / "night" / "night.md").write_text("# step-2: same")
    with served(Handler) as port:
        variables = {"CI_API_V4_URL": f"http://127.0.0.1:{port}", "CI_PROJECT_ID": "7"}
        variables |= {"CI_COMMIT_SHA": "abc", "MASC_TOKEN": "token", "no_proxy": "127.0.0.1"}
        assert run(comment, tmp_path, 0, None, **variables) == 0
    [(path, token, body)] = heard
    assert (path, token) == ("/projects/7/repository/commits/abc/comments", "token")
    assert parse_qs(body.decode()) == {"note": ["# step-2: same"]}
