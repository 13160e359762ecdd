"""Whether the processes of the rendered pods run: here, without containers, on NATS and SQLite, with the settings, keys and users of the chart."""

import json
import os
import pathlib
import re
import subprocess
import tempfile
import tomllib
import unittest

import pods
from chart import KUBERNETES, guide_block, objects, rendered
from documents import ROOT, SERVICES, STATEFUL
from manifests import Manifests

# What a service logs.
READY, CONNECTED = '"message":"ready"', '"message":"connected to the bus"'

# What the gateway measures where a proxy names clients in a header that it was not told of.
UNNAMED_PROXY = r"(?m)^nodkey_unnamed_proxy(\{.*\})? 1$"


def nats_server():
    """The nats-server of the tests, or None."""
    result = subprocess.run([ROOT / "scripts/nats-server"], capture_output=True, text=True)
    return result.stdout.strip() or None


@unittest.skipUnless(pods.BUILT, pods.NOT_BUILT)
@unittest.skipUnless(nats_server(), "there is no nats-server: scripts/tools test")
class Processes(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.keys = cls.folder / "keys"
        subprocess.run([pods.BINARIES / "nodkey", "keys", "init", cls.keys], check=True, capture_output=True)
        output = subprocess.run([KUBERNETES / "secrets", cls.keys], check=True, capture_output=True, text=True).stdout
        cls.secrets = {item["metadata"]["name"]: item["stringData"] for item in objects(output)}
        for service in STATEFUL:
            cls.secrets[f"nodkey-{service}-database"] = {"url": f"sqlite:{cls.folder}/{service}.db"}
        cls.manifests = Manifests(objects(rendered("trial")))
        cls.templates = {component: template for component, _, template, _ in cls.manifests.workloads()}
        cls.ports = {name: pods.free_port() for name in [*SERVICES, "nats", *(f"{service} metrics" for service in SERVICES)]}
        cls.running = {}
        cls.addClassCleanup(cls.stop)
        cls.start_nats()
        for service in SERVICES:
            cls.start(service)
        for process in cls.running.values():
            process.wait_until_ready()

    @classmethod
    def stop(cls):
        for process in cls.running.values():
            process.terminate()
        for process in cls.running.values():
            process.stop()

    @classmethod
    def start_nats(cls):
        template = cls.templates["nats"]
        where = pods.mounted(cls.manifests, template, cls.secrets, cls.folder / "nats")
        config = where["/etc/nats"] / "nats.conf"
        text = config.read_text().replace("0.0.0.0:4222", f"127.0.0.1:{cls.ports['nats']}").replace("127.0.0.1:8222", f"127.0.0.1:{pods.free_port()}")
        config.write_text(text.replace("/data", str(where["/data"])))
        [_, *arguments] = template["spec"]["containers"][0]["command"]
        arguments = [argument.replace("/etc/nats", str(where["/etc/nats"])) for argument in arguments]
        cls.running["nats"] = pods.Process([nats_server(), *arguments], {}, "Server is ready")
        cls.running["nats"].wait_until_ready()

    @classmethod
    def start(cls, service):
        template = cls.templates[service]
        variables = pods.environment(cls.manifests, template, pods.mounted(cls.manifests, template, cls.secrets, cls.folder / service))
        variables["NODKEY_SERVER__LISTEN"] = f"127.0.0.1:{cls.ports[service]}"
        variables["NODKEY_SERVER__METRICS_LISTEN"] = f"127.0.0.1:{cls.ports[f'{service} metrics']}"
        variables["NODKEY_BUS__URL"] = variables["NODKEY_BUS__URL"].replace("nodkey-nats:4222", f"127.0.0.1:{cls.ports['nats']}")
        for peer in STATEFUL:
            variables[f"NODKEY_PEERS__{peer.upper()}"] = f"http://127.0.0.1:{cls.ports[peer]}"
        cls.running[service] = pods.Process([pods.BINARIES / f"nodkey-{service}"], variables, READY, CONNECTED)

    def test_every_probe_is_answered_where_the_pod_has_it(self):
        for service in SERVICES:
            container = self.templates[service]["spec"]["containers"][0]
            ports = {port["name"]: port["containerPort"] for port in container["ports"]}
            here = {7070: self.ports[service], 9090: self.ports[f"{service} metrics"]}
            for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
                with self.subTest(f"{service}: {probe}"):
                    request = container[probe]["httpGet"]
                    self.assertEqual(pods.get(here[ports[request["port"]]], request["path"])[0], 200)

    def test_metrics_are_where_prometheus_reads_them_and_the_gateway_does_not_publish_them(self):
        for service in SERVICES:
            status, body = pods.get(self.ports[f"{service} metrics"], "/metrics")
            self.assertEqual(status, 200)
            self.assertIn("nodkey_", body)
        self.assertNotEqual(pods.get(self.ports["gateway"], "/metrics")[0], 200)

    def test_services_reach_nats_with_the_users_of_the_secrets(self):
        """Each has connected before any test runs. NATS knows nobody but these users."""
        config = (self.folder / "nats/config/nats-users.conf").read_text()
        for service in SERVICES:
            settings = tomllib.loads(self.secrets[f"nodkey-{service}"]["keys.toml"])["bus"]
            self.assertIn(f'user: "{settings["user"]}", password: "{settings["password"]}"', config)
            self.assertIn(CONNECTED, " ".join(self.running[service].lines))

    def test_the_guide_makes_the_first_relying_party_and_the_first_owner(self):
        block = guide_block("sh", "port-forward --namespace")
        # What is forwarded there is here already.
        block = re.sub(r"^for service.*?^done\n", "", block, flags=re.M | re.S)
        for port, service in zip(range(7071, 7075), STATEFUL, strict=True):
            block = block.replace(f"{service}=http://127.0.0.1:{port}", f"{service}=http://127.0.0.1:{self.ports[service]}")
        variables = {"PATH": f"{pods.BINARIES}:{os.environ['PATH']}", "HOME": str(self.folder)}
        shell = lambda script: subprocess.run(["bash", "-euc", script], cwd=self.folder, env=variables, capture_output=True, text=True)
        preparation, commands = block.split("nodkey admin", 1)
        commands = ("nodkey admin" + commands).splitlines()
        first = shell(f"{preparation}{commands[0]} --json")
        self.assertEqual(first.returncode, 0, first.stderr)
        relying_party = json.loads(first.stdout)["id"]
        for command in commands[1:]:
            result = shell(preparation + command.replace("UUID", relying_party) + " --json")
            self.assertEqual(result.returncode, 0, f"{command}: {result.stderr}")
        self.assertTrue(json.loads(result.stdout)["link"].startswith("https://id.example.com/"))

    def test_the_gateway_knows_clients_by_the_header_of_its_proxy(self):
        pods.get(self.ports["gateway"], "/jwks", X_Forwarded_For="203.0.113.9")
        self.assertNotRegex(pods.get(self.ports["gateway metrics"], "/metrics")[1], UNNAMED_PROXY)

    def test_no_setting_of_the_chart_is_warned_of(self):
        for service in SERVICES:
            for line in self.running[service].lines:
                self.assertNotIn("has no effect", line)


@unittest.skipUnless(pods.BUILT, pods.NOT_BUILT)
class Alone(unittest.TestCase):
    def test_a_gateway_without_a_proxy_trusts_no_header_and_stops_in_order(self):
        """It needs no other server to start."""
        with tempfile.TemporaryDirectory() as name:
            folder = pathlib.Path(name)
            subprocess.run([pods.BINARIES / "nodkey", "keys", "init", folder / "keys"], check=True, capture_output=True)
            output = subprocess.run([KUBERNETES / "secrets", folder / "keys"], check=True, capture_output=True, text=True).stdout
            secrets = {item["metadata"]["name"]: item["stringData"] for item in objects(output)}
            manifests = Manifests(objects(rendered("off")))
            [template] = [template for component, _, template, _ in manifests.workloads() if component == "gateway"]
            secrets["own-gateway"] = secrets["nodkey-gateway"]
            variables = pods.environment(manifests, template, pods.mounted(manifests, template, secrets, folder / "pod"))
            main, metrics = pods.free_port(), pods.free_port()
            variables["NODKEY_SERVER__LISTEN"] = f"127.0.0.1:{main}"
            variables["NODKEY_SERVER__METRICS_LISTEN"] = f"127.0.0.1:{metrics}"
            variables["NODKEY_BUS__URL"] = f"nats://127.0.0.1:{pods.free_port()}"
            process = pods.Process([pods.BINARIES / "nodkey-gateway"], variables, READY)
            self.addCleanup(process.process.kill)
            process.wait_until_ready()
            pods.get(main, "/jwks", X_Forwarded_For="203.0.113.9")
            self.assertRegex(pods.get(metrics, "/metrics")[1], UNNAMED_PROXY)
            self.assertEqual(process.stop(), 0, "".join(process.lines[-5:]))
