"""Renders the chart. Run as a program, renders deploy/kubernetes and the golden files anew."""

import copy
import difflib
import functools
import pathlib
import re
import subprocess

import yaml

from documents import ROOT

TESTS = pathlib.Path(__file__).resolve().parent
CHART = ROOT / "deploy/helm/nodkey"
KUBERNETES = ROOT / "deploy/kubernetes"
GUIDE = ROOT / "docs/guides/kubernetes.md"

# Values whose manifests are kept whole, in deploy/kubernetes.
PLAIN = ["trial", "production"]
# Of these the golden files have how they differ from `trial`.
GOLDEN = ["ingress", "loadbalancer", "autoscaling", "monitoring", "off"]
# `alerts` has deploy/prometheus/rules.yaml and deploy/grafana, which are kept there.
CASES = [*PLAIN, *GOLDEN, "alerts"]


def guide_block(language, containing):
    """The one block of code in the guide that contains a text."""
    blocks = re.findall(rf"```{language}\n(.*?)```", GUIDE.read_text(), re.S)
    [block] = [block for block in blocks if containing in block]
    return block


def values(case):
    """The values of a case. Those of `trial` are the ten lines of the guide."""
    if case == "trial":
        return guide_block("yaml", "trial:")
    return (KUBERNETES / case / "values.yaml" if case in PLAIN else TESTS / "values" / f"{case}.yaml").read_text()


def helm(*arguments, given="", check=True):
    """Runs helm with values on standard input."""
    return subprocess.run(["helm", *arguments, "--values", "-"], input=given, capture_output=True, text=True, check=check)


def template(given, release="nodkey"):
    """Runs `helm template`, and may fail."""
    return helm("template", release, str(CHART), "--namespace", "nodkey", given=given, check=False)


@functools.cache
def rendered(case):
    """The manifests of a case, as text."""
    result = template(values(case))
    if result.returncode != 0:
        raise AssertionError(f"{case}: {result.stderr}")
    return result.stdout


@functools.cache
def parsed(text):
    return [item for item in yaml.load_all(text, yaml.CSafeLoader) if item]


def objects(text):
    """The objects in manifests."""
    return copy.deepcopy(parsed(text))


def split(text):
    """The text of each object, by its kind and name. Helm's comments about sources are left out."""
    parts = {}
    for part in re.split(r"^---$", text, flags=re.M):
        part = "\n".join(line for line in part.strip().splitlines() if not line.startswith("# Source: "))
        item = yaml.load(part, yaml.CSafeLoader)
        if item:
            parts[item["kind"], item["metadata"]["name"]] = part + "\n"
    return parts


def plain(case):
    """The contents of a file of plain manifests."""
    head = "# Rendered from deploy/helm/nodkey with values.yaml beside it, by `scripts/test-helm --update`. Do not edit.\n"
    return head + "".join(f"---\n{part}" for part in split(rendered(case)).values())


def golden(case):
    """How the manifests of a case differ from those of the trial, object by object."""
    before, after = split(rendered("trial")), split(rendered(case))
    text = ""
    for key in dict.fromkeys([*before, *after]):
        old, new = before.get(key, ""), after.get(key, "")
        if not new:
            text += f"without {' '.join(key)}\n"
        elif old != new:
            lines = difflib.unified_diff(old.splitlines(), new.splitlines(), n=2, lineterm="")
            text += f"{' '.join(key)}\n" + "".join(f"{line}\n" for line in list(lines)[2:])
    return text


def files():
    """Every file that is rendered, with its contents."""
    yield KUBERNETES / "trial/values.yaml", values("trial")
    for case in PLAIN:
        yield KUBERNETES / case / "nodkey.yaml", plain(case)
    for case in GOLDEN:
        yield TESTS / "golden" / f"{case}.diff", golden(case)


if __name__ == "__main__":
    for path, text in files():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        print(path.relative_to(ROOT))
