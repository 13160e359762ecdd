"""Measures approvals on a privacyIDEA that runs on this machine; see scripts/bench-privacyidea.

An approval is complete: the backend triggers a challenge, the phone fetches it, signs and answers, and the backend learns that it was
answered and finalizes the authentication. Each of the five requests follows the one before at once, which is the best case: phones and
backends that poll wait between two polls.
"""

import argparse
import base64
import concurrent.futures
import contextlib
import datetime as dt
import http.client
import json
import os
import pathlib
import queue
import re
import statistics
import sys
import threading
import time
import urllib.parse

import psycopg2
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

PARTS = {"trigger": "trigger answered", "trigger_to_phone": "trigger to phone", "answer_to_result": "answer to result", "whole": "whole"}
POSTGRES = {"transactions": "transactions", "wal_sync": "WAL syncs"}
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Fault(Exception):
    """Why an approval did not complete: the step, and what the server answered."""


class Server:
    """The API. A thread has a connection of its own; gunicorn's default workers close it after each request."""

    def __init__(self, address):
        self._address = address
        self._local = threading.local()

    def call(self, step, method, path, headers=None, expect=True, **parameters):
        """The response's JSON. Fails unless `result.value` is there, and is `expect` unless that is None."""
        if not hasattr(self._local, "connection"):
            self._local.connection = http.client.HTTPConnection(self._address, timeout=60)
        query = urllib.parse.urlencode(parameters)
        body = None
        headers = {"User-Agent": "nodkey-bench", **(headers or {})}
        if method == "GET":
            path = f"{path}?{query}"
        else:
            body = query
            headers["Content-Type"] = "application/x-www-form-urlencoded"
        try:
            self._local.connection.request(method, path, body, headers)
            response = self._local.connection.getresponse()
            answer = json.load(response)
        except (OSError, ValueError, http.client.HTTPException) as error:
            self._local.connection.close()
            raise Fault(f"{step}: {type(error).__name__}") from error
        result = answer.get("result") or {}
        if "value" not in result or (expect is not None and result["value"] != expect):
            raise Fault(f"{step}: {response.status} {result.get('error') or result.get('value')}")
        return answer


class User:
    """A user, and their phone. All phones have the same key: what a signature costs is the same for each."""

    def __init__(self, server, name, key):
        self.name = name
        self._server = server
        self._key = key
        self._serial = None

    def enrol(self, admin):
        """Both steps: the administrator's, and the phone's."""
        detail = self._server.call("enrol", "POST", "/token/init", admin, type="push", genkey=1, user=self.name)["detail"]
        self._serial = detail["serial"]
        der = self._key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
        public = base64.urlsafe_b64encode(der).decode()
        phone = {"serial": self._serial, "fbtoken": "", "pubkey": public, "enrollment_credential": detail["enrollment_credential"]}
        self._server.call("register", "POST", "/ttype/push", **phone)

    def _sign(self, text):
        return base64.b32encode(self._key.sign(text.encode(), padding.PKCS1v15(), hashes.SHA256())).decode()

    def approve(self, admin):
        """Runs an approval. How long each of its parts took; what the phone signs is signed before the clock of a part starts."""
        call = self._server.call
        timestamp = dt.datetime.now(dt.timezone.utc).isoformat()
        poll = {"serial": self._serial, "timestamp": timestamp, "signature": self._sign(f"{self._serial}|{timestamp}")}

        began = time.perf_counter()
        transaction = call("trigger", "POST", "/validate/triggerchallenge", admin, expect=1, user=self.name)["detail"]["transaction_id"]
        triggered = time.perf_counter()
        challenges = call("poll", "GET", "/ttype/push", expect=None, **poll)["result"]["value"]
        at_phone = time.perf_counter()
        if len(challenges) != 1:
            raise Fault(f"poll: {len(challenges)} challenges")

        signature = self._sign(f"{challenges[0]['nonce']}|{self._serial}")
        answered = time.perf_counter()
        call("answer", "POST", "/ttype/push", serial=self._serial, signature=signature)
        call("result", "GET", "/validate/polltransaction", transaction_id=transaction)
        call("finalize", "POST", "/validate/check", user=self.name, transaction_id=transaction, **{"pass": ""})
        ended = time.perf_counter()
        return dict(zip(PARTS, (triggered - began, at_phone - began, ended - answered, ended - began), strict=True))


class Machine:
    """The processes: gunicorn's, PostgreSQL's, and this one. CPU is user and system time, from /proc; children that have ended count."""

    def __init__(self, gunicorn, database):
        self._database = psycopg2.connect(database)
        self._database.autocommit = True
        # The server of a connection is the parent of its process.
        self._parents = {"privacyidea": gunicorn, "postgres": stat(self._database.info.backend_pid)[0]}

    def read(self):
        """What was used so far."""
        every = {int(one.name): stat(int(one.name)) for one in pathlib.Path("/proc").iterdir() if one.name.isdigit()}
        cpu = {
            name: sum(every[parent][1:3]) + sum(own for ancestor, own, _ in filter(None, every.values()) if ancestor == parent)
            for name, parent in self._parents.items()
        }
        cpu["bench"] = time.process_time()
        with self._database.cursor() as cursor:
            cursor.execute("SELECT (SELECT sum(xact_commit) FROM pg_stat_database), wal_sync FROM pg_stat_wal")
            counts = dict(zip(POSTGRES, map(int, cursor.fetchone()), strict=True))
        return cpu, counts


def stat(pid):
    """The parent of a process, its CPU seconds, and those of its children that have ended. None once it is gone."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    ticks = [int(field) / TICKS_PER_SECOND for field in fields[11:15]]
    return int(fields[1]), ticks[0] + ticks[1], ticks[2] + ticks[3]


def enrol(server, password, names):
    """Enrols the users, and lets each approve twice, which warms the server's processes. The administrator's header, and the users."""
    token = server.call("log in", "POST", "/auth", expect=None, username="admin", password=password)["result"]["value"]["token"]
    admin = {"PI-Authorization": token}
    key = rsa.generate_private_key(65537, 4096)
    fleet = [User(server, name, key) for name in names]
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda user: user.enrol(admin), fleet))
        list(pool.map(lambda user: user.approve(admin), fleet * 2))
    return admin, fleet


def load(free, admin, concurrency, seconds):
    """A closed loop: when an approval has ended, the user who has been free the longest begins the next. Samples, faults, and seconds."""
    samples, faults = [], []
    began = time.perf_counter()

    def work():
        while time.perf_counter() - began < seconds:
            user = free.get()
            try:
                samples.append(user.approve(admin))
            except Fault as fault:
                faults.append(str(fault))
            free.put(user)

    workers = [threading.Thread(target=work) for _ in range(concurrency)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return samples, faults, time.perf_counter() - began


def measure(machine, *how):
    """One run, summarized."""
    cpu_before, counts_before = machine.read()
    samples, faults, took = load(*how)
    cpu, counts = machine.read()
    if not samples:
        sys.exit(f"no approval completed: {faults[:3]}")

    def per_approval(after, before, factor):
        return {name: factor * (after[name] - before[name]) / len(samples) for name in after}

    def quantiles(part):
        values = sorted(1000 * sample[part] for sample in samples)
        return {"p50": statistics.median(values), "p99": values[min(len(values) - 1, int(0.99 * len(values)))]}

    cpu = per_approval(cpu, cpu_before, 1000)
    return {
        "seconds": took,
        "completed": len(samples),
        "failed": len(faults),
        "errors": sorted(set(faults)),
        "approvals_per_second": len(samples) / took,
        "server_cpu_ms_per_approval": cpu["privacyidea"] + cpu["postgres"],
        "cpu_ms_per_approval": cpu,
        "postgres_per_approval": per_approval(counts, counts_before, 1),
        "latency_ms": {part: quantiles(part) for part in PARTS},
    }


def table(report):
    """Markdown: medians of the runs, with minimum and maximum where values are noisy."""
    levels = report["levels"]

    def row(name, *reads, spread=False):
        def cell(runs):
            values = [[read(run) for run in runs] for read in reads]
            text = " / ".join(f"{statistics.median(each):.1f}" for each in values)
            return text + (f" [{min(values[0]):.1f}..{max(values[0]):.1f}]" if spread else "")

        print(f"| {name} | " + " | ".join(map(cell, levels.values())) + " |")

    print(f"{report['users']} users, {report['workers']} workers\n")
    print("| | " + " | ".join(f"{level} concurrent" for level in levels) + " |")
    print("|---|" + "---|" * len(levels))
    row("approvals per second", lambda run: run["approvals_per_second"], spread=True)
    for part, name in PARTS.items():
        row(f"{name}, ms: p50 / p99", *(lambda run, part=part, at=at: run["latency_ms"][part][at] for at in ("p50", "p99")))
    row("failed", lambda run: run["failed"], spread=True)
    row("server CPU, ms per approval", lambda run: run["server_cpu_ms_per_approval"], spread=True)
    for process in ("privacyidea", "postgres", "bench"):
        row(f"{process}: CPU ms", lambda run, process=process: run["cpu_ms_per_approval"][process])
    for count, name in POSTGRES.items():
        row(f"PostgreSQL {name} per approval", lambda run, count=count: run["postgres_per_approval"][count])


def address(log, seconds=60):
    """Where gunicorn listens, once its log says so."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        with contextlib.suppress(FileNotFoundError):
            if found := re.search(r"Listening at: http://(\S+)", log.read_text()):
                return found[1]
        time.sleep(0.1)
    sys.exit(f"gunicorn did not start; see {log}")


def main():
    """Runs everything."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--server", type=int, required=True, help="process id of gunicorn")
    parser.add_argument("--gunicorn-log", type=pathlib.Path, required=True)
    parser.add_argument("--password", required=True, help="of the administrator `admin`")
    parser.add_argument("--passwd", type=pathlib.Path, required=True, help="the server's file of users")
    parser.add_argument("--save", type=pathlib.Path, required=True, help="where to write all runs, as JSON")
    parser.add_argument("--concurrency", type=lambda text: [int(part) for part in text.split(",")], default=[1, 8, 32])
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--duration", type=float, default=10)
    parser.add_argument("--warmup", type=float, default=3)
    args = parser.parse_args()

    server = Server(address(args.gunicorn_log))
    machine = Machine(args.server, os.environ["NODKEY_TEST_POSTGRES_URL"])
    names = [line.split(":")[0] for line in args.passwd.read_text().splitlines()]
    admin, fleet = enrol(server, args.password, names)
    free = queue.Queue()
    for user in fleet:
        free.put(user)
    workers = sum(one.name.isdigit() and (stat(int(one.name)) or [0])[0] == args.server for one in pathlib.Path("/proc").iterdir())
    report = {"users": len(fleet), "workers": workers, "levels": {level: [] for level in args.concurrency}}
    for _ in range(args.runs):
        for level, runs in report["levels"].items():
            load(free, admin, level, args.warmup)
            runs.append(measure(machine, free, admin, level, args.duration))
    args.save.write_text(json.dumps(report, indent=2))
    table(report)


if __name__ == "__main__":
    main()
