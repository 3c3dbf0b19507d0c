"""Every manifest in launch/ is valid, by a validator that sees a misspelt field."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache

import pytest
import yaml

from tests.launch import validators
from tests.launch.validators import LAUNCH, ROOT, Manifest, Problems, misspelt, read

pytestmark = pytest.mark.slow

KUSTOMIZED = ("gke", "eks", "raycronjob")
KINDS = ("ServiceAccount", "NetworkPolicy", "ConfigMap", "CronJob", "RayJob", "RayCronJob")
ONE_EACH = {
    "aws-batch.json": validators.of_aws_batch,
    "google-batch.json": validators.of_google_batch,
    "aws-cluster.yaml": validators.of_ray_launcher,
    "gcp-cluster.yaml": validators.of_ray_launcher,
    "nightly.github.yaml": validators.of_github,
    "../.github/workflows/release.yaml": validators.of_github,
}


@cache
def kustomized(name: str) -> tuple[Manifest, ...]:
    kubectl = shutil.which("kubectl")
    if kubectl is None:
        pytest.skip("no program kubectl, whose kustomize builds the overlays")
    built = subprocess.run(
        [kubectl, "kustomize", LAUNCH / "kubernetes" / name],
        capture_output=True,
        text=True,
        env={**os.environ, "KUBECONFIG": os.devnull},
        check=False,
    )
    assert built.returncode == 0, built.stderr
    return tuple(yaml.safe_load_all(built.stdout))


def one(name: str, kind: str) -> Manifest:
    [found] = [each for each in kustomized(name) if each["kind"] == kind]
    return found


def assert_each_misspelling_is_seen(problems: Problems, manifest: Manifest, *within: str) -> None:
    overlooked = [name for name, other in misspelt(manifest, *within) if not problems(other)]
    assert not overlooked


@pytest.mark.parametrize("name", ONE_EACH)
def test_a_manifest_is_valid_and_with_any_top_field_misspelt_it_is_not(name: str) -> None:
    manifest, problems = read(LAUNCH / name), ONE_EACH[name]
    assert problems(manifest) == []
    assert_each_misspelling_is_seen(problems, manifest)


def test_a_gitlab_job_is_valid_and_with_any_field_misspelt_it_is_not() -> None:
    manifest = read(LAUNCH / "nightly.gitlab-ci.yaml")
    assert validators.of_gitlab(manifest) == []
    assert_each_misspelling_is_seen(validators.of_gitlab, manifest, "masc-nightly")


@pytest.mark.parametrize("name", KUSTOMIZED)
def test_what_kustomize_builds_is_valid(name: str) -> None:
    for manifest in kustomized(name):
        assert validators.of_kubernetes(manifest) == [], manifest["kind"]


@pytest.mark.parametrize("kind", KINDS)
def test_with_any_field_misspelt_a_kind_is_not_valid(kind: str) -> None:
    manifest = one("raycronjob" if kind == "RayCronJob" else "gke", kind)
    assert_each_misspelling_is_seen(validators.of_kubernetes, manifest)
    if "spec" in manifest:
        assert_each_misspelling_is_seen(validators.of_kubernetes, manifest, "spec")


def test_no_kind_is_left_out() -> None:
    assert {each["kind"] for name in KUSTOMIZED for each in kustomized(name)} == set(KINDS)


@pytest.mark.parametrize(
    "within", [("spec", "rayClusterSpec"), ("spec", "rayClusterSpec", "authOptions")]
)
def test_the_schema_of_a_ray_job_is_strict_all_the_way_down(within: tuple[str, ...]) -> None:
    assert_each_misspelling_is_seen(validators.of_kubernetes, one("gke", "RayJob"), *within)


@pytest.mark.parametrize("within", [("nodeProperties",), ("retryStrategy",)])
def test_the_shape_of_aws_batch_is_strict_all_the_way_down(within: tuple[str, ...]) -> None:
    manifest = read(LAUNCH / "aws-batch.json")
    assert_each_misspelling_is_seen(validators.of_aws_batch, manifest, *within)


def test_nodes_of_aws_are_as_ec2_has_them() -> None:
    for node in read(LAUNCH / "aws-cluster.yaml")["available_node_types"].values():
        config = node["node_config"]
        assert validators.of_aws_instance(config) == []
        assert_each_misspelling_is_seen(validators.of_aws_instance, config)


@pytest.mark.parametrize("cloud", ["aws", "gcp"])
def test_ray_launcher_takes_a_cluster_and_knows_its_node_types(cloud: str) -> None:
    from ray.autoscaler._private.util import prepare_config, validate_config

    cluster = prepare_config(read(LAUNCH / f"{cloud}-cluster.yaml"))
    validate_config(cluster)
    workers = cluster["available_node_types"]
    assert sum(workers[name]["min_workers"] for name in ("l4", "h100")) <= cluster["max_workers"]
    with pytest.raises(ValueError):
        validate_config({**cluster, "head_node_type": "heat"})


# ------------------------------------------------------------------ what the statuses lead to

RETRIED, NOT_RETRIED = (3, 137, 143), (1, 2, 4, 5)


@pytest.mark.parametrize("name", ["gke", "eks"])
def test_kubernetes_retries_what_was_not_done_and_nothing_else(name: str) -> None:
    job = one(name, "CronJob")["spec"]["jobTemplate"]["spec"]
    rules = job["podFailurePolicy"]["rules"]
    # Kubernetes takes the first rule that fits; where none does, the failure counts as a try.
    [fails] = [rule["onExitCodes"] for rule in rules if rule["action"] == "FailJob"]
    assert (fails["operator"], tuple(fails["values"])) == ("In", NOT_RETRIED)
    assert fails["containerName"] == job["template"]["spec"]["containers"][0]["name"]
    assert rules[1] == {
        "action": "Ignore",
        "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}],
    }
    assert job["backoffLimit"] > 0
    # KubeRay itself cannot tell statuses: what it runs does.
    for ray_job in (
        one(name, "RayJob")["spec"],
        one("raycronjob", "RayCronJob")["spec"]["jobTemplate"],
    ):
        assert ray_job["backoffLimit"] == 0
        assert ray_job["entrypoint"].startswith("until-done masc-eval ")


def test_aws_batch_retries_what_was_not_done_and_nothing_else() -> None:
    rules = read(LAUNCH / "aws-batch.json")["retryStrategy"]["evaluateOnExit"]
    by_status = {rule["onExitCode"]: rule["action"] for rule in rules if "onExitCode" in rule}
    assert by_status == {str(status): "RETRY" for status in RETRIED}
    assert rules[-1] == {"onReason": "*", "action": "EXIT"}


def test_google_batch_retries_what_was_not_done_and_nothing_else() -> None:
    spec = read(LAUNCH / "google-batch.json")["taskGroups"][0]["taskSpec"]
    by_action = {
        policy["action"]: policy["actionCondition"]["exitCodes"]
        for policy in spec["lifecyclePolicies"]
    }
    assert set(RETRIED) <= set(by_action["RETRY_TASK"])
    assert not set(NOT_RETRIED) & set(by_action["RETRY_TASK"])
    assert set(by_action["FAIL_TASK"]) == set(NOT_RETRIED)


# ------------------------------------------------------------------ what must hold everywhere


@pytest.mark.parametrize("name", KUSTOMIZED)
def test_pods_have_longer_than_the_grace_and_an_account_and_gpus(name: str) -> None:
    for manifest in kustomized(name):
        if manifest["kind"] == "ConfigMap":
            graces = [
                yaml.safe_load(text)["limits"]["grace_seconds"]
                for text in manifest["data"].values()
            ]
    n_pods = 0
    for spec in pod_specs(list(kustomized(name))):
        n_pods += 1
        assert spec["terminationGracePeriodSeconds"] > max(graces) + 30
        assert spec["serviceAccountName"] == "masc"
        limits = [each["resources"]["limits"] for each in spec["containers"]]
        if spec["containers"][0]["name"] != "ray-head":
            assert limits[0]["nvidia.com/gpu"] == "1"
            assert spec["nodeSelector"]
            assert {taint["key"] for taint in spec["tolerations"]} >= {"nvidia.com/gpu"}
    assert n_pods == (4 if name == "raycronjob" else 3)


def pod_specs(node: object) -> list[Manifest]:
    """Of every pod that a manifest describes."""
    if isinstance(node, list):
        return [spec for each in node for spec in pod_specs(each)]
    if not isinstance(node, dict):
        return []
    own = [node] if "containers" in node else []
    return own + [spec for each in node.values() for spec in pod_specs(each)]


def test_kueue_holds_a_job_until_there_is_room() -> None:
    for name in ("gke", "eks"):
        job, night = one(name, "RayJob"), one(name, "CronJob")["spec"]["jobTemplate"]
        assert job["spec"]["suspend"] is True
        assert job["spec"]["shutdownAfterJobFinishes"] is True
        assert night["spec"]["suspend"] is True
        for metadata in (job["metadata"], night["metadata"]):
            assert metadata["labels"]["kueue.x-k8s.io/queue-name"] == "masc"


def test_authentication_is_on_wherever_ray_is_started() -> None:
    for kind in ("RayJob", "RayCronJob"):
        spec = one("raycronjob", kind)["spec"]
        cluster = spec.get("jobTemplate", spec)["rayClusterSpec"]
        assert cluster["authOptions"] == {"mode": "token"}
        assert tuple(map(int, cluster["rayVersion"].split("."))) >= (2, 52, 0)
    starts = [
        path
        for path in sorted(LAUNCH.iterdir())
        if path.is_file() and "ray start" in path.read_text()
    ]
    starts += [LAUNCH / "on-nodes.sh", LAUNCH / "nightly.cron"]
    for path in starts:
        if path.suffix != ".md":
            assert "RAY_AUTH_MODE=token" in path.read_text(), path.name
    assert len(starts) >= 6


def test_nothing_listens_to_the_world() -> None:
    for path in [*LAUNCH.rglob("*"), ROOT / "Dockerfile"]:
        if path.is_file():
            text = path.read_text()
            assert "0.0.0.0" not in text, path
            assert "RAY_AUTH_MODE=disabled" not in text, path
            for line in text.splitlines():
                if "ray start --head" in line and path.suffix != ".md":
                    following = text[text.index(line) :][: len(line) + 120]
                    assert "--dashboard-host=127.0.0.1" in following, path
    for manifest in kustomized("gke"):
        assert manifest["kind"] not in ("Service", "Ingress")
    head = one("gke", "RayJob")["spec"]["rayClusterSpec"]["headGroupSpec"]
    assert head["serviceType"] == "ClusterIP"
    [ssh] = read(LAUNCH / "aws-cluster.yaml")["provider"]["security_group"]["IpPermissions"]
    assert (ssh["FromPort"], ssh["ToPort"]) == (22, 22)
    assert all(each["CidrIp"].endswith("/32") for each in ssh["IpRanges"])


def test_the_version_of_ray_is_the_one_that_is_pinned() -> None:
    pinned = dict(
        line.split("==")
        for line in (ROOT / "constraints.txt").read_text().splitlines()
        if "==" in line
    )
    assert one("gke", "RayJob")["spec"]["rayClusterSpec"]["rayVersion"] == pinned["ray"]


def test_launch_has_no_file_that_nobody_reads() -> None:
    """What lies there is named in its table, so that a recipe is found."""
    table = (LAUNCH / "README.md").read_text()
    for path in sorted(LAUNCH.iterdir()):
        assert path.name == "README.md" or path.name in table, path.name
