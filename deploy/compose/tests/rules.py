"""What must hold for each service of the project. Each rule is given the project as Docker Compose understands it and names every fault."""

import re

from project import SERVICES, STATEFUL

# What people reach, all on this machine alone.
PUBLISHED = {"gateway", "proxy", "grafana"}
# Own images are built here, everybody else's have a version down to the patch.
OWN_IMAGE = re.compile(r"nodkey(-[a-z]+)?:[\w.-]+")
PINNED_IMAGE = re.compile(r"[\w./-]+:v?\d+\.\d+(\.\d+)?(-[\w.]+)?(@sha256:[0-9a-f]{64})?")
# PostgreSQL's versions have two numbers.
TWO_NUMBERS = {"postgres"}
SECRET = re.compile(r"(PASSWORD|SECRET|TOKEN|_KEYS?)$")
IN_A_FILE = re.compile(r"_FILE$")
# A service needs this long to stop in order, docs/operations/replicas.md says.
STOP_SECONDS = 45
# Of `docker compose up --scale`, for every service at once.
REPLICAS = 3
# What PostgreSQL keeps for superusers (3), and what people and backups take.
SPARE_CONNECTIONS = 10
# Who reads which secret.
READERS = {
    **{f"{name}_keys": {name} for name in SERVICES},
    **{f"{name}_db_url": {name} for name in STATEFUL},
    **{f"{name}_db_password": {"postgres"} for name in STATEFUL},
    "postgres_password": {"postgres"},
    "nats_users": {"nats"},
    "operator_key": {"cli"},
    "grafana_password": {"grafana"},
}
# Who is in the network of what must not be reached by others.
MEMBERS = {"database": {"postgres", *STATEFUL}, "bus": {"nats", *SERVICES}, "public": {"gateway", "proxy"}, "outside": {"notification"}}
INTERNAL = {"services", "database", "bus", "telemetry"}


def seconds(text):
    """Of a duration as Go writes it: 1m30s."""
    units = {"h": 3600, "m": 60, "s": 1}
    return sum(int(number) * units[unit] for number, unit in re.findall(r"(\d+)([hms])", text))


def environment(service):
    """A service's variables."""
    return service.get("environment") or {}


def limits(name, service, _project):
    """CPU, memory and processes are limited."""
    given = service.get("deploy", {}).get("resources", {}).get("limits", {})
    yield from (f"{name} has no limit of {what}" for what in ("cpus", "memory", "pids") if not given.get(what))


def log_rotation(name, service, _project):
    """Logs do not fill the disk."""
    options = service.get("logging", {}).get("options", {})
    yield from (f"{name}'s logs have no {what}" for what in ("max-size", "max-file") if not options.get(what))


def health(name, service, project):
    """There is a health check, the image's or here, or a reason why not."""
    check = service.get("healthcheck", {})
    if check.get("disable") and not project["x-no-healthcheck"].get(name):
        yield f"{name} has no health check and gives no reason"
    if not check and not OWN_IMAGE.fullmatch(service["image"]):
        yield f"{name} has no health check"


def hardening(name, service, _project):
    """Nothing is written but to volumes, and no process gets rights that it was not started with."""
    if not service.get("read_only"):
        yield f"{name} may write to its image"
    if service.get("cap_drop") != ["ALL"]:
        yield f"{name} keeps capabilities"
    if set(service.get("cap_add", [])) - ({"NET_BIND_SERVICE"} if name == "proxy" else set()):
        yield f"{name} is given capabilities"
    if "no-new-privileges:true" not in service.get("security_opt", []):
        yield f"{name} may gain privileges"
    if service.get("privileged") or service.get("pid") or service.get("ipc") or service.get("network_mode"):
        yield f"{name} shares the host's namespaces"
    if any(volume["source"].endswith("docker.sock") for volume in service.get("volumes", [])):
        yield f"{name} controls the engine"


def mounts(name, service, _project):
    """What comes from the repository is not written to."""
    bound = [volume for volume in service.get("volumes", []) if volume["type"] == "bind"]
    yield from (f"{name} may write to {volume['source']}" for volume in bound if not volume.get("read_only"))


def pinned(name, service, _project):
    """The image is the same tomorrow."""
    image = service["image"]
    if OWN_IMAGE.fullmatch(image):
        if not service.get("build", {}).get("target"):
            yield f"{name} is not built here, or not from a target"
        return
    matched = PINNED_IMAGE.fullmatch(image)
    if not matched or (matched[1] is None and image.split(":")[0] not in TWO_NUMBERS):
        yield f"{name}'s image {image} is not pinned to a patch"


def secrets_are_files(name, service, _project):
    """No secret is among the variables, which anybody who may inspect a container sees."""
    for variable, value in environment(service).items():
        if IN_A_FILE.search(variable):
            if not str(value).startswith("/run/secrets/"):
                yield f"{name}'s {variable} is no secret of the project"
        elif SECRET.search(variable) or re.search(r"://[^/@]*:[^/@]+@", str(value or "")):
            yield f"{name}'s {variable} is a secret in clear"
    if service.get("env_file"):
        yield f"{name} has variables from a file: they are in clear, too"


def secrets_by_need(name, service, project):
    """Each gets what it needs, and every file that is named is there."""
    targets = set()
    for secret in service.get("secrets", []):
        source, target = secret["source"], secret.get("target") or secret["source"]
        targets.add(target if target.startswith("/") else f"/run/secrets/{target}")
        if name not in READERS.get(source, set()):
            yield f"{name} gets {source}, which it does not need"
        if not project["secrets"].get(source, {}).get("file", "").split("/keys/files/")[1:]:
            yield f"{source} is not a file of keys/files"
    named = [str(value) for value in environment(service).values() if str(value).startswith("/run/secrets/")]
    yield from (f"{name} names {path}, which it is not given" for path in named if path not in targets)


def publishing(name, service, _project):
    """Only what people reach is published, on this machine alone."""
    for port in service.get("ports", []):
        if name not in PUBLISHED:
            yield f"{name} is published"
        if port.get("host_ip") != "127.0.0.1":
            yield f"{name} is published to {port.get('host_ip', 'the world')}"


def reachability(name, service, project):
    """Database and bus are reached by their services, and only notification reaches the world."""
    networks = set(service.get("networks", {}))
    for network in networks:
        if name not in MEMBERS.get(network, {name}):
            yield f"{name} is in the network {network}"
        if network in INTERNAL and not project["networks"][network].get("internal"):
            yield f"the network {network} has a way out"
    if not networks or "default" in networks:
        yield f"{name} is in the default network"
    # Where a service can look up a peer, it is in a network with it.
    for variable, value in environment(service).items():
        for host in re.findall(r"://([a-z]+):", str(value)):
            if host in project["services"] and not networks & set(project["services"][host]["networks"]):
                yield f"{name}'s {variable} names {host}, which it cannot reach"


def stopping(name, service, _project):
    """Services have the time to stop in order."""
    if name in SERVICES:
        drain = int(environment(service).get("NODKEY_SERVER__DRAIN_SECONDS", 0))
        if seconds(service.get("stop_grace_period", "10s")) < STOP_SECONDS + drain:
            yield f"{name} is killed before it has stopped"


def pools(name, service, project):
    """Every replica's connections fit into the database."""
    if name != "postgres":
        return
    command = " ".join(service.get("command") or [])
    found = re.search(r"max_connections=(\d+)", command)
    allowed = int(found[1]) if found else 100
    # One more each, which migrates.
    each = [int(environment(project["services"][of]).get("NODKEY_DB__MAX_CONNECTIONS", 16)) + 1 for of in STATEFUL]
    needed = REPLICAS * sum(each) + SPARE_CONNECTIONS
    if needed > allowed:
        yield f"{REPLICAS} replicas of each service take {needed} connections, and the database has {allowed}"


def waiting_phones(name, service, _project):
    """Every phone that may wait fits into the gateway's memory and files."""
    if name != "gateway":
        return
    waiting = int(environment(service).get("NODKEY_SERVICE__MAX_WAITING", 120000))
    if int(service["deploy"]["resources"]["limits"].get("memory", 0)) < waiting * 20_000:
        yield "the gateway has no memory for the phones that may wait"
    files = service.get("ulimits", {}).get("nofile", 1024)
    if (files if isinstance(files, int) else files["soft"]) < waiting:
        yield "the gateway may not open as many files as phones may wait"


RULES = [
    limits, log_rotation, health, hardening, mounts, pinned, secrets_are_files, secrets_by_need, publishing, reachability, stopping, pools,
    waiting_phones,
]  # fmt: skip


def faults(project):
    """Every fault of the project, with the rule that found it."""
    services = project["services"].items()
    return [(rule.__name__, fault) for rule in RULES for name, service in services for fault in rule(name, service, project)]
