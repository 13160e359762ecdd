"""Every process accepts exactly what docker-compose.yml gives it, and every variable is documented."""

import subprocess
import unittest

import documents
import project

DOCUMENT = (project.TOP / "docs/operations/settings.md").read_text()


def secret_files(name, keys):
    """Paths in a container, and the files that the project mounts there."""
    for secret in project.shipped()["services"][name].get("secrets", []):
        target = secret.get("target") or secret["source"]
        path = target if target.startswith("/") else f"/run/secrets/{target}"
        yield path, str(keys / project.shipped()["secrets"][secret["source"]]["file"].rsplit("/", 1)[1])


def given(name, keys):
    """A service's variables, with paths of this machine."""
    files = dict(secret_files(name, keys))
    return {variable: files.get(str(value), str(value)) for variable, value in project.shipped()["services"][name]["environment"].items()}


def check(name, variables):
    """Has the service check its settings."""
    command = [project.BIN / f"nodkey-{name}", "check-config"]
    return subprocess.run(command, env=project.clean_environment(**variables), text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)


class Settings(unittest.TestCase):
    """With the keys that deploy/compose/prepare made."""

    @classmethod
    def setUpClass(cls):
        cls.keys = project.prepared("settings", PUBLIC_URL="https://id.example.com") / "keys/files"

    def test_every_service_accepts_what_it_is_given_without_a_warning(self):
        for name in project.SERVICES:
            checked = check(name, given(name, self.keys))
            self.assertEqual((checked.returncode, checked.stdout.strip()), (0, "the settings are valid"), name)

    def test_a_variable_that_is_none_is_refused(self):
        checked = check("gateway", {**given("gateway", self.keys), "NODKEY_SERVICE__ADRESS_HEADER": "x"})
        self.assertNotEqual(checked.returncode, 0)

    def test_no_service_accepts_the_keys_of_another(self):
        for name in project.SERVICES:
            for other in set(project.SERVICES) - {name}:
                wrong = {**given(name, self.keys), "NODKEY_CONFIG": str(self.keys / f"{other}.toml")}
                self.assertNotEqual(check(name, wrong).returncode, 0, f"{name} with the keys of {other}")

    def test_no_service_starts_without_its_files(self):
        for name in project.SERVICES:
            for variable in [variable for variable, value in given(name, self.keys).items() if value.startswith(str(self.keys))]:
                wrong = {**given(name, self.keys), variable: "/run/secrets/missing"}
                self.assertNotEqual(check(name, wrong).returncode, 0, f"{name} without {variable}")

    def test_every_variable_is_documented(self):
        self.assertGreater(len(set().union(*documents.settings().values())), 60)
        for service, model in project.shipped()["services"].items():
            for variable in model.get("environment", {}):
                setting = variable.removesuffix("_FILE")
                if service == "cli" or not variable.startswith("NODKEY_"):
                    continue
                if "__" in setting:
                    self.assertIn(setting, {documents.variable(name) for name in documents.settings()[service]})
                else:
                    self.assertIn(f"`{setting}`", DOCUMENT)

    def test_the_command_line_reads_the_variables_of_its_container(self):
        known = subprocess.run([project.BIN / "nodkey", "admin", "--help"], check=True, text=True, stdout=subprocess.PIPE).stdout
        known += subprocess.run([project.BIN / "nodkey", "phone", "--help"], check=True, text=True, stdout=subprocess.PIPE).stdout
        for variable in [*project.shipped()["services"]["cli"]["environment"], "NODKEY_OPERATOR_KEY"]:
            self.assertIn(f"[env: {variable}", " ".join(known.split()))
