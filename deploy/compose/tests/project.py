"""The project of docker-compose.yml as Docker Compose itself understands it, and where its tests work."""

import functools
import importlib.util
import json
import os
import pathlib
import shutil
import subprocess

TOP = pathlib.Path(__file__).resolve().parents[3]
BIN = pathlib.Path(os.environ["NODKEY_BIN_DIR"])
WORK = TOP / "target/deploy"
VENV = WORK / "venv/bin"
DOCKER_COMPOSE = pathlib.Path(importlib.util.find_spec("compose").origin).parent / "docker-compose"
STATEFUL = ["registry", "binding", "trusonafication", "notification"]
SERVICES = [*STATEFUL, "gateway"]


def clean_environment(**more):
    """Ours, without what would reach into a project or a process: the same in everybody's shell."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NODKEY_", "COMPOSE_", "OTEL_", "PUBLIC_URL"))}
    return {**kept, **more}


def compose_config(folder=TOP, profiles="*", **variables):
    """What `docker compose config` makes of the project in a folder."""
    variables = {"PUBLIC_URL": "https://id.example.com", **variables}
    command = [DOCKER_COMPOSE, "--project-directory", folder, "--env-file", os.devnull, "config", "--format", "json"]
    environment = clean_environment(COMPOSE_PROFILES=profiles, **variables)
    return json.loads(subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE).stdout)


@functools.cache
def shipped():
    """The project as shipped, with all profiles. Not to be changed."""
    DOCKER_COMPOSE.chmod(0o755)
    return compose_config()


def fresh(name):
    """A new folder for a test."""
    folder = WORK / "run" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def prepared(name, **variables):
    """A new folder with the files that deploy/compose/prepare makes, by the real `nodkey`."""
    folder = fresh(name)
    (folder / "deploy/compose").mkdir(parents=True)
    shutil.copy(TOP / "deploy/compose/prepare", folder / "deploy/compose")
    prepare(folder, NODKEY=str(BIN / "nodkey"), **variables)
    return folder


def prepare(folder, **variables):
    """Runs deploy/compose/prepare in a folder."""
    command = [folder / "deploy/compose/prepare"]
    return subprocess.run(command, env=clean_environment(**variables), check=True, text=True, stderr=subprocess.PIPE).stderr
