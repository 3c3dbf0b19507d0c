"""What says that a manifest is wrong: each is somebody else's schema, and strict."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import botocore.session
import check_jsonschema
import kubernetes_validate
import pytest
import ray
import yaml
from botocore.validate import ParamValidator
from google.cloud import batch_v1
from google.protobuf.json_format import ParseError
from jsonschema.validators import validator_for

Manifest = dict[str, Any]
Problems = Callable[[Manifest], list[str]]
"""What is wrong with a manifest, as its validator words it; nothing where all is well."""

ROOT = Path(__file__).parents[2]
LAUNCH = ROOT / "launch"
SCHEMAS = ROOT.parent / "shared" / "schemas"
KUBERNETES = "1.33"


def read(path: Path) -> Manifest:
    return yaml.safe_load(path.read_text())


def _against(schema: Manifest, manifest: Manifest) -> list[str]:
    kind = validator_for(schema)
    return [error.message for error in kind(schema).iter_errors(manifest)]


def _closed(schema: Any) -> Any:
    """A CRD's schema that refuses what it does not know, where it says what it knows."""
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    closed = {key: _closed(value) for key, value in schema.items()}
    is_open = schema.get("x-kubernetes-preserve-unknown-fields")
    if isinstance(schema.get("properties"), dict) and not is_open:
        closed.setdefault("additionalProperties", False)
    return closed


@cache
def _crd(kind: str) -> Manifest:
    path = SCHEMAS / f"kuberay.{kind.lower()}s.crd.yaml"
    if not path.exists():
        pytest.skip(f"KubeRay's schemas are not beside the project: {path}")
    definition = yaml.load(path.read_text(), yaml.CSafeLoader)
    [version] = [each for each in definition["spec"]["versions"] if each["name"] == "v1"]
    return _closed(version["schema"]["openAPIV3Schema"])


def of_kubernetes(manifest: Manifest) -> list[str]:
    """KubeRay's own kinds by their CRD, others by Kubernetes' schemas.

    A CRD says nothing of `metadata`: that of a ConfigMap is the same.
    """
    kind = manifest.get("kind", "")
    if not kind.startswith("Ray"):
        return _of_core(manifest)
    of_metadata = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": manifest.get("metadata")}
    return [*_against(_crd(kind), manifest), *_of_core(of_metadata)]


def _of_core(manifest: Manifest) -> list[str]:
    try:
        kubernetes_validate.validate(manifest, KUBERNETES, strict=True)
    except (
        kubernetes_validate.ValidationError,
        kubernetes_validate.InvalidSchemaError,
        kubernetes_validate.SchemaNotFoundError,
        KeyError,
    ) as error:
        return [str(error)]
    return []


def of_ray_launcher(manifest: Manifest) -> list[str]:
    path = Path(ray.__file__).parent / "autoscaler" / "ray-schema.json"
    return _against(json.loads(path.read_text()), manifest)


@cache
def _aws_shape(service: str, operation: str) -> Any:
    model = botocore.session.get_session().get_service_model(service)
    return model.operation_model(operation).input_shape


def _of_aws(service: str, operation: str, manifest: Manifest) -> list[str]:
    report = ParamValidator().validate(manifest, _aws_shape(service, operation))
    return report.generate_report().splitlines()


def of_aws_batch(manifest: Manifest) -> list[str]:
    return _of_aws("batch", "RegisterJobDefinition", manifest)


def of_aws_instance(manifest: Manifest) -> list[str]:
    """Ray adds how many."""
    return _of_aws("ec2", "RunInstances", {**manifest, "MinCount": 1, "MaxCount": 1})


def of_google_batch(manifest: Manifest) -> list[str]:
    try:
        batch_v1.Job.from_json(json.dumps(manifest))
    except ParseError as error:
        return [str(error)]
    return []


@cache
def _vendored(name: str) -> Manifest:
    folder = Path(check_jsonschema.__file__).parent / "builtin_schemas" / "vendor"
    return json.loads((folder / f"{name}.json").read_text())


def of_github(manifest: Manifest) -> list[str]:
    # YAML 1.1 reads the key `on` as true.
    named = {"on" if key is True else key: value for key, value in manifest.items()}
    return _against(_vendored("github-workflows"), named)


def of_gitlab(manifest: Manifest) -> list[str]:
    return _against(_vendored("gitlab-ci"), manifest)


def misspelt(manifest: Manifest, *within: str) -> Iterator[tuple[str, Manifest]]:
    """The manifest with one field misspelt, for each of the mapping that `within` leads to."""
    fields = manifest
    for name in within:
        fields = fields[name]
    for field in fields:
        other = json.loads(json.dumps({str(key): value for key, value in manifest.items()}))
        place = other
        for name in within:
            place = place[name]
        place[f"{field}x"] = place.pop(str(field))
        yield ".".join((*within, str(field))), other
