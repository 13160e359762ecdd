"""Whether the commands of docs/guides/kubernetes.md do what they say, as far as they can without a cluster."""

import json
import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import pods
import schemas
import test_secrets
from chart import CHART, GUIDE, KUBERNETES, PLAIN, guide_block, helm, objects, rendered, template
from documents import ROOT

# Stands in for commands that need a cluster, or what is not built: writes down what it was called with, and what it was given.
STAND_IN = """#!/bin/sh
echo "$(basename "$0") $*" >>"$CALLS"
case "$(basename "$0") $*" in
  "nodkey keys init keys") cp -r "$MADE_UP" keys ;;
  "kubectl apply"*"--filename -") cat >applied.yaml ;;
esac
"""


class Guide(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)
        bin = self.folder / "bin"
        bin.mkdir()
        for command in ("kubectl", "helm", *([] if pods.BUILT else ["nodkey"])):
            (bin / command).write_text(STAND_IN)
            (bin / command).chmod(0o755)
        path = [str(bin), *([str(pods.BINARIES)] if pods.BUILT else []), os.environ["PATH"]]
        self.environment = os.environ | {"PATH": ":".join(path), "CALLS": str(self.folder / "calls"), "MADE_UP": str(self.folder / "made-up")}
        test_secrets.made_up(self.folder / "made-up")
        self.work = self.folder / "work"
        self.work.mkdir()
        (self.work / "deploy").symlink_to(ROOT / "deploy")

    def shell(self, block):
        subprocess.run(["bash", "-euo", "pipefail", "-c", block], cwd=self.work, env=self.environment, check=True, capture_output=True)

    def calls(self):
        return (self.folder / "calls").read_text().splitlines()

    def test_the_first_block_makes_every_secret_and_installs_the_ten_lines(self):
        (self.work / "values.yaml").write_text(guide_block("yaml", "trial:"))
        self.shell(guide_block("sh", "helm install"))
        applied = objects((self.work / "applied.yaml").read_text())
        self.assertEqual(len(applied), 11)
        self.assertEqual([error for item in applied for error in schemas.errors(item)], [])
        self.assertIn("helm install nodkey deploy/helm/nodkey --namespace nodkey --values values.yaml", self.calls())
        for path in (self.work / "databases.env", self.work / "keys/registry.env"):
            self.assertEqual(path.stat().st_mode & 0o077 if path.name == "databases.env" or pods.BUILT else 0, 0, path)

    def test_a_rotation_applies_the_secrets_anew(self):
        shutil.copytree(self.folder / "made-up", self.work / "keys")
        block = guide_block("sh", "nodkey keys rotate").replace("nodkey keys rotate", "true nodkey keys rotate")
        self.shell(block)
        self.assertEqual(len(objects((self.work / "applied.yaml").read_text())), 6)
        self.assertEqual(self.calls()[-1], "kubectl rollout restart --namespace nodkey deployment nodkey-registry")

    def test_values_for_own_servers_are_accepted(self):
        result = template("publicUrl: https://id.example.com\nimage: { repository: a/nodkey }\n" + guide_block("yaml", "bus:"))
        self.assertEqual(result.returncode, 0, result.stderr)

    def test_what_the_guide_and_the_notes_name_exists(self):
        names = {(item["kind"].lower(), item["metadata"]["name"]) for item in objects(rendered("trial"))}
        texts = [GUIDE.read_text(), (CHART / "templates/NOTES.txt").read_text().replace("{{ $name }}", "nodkey")]
        for text in texts:
            for kind, name in re.findall(r"(deployment|statefulset|service)[ /](nodkey-[a-z]+)\b", text):
                self.assertIn((kind, name), names)
        schema = (CHART / "values.schema.json").read_text()
        for name in re.findall(r"`(?:[a-z]+\.)*([a-z]+[A-Z][A-Za-z]+)[:`]", GUIDE.read_text()):
            self.assertIn(f'"{name}"', schema)

    def test_the_notes_say_what_to_do_next(self):
        result = helm("install", "nodkey", str(CHART), "--dry-run=client", "--namespace", "nodkey", given=guide_block("yaml", "trial:"))
        for text in (
            "rollout status deployment nodkey-gateway",
            'relying-parties create "Acme Bank"',
            "--role owner",
            "https://id.example.com/console",
            "without backups",
        ):
            self.assertIn(text, result.stdout)
        block = guide_block("sh", "port-forward --namespace")
        self.assertIn('relying-parties create "Acme Bank"', block)

    def test_the_folders_of_plain_manifests_are_bases_and_an_overlay_changes_them(self):
        for case in PLAIN:
            built = subprocess.run(["kubectl", "kustomize", KUBERNETES / case], capture_output=True, text=True, check=True).stdout
            key = lambda item: (item["kind"], item["metadata"]["name"])
            self.assertEqual(sorted(objects(built), key=key), sorted(objects(rendered(case)), key=key))
        overlay = self.folder / "overlay"
        overlay.mkdir()
        shutil.copytree(KUBERNETES, self.folder / "nodkey/deploy/kubernetes")
        (overlay / "kustomization.yaml").write_text(guide_block("yaml", "kustomization.yaml"))
        built = subprocess.run(["kubectl", "kustomize", overlay], capture_output=True, text=True, check=True).stdout
        items = objects(built)
        self.assertEqual({item["metadata"].pop("namespace") for item in items}, {"nodkey"})
        self.assertEqual([error for item in items for error in schemas.errors(item)], [])
        self.assertNotIn("example.com", json.dumps([item for item in items if item["metadata"]["name"] != "nodkey-postgres"]))
