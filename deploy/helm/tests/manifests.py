"""Rendered manifests, and what belongs together in them."""


class Manifests:
    """Objects, by kind."""

    def __init__(self, items):
        self.items = items

    def of(self, *kinds):
        return [item for item in self.items if item["kind"] in kinds]

    def named(self, kind, name):
        return next((item for item in self.of(kind) if item["metadata"]["name"] == name), None)

    def workloads(self):
        """Component, name, pod template and replicas of everything that runs."""
        return [
            (item["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/component"], item["metadata"]["name"], item["spec"]["template"], item)
            for item in self.of("Deployment", "StatefulSet")
        ]

    def selected(self, selector):
        """The components whose pods have all labels of a selector."""
        labels = selector.get("matchLabels", {})
        return {
            component
            for component, _, template, _ in self.workloads()
            if labels.items() <= template["metadata"]["labels"].items() and all(matches(e, template) for e in selector.get("matchExpressions", []))
        }

    def environment(self, container):
        """The variables of a container."""
        return {entry["name"]: entry.get("value") for entry in container.get("env", [])}


def matches(expression, template):
    return expression["operator"] == "In" and template["metadata"]["labels"].get(expression["key"]) in expression["values"]


# What cert-manager and `kubectl create secret tls` write.
TLS = ["tls.crt", "tls.key"]


def sources(manifests, volume):
    """The files of a volume: kind and name of the object, its key, and the path. Without a list of keys those of the object, of a Secret TLS."""
    parts = [{kind: volume[kind]} for kind in ("secret", "configMap") if kind in volume] + volume.get("projected", {}).get("sources", [])
    for part in parts:
        [(kind, source)] = part.items()
        name = source.get("secretName") or source["name"]
        keys = TLS if kind == "secret" else manifests.named("ConfigMap", name)["data"]
        for item in source.get("items") or [{"key": key, "path": key} for key in keys]:
            yield kind, name, item["key"], item["path"]


def references(manifests, template):
    """The Secrets that a pod mounts: name and key."""
    return {(name, key) for volume in template["spec"].get("volumes", []) for kind, name, key, _ in sources(manifests, volume) if kind == "secret"}
