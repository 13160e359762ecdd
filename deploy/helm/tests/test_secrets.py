"""Whether deploy/kubernetes/secrets makes exactly the Secrets that the chart mounts, and services read their settings from them."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import tomllib
import unittest

import documents
import pods
import schemas
from chart import KUBERNETES, objects, rendered
from documents import SERVICES, STATEFUL
from manifests import Manifests, references

DATABASES = "".join(
    f"{name}_PASSWORD={name.lower().replace('_', '')}1\n" for name in ["POSTGRES", *(f"{service.upper()}_DB" for service in STATEFUL)]
)


def made_up(folder):
    """A folder with every line that `nodkey keys` may write, for where it is not built. Keys are not of the right form."""
    folder.mkdir()
    for service in SERVICES:
        gateway = service == "gateway"
        lines = ["# A comment.", ""]
        for name in sorted(documents.keys()):
            setting = name.removeprefix("NODKEY_").lower().replace("__", ".")
            if ("cookie" in setting) > gateway or (gateway and ("master" in setting or "operator" in setting)):
                continue
            lines.append(f'{name}=\'{{"keys":[{{"kid":"a-b_c"}}]}}\'' if setting.endswith("_keys") else f"{name}={service}-{setting.split('.')[1]}")
        (folder / f"{service}.env").write_text("\n".join(lines) + "\n")
    (folder / "nats-users.conf").write_text('# Users.\nauthorization {\n\n  users = [{ user: "registry", password: "a$b" }]\n}\n')


class Secrets(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        self.keys = self.folder / "keys"
        if pods.BUILT:
            subprocess.run([pods.BINARIES / "nodkey", "keys", "init", self.keys], check=True, capture_output=True)
        else:
            made_up(self.keys)
        self.databases = self.folder / "databases.env"
        self.databases.write_text(DATABASES)

    def run_script(self, *arguments):
        return subprocess.run([KUBERNETES / "secrets", *arguments], capture_output=True, text=True)

    def secrets(self, *arguments):
        result = self.run_script(*arguments)
        self.assertEqual((result.returncode, result.stderr), (0, ""))
        return {item["metadata"]["name"]: item["stringData"] for item in objects(result.stdout)}

    def given(self, service):
        """The settings of keys/<service>.env, as a shell reads them."""
        script = 'set -a; . "$0"; env -0'
        result = subprocess.run(
            ["env", "-i", shutil.which("bash"), "-c", script, self.keys / f"{service}.env"], capture_output=True, text=True, check=True
        )
        pairs = [entry.split("=", 1) for entry in result.stdout.split("\0") if entry.startswith("NODKEY_")]
        return {name.removeprefix("NODKEY_").lower().replace("__", "."): value for name, value in pairs}

    def test_every_secret_that_is_mounted_is_made_and_no_other(self):
        made = self.secrets(self.keys, self.databases)
        manifests = Manifests(objects(rendered("trial")))
        mounted = {reference for _, _, template, _ in manifests.workloads() for reference in references(manifests, template)}
        self.assertEqual(mounted, {(name, key) for name, data in made.items() for key in data})

    def test_a_release_of_another_name_has_secrets_of_that_name(self):
        made = self.secrets("--name", "acme-nodkey", self.keys, self.databases)
        self.assertEqual({name.removeprefix("acme-") for name in made}, set(self.secrets(self.keys, self.databases)))

    def test_without_databases_there_are_those_of_the_keys_alone(self):
        self.assertEqual(set(self.secrets(self.keys)), {f"nodkey-{name}" for name in [*SERVICES, "nats"]})

    def test_each_is_an_object_that_kubernetes_takes(self):
        output = self.run_script(self.keys, self.databases).stdout
        self.assertEqual([error for item in objects(output) for error in schemas.errors(item)], [])
        self.assertEqual(len(objects(output)), 11)

    def test_each_service_has_the_settings_of_its_file_and_no_others(self):
        made = self.secrets(self.keys)
        for service in SERVICES:
            sections = tomllib.loads(made[f"nodkey-{service}"]["keys.toml"])
            settings = {f"{section}.{name}": value for section, values in sections.items() for name, value in values.items()}
            self.assertEqual(settings, self.given(service))
            self.assertGreater(len(settings), 3)
            self.assertLessEqual({documents.variable(name) for name in settings}, documents.keys())
            self.assertLessEqual(set(settings), documents.settings()[service])

    def test_users_of_nats_and_passwords_are_as_they_were(self):
        made = self.secrets(self.keys, self.databases)
        self.assertEqual(made["nodkey-nats"]["nats-users.conf"].rstrip(), (self.keys / "nats-users.conf").read_text().rstrip())
        self.assertEqual(made["nodkey-postgres"], {"password": "postgres1"})
        expected = {"password": "bindingdb1", "url": "postgres://nodkey_binding:bindingdb1@nodkey-postgres/nodkey_binding"}
        self.assertEqual(made["nodkey-binding-database"], expected)

    def test_the_trials_postgresql_makes_each_role_with_the_password_of_its_secret(self):
        made = self.secrets(self.keys, self.databases)
        manifests = Manifests(objects(rendered("trial")))
        [template] = [template for component, _, template, _ in manifests.workloads() if component == "postgres"]
        where = pods.mounted(manifests, template, made, self.folder / "postgres")
        stand_in = self.folder / "psql"
        stand_in.write_text('#!/bin/sh\necho "$@"; env | grep _DB_PASSWORD= | sort\n')
        stand_in.chmod(0o755)
        # As the image calls it. The paths are the script's own defaults, here below a folder.
        script = where["/etc/nodkey"] / "postgres-init.sh"
        sql = where["/etc/nodkey"] / "postgres-init.sql"
        self.assertTrue(sql.exists())
        self.assertIn("INIT_SQL:-/etc/nodkey/postgres-init.sql", script.read_text())
        self.assertIn("SECRETS:-/run/secrets", script.read_text())
        variables = {"PATH": f"{self.folder}:{os.environ['PATH']}", "SECRETS": str(where["/run/secrets"]), "INIT_SQL": str(sql)}
        result = subprocess.run(["sh", script], env=variables, capture_output=True, text=True, check=True)
        arguments, *passwords = result.stdout.splitlines()
        self.assertTrue(arguments.endswith(f"--file {sql}"))
        self.assertEqual(passwords, sorted(f"{service.upper()}_DB_PASSWORD={service}db1" for service in STATEFUL))
        self.assertEqual((where["/run/secrets"] / "postgres_password").read_text(), "postgres1")
        self.assertEqual({volume["name"]: volume for volume in template["spec"]["volumes"]}["init"]["configMap"]["defaultMode"], 0o555)

    def test_what_is_missing_or_wrong_is_named_and_nothing_is_printed(self):
        def refused(*arguments, says):
            result = self.run_script(*arguments)
            self.assertEqual((result.stdout, result.returncode != 0), ("", True))
            self.assertIn(says, result.stderr)

        refused(says="Usage: deploy/kubernetes/secrets")
        refused("--name", says="Usage: deploy/kubernetes/secrets")
        refused(self.folder / "nowhere", says="registry.env")
        for line, says in (("REGISTRY_DB_PASSWORD=a@b", "REGISTRY_DB_PASSWORD is missing, or not letters"), ("", "BINDING_DB_PASSWORD is missing")):
            self.databases.write_text(
                DATABASES.replace("BINDING_DB_PASSWORD=bindingdb1\n", "") if not line else re.sub("REGISTRY_DB.*", line, DATABASES)
            )
            refused(self.keys, self.databases, says=says)
        file = self.keys / "gateway.env"
        good = file.read_text()
        for line, says in (("NODKEY_BUS__PASSWORD='it's'", "a value contains a single quote"), ("export NODKEY_BUS__PASSWORD=a", "is not a setting")):
            file.write_text(good + line + "\n")
            refused(self.keys, says=says)
        file.write_text(good)
        (self.keys / "nats-users.conf").unlink()
        refused(self.keys, says="nats-users.conf")

    @unittest.skipUnless(pods.BUILT, pods.NOT_BUILT)
    def test_each_service_accepts_the_settings_and_secrets_of_its_pod(self):
        made = self.secrets(self.keys, self.databases)
        for service in STATEFUL:
            made[f"nodkey-{service}-app"] = {"uri": made[f"nodkey-{service}-database"]["url"]}
        made["own-gateway"] = made["nodkey-gateway"]
        for case in ("trial", "production", "off"):
            manifests = Manifests(objects(rendered(case)))
            for component, name, template, _ in manifests.workloads():
                if component in SERVICES:
                    with self.subTest(f"{case}: {name}"):
                        where = pods.mounted(manifests, template, made, self.folder / case / component)
                        variables = pods.environment(manifests, template, where)
                        command = [pods.BINARIES / f"nodkey-{component}", "check-config"]
                        result = subprocess.run(command, env=variables, capture_output=True, text=True)
                        self.assertEqual((result.returncode, result.stdout.strip()), (0, "the settings are valid"), result.stderr)
                        self.assertNotIn("has no effect", result.stderr)
