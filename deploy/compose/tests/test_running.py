"""The project runs: each process as its container would run it, on PostgreSQL 18, NATS and Caddy, with three replicas of trusonafication."""

import contextlib
import json
import signal
import socket
import subprocess
import tomllib
import unittest

import dockerfile
import processes
import project
import servers
import test_settings

STAGES = dockerfile.stages()
REPLICAS = ["registry", "binding", "trusonafication", "trusonafication", "trusonafication", "notification", "gateway"]


class Deployment:
    """Everything that runs, and where."""

    def __init__(self, stack):
        self.proxy, self.http, self.health = processes.free_ports(3)
        self.url = f"https://localhost:{self.proxy}"
        self.folder = project.prepared("running", PUBLIC_URL=self.url)
        self.files = self.folder / "keys/files"
        arguments = project.shipped()["services"]["postgres"]["command"][1:]
        self.postgres = stack.enter_context(servers.postgres(arguments=arguments))
        self.postgres.initialize(self.files)
        self.nats = stack.enter_context(servers.nats(self.folder, self.files / "nats-users.conf"))
        self.listen = dict(zip([*project.SERVICES, "second", "third", "metrics"], processes.free_ports(8)))
        self.processes = []
        for name in REPLICAS:
            self.start(stack, name)
        gateway = f"127.0.0.1:{self.listen['gateway']}"
        variables = {
            "PUBLIC_URL": self.url,
            "GATEWAY": gateway,
            "HTTP_PORT": str(self.http),
            "HEALTH_PORT": str(self.health),
            "XDG_DATA_HOME": str(self.folder / "proxy"),
            "HOME": str(self.folder),
        }
        command = [project.VENV / "caddy", "run", "--adapter", "caddyfile", "--config", project.TOP / "deploy/compose/Caddyfile"]
        running = stack.enter_context(processes.started(command, variables, self.folder / "proxy.log"))
        self.authority = self.folder / "proxy/caddy/pki/authorities/local/root.crt"
        processes.wait_for(running, lambda: self.curl("/readyz"))

    def here(self, value):
        """A value of docker-compose.yml, on this machine."""
        for host in project.SERVICES:
            value = value.replace(f"http://{host}:7070", f"http://127.0.0.1:{self.listen[host]}")
        return value.replace("nats://nats:4222", f"nats://127.0.0.1:{self.nats}")

    def variables(self, name, place):
        """Those of the image and of docker-compose.yml, together."""
        given = {**STAGES[name].environment(STAGES), **test_settings.given(name, self.files)}
        given = {variable: self.here(value) for variable, value in given.items()}
        given["NODKEY_DEPLOYMENT__PUBLIC_URL"] = self.url
        given["NODKEY_SERVER__LISTEN"] = processes.on_loopback(given["NODKEY_SERVER__LISTEN"], self.listen[place])
        if "NODKEY_SERVER__METRICS_LISTEN" in given:
            given["NODKEY_SERVER__METRICS_LISTEN"] = processes.on_loopback(given["NODKEY_SERVER__METRICS_LISTEN"], self.listen["metrics"])
        if "NODKEY_DB__URL_FILE" in given:
            # The name of the container is that of this machine.
            url = (self.files / f"{name}_db_url").read_text()
            here = self.folder / f"{name}_db_url"
            here.write_text(url.replace("@postgres/", f"@127.0.0.1:{self.postgres.port}/"))
            given["NODKEY_DB__URL_FILE"] = str(here)
        return given

    def start(self, stack, name):
        """One more replica."""
        replicas = sum(of == name for of, _, _ in self.processes)
        place = [name, "second", "third"][replicas]
        variables = self.variables(name, place)
        log = self.folder / f"{place}.log"
        running = stack.enter_context(processes.started(STAGES[name].command(STAGES, "ENTRYPOINT"), variables, log))
        processes.wait_for(running, lambda: processes.run(STAGES[name].command(STAGES, "HEALTHCHECK"), variables))
        self.processes.append((name, running, variables))

    def curl(self, path, *more):
        """Calls the proxy, as the world does."""
        command = ["curl", "--fail", "--silent", "--show-error", "--max-time", "20", "--cacert", self.authority, *more, f"{self.url}{path}"]
        return processes.run(command, {})

    def cli(self, *arguments):
        """Runs the container of the command line."""
        cli = project.shipped()["services"]["cli"]
        shell, option, script, zero = cli["entrypoint"]
        script = script.replace("$$", "$").replace("/run/secrets/operator_key", str(self.files / "operator_key"))
        variables = {name: self.here(value) for name, value in cli["environment"].items()}
        return processes.run([shell, option, script, zero, *arguments], {**variables, "HOME": str(self.folder)})


class Caddyfile(unittest.TestCase):
    """The proxy's configuration, which runs below."""

    def test_it_passes_requests_on_as_the_one_for_other_machines_does(self):
        ours = (project.TOP / "deploy/compose/Caddyfile").read_text()
        theirs = (project.TOP / "deploy/proxies/Caddyfile").read_text()
        theirs = theirs.replace("127.0.0.1:8080", "{$GATEWAY:gateway:7070}").replace("id.example.com", "{$PUBLIC_URL}")
        passed = theirs[theirs.index("(forwarded)") :]
        self.assertIn("reverse_proxy", passed)
        self.assertIn(passed, ours)
        self.assertIn("read_body_idle 16m", theirs)
        self.assertIn("read_body_idle 16m", ours)


class Running(unittest.TestCase):
    """One deployment for all tests; the last stops it."""

    @classmethod
    def setUpClass(cls):
        cls.stack = contextlib.ExitStack()
        cls.addClassCleanup(cls.stack.close)
        cls.of = Deployment(cls.stack)

    def test_everything_is_ready_behind_the_proxy(self):
        self.assertEqual(json.loads(self.of.curl("/readyz")), {"status": "ok"})
        headers = self.of.curl("/readyz", "--head", "--http2")
        self.assertIn("HTTP/2 200", headers)
        self.assertIn("strict-transport-security: max-age=31536000", headers)

    def test_http_is_sent_to_https(self):
        answer = processes.run(["curl", "--silent", "--head", "--max-time", "20", f"http://localhost:{self.of.http}/"], {})
        self.assertIn("308 Permanent Redirect", answer)

    def test_the_proxy_and_the_database_and_the_bus_are_healthy(self):
        services = project.shipped()["services"]
        check = [word.replace(":8090/", f":{self.of.health}/") for word in services["proxy"]["healthcheck"]["test"][1:]]
        self.assertIn(str(self.of.health), " ".join(check))
        processes.run(check, {})
        ready = [*services["postgres"]["healthcheck"]["test"][1:], f"--port={self.of.postgres.port}"]
        processes.run([self.of.postgres.programs / ready[0], *ready[1:]], {})

    def test_metrics_and_services_are_not_public(self):
        for path in ["/metrics", "/nodkey.registry.v1.OperatorService/ListOperators"]:
            with self.assertRaises(subprocess.CalledProcessError):
                self.of.curl(path)
        metrics = processes.run(["curl", "--fail", "--silent", f"http://127.0.0.1:{self.of.listen['metrics']}/metrics"], {})
        self.assertIn("nodkey_", metrics)

    def test_grpc_passes_the_proxy(self):
        empty = self.of.folder / "empty"
        empty.write_bytes(bytes(5))
        headers = ["--header", "content-type: application/grpc", "--header", "te: trailers"]
        call = ["--http2", *headers, "--data-binary", f"@{empty}", "--dump-header", "-"]
        # UNAUTHENTICATED: the gateway knows the method, and not the caller. UNIMPLEMENTED: it is not for backends.
        answer = self.of.curl("/nodkey.trusonafication.v1.TrusonaficationService/GetTrusonafication", *call)
        self.assertRegex(answer.lower(), r"content-type: application/grpc")
        self.assertRegex(answer.lower(), r"grpc-status: 16")
        self.assertRegex(self.of.curl("/nodkey.registry.v1.RelyingPartyService/CreateRelyingParty", *call).lower(), r"grpc-status: 12")

    def test_the_command_line_acts_as_an_operator(self):
        made = json.loads(self.of.cli("admin", "relying-parties", "create", "Acme Bank", "--json"))
        listed = json.loads(self.of.cli("admin", "relying-parties", "list", "--json"))
        self.assertIn(made["id"], [party["id"] for party in listed["items"]])

    def test_logins_pass_the_proxy_from_backend_and_phone_to_the_result(self):
        """As relying parties do it: gRPC and HTTP at the public URL, with credentials of their own."""
        party = json.loads(self.of.cli("admin", "relying-parties", "create", "Acme Logins", "--json"))["id"]
        variables = {"HOME": str(self.of.folder), "NODKEY_HTTP": self.of.url, "NODKEY_GRPC": self.of.url}
        for kind in ["server", "mobile"]:
            made = json.loads(self.of.cli("admin", "credentials", "create", kind, "--relying-party", party, "--json"))
            variables |= {f"NODKEY_{kind.upper()}_TOKEN": made["token"], f"NODKEY_{kind.upper()}_SECRET": made["secret"]}
        command = ["nodkey", "demo", "--rounds", "5", "--json", "--ca-certificate", str(self.of.authority)]
        self.assertEqual(json.loads(processes.run(command, variables))["rounds"], 5)
        listed = json.loads(self.of.cli("admin", "trusonafications", "list", "--relying-party", party, "--json"))["items"]
        self.assertEqual([one["status"] for one in listed], ["ACCEPTED"] * 5)

    def test_the_bus_knows_only_its_users(self):
        with socket.create_connection(("127.0.0.1", self.of.nats), 20) as connection:
            stream = connection.makefile("rwb")
            info = json.loads(stream.readline().split(b" ", 1)[1])
            self.assertTrue(info["auth_required"])
            stream.write(b'CONNECT {"verbose":false}\r\nPING\r\n')
            stream.flush()
            self.assertIn(b"Authorization Violation", stream.readline())

    def test_no_service_reads_the_database_of_another(self):
        for name in project.STATEFUL:
            password = (self.of.files / f"{name}_db_password").read_text()
            for other in project.STATEFUL:
                of = {"user": f"nodkey_{name}", "password": password, "database": f"nodkey_{other}"}
                if name == other:
                    self.assertEqual(self.of.postgres.sql("SELECT current_user", **of), f"nodkey_{name}")
                else:
                    with self.assertRaises(subprocess.CalledProcessError):
                        self.of.postgres.sql("SELECT 1", **of)

    def test_every_replica_may_fill_its_pool(self):
        allowed = int(self.of.postgres.sql("SHOW max_connections")) - int(self.of.postgres.sql("SHOW superuser_reserved_connections"))
        pools = [int(variables["NODKEY_DB__MAX_CONNECTIONS"]) + 1 for name, _, variables in self.of.processes if name in project.STATEFUL]
        self.assertLessEqual(sum(pools), allowed)
        # The replicas are users of the database, each.
        counted = "SELECT count(DISTINCT client_port) FROM pg_stat_activity WHERE usename = 'nodkey_trusonafication'"
        self.assertGreaterEqual(int(self.of.postgres.sql(counted)), 3)

    def test_nothing_secret_is_logged_or_in_an_environment(self):
        secrets = [path.read_text().strip() for path in self.of.files.iterdir() if path.suffix == "" and not path.name.endswith("_url")]
        for name in project.SERVICES:
            keys = tomllib.loads((self.of.files / f"{name}.toml").read_text())
            secrets += [keys["deployment"]["service_key"], keys["bus"]["password"]]
            secrets.append(keys["service"]["cookie_key"] if name == "gateway" else keys["deployment"]["master_key"])
        self.assertEqual(len(secrets), 7 + 3 * len(project.SERVICES))
        logs = [path.read_text() for path in self.of.folder.glob("*.log")]
        environments = [str(variables) for _, _, variables in self.of.processes]
        for text in logs + environments:
            self.assertFalse(any(secret in text for secret in secrets))

    def test_zz_everything_stops_in_order(self):
        # The last, by its name. As `docker compose down` does: all at once.
        for _, running, _ in self.of.processes:
            running.send_signal(signal.SIGTERM)
        for name, running, _ in self.of.processes:
            self.assertEqual(running.wait(50), 0, name)
