"""What the rest of the repository says, for the tests of compose and of the chart: services, settings, which service calls which, and the
settings that `nodkey keys init` writes."""

import functools
import pathlib
import re

ROOT = pathlib.Path(__file__).resolve().parents[2]
STATEFUL = ["registry", "binding", "trusonafication", "notification"]
SERVICES = [*STATEFUL, "gateway"]

# Variables of OpenTelemetry that crates/runtime/src/serving/otlp.rs and its SDK read.
TELEMETRY = {"OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_TRACES_SAMPLER", "OTEL_TRACES_SAMPLER_ARG"} | {
    f"OTEL_{signal}_EXPORTER" for signal in ("TRACES", "METRICS", "LOGS")
}
# Variables that are no settings, but read before any.
BEFORE = {"NODKEY_CONFIG", "NODKEY_LOG", "NODKEY_LOG_FORMAT"}
SECRET = re.compile(
    r"(^|\.)(password|master_key|previous_master_keys|service_key|operator_key|previous_operator_key|cookie_key|previous_cookie_key)$"
)


def is_secret(setting):
    """Whether a setting is secret, and so may be in a file that a variable names."""
    return setting in ("db.url", "bus.url") or SECRET.search(setting) is not None


def variable(setting):
    """The variable that sets a setting."""
    return "NODKEY_" + setting.replace(".", "__").upper()


@functools.cache
def settings():
    """The settings of each service, by the tables of docs/operations/settings.md."""
    section = (ROOT / "docs/operations/settings.md").read_text().split("\n## ", 1)[0]
    found = {service: set() for service in SERVICES}
    for row in re.findall(r"^\|(.*)\|$", section, re.M):
        cells = [cell.strip() for cell in row.split("|")]
        who = {"all but the gateway": STATEFUL}.get(cells[0], [cells[0]] if cells[0] in SERVICES else None)
        names = re.findall(r"`([a-z_.]+)`", cells[1 if who else 0])
        names = [f"service.{name}" if who and not name.startswith(".") else name for name in names]
        for at, name in enumerate(names):
            # `push.apns_url`, `.fcm_url`
            name = names[at] = names[at - 1].rsplit(".", 1)[0] + name if name.startswith(".") else name
            if "." in name and name.split(".")[0] in ("db", "bus", "server", "peers", "deployment", "service"):
                for service in who or SERVICES:
                    found[service].add(name)
    found["gateway"] = {name for name in found["gateway"] if not name.startswith("db.")}
    return found


@functools.cache
def metrics():
    """The metrics of the table of docs/operations/metrics.md."""
    return set(re.findall(r"^\| `(nodkey_[a-z_]+)` \|", (ROOT / "docs/operations/metrics.md").read_text(), re.M))


@functools.cache
def keys():
    """The settings that `nodkey keys` may write for a service, by its source."""
    text = "".join((ROOT / "cli/src/keys" / name).read_text().split("#[cfg(test)]")[0] for name in ("folder.rs", "nats.rs"))
    return set(re.findall(r'"(NODKEY_[A-Z]+__[A-Z_]+)"', text))


@functools.cache
def calls():
    """Who calls each service, and the gRPC services, by the table that the services' tests hold them to."""
    lines = [line.split() for line in (ROOT / "tests/golden/access.txt").read_text().splitlines() if not line.startswith("#")]
    head, rows = lines[0], lines[1:]
    callers, names = {service: {"gateway"} for service in STATEFUL}, set()
    for row in rows:
        names.add("nodkey." + row[0].split("/")[0])
        owner = row[0].split(".")[0]
        for caller in SERVICES:
            if row[head.index(caller)] != "-" and owner in callers:
                callers[owner].add(caller)
    return callers, names
