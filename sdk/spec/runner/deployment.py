"""The deployment that an SDK is tried against, and the phones of its users."""

import json
import os
import socket
import ssl
import subprocess
import time
import urllib.request

# How long anything may take that a scenario waits for.
PATIENCE = 60


def free_ports(count):
    """As many ports, none twice."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [it.getsockname()[1] for it in sockets]
    for it in sockets:
        it.close()
    return ports


class Deployment:
    """A relying party of a deployment. `environment` is what a conformance program and the command line take it from."""

    def __init__(self, folder, binaries):
        self.folder, self.nodkey = folder, str(binaries / "nodkey")
        self.environment = {}

    def command(self, *arguments, timeout=PATIENCE):
        """Runs `nodkey`; returns what it printed as JSON. None: it failed, and why is on the second."""
        environment = {**os.environ, **self.environment, "XDG_STATE_HOME": str(self.folder / "state")}
        done = subprocess.run([self.nodkey, *arguments, "--json"], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=timeout)
        if done.returncode != 0:
            raise RuntimeError(f"nodkey {' '.join(arguments)}: {done.returncode}: {done.stderr.strip()}")
        return [json.loads(line) for line in _documents(done.stdout)]

    def relying_party_of_this_run(self):
        """Makes a relying party with both credentials; any page may show its codes."""
        self.relying_party = self.command("admin", "relying-parties", "create", "Conformance")[0]["id"]
        self.environment["NODKEY_RELYING_PARTY"] = self.relying_party
        self.command("admin", "relying-parties", "update", "--allowed-origin", "any")
        server, self.mobile = (self.command("admin", "credentials", "create", kind)[0] for kind in ["server", "mobile"])
        self.environment |= {
            "NODKEY_MOBILE_TOKEN": self.mobile["token"],
            "NODKEY_MOBILE_SECRET": self.mobile["secret"],
            "NODKEY_TOKEN": server["token"],
            "NODKEY_SECRET": server["secret"],
        }

    def phone(self, keys, *arguments):
        """A command of the phone that has its keys in this file."""
        return self.command("phone", *arguments, "--key", str(keys))[-1]

    def code(self):
        """A new secure QR code, as a page of the relying party gets it."""
        body = json.dumps({"relying_party_id": self.relying_party}).encode()
        headers = {"Content-Type": "application/json", "Origin": "https://shop.example"}
        request = urllib.request.Request(f"{self.url}/api/v2/trucodes", body, headers)
        with urllib.request.urlopen(request, timeout=PATIENCE, context=self.tls()) as answer:
            return json.load(answer)

    def tls(self):
        authority = self.environment.get("NODKEY_CA_CERTIFICATE")
        return ssl.create_default_context(cafile=authority) if authority else None


def _documents(text):
    """The JSON documents of an output, whether each has one line or several."""
    decoder, at = json.JSONDecoder(), 0
    text = text.strip()
    while at < len(text):
        _, end = decoder.raw_decode(text, at)
        yield text[at:end]
        at = end
        while at < len(text) and text[at].isspace():
            at += 1


class Embedded(Deployment):
    """`nodkey dev`, over TLS if wanted, which can be stopped and started again."""

    kind = "embedded"

    def __init__(self, folder, binaries, with_tls):
        super().__init__(folder, binaries)
        self.ports = free_ports(2)
        self.options = ["--tls"] if with_tls else []
        if with_tls:
            self.environment["NODKEY_CA_CERTIFICATE"] = str(folder / ".nodkey/tls/ca.pem")
        self.log = open(folder / "dev.log", "ab")
        self.start()
        self.url = json.loads((folder / ".nodkey/dev.json").read_text())["http"]
        self.relying_party_of_this_run()

    def start(self):
        http, grpc = (f"127.0.0.1:{port}" for port in self.ports)
        arguments = [self.nodkey, "dev", "--http", http, "--grpc", grpc, "--demo", "false", *self.options]
        self.process = subprocess.Popen(arguments, cwd=self.folder, stdout=self.log, stderr=self.log)
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            if self.process.poll() is not None:
                raise RuntimeError(f"nodkey dev ended: {self.folder}/dev.log says why")
            try:
                url = f"{'https' if self.options else 'http'}://{http}/readyz"
                urllib.request.urlopen(url, timeout=5, context=self.tls()).close()
                return
            except OSError:
                time.sleep(0.05)
        raise RuntimeError(f"nodkey dev is not ready: {self.folder}/dev.log")

    def stop(self, kill=False):
        (self.process.kill if kill else self.process.terminate)()
        self.process.wait(PATIENCE)


class Native(Deployment):
    """The five services of scripts/up-native, over TLS, with a relying party for this run."""

    kind = "native"

    def __init__(self, folder, binaries, native):
        super().__init__(folder, binaries)
        described = json.loads(native.read_text())
        self.url = described["http"]
        services = ",".join(f"{name}={described[name]}" for name in ["registry", "binding", "trusonafication", "notification"])
        self.environment = {
            "NODKEY_CA_CERTIFICATE": described["ca_certificate"],
            "NODKEY_GRPC": services,
            "NODKEY_HTTP": self.url,
            "NODKEY_OPERATOR_KEY": described["operator_key"],
        }
        self.relying_party_of_this_run()

    def stop(self):
        pass
