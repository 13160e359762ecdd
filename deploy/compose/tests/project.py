"""The project of docker-compose.yml as Docker Compose itself understands it, and where its tests work."""

import functools
import importlib.util
import json
import os
import pathlib
import platform
import shutil
import subprocess

from documents import ROOT as TOP
from documents import SERVICES, STATEFUL

BIN = pathlib.Path(os.environ["NODKEY_BIN_DIR"])
WORK = TOP / "target/deploy"
VENV = WORK / "venv/bin"
PACKAGED = pathlib.Path(importlib.util.find_spec("compose").origin).parent / "docker-compose"
# The pinned one, or that of this machine where there is no build for it.
DOCKER_COMPOSE = [PACKAGED] if platform.machine() == "x86_64" else ["docker", "compose"]


def clean_environment(**more):
    """Ours, without what would reach into a project or a process: the same in everybody's shell."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("NODKEY_", "COMPOSE_", "OTEL_", "PUBLIC_URL"))}
    return {**kept, **more}


class Refused(Exception):
    """Docker Compose refused the project, or warned of it."""


def compose_config(folder=TOP, profiles="*", **variables):
    """What `docker compose config` makes of the project in a folder."""
    variables = {"PUBLIC_URL": "https://id.example.com", **variables}
    command = [*DOCKER_COMPOSE, "--project-directory", folder, "--env-file", os.devnull, "config", "--format", "json"]
    environment = clean_environment(COMPOSE_PROFILES=profiles, **variables)
    PACKAGED.chmod(0o755)
    read = subprocess.run(command, cwd=folder, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if read.returncode != 0 or read.stderr:
        raise Refused(read.stderr)
    return json.loads(read.stdout)


@functools.cache
def shipped():
    """The project as shipped, with all profiles. Not to be changed."""
    return compose_config()


def fresh(name):
    """A new folder for a test."""
    folder = WORK / "run" / name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    return folder


def unprepared(name):
    """A new folder with deploy/compose/prepare and what it calls."""
    folder = fresh(name)
    (folder / "deploy/compose").mkdir(parents=True)
    for script in ["deploy/compose/prepare", "deploy/env-to-toml"]:
        shutil.copy(TOP / script, folder / script)
    return folder


def prepared(name, **variables):
    """The same with the files that deploy/compose/prepare makes, by the real `nodkey`."""
    folder = unprepared(name)
    prepare(folder, NODKEY=str(BIN / "nodkey"), **variables)
    return folder


def prepare(folder, **variables):
    """Runs deploy/compose/prepare in a folder."""
    command = [folder / "deploy/compose/prepare"]
    return subprocess.run(command, env=clean_environment(**variables), check=True, text=True, stderr=subprocess.PIPE).stderr
