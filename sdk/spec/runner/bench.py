"""Measures logins by an SDK: from the call that creates a request to the result, with a phone that accepts at once.

    python3 sdk/spec/runner/bench.py [--bin DIR] [--logins N] -- PROGRAM [ARG...]

PROGRAM is the conformance program of the SDK. Against `nodkey dev`, one login after the other; the phone is `nodkey phone wait`.
"""

import argparse
import os
import pathlib
import shutil
import statistics
import subprocess
import time

from deployment import Embedded
from program import Program

TOP = pathlib.Path(__file__).resolve().parents[3]


def arguments():
    parser = argparse.ArgumentParser(prog="sdk/spec/runner/bench.py", description=__doc__.splitlines()[0])
    parser.add_argument("--bin", type=pathlib.Path, default=TOP / "target/debug", help="folder of the binary nodkey")
    parser.add_argument("--logins", type=int, default=100, help="how many are measured, after ten that are not")
    parser.add_argument("program", nargs="+", help="the conformance program")
    return parser.parse_args()


def login(program):
    """Milliseconds of one login."""
    began = time.perf_counter()
    asked = call(program, "trusonafications.create", user="ada", action="log in", resource="Acme Bank")
    ended = call(program, "trusonafications.wait", id=asked["trusonafication"]["id"], timeout_seconds=60)
    if ended["status"] != "STATUS_ACCEPTED":
        raise RuntimeError(ended["status"])
    return (time.perf_counter() - began) * 1000


def call(program, name, **params):
    reply = program.finish(program.start(name, params))
    if "error" in reply:
        raise RuntimeError(f"{name}: {reply['error']}")
    return reply["result"]


def main():
    options = arguments()
    folder = TOP / "target/conformance" / str(os.getpid())
    folder.mkdir(parents=True)
    deployment = Embedded(folder, options.bin.resolve(), False)
    program = Program(options.program, {**deployment.environment, "NODKEY_URL": deployment.url}, folder / "stderr.log")
    keys = folder / "phone.json"
    device = deployment.phone(keys, "enrol")["device_identifier"]
    call(program, "bindings.activate", id=call(program, "bindings.create", user="ada", device=device)["id"])
    environment = {**os.environ, **deployment.environment}
    command = [deployment.nodkey, "phone", "wait", "--decide", "accept", "--key", str(keys)]
    phone = subprocess.Popen(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        for _ in range(10):
            login(program)
        took = [login(program) for _ in range(options.logins)]
    finally:
        phone.terminate()
        phone.wait()
        program.stop()
        deployment.stop()
    shutil.rmtree(folder)
    hundredths = statistics.quantiles(took, n=100)
    print(f"{options.logins} logins: p50 {hundredths[49]:.0f} ms, p90 {hundredths[89]:.0f} ms, p99 {hundredths[98]:.0f} ms; load {os.getloadavg()[0]:.1f}")


main()
