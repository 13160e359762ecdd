"""The profile telemetry: each part's configuration is valid and names what is there."""

import json
import re
import shutil
import subprocess
import unittest
import urllib.parse

import dockerfile
import processes
import project
import rules
import yaml

DEPLOY = project.TOP / "deploy"
PROMETHEUS = DEPLOY / "prometheus/prometheus.yml"
COLLECTOR = yaml.safe_load((DEPLOY / "otel/collector.yaml").read_text())


def service(name):
    """A service of the project."""
    return project.shipped()["services"][name]


def listens(name):
    """The ports that a process of the project listens on."""
    if name in project.SERVICES:
        given = {**dockerfile.stages()[name].environment(dockerfile.stages()), **service(name)["environment"]}
        return {int(value.rsplit(":", 1)[1]) for variable, value in given.items() if re.fullmatch("NODKEY_SERVER__(METRICS_)?LISTEN", variable)}
    # By their own documentation.
    return {"prometheus": {9090}, "jaeger": {4317, 16686}, "collector": {4318, 8888}}[name]


class Wiring(unittest.TestCase):
    """Who calls whom."""

    def reachable(self, caller, host, port):
        self.assertTrue(set(service(caller)["networks"]) & set(service(host)["networks"]), f"{caller} cannot reach {host}")
        self.assertIn(port, listens(host), f"{host} does not listen on {port}")

    def test_prometheus_scrapes_every_service_where_it_serves_metrics(self):
        jobs = {job["job_name"]: job for job in yaml.safe_load(PROMETHEUS.read_text())["scrape_configs"]}
        scraped = {name: found["port"] for found in jobs["nodkey"]["dns_sd_configs"] for name in found["names"]}
        self.assertEqual(set(scraped), set(project.SERVICES))
        for name, port in scraped.items():
            self.reachable("prometheus", name, port)
        # The gateway serves them on an address of their own alone.
        self.assertEqual(scraped["gateway"], int(service("gateway")["environment"]["NODKEY_SERVER__METRICS_LISTEN"].rsplit(":", 1)[1]))
        host, port = jobs["collector"]["static_configs"][0]["targets"][0].split(":")
        self.reachable("prometheus", host, int(port))
        self.assertEqual(int(port), COLLECTOR["service"]["telemetry"]["metrics"]["readers"][0]["pull"]["exporter"]["prometheus"]["port"])

    def test_services_send_to_the_collector_and_it_to_jaeger(self):
        endpoint = "http://collector:4318"
        self.assertIn(f"OTEL_EXPORTER_OTLP_ENDPOINT={endpoint}", (DEPLOY / "README.md").read_text())
        for name in project.SERVICES:
            self.assertEqual(service(name)["environment"]["OTEL_EXPORTER_OTLP_ENDPOINT"], "", "nothing is sent without the profile")
            self.reachable(name, "collector", 4318)
        self.assertEqual(COLLECTOR["receivers"]["otlp"]["protocols"]["http"]["endpoint"], "0.0.0.0:4318")
        host, port = COLLECTOR["exporters"]["otlp/jaeger"]["endpoint"].split(":")
        self.reachable("collector", host, int(port))

    def test_the_endpoint_in_the_environment_reaches_the_services(self):
        model = project.compose_config(OTEL_EXPORTER_OTLP_ENDPOINT="http://collector:4318", OTEL_TRACES_SAMPLER_ARG="1")
        for name in project.SERVICES:
            given = model["services"][name]["environment"]
            self.assertEqual((given["OTEL_EXPORTER_OTLP_ENDPOINT"], given["OTEL_TRACES_SAMPLER_ARG"]), ("http://collector:4318", "1"))

    def test_every_pipeline_is_of_components_that_are_defined_and_all_are_used(self):
        used = {"receivers": set(), "processors": set(), "exporters": set()}
        for pipeline in COLLECTOR["service"]["pipelines"].values():
            for kind, names in pipeline.items():
                used[kind] |= set(names)
            # What refuses comes before what holds.
            self.assertEqual(pipeline["processors"][0], "memory_limiter")
        self.assertEqual(used, {kind: set(COLLECTOR[kind]) for kind in used})

    def test_no_signal_is_sent_that_the_collector_refuses(self):
        taken = set(COLLECTOR["service"]["pipelines"])
        for name in project.SERVICES:
            given = service(name)["environment"]
            sent = {signal for signal in ["traces", "metrics", "logs"] if given.get(f"OTEL_{signal.upper()}_EXPORTER") != "none"}
            self.assertEqual(sent, taken)

    def test_grafana_queries_sources_that_exist(self):
        sources = yaml.safe_load((DEPLOY / "grafana/provisioning/datasources/nodkey.yaml").read_text())["datasources"]
        for source in sources:
            url = urllib.parse.urlsplit(source["url"])
            self.reachable("grafana", url.hostname, url.port)
        self.assertEqual([source["type"] for source in sources if source.get("isDefault")], ["prometheus"])
        (provider,) = yaml.safe_load((DEPLOY / "grafana/provisioning/dashboards/nodkey.yaml").read_text())["providers"]
        mounted = {volume["target"]: volume["source"] for volume in service("grafana")["volumes"] if volume["type"] == "bind"}
        self.assertEqual(mounted[provider["options"]["path"]], str(DEPLOY / "grafana"))
        self.assertEqual(mounted["/etc/grafana/provisioning"], str(DEPLOY / "grafana/provisioning"))
        uids = {source["uid"] for source in sources}
        for path in (DEPLOY / "grafana").glob("*.json"):
            for uid in self.uids(json.loads(path.read_text())):
                self.assertTrue(uid in uids or uid.startswith(("$", "-- ")), f"{path.name} queries {uid}")

    def uids(self, value):
        """The sources of data that a dashboard names."""
        if isinstance(value, dict):
            source = value.get("datasource")
            if isinstance(source, dict) and isinstance(source.get("uid"), str):
                yield source["uid"]
            value = list(value.values())
        if isinstance(value, list):
            for inner in value:
                yield from self.uids(inner)

    def test_the_profile_is_off_by_default(self):
        started = set(project.compose_config(profiles="telemetry")["services"])
        self.assertEqual(started - set(project.compose_config(profiles="")["services"]), {"collector", "jaeger", "prometheus", "grafana"})
        self.assertLessEqual({"grafana"}, rules.PUBLISHED)


class Prometheus(unittest.TestCase):
    """The real one, of Debian: older than the container's, so what it accepts is not new."""

    def setUp(self):
        if not shutil.which("promtool"):
            self.skipTest("promtool is missing: apt-get install prometheus")
        self.folder = project.fresh("prometheus")
        for path in (DEPLOY / "prometheus").glob("*.y*ml"):
            shutil.copy(path, self.folder)

    def test_the_configuration_is_valid(self):
        command = ["promtool", "check", "config", self.folder / "prometheus.yml"]
        checked = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.assertEqual(checked.returncode, 0, checked.stdout)

    def test_it_runs_as_its_container_does_and_is_healthy(self):
        (port,) = processes.free_ports(1)
        paths = {"/etc/prometheus": str(self.folder), "/prometheus": str(self.folder / "data")}
        command = service("prometheus")["command"]
        for old, new in paths.items():
            command = [word.replace(f"={old}", f"={new}") for word in command]
        check = [word.replace("127.0.0.1:9090", f"127.0.0.1:{port}") for word in service("prometheus")["healthcheck"]["test"][1:]]
        self.assertIn(str(port), " ".join(check))
        with processes.started(["prometheus", *command, f"--web.listen-address=127.0.0.1:{port}"], {}, self.folder / "log") as running:
            processes.wait_for(running, lambda: processes.run(check, {}))
