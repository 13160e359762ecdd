"""What a pod's process gets: the files of its mounts and its variables, on this machine."""

import os
import pathlib
import re
import socket
import subprocess
import threading
import urllib.error
import urllib.request

from documents import ROOT, SERVICES
from manifests import sources

BINARIES = pathlib.Path(os.environ.get("NODKEY_BIN_DIR", ROOT / "target/debug")).resolve()
BUILT = all((BINARIES / name).exists() for name in ["nodkey", *(f"nodkey-{service}" for service in SERVICES)])
NOT_BUILT = f"the services are not built in {BINARIES}: cargo build --workspace --bins"


def mounted(manifests, template, secrets, folder):
    """Writes the files of a container's mounts below a folder. Returns where each mount is."""
    where = {}
    for mount in template["spec"]["containers"][0]["volumeMounts"]:
        root = where[mount["mountPath"]] = folder / mount["name"]
        root.mkdir(parents=True, exist_ok=True)
        [volume] = [volume for volume in template["spec"].get("volumes", []) if volume["name"] == mount["name"]] or [{}]
        for kind, name, key, path in sources(manifests, volume):
            data = secrets[name] if kind == "secret" else manifests.named("ConfigMap", name)["data"]
            (root / path).write_text(data[key])
    return where


def environment(manifests, template, where):
    """The variables of a container, with the paths of its mounts as they are here."""
    variables = manifests.environment(template["spec"]["containers"][0])
    for path, root in where.items():
        variables = {name: re.sub(f"^{re.escape(path)}(?=/|$)", str(root), value) for name, value in variables.items()}
    return variables


def free_port():
    """A port that nobody listened to a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def get(port, path, **headers):
    """Status and body of a GET."""
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, response.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


class Process:
    """A process whose log is read until it has said everything that is waited for."""

    def __init__(self, command, variables, *awaited):
        self.process = subprocess.Popen(command, env=variables, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        self.lines, self.ready = [], threading.Event()
        self.reader = threading.Thread(target=self.read, args=[set(awaited)], daemon=True)
        self.reader.start()

    def read(self, awaited):
        for line in self.process.stderr:
            self.lines.append(line)
            awaited -= {text for text in awaited if text in line}
            if not awaited:
                self.ready.set()
        # It has ended: whoever waits looks at what it said.
        self.ready.set()

    def wait_until_ready(self):
        if not self.ready.wait(60) or self.process.poll() is not None:
            raise AssertionError(f"not ready: {''.join(self.lines[-20:])}")

    def terminate(self):
        """Tells it to stop as Kubernetes does."""
        self.process.terminate()

    def stop(self):
        """The exit code with which it stops."""
        self.terminate()
        code = self.process.wait(60)
        self.reader.join()
        self.process.stderr.close()
        return code
