"""Whether the chart renders what Kubernetes accepts and Nodkey promises, and refuses values that are wrong."""

import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import yaml

import checks
import schemas
from chart import CASES, CHART, files, helm, objects, rendered, template, values
from documents import ROOT


class Chart(unittest.TestCase):
    def test_the_chart_passes_helms_own_lint(self):
        for case in CASES:
            with self.subTest(case):
                result = helm("lint", "--strict", str(CHART), given=values(case), check=False)
                self.assertEqual(result.returncode, 0, result.stdout + result.stderr)

    def test_every_manifest_is_valid_in_three_versions_of_kubernetes(self):
        for case in CASES:
            with self.subTest(case):
                items = objects(rendered(case))
                self.assertGreater(len(items), 15)
                self.assertEqual([error for item in items for error in schemas.errors(item)], [])

    def test_no_rule_of_our_own_is_broken(self):
        for case in CASES:
            with self.subTest(case):
                self.assertEqual(checks.problems(objects(rendered(case))), [])

    def test_a_release_of_another_name_keeps_every_rule(self):
        for release in ("acme", "a-release-whose-name-is-as-long-as-helm-allows-it-to"):
            items = objects(template(values("trial"), release).stdout)
            self.assertEqual(checks.problems(items), [])
            self.assertEqual([error for item in items for error in schemas.errors(item)], [])

    def test_a_packed_chart_renders_the_same(self):
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["helm", "package", str(CHART), "--destination", folder], check=True, capture_output=True)
            [archive] = pathlib.Path(folder).glob("nodkey-*.tgz")
            packed = helm("template", "nodkey", str(archive), "--namespace", "nodkey", given=values("trial")).stdout
        self.assertEqual(packed, rendered("trial"))

    def test_the_newcomers_values_are_ten_lines(self):
        self.assertLessEqual(len(values("trial").splitlines()), 10)

    def test_files_that_were_rendered_are_as_they_would_be_now(self):
        for path, text in files():
            with self.subTest(str(path.relative_to(ROOT))):
                self.assertTrue(path.exists(), "is missing: scripts/test-helm --update")
                self.assertEqual(path.read_text(), text, "differs: look at the change, then scripts/test-helm --update")

    def test_the_files_of_the_chart_are_links_to_the_rest_of_deploy(self):
        deploy, included = ROOT / "deploy", CHART / "files"
        for path in included.rglob("*"):
            if path.name != "dashboards":
                self.assertTrue(path.is_symlink(), f"{path.name} is a copy")
                self.assertTrue(path.resolve(strict=True).is_relative_to(deploy), f"{path.name} leads out of deploy/")
        dashboards = {path.name for path in (included / "dashboards").iterdir()}
        self.assertEqual(dashboards, {path.name for path in (deploy / "grafana").glob("*.json")}, "link each to files/dashboards")

    def test_a_checkout_without_links_is_refused(self):
        for name in ("nats.conf", "dashboards/operator.json"):
            with tempfile.TemporaryDirectory() as folder:
                chart = pathlib.Path(folder) / "nodkey"
                # Follows them.
                shutil.copytree(CHART, chart)
                self.assertEqual(helm("template", "nodkey", str(chart), given=values("trial")).returncode, 0)
                # As git writes them there.
                (chart / "files" / name).write_text(str((CHART / "files" / name).readlink()))
                result = helm("template", "nodkey", str(chart), given=values("trial"), check=False)
                self.assertNotEqual(result.returncode, 0)
                self.assertIn(f"files/{name} is not the file that it links to", result.stderr)

    def test_the_trial_runs_the_versions_that_compose_runs(self):
        compose = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
        trial = yaml.safe_load((CHART / "values.yaml").read_text())["trial"]
        for server in ("postgres", "nats"):
            self.assertEqual(trial[server]["image"], compose[server]["image"])

    def test_the_chart_is_of_this_release(self):
        release = re.search(r'^version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.M)[1]
        self.assertEqual(yaml.safe_load((CHART / "Chart.yaml").read_text())["appVersion"], release)

    def test_alerts_and_dashboards_are_included_unchanged(self):
        if "alerts" not in CASES:
            self.skipTest("deploy/prometheus/rules.yaml or deploy/grafana/*.json is not there yet")
        items = objects(rendered("alerts"))
        [rules] = [item for item in items if item["kind"] == "PrometheusRule"]
        self.assertEqual(rules["spec"], yaml.safe_load((ROOT / "deploy/prometheus/rules.yaml").read_text()))
        data = {name: text for item in items if item["kind"] == "ConfigMap" for name, text in item["data"].items()}
        for path in (ROOT / "deploy/grafana").glob("*.json"):
            self.assertEqual(data[path.name].strip(), path.read_text().strip())
