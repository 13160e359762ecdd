"""Whether values that are wrong are refused, with an error that says which and why."""

import copy
import json
import unittest

import yaml

from chart import CHART, objects, template

# What an installation needs, besides an image.
LEAST = {"publicUrl": "https://id.example.com", "image": {"repository": "registry.example.com/nodkey"}, "bus": {"url": "nats://nats:4222"}}


def changed(path, value):
    """The least values, with one changed or, as None, removed."""
    values = copy.deepcopy(LEAST)
    if value is None:
        del values[path]
    else:
        put(values, path, value)
    return values


def put(values, path, value):
    """Sets a value at a path."""
    *above, last = path.strip("/").split("/")
    for name in above:
        values = values.setdefault(name, {})
    values[last] = value


def find(values, path):
    """The value at a path."""
    for name in path.split("/"):
        values = values[name]
    return values


def places(schema, root, path=""):
    """Every object of a schema: its path, and the schema there."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].split("/")[-1]]
    if "properties" in schema:
        yield path, schema
        for name, inner in schema["properties"].items():
            yield from places(inner, root, f"{path}/{name}".strip("/"))


class Values(unittest.TestCase):
    def refused(self, values, *parts):
        result = template(json.dumps(values))
        self.assertNotEqual(result.returncode, 0, f"{values} is accepted")
        for part in parts:
            self.assertIn(part, result.stderr)

    def test_the_least_values_are_accepted(self):
        self.assertEqual(template(json.dumps(LEAST)).returncode, 0)

    def test_what_is_missing_is_named(self):
        self.refused(changed("publicUrl", None), "publicUrl is missing: set it to the gateway's URL")
        self.refused(changed("image", None), "image.repository is missing: set it to")
        self.refused(changed("bus", None), "bus.url is missing: set it to the URL of your NATS")
        self.refused({}, "publicUrl is missing")

    def test_an_unknown_name_is_refused_at_every_level(self):
        schema = json.loads((CHART / "values.schema.json").read_text())
        found = [path for path, _ in places(schema, schema)]
        self.assertGreater(len(found), 30)
        values = copy.deepcopy(LEAST)
        for path in found:
            put(values, f"{path}/nosuchname", "x")
        self.refused(values, *[f"at '{'/' if path else ''}{path}': additional properties 'nosuchname' not allowed" for path in found])

    def test_a_wrong_type_is_refused_everywhere(self):
        schema = json.loads((CHART / "values.schema.json").read_text())
        defaults = yaml.safe_load((CHART / "values.yaml").read_text())
        names = [f"{path}/{name}".strip("/") for path, part in places(schema, schema) for name in part["properties"] if name != "global"]
        self.assertGreater(len(names), 150)
        # An object that is text has nothing in it: one rendering for each depth, from what holds nothing to what holds most.
        depth = lambda name: isinstance(find(defaults, name), dict) * (10 - name.count("/"))
        for level in sorted({depth(name) for name in names}):
            values, wrong = copy.deepcopy(LEAST), [name for name in names if depth(name) == level]
            for name in wrong:
                put(values, name, ["x"] if isinstance(find(defaults, name), str) else "x")
            self.refused(values, *[f"at '/{name}': " for name in wrong])

    def test_every_default_has_a_schema_and_every_name_of_the_schema_a_default(self):
        schema = json.loads((CHART / "values.schema.json").read_text())
        defaults = yaml.safe_load((CHART / "values.yaml").read_text())
        for path, part in places(schema, schema):
            at = defaults
            for step in filter(None, path.split("/")):
                at = at[step]
            with self.subTest(path or "the top"):
                self.assertEqual(set(part["properties"]) - {"global"}, set(at))

    def test_what_is_no_url_is_refused(self):
        for url in (
            "id.example.com",
            "https://id.example.com/",
            "https://id.example.com/path",
            "ftp://id.example.com",
            "https://a@id.example.com",
            "https://",
        ):
            self.refused(changed("publicUrl", url), "/publicUrl")
        for url in ("nats.example.com", "http://nats.example.com", "nats://user:password@nats.example.com"):
            self.refused(changed("bus/url", url), "/bus/url")

    def test_an_image_without_a_version_is_refused(self):
        self.refused(changed("image/tag", "latest"), "/image/tag")
        for image in ("postgres", "postgres:latest"):
            self.refused(changed("trial/postgres/image", image), "/trial/postgres/image")
        self.refused(changed("gateway/digest", "sha256:0123"), "/gateway/digest")

    def test_no_secret_is_a_setting(self):
        secret = "bus.password db.url bus.url deployment.master_key deployment.previous_master_keys deployment.service_key service.cookie_key"
        for setting in secret.split():
            self.refused(changed("settings", {setting: "x"}), f"settings: {setting} is in a Secret, not among values")
            self.refused(changed("registry/settings", {setting: "x"}), f"registry.settings: {setting} is in a Secret, not among values")

    def test_what_the_chart_sets_is_no_setting(self):
        own = "deployment.public_url bus.replicas peers.registry server.listen server.metrics_listen server.drain_seconds server.tls.key"
        for setting in own.split():
            self.refused(changed("gateway/settings", {setting: "x"}), f"gateway.settings: {setting} is set by other values of the chart")

    def test_what_is_not_the_name_of_a_setting_is_refused(self):
        for name in ("max_pending", "DB.MAX_CONNECTIONS", "NODKEY_DB__MAX_CONNECTIONS", "service."):
            self.refused(changed("settings", {name: "x"}), f"at '/settings': additional properties '{name}' not allowed")

    def test_a_services_own_setting_goes_before_that_of_all(self):
        both = changed("settings", {"db.max_connections": 8, "bus.ack_wait_seconds": 20}) | {
            "registry": {"settings": {"db.max_connections": 24}},
            "gateway": {},
        }
        [registry] = [
            item
            for item in objects(template(json.dumps(both)).stdout)
            if item["metadata"]["name"] == "nodkey-registry" and item["kind"] == "Deployment"
        ]
        variables = {entry["name"]: entry["value"] for entry in registry["spec"]["template"]["spec"]["containers"][0]["env"]}
        self.assertEqual((variables["NODKEY_DB__MAX_CONNECTIONS"], variables["NODKEY_BUS__ACK_WAIT_SECONDS"]), ("24", "20"))

    def test_large_numbers_are_written_out(self):
        values = changed("gateway/settings", {"service.remembered_proofs": 20000000, "service.console": False})
        put(values, "gateway/autoscaling", {"enabled": True, "waitingPhones": 1000000})
        text = template(json.dumps(values)).stdout
        self.assertIn('NODKEY_SERVICE__REMEMBERED_PROOFS, value: "20000000"', text)
        self.assertIn('NODKEY_SERVICE__CONSOLE, value: "false"', text)
        self.assertIn('averageValue: "1000000"', text)

    def test_values_that_exclude_each_other_are_refused(self):
        both = changed("ingress/enabled", True) | {"gatewayApi": {"enabled": True, "parentRefs": [{"name": "public"}]}}
        self.refused(both, "gatewayApi.enabled and ingress.enabled are both set")
        self.refused(changed("gateway/tlsSecretName", "tls") | {"ingress": {"enabled": True}}, "gateway.tlsSecretName is for installations without")
        self.refused(changed("gatewayApi/enabled", True), "gatewayApi.parentRefs is empty")
        self.refused(changed("gatewayApi", {"enabled": True, "create": True}), "gatewayApi.className is missing")
        self.refused(changed("gatewayApi", {"enabled": True, "create": True, "className": "c"}), "gatewayApi.secretName is missing")
        self.refused(changed("certificate/enabled", True), "certificate.issuerRef.name is missing")
        self.refused(changed("binding/autoscaling", {"enabled": True, "minReplicas": 9}), "binding.autoscaling.minReplicas is above maxReplicas")
