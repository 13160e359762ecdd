"""docker-compose.yml keeps the rules, and each rule finds what breaks it."""

import copy
import subprocess
import unittest

import project
import rules


def change(service, path, value):
    """A mutation: sets or (None) removes a value at a path of one service."""

    def apply(model):
        *above, last = path.split("/")
        at = model["services"][service]
        for step in above:
            at = at.setdefault(step, {})
        if value is None:
            del at[last]
        else:
            at[last] = value

    return apply


def add(service, path, value):
    """A mutation: appends to a list of one service."""

    def apply(model):
        model["services"][service].setdefault(path, []).append(value)

    return apply


def way_out(model):
    """A mutation: the database's network has a way out."""
    model["networks"]["database"]["internal"] = False


def no_reason(model):
    """A mutation: a health check is off, and nobody says why."""
    del model["x-no-healthcheck"]["jaeger"]


def from_elsewhere(model):
    """A mutation: a secret is a file that nobody makes."""
    model["secrets"]["registry_keys"]["file"] = "/etc/passwd"


# (rule, what is wrong, mutation): one for each way in which a rule can be broken.
MUTATIONS = [
    ("limits", "no memory limit", change("nats", "deploy/resources/limits/memory", None)),
    ("limits", "no CPU limit", change("cli", "deploy/resources/limits/cpus", None)),
    ("limits", "no limit of processes", change("registry", "deploy/resources/limits/pids", None)),
    ("log_rotation", "endless logs", change("gateway", "logging", {"driver": "json-file"})),
    ("log_rotation", "endless number of logs", change("postgres", "logging/options", {"max-size": "20m"})),
    ("health", "no health check", change("postgres", "healthcheck", None)),
    ("health", "no reason", no_reason),
    ("health", "the image's check is off", change("binding", "healthcheck", {"disable": True})),
    ("hardening", "writable", change("gateway", "read_only", False)),
    ("hardening", "capabilities", change("notification", "cap_drop", [])),
    ("hardening", "more capabilities", change("nats", "cap_add", ["NET_BIND_SERVICE"])),
    ("hardening", "far more for the proxy", change("proxy", "cap_add", ["NET_BIND_SERVICE", "SYS_ADMIN"])),
    ("hardening", "new privileges", change("proxy", "security_opt", [])),
    ("hardening", "privileged", change("grafana", "privileged", True)),
    ("hardening", "host network", change("registry", "network_mode", "host")),
    ("hardening", "engine", add("prometheus", "volumes", {"type": "bind", "source": "/run/docker.sock", "target": "/x", "read_only": True})),
    ("mounts", "writable configuration", add("nats", "volumes", {"type": "bind", "source": "/etc/x", "target": "/x"})),
    ("pinned", "latest", change("postgres", "image", "postgres:latest")),
    ("pinned", "no tag", change("nats", "image", "nats")),
    ("pinned", "minor alone", change("nats", "image", "nats:2.15-alpine")),
    ("pinned", "major alone", change("postgres", "image", "postgres:18-trixie")),
    ("pinned", "own image without target", change("binding", "build/target", None)),
    ("secrets_are_files", "password in clear", change("postgres", "environment/POSTGRES_PASSWORD", "x")),
    ("secrets_are_files", "key in clear", change("registry", "environment/NODKEY_DEPLOYMENT__MASTER_KEY", "x")),
    ("secrets_are_files", "operator key in clear", change("cli", "environment/NODKEY_OPERATOR_KEY", "x")),
    ("secrets_are_files", "password in a URL", change("binding", "environment/NODKEY_DB__URL", "postgres://a:b@postgres/c")),
    ("secrets_are_files", "file of variables", change("gateway", "env_file", [{"path": "keys/gateway.env"}])),
    ("secrets_are_files", "file of the image", change("registry", "environment/NODKEY_DB__URL_FILE", "/etc/url")),
    ("secrets_by_need", "the gateway has a database", add("gateway", "secrets", {"source": "registry_db_url", "target": "db_url"})),
    ("secrets_by_need", "another's keys", change("binding", "secrets", [{"source": "registry_keys", "target": "keys.toml"}])),
    ("secrets_by_need", "a service is an operator", add("registry", "secrets", {"source": "operator_key"})),
    ("secrets_by_need", "an unknown secret", add("nats", "secrets", {"source": "other"})),
    ("secrets_by_need", "not mounted", change("registry", "secrets", [])),
    ("secrets_by_need", "from elsewhere", from_elsewhere),
    ("publishing", "database published", change("postgres", "ports", [{"target": 5432, "published": "5432", "host_ip": "127.0.0.1"}])),
    ("publishing", "gateway to the world", change("gateway", "ports", [{"target": 7070, "published": "8080"}])),
    ("publishing", "to one network", change("proxy", "ports", [{"target": 443, "host_ip": "0.0.0.0"}])),
    ("reachability", "the gateway reaches the database", change("gateway", "networks/database", {})),
    ("reachability", "the registry reaches the world", change("registry", "networks/outside", {})),
    ("reachability", "grafana reaches the bus", change("grafana", "networks/bus", {})),
    ("reachability", "a way out", way_out),
    ("reachability", "a peer out of reach", change("gateway", "networks", {"public": {}})),
    ("reachability", "the default network", change("nats", "networks", {"default": {}})),
    ("stopping", "killed early", change("notification", "stop_grace_period", "10s")),
    ("stopping", "default", change("gateway", "stop_grace_period", None)),
    ("stopping", "no time to drain", change("gateway", "environment/NODKEY_SERVER__DRAIN_SECONDS", "15")),
    ("pools", "a larger pool", change("registry", "environment/NODKEY_DB__MAX_CONNECTIONS", "32")),
    ("pools", "a smaller database", change("postgres", "command", ["postgres", "-c", "max_connections=200"])),
    ("pools", "the database's default", change("postgres", "command", ["postgres"])),
    ("waiting_phones", "little memory", change("gateway", "deploy/resources/limits/memory", "1073741824")),
    ("waiting_phones", "few files", change("gateway", "ulimits", {"nofile": 65536})),
]  # fmt: skip


class Rules(unittest.TestCase):
    """Of the file that is shipped."""

    def test_the_shipped_project_keeps_every_rule(self):
        self.assertEqual(rules.faults(project.shipped()), [])

    def test_each_rule_finds_what_breaks_it(self):
        for rule, what, mutate in MUTATIONS:
            with self.subTest(rule=rule, what=what):
                model = copy.deepcopy(project.shipped())
                mutate(model)
                self.assertIn(rule, {found for found, _ in rules.faults(model)})

    def test_every_rule_is_attacked(self):
        self.assertEqual({rule for rule, _, _ in MUTATIONS}, {rule.__name__ for rule in rules.RULES})

    def test_every_secret_has_a_reader_and_is_made(self):
        self.assertEqual(set(project.shipped()["secrets"]), set(rules.READERS))
        made = {path.name for path in (project.prepared("secrets") / "keys/files").iterdir()}
        named = {secret["file"].rsplit("/", 1)[1] for secret in project.shipped()["secrets"].values()}
        self.assertEqual(named, made)


class Schema(unittest.TestCase):
    """What the specification says, and its reference implementation."""

    def check(self, file):
        command = [project.VENV / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", file]
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)

    def test_the_file_fits_the_specifications_schema(self):
        checked = self.check(project.TOP / "docker-compose.yml")
        self.assertEqual(checked.returncode, 0, checked.stdout)

    def test_the_schema_refuses_a_mistyped_file(self):
        wrong = project.fresh("schema") / "docker-compose.yml"
        wrong.write_text((project.TOP / "docker-compose.yml").read_text().replace("    networks: [bus]", "    network: [bus]", 1))
        self.assertNotEqual(self.check(wrong).returncode, 0)

    def test_without_profiles_only_nodkey_and_its_servers_start(self):
        self.assertEqual(set(project.compose_config(profiles="")["services"]), {*project.SERVICES, "postgres", "nats"})

    def test_without_a_public_url_nothing_starts(self):
        with self.assertRaisesRegex(project.Refused, "PUBLIC_URL is missing a value: run make up"):
            project.compose_config(PUBLIC_URL="")
