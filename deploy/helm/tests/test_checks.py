"""Whether each rule of checks.py finds what it is for: good manifests, broken in one place, are refused by that rule."""

import copy
import pathlib
import unittest

import checks
import schemas
from chart import objects, rendered
from manifests import Manifests


def variable(container, name):
    """The entry of a variable."""
    return next(entry for entry in container["env"] if entry["name"] == name)


class Checks(unittest.TestCase):
    def setUp(self):
        self.items = {case: objects(rendered(case)) for case in ("trial", "production", "ingress")}

    def broken(self, rule, case, kind, name, change, *parts):
        """Changes one object, and expects the rule to say so."""
        items = copy.deepcopy(self.items[case])
        self.assertEqual(list(rule(Manifests(items))), [])
        change(next(item for item in items if (item["kind"], item["metadata"]["name"]) == (kind, name)))
        found = list(rule(Manifests(items)))
        self.assertTrue(found, f"{rule.__name__} does not see it")
        for part in parts:
            self.assertIn(part, " ".join(found))

    def pod(self, rule, change, *parts, case="trial", kind="Deployment", name="nodkey-registry"):
        self.broken(rule, case, kind, name, lambda item: change(item["spec"]["template"]["spec"]), *parts)

    def container(self, rule, change, *parts, **where):
        self.pod(rule, lambda pod: change(pod["containers"][0]), *parts, **where)

    def policy(self, name, change, *parts, case="production"):
        self.broken(checks.network_is_closed, case, "NetworkPolicy", name, lambda item: change(item["spec"]), *parts)

    def test_a_pod_with_rights(self):
        rule = checks.pods_have_no_rights
        self.pod(rule, lambda pod: pod["securityContext"].pop("runAsNonRoot"), "may run as root")
        self.pod(rule, lambda pod: pod["securityContext"].update(runAsUser=0), "may run as root")
        self.pod(rule, lambda pod: pod["securityContext"].pop("seccompProfile"), "no seccomp")
        self.pod(rule, lambda pod: pod.pop("automountServiceAccountToken"), "token")
        self.pod(rule, lambda pod: pod.update(enableServiceLinks=True), "look like settings")
        self.pod(rule, lambda pod: pod.update(hostNetwork=True), "hostNetwork")
        self.pod(rule, lambda pod: pod["volumes"].append({"name": "a", "hostPath": {"path": "/"}}), "mounts ['hostPath']")
        self.container(rule, lambda container: container["securityContext"].update(readOnlyRootFilesystem=False), "write")
        self.container(rule, lambda container: container["securityContext"].pop("allowPrivilegeEscalation"), "privileges")
        self.container(rule, lambda container: container["securityContext"].update(capabilities={"drop": ["NET_RAW"]}), "capabilities")
        self.container(rule, lambda container: container.pop("securityContext"), "capabilities", kind="StatefulSet", name="nodkey-nats")
        self.broken(rule, "trial", "ServiceAccount", "nodkey", lambda item: item.pop("automountServiceAccountToken"), "hands out tokens")

    def test_a_container_without_bounds(self):
        rule = checks.containers_have_bounds
        self.container(rule, lambda container: container["resources"].pop("limits"), "no memory in limits")
        self.container(rule, lambda container: container["resources"]["requests"].pop("cpu"), "no cpu in requests")
        self.container(rule, lambda container: container.pop("resources"), "memory", kind="StatefulSet", name="nodkey-postgres")

    def test_a_container_without_probes(self):
        rule = checks.containers_are_probed
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            self.container(rule, lambda container, probe=probe: container.pop(probe), f"no {probe}")
        self.container(rule, lambda container: container["readinessProbe"]["httpGet"].update(path="/livez"), "reads /livez, not /readyz")
        self.container(rule, lambda container: container["livenessProbe"]["httpGet"].update(path="/readyz"), "reads /readyz, not /livez")
        self.container(rule, lambda container: container["livenessProbe"]["httpGet"].update(port="web"), "port that is none")
        self.container(rule, lambda container: container.pop("readinessProbe"), "readinessProbe", kind="StatefulSet", name="nodkey-nats")

    def test_an_image_without_a_version(self):
        for image in ("nodkey", "registry.example.com:5000/nodkey", "nodkey:latest"):
            self.container(checks.images_are_pinned, lambda container, image=image: container.update(image=image), "is not pinned")

    def test_a_grace_period_that_is_too_short(self):
        self.pod(checks.stops_fit, lambda pod: pod.update(terminationGracePeriodSeconds=54), "before it has stopped")
        self.pod(checks.stops_fit, lambda pod: pod.pop("terminationGracePeriodSeconds"), "before it has stopped")
        self.container(
            checks.stops_fit, lambda container: variable(container, "NODKEY_SERVER__DRAIN_SECONDS").update(value="6"), "before it has stopped"
        )

    def test_a_setting_that_does_not_exist_or_is_secret(self):
        rule = checks.settings_exist
        add = lambda name, value: lambda container: container["env"].append({"name": name, "value": value})
        self.container(rule, add("NODKEY_SERVICE__MAX_PENDING", "9"), "is not a setting of registry")
        self.container(rule, add("NODKEY_DB__URLS", "x"), "is not a setting of registry")
        self.container(rule, add("NODKEY_SERVER__LISTEN_FILE", "/etc/nodkey/keys/x"), "is not a setting of registry")
        self.container(rule, add("NODKEY_DEPLOYMENT__MASTER_KEY", "00"), "is a secret in the environment")
        self.container(rule, add("SERVICE", "registry"), "is no variable of ours")
        self.container(rule, add("OTEL_EXPORTER_ENDPOINT", "http://a"), "is no variable of ours")
        self.container(rule, add("NODKEY_DB__MAX_CONNECTIONS", "9"), "is not a setting of gateway", name="nodkey-gateway")
        secret = {"name": "NODKEY_LOG", "valueFrom": {"secretKeyRef": {"name": "a", "key": "b"}}}
        self.container(rule, lambda container: container["env"].append(secret), "is not from a file")
        self.container(rule, lambda container: container.update(envFrom=[{"configMapRef": {"name": "a"}}]), "from elsewhere, or twice")
        self.container(rule, add("NODKEY_LOG", "debug"), "from elsewhere, or twice")

    def test_a_file_that_is_not_mounted(self):
        rule = checks.files_are_mounted
        self.container(rule, lambda container: container["volumeMounts"].pop(), "/etc/nodkey/database/url is not mounted")
        self.pod(rule, lambda pod: pod["volumes"][0]["secret"]["items"][0].update(path="other.toml"), "/etc/nodkey/keys/keys.toml is not mounted")
        self.container(rule, lambda container: container["volumeMounts"][0].pop("readOnly"), "can write /etc/nodkey/keys")
        postgres = {"kind": "StatefulSet", "name": "nodkey-postgres"}
        self.container(rule, lambda container: container["env"][0].update(value="/run/secrets/password"), "is not mounted", **postgres)
        self.container(
            rule, lambda container: container["command"].append("/etc/nats/other.conf"), "is not mounted", kind="StatefulSet", name="nodkey-nats"
        )

    def test_a_secret_of_another_service(self):
        rule = checks.secrets_are_separate
        self.pod(rule, lambda pod: pod["volumes"][0]["secret"].update(secretName="nodkey-binding"), "['binding', 'registry']")
        self.pod(rule, lambda pod: pod["volumes"][0]["secret"].pop("items"), "mounts all of Secret nodkey-registry")
        database = {"name": "database", "secret": {"secretName": "a", "items": [{"key": "url", "path": "url"}]}}
        self.pod(rule, lambda pod: pod["volumes"].append(database), "has a database", name="nodkey-gateway")
        self.broken(rule, "trial", "ServiceAccount", "nodkey", lambda item: item.update(kind="Secret"), "the chart makes Secret nodkey")

    def test_a_network_policy_that_lets_others_in(self):
        registry = {"podSelector": {"matchLabels": {"app.kubernetes.io/component": "registry"}}}
        self.policy("nodkey-deny", lambda spec: spec.update(policyTypes=["Ingress"]), "gateway: no policy closes it", "nats: no", case="trial")
        self.policy(
            "nodkey-deny", lambda spec: spec["podSelector"]["matchLabels"].update({"app.kubernetes.io/component": "gateway"}), "registry: no policy"
        )
        self.policy("nodkey-registry", lambda spec: spec["ingress"][0].pop("from"), "registry: can be reached from elsewhere")
        self.policy("nodkey-registry", lambda spec: spec["ingress"][0]["from"].pop(), "registry: callers are")
        self.policy("nodkey-notification", lambda spec: spec["ingress"][0]["from"].append(registry), "notification: callers are")
        anywhere = {"namespaceSelector": {}}
        self.policy("nodkey-binding", lambda spec: spec["ingress"][0]["from"].append(anywhere), "binding: can be reached from elsewhere")
        self.policy("nodkey-gateway", lambda spec: spec["ingress"].pop(0), "nobody can reach it")
        self.policy("nodkey-gateway", lambda spec: spec["ingress"].append({"ports": [{"port": 9090}]}), "anybody may read its metrics")
        self.policy("nodkey-postgres", lambda spec: spec["ingress"][0].pop("from"), "postgres: can be reached from elsewhere", case="trial")
        self.policy("nodkey-nats", lambda spec: spec["ingress"][0]["from"].pop(), "nats: callers are", case="trial")

    def test_a_network_policy_that_lets_a_service_out(self):
        self.policy("nodkey-registry", lambda spec: spec["egress"][1]["to"].pop(), "registry: may call")
        self.policy("nodkey-registry", lambda spec: spec["egress"].append({"ports": [{"port": 443}]}), "registry: can call the internet")
        self.policy("nodkey-notification", lambda spec: spec["egress"].pop(), "notification: cannot call the internet")
        gateway = {"podSelector": {"matchLabels": {"app.kubernetes.io/component": "postgres"}}}
        self.policy("nodkey-gateway", lambda spec: spec["egress"][1]["to"].append(gateway), "gateway: may call", case="trial")

    def test_a_name_that_leads_nowhere(self):
        rule = checks.names_resolve
        service = lambda name, change, *parts, case="trial": self.broken(rule, case, "Service", name, lambda item: change(item["spec"]), *parts)
        service("nodkey-registry", lambda spec: spec["selector"].update({"app.kubernetes.io/component": "x"}), "selects []")
        service("nodkey-registry", lambda spec: spec["selector"].pop("app.kubernetes.io/component"), "selects [")
        service("nodkey-registry", lambda spec: spec["ports"][0].update(targetPort="web"), "leads nowhere")
        service("nodkey-registry", lambda spec: spec.pop("clusterIP"), "is not headless")
        service("nodkey-gateway", lambda spec: spec["ports"][0].update(targetPort="metrics"), "publishes metrics")
        self.container(
            rule, lambda container: variable(container, "NODKEY_PEERS__BINDING").update(value="http://nodkey-registry:7070"), "is no Service of it"
        )
        route = lambda item: item["spec"]["rules"][-1]["backendRefs"][0].update(name="nodkey-registry")
        self.broken(rule, "trial", "HTTPRoute", "nodkey", route, "leads to nodkey-registry")
        ingress = lambda item: item["spec"]["rules"][0]["http"]["paths"][0]["backend"]["service"].update(port={"name": "metrics"})
        self.broken(rule, "ingress", "Ingress", "nodkey", ingress, "leads to nodkey-gateway")

    def test_a_grpc_service_that_is_not_routed(self):
        rule = checks.grpc_is_routed
        forget = lambda item: item["spec"]["rules"][0]["matches"].pop(0)
        self.broken(rule, "production", "HTTPRoute", "nodkey", forget, "grpc.health.v1.Health")
        self.broken(rule, "production", "GRPCRoute", "nodkey", forget, "grpc.health.v1.Health")
        narrow = lambda item: item["spec"]["rules"][-1]["matches"][0]["path"].update(value="/api")
        self.broken(rule, "production", "HTTPRoute", "nodkey", narrow, "HTTP is")
        wrong = lambda item: item["spec"]["rules"][0]["http"]["paths"].pop(0)
        self.broken(rule, "ingress", "Ingress", "nodkey-grpc", wrong, "grpc.health.v1.Health")

    def test_replicas_that_are_lost(self):
        rule = checks.replicas_are_kept
        budget = lambda change: self.broken(
            rule, "trial", "PodDisruptionBudget", "nodkey-binding", lambda item: change(item["spec"]), "nodkey-binding: has no"
        )
        budget(lambda spec: spec.update(maxUnavailable=2))
        budget(lambda spec: spec["selector"]["matchLabels"].pop("app.kubernetes.io/component"))
        self.pod(rule, lambda pod: pod["topologySpreadConstraints"].pop(), "is not spread")
        deployment = lambda case, name, change, *parts: self.broken(rule, case, "Deployment", name, lambda item: change(item["spec"]), *parts)
        deployment("production", "nodkey-gateway", lambda spec: spec.update(replicas=2), "1 autoscalers and a number")
        deployment("production", "nodkey-registry", lambda spec: spec.pop("replicas"), "0 autoscalers and no number")
        unknown = lambda item: item["spec"]["metrics"][1]["pods"]["metric"].update(name="nodkey_waiting_phone")
        self.broken(rule, "production", "HorizontalPodAutoscaler", "nodkey-gateway", unknown, "there is no metric ['nodkey_waiting_phone']")
        deployment("trial", "nodkey-registry", lambda spec: spec["strategy"]["rollingUpdate"].update(maxUnavailable=1), "takes replicas away first")

    def test_pools_that_do_not_fit(self):
        less = lambda container: container["args"].__setitem__(1, "max_connections=203")
        self.container(checks.pools_fit, less, "203 connections, and 204 may be needed", kind="StatefulSet", name="nodkey-postgres")
        self.broken(checks.pools_fit, "trial", "Deployment", "nodkey-binding", lambda item: item["spec"].update(replicas=3), "221 may be needed")

    def test_objects_that_collide(self):
        rule = checks.objects_are_distinct
        self.broken(rule, "trial", "ConfigMap", "nodkey-nats", lambda item: item["metadata"].update(name="nodkey-postgres"), "is there twice")
        self.broken(rule, "trial", "ConfigMap", "nodkey-nats", lambda item: item["metadata"].update(name="n" * 64), "64 characters")
        self.broken(rule, "trial", "ConfigMap", "nodkey-nats", lambda item: item["metadata"].update(namespace="other"), "namespace of its own")

    def test_every_rule_is_broken_above(self):
        source = pathlib.Path(__file__).read_text()
        for rule in checks.ALL:
            self.assertIn(f"checks.{rule.__name__}", source)

    def test_the_schemas_refuse_an_unknown_field_and_a_wrong_type_of_every_kind(self):
        seen = {}
        for items in self.items.values():
            for item in items:
                seen.setdefault(item["kind"], item)
        self.assertGreater(len(seen), 12)
        for kind, item in seen.items():
            with self.subTest(kind):
                part = {"ConfigMap": "data", "ServiceAccount": "automountServiceAccountToken"}.get(kind, "spec")
                self.assertTrue(schemas.errors(item | {"nosuchfield": 1}))
                self.assertTrue(schemas.errors(item | {part: "text"}))
                if isinstance(item[part], dict):
                    self.assertTrue(schemas.errors(item | {part: item[part] | {"nosuchfield": {"a": 1}}}))

    def test_an_api_that_a_version_lacks_is_refused(self):
        self.assertIn(
            "Kubernetes 1.31 has no policy/v1beta1",
            schemas.errors({"apiVersion": "policy/v1beta1", "kind": "PodDisruptionBudget", "metadata": {"name": "a"}})[0],
        )
        self.assertTrue(
            schemas.errors({"apiVersion": "gateway.networking.k8s.io/v1alpha2", "kind": "GRPCRoute", "metadata": {"name": "a"}, "spec": {}})
        )
