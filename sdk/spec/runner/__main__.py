"""Runs sdk/spec/scenarios.json against an SDK.

    python3 sdk/spec/runner [--bin DIR] [--tls | --native FILE] [--only TEXT | --quick] [--jobs N] -- PROGRAM [ARG...]

PROGRAM is the conformance program of the SDK (sdk/spec/README.md). The deployment is `nodkey dev`, started for this run, with --tls over TLS,
or the five services of scripts/up-native, whose native.json is FILE. DIR has the binary `nodkey` (target/debug). Works in target/conformance.
"""

import argparse
import json
import os
import pathlib
import shutil
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

from deployment import Embedded, Native
from scenario import Failed, Scenario

TOP = pathlib.Path(__file__).resolve().parents[3]
SCENARIOS = TOP / "sdk/spec/scenarios.json"
# What names of the first slice have in them.
QUICK = ["login", "lost", "survives", "prompted_too_often"]


def arguments():
    parser = argparse.ArgumentParser(prog="sdk/spec/runner", description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=pathlib.Path, default=TOP / "target/debug", help="folder of the binary nodkey")
    parser.add_argument("--tls", action="store_true", help="nodkey dev --tls")
    parser.add_argument("--native", type=pathlib.Path, help="native.json of scripts/up-native")
    parser.add_argument("--only", default="", help="only the scenarios with this in their names")
    parser.add_argument("--quick", action="store_true", help="only a first slice: logins, lost answers, waits over restarts, limits")
    parser.add_argument("--jobs", type=int, default=4, help="how many run at the same time")
    parser.add_argument("program", nargs="+", help="the conformance program")
    return parser.parse_args()


def main():
    options = arguments()
    scenarios = json.loads(SCENARIOS.read_text())["scenarios"]
    names = [scenario["name"] for scenario in scenarios]
    if len(set(names)) != len(names):
        sys.exit("two scenarios have the same name")
    folder = TOP / "target/conformance" / str(os.getpid())
    folder.mkdir(parents=True)
    binaries = options.bin.resolve()
    deployment = Native(folder, binaries, options.native) if options.native else Embedded(folder, binaries, options.tls)
    failures, began, lock = [], time.monotonic(), threading.Lock()

    def run(described):
        try:
            Scenario(described, deployment, options.program, folder).run()
            said = "ok"
        except Failed as failed:
            said = f"FAILED\n{failed}"
        with lock:
            print(f"{described['name']} ... {said}", flush=True)
            if said != "ok":
                failures.append(described["name"])

    try:
        texts = QUICK if options.quick else [options.only]
        named = [it for it in scenarios if any(text in it["name"] for text in texts)]
        chosen = [it for it in named if deployment.kind in it.get("on", ["embedded", "native"])]
        # What stops the server would disturb the others.
        alone = [it for it in chosen if any("server" in step for step in it["steps"])]
        with ThreadPoolExecutor(options.jobs) as pool:
            list(pool.map(run, [it for it in chosen if it not in alone]))
        for described in alone:
            run(described)
    finally:
        deployment.stop()
    took = time.monotonic() - began
    print(f"{len(chosen) - len(failures)} of {len(chosen)} scenarios passed ({deployment.kind}{' over TLS' if options.tls else ''}, {took:.0f} s)")
    if failures or not chosen:
        sys.exit(f"what was written is in {folder}")
    shutil.rmtree(folder)


main()
