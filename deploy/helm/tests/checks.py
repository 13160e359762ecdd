"""Rules of our own for rendered manifests. Each takes a Manifests and returns what breaks it; test_checks.py breaks each on purpose."""

import re
import urllib.parse

import documents
from documents import SERVICES, STATEFUL
from manifests import TLS, Manifests, references, sources

# What an orderly stop may take: 45 s, as docs/operations/replicas.md says, and some for the last traces.
STOP_SECONDS = 50
# Connections of a replica to PostgreSQL, `db.max_connections`.
POOL = 16


def pods_have_no_rights(manifests):
    """Every container can do nothing but run."""
    for _, name, template, _ in manifests.workloads():
        pod = template["spec"]
        context = pod.get("securityContext", {})
        if context.get("runAsNonRoot") is not True or not context.get("runAsUser"):
            yield f"{name}: may run as root"
        if context.get("seccompProfile") != {"type": "RuntimeDefault"}:
            yield f"{name}: no seccomp profile"
        if pod.get("automountServiceAccountToken") is not False:
            yield f"{name}: gets a token of a service account"
        if pod.get("enableServiceLinks") is not False:
            yield f"{name}: gets variables of services, which look like settings"
        for volume in pod.get("volumes", []):
            if not set(volume) - {"name"} <= {"configMap", "emptyDir", "projected", "secret"}:
                yield f"{name}: mounts {sorted(set(volume) - {'name'})}"
        for host in ("hostNetwork", "hostPID", "hostIPC"):
            if pod.get(host):
                yield f"{name}: {host}"
        for container in pod["containers"] + pod.get("initContainers", []):
            own = container.get("securityContext", {})
            if own.get("readOnlyRootFilesystem") is not True:
                yield f"{name}: can write its own files"
            if own.get("allowPrivilegeEscalation") is not False or own.get("privileged"):
                yield f"{name}: can gain privileges"
            if own.get("capabilities") != {"drop": ["ALL"]}:
                yield f"{name}: has capabilities"
    for account in manifests.of("ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield f"service account {account['metadata']['name']}: hands out tokens"


def containers_have_bounds(manifests):
    """Every container says what it needs, and has a limit of memory."""
    for _, name, template, _ in manifests.workloads():
        for container in template["spec"]["containers"]:
            resources = container.get("resources", {})
            for section, resource in (("requests", "cpu"), ("requests", "memory"), ("limits", "memory")):
                if not resources.get(section, {}).get(resource):
                    yield f"{name}: no {resource} in {section}"


def containers_are_probed(manifests):
    """Whatever serves has all three probes, and those by HTTP go to a port and a path that exist."""
    paths = {"startupProbe": "/livez", "livenessProbe": "/livez", "readinessProbe": "/readyz"}
    for component, name, template, _ in manifests.workloads():
        for container in template["spec"]["containers"]:
            for probe, path in paths.items():
                found = container.get(probe)
                if not found:
                    yield f"{name}: no {probe}"
                elif component in SERVICES:
                    http = found.get("httpGet", {})
                    if http.get("path") != path:
                        yield f"{name}: {probe} reads {http.get('path')}, not {path}"
                    if http.get("port") not in [port["name"] for port in container["ports"]]:
                        yield f"{name}: {probe} calls a port that is none"


def images_are_pinned(manifests):
    """Every image has a version or a digest."""
    for _, name, template, _ in manifests.workloads():
        for container in template["spec"]["containers"]:
            reference = container["image"].split("/")[-1]
            if "@sha256:" not in reference and (":" not in reference or reference.endswith(":latest")):
                yield f"{name}: image {container['image']} is not pinned"


def stops_fit(manifests):
    """The grace period fits the drain and an orderly stop."""
    for component, name, template, _ in manifests.workloads():
        if component not in SERVICES:
            continue
        drain = int(manifests.environment(template["spec"]["containers"][0]).get("NODKEY_SERVER__DRAIN_SECONDS", "0"))
        if template["spec"].get("terminationGracePeriodSeconds", 30) < drain + STOP_SECONDS:
            yield f"{name}: is killed before it has stopped"


def settings_exist(manifests):
    """Every variable is a setting of the service that gets it, and no secret is in one."""
    for component, name, template, _ in manifests.workloads():
        if component not in SERVICES:
            continue
        known = documents.settings()[component]
        for given in manifests.environment(template["spec"]["containers"][0]):
            if given in documents.BEFORE:
                continue
            if given.startswith("NODKEY_"):
                setting = given.removeprefix("NODKEY_").lower().replace("__", ".")
                file = setting.removesuffix("_file")
                if file != setting and documents.is_secret(file):
                    setting = file
                elif documents.is_secret(setting) and setting != "bus.url":
                    yield f"{name}: {given} is a secret in the environment"
                if setting not in known:
                    yield f"{name}: {given} is not a setting of {component}"
            elif given not in documents.TELEMETRY:
                yield f"{name}: {given} is no variable of ours"
        container = template["spec"]["containers"][0]
        for entry in container["env"]:
            if "valueFrom" in entry:
                yield f"{name}: {entry['name']} is not from a file"
        if "envFrom" in container or len({entry["name"] for entry in container["env"]}) < len(container["env"]):
            yield f"{name}: has variables from elsewhere, or twice"


def files_are_mounted(manifests):
    """Every file that a variable or an argument names is mounted, and read-only; what is written is on a volume of its own."""
    for _, name, template, _ in manifests.workloads():
        container = template["spec"]["containers"][0]
        volumes = {volume["name"]: list(sources(manifests, volume)) for volume in template["spec"].get("volumes", [])}
        mounts = {mount["mountPath"]: mount for mount in container["volumeMounts"]}
        files = {f"{path}/{file[3]}" for path, mount in mounts.items() for file in volumes.get(mount["name"], [])}
        words = [*manifests.environment(container).values(), *container.get("command", []), *container.get("args", [])]
        for word in words:
            if word and word.startswith("/") and word not in files:
                yield f"{name}: {word} is not mounted"
        for path, mount in mounts.items():
            if volumes.get(mount["name"]) and mount.get("readOnly") is not True:
                yield f"{name}: can write {path}"


def secrets_are_separate(manifests):
    """No service mounts a Secret of another's, and each Secret is mounted by key."""
    owners = {}
    for component, name, template, _ in manifests.workloads():
        for secret, key in references(manifests, template):
            if component in SERVICES:
                owners.setdefault(secret, set()).add(component)
            if key in TLS and component != "gateway":
                yield f"{name}: mounts all of Secret {secret}"
        if component == "gateway" and any("database" in volume["name"] for volume in template["spec"]["volumes"]):
            yield f"{name}: has a database"
    for secret, components in owners.items():
        if len(components) > 1:
            yield f"Secret {secret} is mounted by {sorted(components)}"
    for item in manifests.of("Secret"):
        yield f"the chart makes Secret {item['metadata']['name']}: secrets would be among its values"


def callers_of(manifests, component, port):
    """Who may call a component at a port by the policies: components, and whether anybody else."""
    found, others = set(), []
    for policy in manifests.of("NetworkPolicy"):
        if component not in manifests.selected(policy["spec"]["podSelector"]):
            continue
        for rule in policy["spec"].get("ingress", []):
            if port not in [entry["port"] for entry in rule.get("ports", [{"port": port}])]:
                continue
            for peer in rule.get("from") or [None]:
                if peer and set(peer) == {"podSelector"}:
                    found |= manifests.selected(peer["podSelector"]) or {"nobody"}
                else:
                    others.append(peer)
    return found, others


def called_by(manifests, component):
    """Whom a component may call by the policies: components, ports anywhere in the cluster or outside."""
    found, anywhere = set(), set()
    for policy in manifests.of("NetworkPolicy"):
        if component not in manifests.selected(policy["spec"]["podSelector"]):
            continue
        for rule in policy["spec"].get("egress", []):
            for peer in rule.get("to") or [None]:
                if peer and set(peer) == {"podSelector"}:
                    found |= manifests.selected(peer["podSelector"])
                if peer is None or "ipBlock" in peer:
                    anywhere |= {entry["port"] for entry in rule["ports"]}
    return found, anywhere


def network_is_closed(manifests):
    """Only the gateway can be reached from outside; each service, database and bus by those that call it."""
    if not manifests.of("NetworkPolicy"):
        return
    running = {component for component, *_ in manifests.workloads()}
    closed = set()
    for policy in manifests.of("NetworkPolicy"):
        rules = policy["spec"].get("ingress") or policy["spec"].get("egress")
        if not rules and set(policy["spec"]["policyTypes"]) == {"Ingress", "Egress"}:
            closed |= manifests.selected(policy["spec"]["podSelector"])
    for component in sorted(running - closed):
        yield f"{component}: no policy closes it"
    expected = {service: callers for service, callers in documents.calls()[0].items()}
    ports = {service: 7070 for service in SERVICES} | {"postgres": 5432, "nats": 4222}
    expected |= {"postgres": set(STATEFUL), "nats": set(SERVICES)}
    for component in sorted(running):
        callers, others = callers_of(manifests, component, ports[component])
        if component == "gateway":
            if not others:
                yield "gateway: nobody can reach it"
            continue
        if others:
            yield f"{component}: can be reached from elsewhere: {others}"
        if callers != expected[component]:
            yield f"{component}: callers are {sorted(callers)}, and should be {sorted(expected[component])}"
    for service in SERVICES:
        called, anywhere = called_by(manifests, service)
        wanted = {callee for callee, callers in expected.items() if service in callers and callee in running}
        if called != wanted:
            yield f"{service}: may call {sorted(called)}, and should {sorted(wanted)}"
        if (443 in anywhere) != (service == "notification"):
            yield f"{service}: {'cannot' if service == 'notification' else 'can'} call the internet"
        _, scraped = callers_of(manifests, service, 9090)
        if None in scraped:
            yield f"{service}: anybody may read its metrics"


def names_resolve(manifests):
    """Services select pods and ports that exist, each peer is a headless Service, and routes lead to the gateway alone."""
    ports = {}
    for service in manifests.of("Service"):
        name, spec = service["metadata"]["name"], service["spec"]
        components = manifests.selected({"matchLabels": spec["selector"]})
        if len(components) != 1:
            yield f"service {name}: selects {sorted(components)}"
            continue
        [component] = components
        containers = [template["spec"]["containers"][0] for c, _, template, _ in manifests.workloads() if c == component]
        for port in spec["ports"]:
            ports[name, port["port"]] = ports[name, port["name"]] = component
            if port["targetPort"] not in [p["name"] for p in containers[0]["ports"]]:
                yield f"service {name}: port {port['name']} leads nowhere"
            if port["targetPort"] == "metrics":
                yield f"service {name}: publishes metrics"
        if component != "gateway" and (spec.get("clusterIP") != "None" or spec.get("type", "ClusterIP") != "ClusterIP"):
            yield f"service {name}: is not headless"
    for _, name, template, _ in manifests.workloads():
        for variable, value in manifests.environment(template["spec"]["containers"][0]).items():
            if re.fullmatch(r"NODKEY_PEERS__[A-Z]+", variable):
                url = urllib.parse.urlsplit(value)
                if ports.get((url.hostname, url.port)) != variable.removeprefix("NODKEY_PEERS__").lower():
                    yield f"{name}: {variable}={value} is no Service of it"
    for route in manifests.of("HTTPRoute", "GRPCRoute"):
        for rule in route["spec"]["rules"]:
            for backend in rule["backendRefs"]:
                if ports.get((backend["name"], backend["port"])) != "gateway":
                    yield f"{route['kind']}: leads to {backend['name']}:{backend['port']}"
    for ingress in manifests.of("Ingress"):
        for rule in ingress["spec"]["rules"]:
            for path in rule["http"]["paths"]:
                service = path["backend"]["service"]
                if ports.get((service["name"], service["port"].get("name"))) != "gateway":
                    yield f"ingress {ingress['metadata']['name']}: leads to {service['name']}"


def grpc_paths(manifests):
    """The paths that each route sends to the gateway, as HTTP/2 and not."""
    for route in manifests.of("HTTPRoute", "GRPCRoute"):
        for http2 in (True, False) if route["kind"] == "HTTPRoute" else (True,):
            rules = [rule for rule in route["spec"]["rules"] if (rule["backendRefs"][0]["port"] == 7071) == http2]
            matches = [match for rule in rules for match in rule["matches"]]
            yield route["kind"], {match["path"]["value"] if "path" in match else "/" + match["method"]["service"] for match in matches}, http2
    for ingress in manifests.of("Ingress"):
        paths = ingress["spec"]["rules"][0]["http"]["paths"]
        yield "Ingress", {path["path"] for path in paths}, paths[0]["backend"]["service"]["port"]["name"] == "grpc"


def grpc_is_routed(manifests):
    """Every gRPC service goes to the gateway as HTTP/2, and everything else as HTTP."""
    expected = {f"/{name}" for name in documents.calls()[1] | {"grpc.health.v1.Health"}}
    for kind, paths, http2 in grpc_paths(manifests):
        if http2 and paths != expected:
            yield f"{kind}: gRPC differs from proto/ in {sorted(paths ^ expected)}"
        if not http2 and paths != {"/"}:
            yield f"{kind}: HTTP is {sorted(paths)}"


def replicas_are_kept(manifests):
    """Every service has a disruption budget, spreads, and is scaled by one at most: its number or its autoscaler."""
    for component, name, template, item in manifests.workloads():
        if component not in SERVICES:
            continue
        budgets = [b for b in manifests.of("PodDisruptionBudget") if manifests.selected(b["spec"]["selector"]) == {component}]
        if len(budgets) != 1 or budgets[0]["spec"].get("maxUnavailable") != 1:
            yield f"{name}: has no disruption budget"
        spread = {constraint["topologyKey"] for constraint in template["spec"].get("topologySpreadConstraints", [])}
        if spread != {"topology.kubernetes.io/zone", "kubernetes.io/hostname"}:
            yield f"{name}: is not spread over nodes and zones"
        scaled = [m["pods"]["metric"]["name"] for s in manifests.of("HorizontalPodAutoscaler") for m in s["spec"]["metrics"] if "pods" in m]
        if not set(scaled) <= documents.metrics():
            yield f"{name}: there is no metric {scaled}"
        scalers = [s for s in manifests.of("HorizontalPodAutoscaler") if s["spec"]["scaleTargetRef"]["name"] == name]
        if len(scalers) + ("replicas" in item["spec"]) != 1:
            yield f"{name}: its replicas are set by {len(scalers)} autoscalers and {'a' if 'replicas' in item['spec'] else 'no'} number"
        update = item["spec"].get("strategy", {}).get("rollingUpdate", {})
        if update.get("maxUnavailable") != 0:
            yield f"{name}: an update takes replicas away first"


def pools_fit(manifests):
    """The trial's PostgreSQL has connections for every replica, one more of each during an update, and one that migrates."""
    for component, name, template, _ in manifests.workloads():
        if component == "postgres":
            [most] = [
                int(argument.split("=")[1]) for argument in template["spec"]["containers"][0]["args"] if argument.startswith("max_connections=")
            ]
            needed = sum((item["spec"].get("replicas", 2) + 1) * (POOL + 1) for c, _, _, item in manifests.workloads() if c in STATEFUL)
            if needed > most:
                yield f"{name}: {most} connections, and {needed} may be needed"


def objects_are_distinct(manifests):
    """No two objects have a name in common, and names are short enough for labels."""
    seen = set()
    for item in manifests.items:
        key = item["kind"], item["metadata"]["name"]
        if key in seen:
            yield f"{key} is there twice"
        seen.add(key)
        if len(key[1]) > 63:
            yield f"{key}: a name of {len(key[1])} characters"
        if "namespace" in item["metadata"]:
            yield f"{key}: is in a namespace of its own"


ALL = [
    pods_have_no_rights,
    containers_have_bounds,
    containers_are_probed,
    images_are_pinned,
    stops_fit,
    settings_exist,
    files_are_mounted,
    secrets_are_separate,
    network_is_closed,
    names_resolve,
    grpc_is_routed,
    replicas_are_kept,
    pools_fit,
    objects_are_distinct,
]


def problems(items):
    """What all rules say of manifests."""
    return [f"{check.__name__}: {problem}" for check in ALL for problem in check(Manifests(items))]
