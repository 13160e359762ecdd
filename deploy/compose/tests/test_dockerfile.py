"""The images of deploy/Dockerfile: what can be run of them without an engine is run, with the binaries of this build."""

import fnmatch
import re
import signal
import subprocess
import tomllib
import unittest

import dockerfile
import processes
import project
import test_settings

STAGES = dockerfile.stages()
TARGETS = [*project.SERVICES, "nodkey"]


def ignored(path):
    """Whether deploy/Dockerfile.dockerignore keeps a file out of the build."""
    lines = (project.TOP / "deploy/Dockerfile.dockerignore").read_text().splitlines()
    parts = path.split("/")
    for pattern in [line for line in lines if line and not line.startswith("#")]:
        name = pattern.removeprefix("**/")
        if name in parts if pattern.startswith("**/") else fnmatch.fnmatch(parts[0], name):
            return True
    return False


class Images(unittest.TestCase):
    """One for each process."""

    def test_a_linter_finds_nothing(self):
        linted = subprocess.run([project.VENV / "hadolint", dockerfile.PATH], text=True, stdout=subprocess.PIPE)
        self.assertEqual((linted.returncode, linted.stdout), (0, ""))

    def test_the_project_builds_every_target_and_the_default_is_the_command_line(self):
        built = {service["build"]["target"] for service in project.shipped()["services"].values() if "build" in service}
        self.assertEqual(built, set(TARGETS))
        self.assertEqual(list(STAGES)[-1], "nodkey")

    def test_bases_are_pinned_and_of_one_debian(self):
        bases = [stage.base for stage in STAGES.values() if stage.base not in STAGES]
        for base in bases:
            self.assertRegex(base, r"^(rust:\d+\.\d+\.\d+-[a-z]+|debian:[a-z]+-\d{8}-slim)$")
        suites = {re.search(r"(?:^debian:|-)(bookworm|trixie|forky)", base)[1] for base in bases}
        self.assertEqual(len(suites), 1, "a binary needs the C library that it was built with")

    def test_the_compiler_is_not_older_than_the_workspace_demands(self):
        version = re.match(r"rust:(\d+)\.(\d+)", STAGES["build"].base).groups()
        demanded = tomllib.loads((project.TOP / "Cargo.toml").read_text())["workspace"]["package"]["rust-version"].split(".")
        self.assertGreaterEqual(tuple(map(int, version)), tuple(map(int, demanded)))

    def test_each_image_has_its_binary_alone(self):
        (build,) = [value for kind, value in STAGES["build"].instructions if kind == "RUN"]
        packages = set(re.findall(r"--package (\S+)", build))
        for target in TARGETS:
            name = target if target == "nodkey" else f"nodkey-{target}"
            copied = [value for kind, value in STAGES[target].all(STAGES) if kind == "COPY" and "/usr/local/bin" in value]
            self.assertEqual(copied, [f"--from=build /out/{name} /usr/local/bin/"])
            self.assertIn(name, packages)
            self.assertIn(f"target/release/{name}", build)
            self.assertEqual(STAGES[target].command(STAGES, "ENTRYPOINT"), [name])

    def test_nobody_is_root_and_everybody_is_labelled(self):
        for target in TARGETS:
            self.assertEqual(STAGES[target].last(STAGES, "USER"), "10001:10001")
            labels = " ".join(value for kind, value in STAGES[target].all(STAGES) if kind == "LABEL")
            for label in ["title", "description", "vendor", "licenses", "version", "revision"]:
                self.assertIn(f"org.opencontainers.image.{label}=", labels.replace('"', ""), target)
            title = target if target == "nodkey" else f"nodkey-{target}"
            self.assertRegex(labels, f'image.title[="]+{title}"')

    def test_the_version_is_the_workspaces(self):
        version = tomllib.loads((project.TOP / "Cargo.toml").read_text())["workspace"]["package"]["version"]
        self.assertIn(("ARG", f"VERSION={version}"), STAGES["runtime"].instructions)

    def test_entry_points_run(self):
        for target in TARGETS:
            command = [*STAGES[target].command(STAGES, "ENTRYPOINT"), "--version"]
            ran = subprocess.run(command, env=processes.environment(), text=True, check=True, stdout=subprocess.PIPE)
            self.assertRegex(ran.stdout, r"^nodkey\S* \d+\.\d+\.\d+")

    def test_a_service_is_healthy_once_it_serves_and_stops_in_order(self):
        """The gateway, which starts without a bus and needs no database."""
        keys = project.prepared("health") / "keys/files"
        gateway = STAGES["gateway"]
        listen, metrics, bus = processes.free_ports(3)
        variables = {**gateway.environment(STAGES), **test_settings.given("gateway", keys)}
        variables["NODKEY_SERVER__LISTEN"] = processes.on_loopback(variables["NODKEY_SERVER__LISTEN"], listen)
        variables["NODKEY_SERVER__METRICS_LISTEN"] = processes.on_loopback(variables["NODKEY_SERVER__METRICS_LISTEN"], metrics)
        variables["NODKEY_BUS__URL"] = f"nats://127.0.0.1:{bus}"
        check = gateway.command(STAGES, "HEALTHCHECK")
        with self.assertRaises(subprocess.CalledProcessError):
            processes.run(check, variables)
        with processes.started(gateway.command(STAGES, "ENTRYPOINT"), variables, project.fresh("gateway") / "log") as running:
            processes.wait_for(running, lambda: processes.run(check, variables))
            # What is signalled is the service itself, not a shell that keeps it.
            self.assertEqual((processes.executable(running), processes.children(running)), ("nodkey-gateway", []))
            running.send_signal(signal.SIGTERM)
            self.assertEqual(running.wait(60), 0)


class Context(unittest.TestCase):
    """What a build is given."""

    def test_secrets_are_left_out(self):
        for path in [".env", "keys/keys.json", "keys/files/registry.toml", ".nodkey/keys.abc/keys/keys.json"]:
            self.assertTrue(ignored(path), path)

    def test_nothing_that_is_compiled_in_is_left_out(self):
        command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
        files = subprocess.run(command, cwd=project.TOP, check=True, text=True, stdout=subprocess.PIPE).stdout.split("\n")
        given = {path for path in files if path and not ignored(path)}
        self.assertTrue({"Cargo.toml", "Cargo.lock"} <= given)
        members = [path for path in files if re.fullmatch(r"((crates|services|sdk)/[^/]+|web|demo|cli|tests)/Cargo.toml", path)]
        self.assertTrue(set(members) <= given)
        included = 0
        for path in [path for path in given if re.search(r"/src/.*\.rs$", path) and not path.endswith("tests.rs")]:
            for named in re.findall(r'include_(?:str|bytes)!\("([^"]+)"\)', (project.TOP / path).read_text()):
                target = (project.TOP / path).parent.joinpath(named).resolve().relative_to(project.TOP)
                self.assertTrue(str(target) in given, f"{path} includes {target}")
                included += 1
        self.assertGreater(included, 20)
