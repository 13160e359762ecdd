"""deploy/compose/prepare makes what is missing, changes nothing that is there, and shows secrets to nobody."""

import os
import re
import shutil
import stat
import subprocess
import tomllib
import unittest

import project

# As an engine: builds nothing, and runs commands in a folder of its own instead of a container. It records its arguments.
ENGINE = """#!/bin/sh
echo "$*" >>calls
case "$1 $*" in
  compose*) exit 0 ;;
  run*)
    while [ "$1" != -c ]; do shift; done
    TMPDIR=$(mktemp -d) || exit 1
    export TMPDIR
    %s
    exec sh -c "$2" ;;
esac
exit 1
"""


def mode(path):
    """Its permissions."""
    return stat.S_IMODE(path.stat().st_mode)


def contents(folder):
    """Of everything that was made."""
    files = [folder / ".env", *(path for path in (folder / "keys").rglob("*") if path.is_file())]
    return {str(path): path.read_bytes() for path in files}


def settings(text):
    """The settings of a file that `nodkey keys` wrote."""
    found = re.findall(r"^NODKEY_(\w+)='?(.*?)'?$", text, re.MULTILINE)
    return {name.lower().replace("__", "."): value for name, value in found}


def flat(table, above=""):
    """The settings of a TOML table, by their full names."""
    for name, value in table.items():
        if isinstance(value, dict):
            yield from flat(value, f"{above}{name}.")
        else:
            yield f"{above}{name}", value


class Prepare(unittest.TestCase):
    """In folders of their own, with the real `nodkey`."""

    def refused(self, folder, **variables):
        with self.assertRaises(subprocess.CalledProcessError) as refused:
            project.prepare(folder, NODKEY=str(project.BIN / "nodkey"), **variables)
        return refused.exception.stderr

    def with_engine(self, name, first=""):
        """A folder, and variables with an engine in the PATH that runs `first` before every command."""
        folder = project.unprepared(name)
        engine = folder / "bin/docker"
        engine.parent.mkdir()
        engine.write_text(ENGINE % first)
        engine.chmod(0o755)
        return folder, {"PATH": f"{engine.parent}:{project.BIN}:{os.environ['PATH']}"}

    def test_everything_is_made_and_closed_to_others(self):
        folder = project.prepared("made", PUBLIC_URL="https://id.example.com")
        self.assertIn("\nPUBLIC_URL=https://id.example.com\n", (folder / ".env").read_text())
        self.assertEqual(mode(folder / ".env"), 0o600)
        self.assertEqual((mode(folder / "keys"), mode(folder / "keys/files")), (0o700, 0o700))
        for path in (folder / "keys").iterdir():
            self.assertEqual(mode(path) & 0o077, 0, path)
        # Containers of other users read them; the folder keeps everybody else out.
        self.assertEqual({mode(path) for path in (folder / "keys/files").iterdir()}, {0o644})
        checked = subprocess.run([project.BIN / "nodkey", "keys", "check", folder / "keys"], stdout=subprocess.DEVNULL)
        self.assertEqual(checked.returncode, 0)

    def test_every_key_arrives_as_it_is(self):
        folder = project.prepared("arrives")
        for service in project.SERVICES:
            given = dict(flat(tomllib.loads((folder / f"keys/files/{service}.toml").read_text())))
            self.assertEqual(given, settings((folder / f"keys/{service}.env").read_text()))
            self.assertIn("deployment.service_key", given)

    def test_no_two_secrets_are_the_same(self):
        folders = [project.prepared("one"), project.prepared("two")]
        names = [f"{service}_db_password" for service in project.STATEFUL] + ["postgres_password", "grafana_password", "operator_key"]
        secrets = [(folder / "keys/files" / name).read_text() for folder in folders for name in names]
        self.assertEqual(len(set(secrets)), len(secrets))
        self.assertTrue(all(len(secret) >= 43 for secret in secrets))

    def test_a_second_run_changes_nothing(self):
        folder = project.prepared("again")
        before = contents(folder)
        project.prepare(folder)
        self.assertEqual(contents(folder), before)

    def test_files_follow_a_rotation(self):
        folder = project.prepared("rotated")
        for key in ["master", "cookie", "operator", "gateway"] * 3:
            subprocess.run([project.BIN / "nodkey", "keys", "rotate", folder / "keys", key], check=True, stdout=subprocess.DEVNULL)
            project.prepare(folder)
            for service in project.SERVICES:
                given = dict(flat(tomllib.loads((folder / f"keys/files/{service}.toml").read_text())))
                self.assertEqual(given, settings((folder / f"keys/{service}.env").read_text()), (service, key))

    def test_a_line_that_is_no_setting_is_named_and_its_file_stays(self):
        folder = project.prepared("damaged")
        with (folder / "keys/gateway.env").open("a") as file:
            file.write("export NODKEY_BUS__PASSWORD=a\n")
        before = contents(folder)
        self.assertRegex(self.refused(folder), r"keys/gateway\.env: line \d+ is not a setting")
        self.assertEqual(contents(folder), before)

    def test_passwords_of_an_earlier_env_are_kept(self):
        folder = project.unprepared("earlier")
        # Without an end of its last line.
        (folder / ".env").write_text("REGISTRY_DB_PASSWORD=ab12\nPOSTGRES_PASSWORD='cd34'")
        said = project.prepare(folder, NODKEY=str(project.BIN / "nodkey"))
        self.assertEqual((folder / "keys/files/registry_db_url").read_text(), "postgres://nodkey_registry:ab12@postgres/nodkey_registry")
        self.assertEqual((folder / "keys/files/postgres_password").read_text(), "cd34")
        self.assertIn("remove the lines of *_PASSWORD", said)
        self.assertTrue((folder / ".env").read_text().startswith("REGISTRY_DB_PASSWORD=ab12\nPOSTGRES_PASSWORD='cd34'\n#"))

    def test_another_public_url_is_refused(self):
        folder = project.prepared("moved", PUBLIC_URL="https://id.example.com")
        before = contents(folder)
        self.assertIn("breaks enrolled phones", self.refused(folder, PUBLIC_URL="https://other.example.com"))
        self.assertEqual(contents(folder), before)

    def test_a_public_url_with_a_path_is_refused_before_anything_is_made(self):
        for url in ["https://id.example.com/auth", "id.example.com", "https://a b"]:
            folder = project.unprepared("path")
            self.refused(folder, PUBLIC_URL=url)
            self.assertEqual(os.listdir(folder), ["deploy"])

    def test_keys_that_are_lost_are_not_made_anew(self):
        folder = project.prepared("lost")
        (folder / "keys/keys.json").unlink()
        self.assertIn("restore it", self.refused(folder))

    def test_keys_come_out_of_the_image(self):
        folder, variables = self.with_engine("image")
        project.prepare(folder, **variables)
        checked = subprocess.run([project.BIN / "nodkey", "keys", "check", folder / "keys"], stdout=subprocess.DEVNULL)
        self.assertEqual(checked.returncode, 0)
        self.assertEqual((mode(folder / "keys"), mode(folder / "keys/keys.json")), (0o700, 0o600))
        self.assertEqual(os.listdir(folder / ".nodkey"), [])

    def test_an_engine_that_fails_leaves_no_half_made_keys(self):
        for fault in ["exit 125", "printf keys; exit 1"]:
            folder, variables = self.with_engine("failing", fault)
            with self.assertRaises(subprocess.CalledProcessError):
                project.prepare(folder, **variables)
            self.assertFalse((folder / "keys").exists())
            self.assertEqual(os.listdir(folder / ".nodkey"), [])


class Make(unittest.TestCase):
    """`make up` and `make down`."""

    def test_one_command_makes_builds_and_starts_everything_and_waits(self):
        folder, variables = Prepare.with_engine(self, "make")
        shutil.copy(project.TOP / "Makefile", folder)

        def make(*arguments):
            environment = project.clean_environment(**variables)
            made = subprocess.run(["make", "-C", folder, *arguments], env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
            calls = (folder / "calls").read_text().splitlines() if (folder / "calls").exists() else []
            (folder / "calls").unlink(missing_ok=True)
            return made, [words.split()[0] + " " + " ".join(words.split()[1:5]) for words in calls]

        made, calls = make("up", "PUBLIC_URL=https://id.example.com")
        self.assertEqual(made.returncode, 0, made.stdout)
        self.assertIn("Nodkey is up, at https://id.example.com", made.stdout)
        self.assertEqual(calls, ["compose --profile tools build cli", "run --rm --network none --read-only", "compose up --build --detach --wait"])
        before = contents(folder)
        made, calls = make("up")
        self.assertEqual((made.returncode, calls), (0, ["compose up --build --detach --wait"]))
        self.assertEqual(contents(folder), before)
        # Nothing is started where something is wrong.
        made, calls = make("up", "PUBLIC_URL=https://other.example.com")
        self.assertEqual((made.returncode, calls), (2, []))
        made, calls = make("down")
        self.assertEqual((made.returncode, calls), (0, ["compose --profile * down"]))
