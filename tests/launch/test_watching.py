"""What `launch/watching/` shows and alerts about, by a real Prometheus that scrapes a real run."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import urllib.parse
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import ray
import yaml
from ray.cluster_utils import Cluster

from tests.driving import Evaluation, until, workers
from tests.programs import need_program
from tests.shards import Member, generation, reference, write_tar

pytestmark = pytest.mark.services

WATCHING = Path(__file__).parents[2] / "launch" / "watching"
DASHBOARD = json.loads((WATCHING / "grafana.json").read_text())
N_SHARDS = 40


@dataclass(frozen=True)
class Prometheus:
    """A server on loopback."""

    url: str

    def ask(self, expression: str) -> list[dict[str, Any]]:
        """The series of an expression now."""
        words = urllib.parse.urlencode({"query": expression})
        return self._get(f"query?{words}")["result"]

    def firing(self) -> set[str]:
        """Names of the alerts that fire."""
        return {
            each["labels"]["alertname"]
            for each in self._get("alerts")["alerts"]
            if each["state"] == "firing"
        }

    def _get(self, path: str) -> Any:
        with urllib.request.urlopen(f"{self.url}/api/v1/{path}", timeout=10) as answer:
            found = json.load(answer)
        assert found["status"] == "success"
        return found["data"]


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A node that tells its metrics twice a second, and not every ten seconds."""
    cluster = Cluster(
        initialize_head=True,
        head_node_args={
            "num_cpus": 2,
            "include_dashboard": False,
            "_system_config": {"metrics_report_interval_ms": 500},
        },
    )
    yield cluster
    cluster.shutdown()


@pytest.fixture(scope="module")
def prometheus(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Prometheus]:
    """By the project's own files, but for the times in them, and for where the nodes are."""
    program = need_program("prometheus")
    folder = tmp_path_factory.mktemp("prometheus")
    ray.init(cluster.address, logging_level="ERROR", log_to_driver=False)
    [node] = ray.nodes()
    ray.shutdown()
    config = yaml.safe_load((WATCHING / "prometheus.yaml").read_text())
    config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
    [scraped] = config["scrape_configs"]
    del scraped["file_sd_configs"]
    here = f"{node['NodeManagerAddress']}:{node['MetricsExportPort']}"
    scraped["static_configs"] = [{"targets": [here]}]
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config))
    rules = (WATCHING / "rules.yaml").read_text()
    quick = re.sub(r"for: \w+", "for: 1s", rules).replace("[10m]", "[5s]")
    (folder / "rules.yaml").write_text(quick)
    port = free_port()
    words = [
        *(program, f"--config.file={folder}/prometheus.yaml", f"--storage.tsdb.path={folder}/data"),
        f"--web.listen-address=127.0.0.1:{port}",
    ]
    with (folder / "log").open("w") as log:
        process = subprocess.Popen(words, stdout=log, stderr=log)
    try:
        server = Prometheus(f"http://127.0.0.1:{port}")
        until(lambda: is_up(server, process, folder / "log"), "Prometheus to answer")
        yield server
    finally:
        process.kill()
        process.wait()


def is_up(server: Prometheus, process: subprocess.Popen, log: Path) -> bool:
    assert process.poll() is None, log.read_text()
    try:
        return bool(server.ask("up == 1"))
    except OSError:
        return False


def expressions() -> Iterator[tuple[str, str]]:
    """Each panel's title, and an expression of it."""
    for panel in DASHBOARD["panels"]:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def asked_now(expression: str) -> str:
    """As Grafana asks it for all runs, over the seconds that a test has."""
    return re.sub(r"\[\d+m\]", "[20s]", expression.replace("$run", ".*"))


def test_every_panel_shows_a_run_and_an_alert_says_that_it_stalls(
    cluster: Cluster,
    prometheus: Prometheus,
    naflex_checkpoint: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("LOG_FORMAT", "json")
    write_tar(tmp_path / "references-0.tar", reference("cat/0", 1))
    for shard in range(N_SHARDS):
        members: list[Member] = []
        for i in range(4):
            members += generation(f"{shard}/{i}", 4 * shard + i)
        members += generation(f"{shard}/bad", shard)[::2]  # without a mask
        write_tar(tmp_path / f"generations-{shard:02d}.tar", members)
    words = [
        *(f"encoder.name_or_path={naflex_checkpoint}", "encoder.max_num_patches=1024"),
        *("workers.count=2", "workers.batch_size=1", f"ray.address={cluster.address}"),
    ]
    with Evaluation(tmp_path, *words) as evaluation:
        evaluation.until_parts(8)
        stopped = workers()
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            # Nodes tell their metrics when they come to it: what stands still arrives in the end.
            expected = {"MascStalled", "MascErrorRate"}
            until(lambda: expected <= prometheus.firing(), "both alerts")
            until(lambda: is_told(prometheus, tmp_path / "run"), "all that was done")
            assert "MascNobodyWorks" not in prometheus.firing()
            said = {title: prometheus.ask(asked_now(each)) for title, each in expressions()}
            assert [title for title, found in said.items() if not found] == []
            n_done = n_shards_done(tmp_path / "run")
            assert n_done >= 4
            assert_series_are_of(prometheus, str(tmp_path / "run"), n_done)
        finally:
            for pid in stopped:
                os.kill(pid, signal.SIGCONT)
        assert evaluation.ended() == 2, evaluation.stderr  # a fifth of the samples has no mask
    logged = [json.loads(line) for line in evaluation.stderr.splitlines() if line[0] == "{"]
    assert {each["run"] for each in logged} == {str(tmp_path / "run")}
    [first] = [each for each in logged if each["key"] == "0/bad"]
    assert first["shard"].startswith("generations-00")
    assert "the first: 0/bad: mask.png: missing" in first["message"]
    # What has ended is silent.
    until(lambda: "MascStalled" not in prometheus.firing(), "the end of the alert")


def n_shards_done(run: Path) -> int:
    """As the driver's own record has it."""
    return json.loads((run / "driver.json").read_text())["progress"]["n_shards_done"]


def is_told(prometheus: Prometheus, run: Path) -> bool:
    """Whether the server has heard of every shard that the driver's record has as done."""
    told = prometheus.ask('sum(ray_masc_shards{state="done"})')
    return bool(told) and float(told[0]["value"][1]) == n_shards_done(run)


def assert_series_are_of(prometheus: Prometheus, run: str, n_done: int) -> None:
    """The series are those of so many shards of four good samples and one without a mask."""

    def total(series: str) -> float:
        return sum(float(each["value"][1]) for each in prometheus.ask(series))

    assert total('ray_masc_samples_total{status="ok"}') == 4 * n_done
    assert total('ray_masc_samples_total{status="error"}') == n_done
    [errors] = prometheus.ask("sum by (run, kind) (ray_masc_errors_total)")
    assert errors["metric"] == {"run": run, "kind": "mask.png: missing"}
    assert float(errors["value"][1]) == n_done
    assert total("ray_masc_shard_seconds_count") == n_done
    assert total('ray_masc_shards{state="done"}') == n_done
    assert total("ray_masc_shards") == N_SHARDS
    for share in prometheus.ask("ray_masc_encoder_busy_share"):
        assert 0 < float(share["value"][1]) <= 1
        assert {"run", "node", "worker"} <= set(share["metric"])


def test_the_rules_are_rules() -> None:
    program = need_program("promtool")
    checked = subprocess.run(
        [program, "check", "rules", str(WATCHING / "rules.yaml")], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr
    assert "3 rules found" in checked.stdout
