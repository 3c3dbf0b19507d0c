"""The way from a million images to a price: launch/README.md, SCALING.md and `jobs.plan` agree."""

from __future__ import annotations

import math
import re

import pytest

from jobs.pipeline.results.sample_size import Prices
from tests.launch.test_manifests import one
from tests.launch.validators import LAUNCH, read

MILLION = 1_000_000
SCALING = (LAUNCH / "SCALING.md").read_text()


def rows() -> list[list[str]]:
    text = (LAUNCH / "README.md").read_text()
    table = text[text.index("| precision | GPU |") :].split("\n\n")[0].splitlines()[2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in table]


def rate(precision: str, gpu: str) -> float:
    """Images a second, from SCALING.md's tables."""
    if gpu == "L4":
        [at_04] = re.findall(r"^\| L4 \| 121 TFLOP/s \|.* (\d+)/s \|$", SCALING, re.MULTILINE)
        return int(at_04) / (4 if precision == "float32" else 1)
    [job] = re.findall(r"^\| the job \| ([\d.]+)/s, [\d.]+ of it \| (\d+)/s", SCALING, re.MULTILINE)
    return math.floor(float(job[precision == "bfloat16"]))


@pytest.mark.parametrize("row", rows(), ids=lambda row: " ".join(row[:2]))
def test_a_row_is_what_the_arithmetic_of_plan_gives(row: list[str]) -> None:
    precision, gpu, told, hours, overnight, an_hour, dollars = row
    images_a_second = rate(precision, gpu)
    assert float(told) == images_a_second
    cost, price = re.fullmatch(r"([\d.]+) at ([\d.]+) an hour", dollars).groups()  # type: ignore[union-attr]
    prices = Prices(1 / images_a_second, float(price))
    gpu_seconds = prices.gpu_seconds(MILLION)
    assert gpu_seconds is not None
    assert f"{gpu_seconds / 3600:.1f}" == hours
    assert math.ceil(gpu_seconds / 3600 / 12) == int(overnight)
    assert math.ceil(gpu_seconds / 3600) == int(an_hour)
    assert f"{prices.dollars(MILLION):.2f}" == cost


def test_the_recipes_have_the_nodes_of_the_hour() -> None:
    """Six L4 in bfloat16; and two H100 where a recipe has them too."""
    sizes = {(row[0], row[1]): int(row[5]) for row in rows()}
    for name in ("gke", "eks"):
        [workers] = one(name, "RayJob")["spec"]["rayClusterSpec"]["workerGroupSpecs"]
        assert workers["replicas"] == workers["minReplicas"] == workers["maxReplicas"]
        assert workers["replicas"] == sizes["bfloat16", "L4"]
        conf = read(LAUNCH / "kubernetes" / name / "evaluate.conf.yaml")
        assert conf["encoder"]["dtype"] == "bfloat16"
    for name in ("aws", "gcp"):
        nodes = read(LAUNCH / f"{name}-cluster.yaml")["available_node_types"]
        assert nodes["l4"]["min_workers"] == sizes["bfloat16", "L4"]
        assert nodes["h100"]["max_workers"] == sizes["bfloat16", "H100"]
