"""Validates objects against the schemas of Kubernetes, and of custom resources by schemas/."""

import functools
import json
import re

import jsonschema
import referencing
from kubernetes_validate import utils

from chart import TESTS

# The oldest that Chart.yaml allows, the newest there are schemas for, and one between.
VERSIONS = ["1.31", "1.34", "1.37"]


@functools.cache
def validator(kind, api_version, version):
    """The strict validator of a kind in a version of Kubernetes."""
    folder = f"kubernetes-json-schema/v{version}.0-local-strict"
    name = re.sub(r"^([^./]*)(?:\.[^/]*)?/", r"\1-", api_version)
    schema = utils.schema_contents(f"{folder}/{kind.lower()}-{name}.json", version)
    registry = referencing.Resource.from_contents(schema) @ definitions(folder, version)
    return jsonschema.Draft202012Validator(schema, registry=registry)


@functools.cache
def definitions(folder, version):
    contents = utils.schema_contents(f"{folder}/_definitions.json", version)
    return referencing.Resource.from_contents(contents) @ referencing.Registry()


@functools.cache
def custom(kind, api_version):
    """The validator of a custom resource. Its schema has what the chart sets, and refuses the rest."""
    path = TESTS / "schemas" / f"{kind.lower()}.json"
    if not path.exists():
        return None
    schema = json.loads(path.read_text())
    return jsonschema.Draft202012Validator(schema) if schema["properties"]["apiVersion"]["const"] == api_version else None


@functools.cache
def errors_of(text, version):
    """What is wrong with an object, given as JSON."""
    item = json.loads(text)
    kind, api_version = item["kind"], item["apiVersion"]
    try:
        found = custom(kind, api_version) or validator(kind, api_version, version)
    except FileNotFoundError:
        return [f"{kind}: Kubernetes {version} has no {api_version}"]
    return [f"{kind} {item['metadata'].get('name')}, Kubernetes {version}: {error.json_path}: {error.message}" for error in found.iter_errors(item)]


def errors(item):
    """What each version of Kubernetes would refuse an object for."""
    text = json.dumps(item, sort_keys=True)
    return [error for version in VERSIONS for error in errors_of(text, version)]
