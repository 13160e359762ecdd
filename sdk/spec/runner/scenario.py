"""One scenario, step by step. scenarios.json says what the steps mean."""

import datetime
import json
import os
import queue
import re
import subprocess
import time

from deployment import PATIENCE
from network import Network, Receiver
from program import Program

PHONE = "docs/protocol/phone.mjs"


class Failed(Exception):
    """A step did not go as it should."""


class Scenario:
    def __init__(self, described, deployment, command, folder):
        self.name, self.steps = described["name"], described["steps"]
        self.deployment, self.command = deployment, command
        self.folder = folder / self.name
        self.folder.mkdir()
        self.network, self.receiver = Network(deployment.url), None
        self.programs, self.phones, self.calls = {}, [], {}
        now = datetime.datetime.now(datetime.UTC)
        self.known = {
            "user": f"ada of {self.name}",
            "relying_party": deployment.relying_party,
            "issuer": deployment.url,
            "mobile": deployment.mobile,
            "now": time.time(),
            "past": (now - datetime.timedelta(minutes=1)).isoformat(),
            "future": (now + datetime.timedelta(hours=1)).isoformat(),
            "half": "x" * (1 << 19),
            "large": "x" * (1 << 20),
        }

    def run(self):
        try:
            for number, step in enumerate(self.steps, 1):
                try:
                    self.step(step)
                except (Failed, RuntimeError, OSError, KeyError, queue.Empty) as error:
                    raise Failed(f"  step {number}, {step}:\n  {type(error).__name__}: {error}{self.last_words()}") from error
        finally:
            faults = [fault for program in self.programs.values() for fault in program.stop()]
            for phone in self.phones:
                phone.kill()
                phone.wait()
            self.network.close()
            if self.receiver:
                self.receiver.close()
        if faults:
            raise Failed("\n".join(faults))

    def last_words(self):
        """The end of what the program wrote for people."""
        log = self.folder / "stderr.log"
        lines = log.read_text().splitlines()[-5:] if log.exists() else []
        return "".join(f"\n  | {line}" for line in lines)

    def step(self, step):
        step = dict(step)
        what = next(iter(step))
        known = {
            "call", "start", "finish", "cancel", "observe", "bind", "phone", "code", "network", "server", "program", "endpoint", "receive",
        }  # fmt: skip
        if what not in known:
            raise Failed(f"there is no step {what}")
        getattr(self, f"do_{what}")(self.filled(step.pop(what)), step)

    # The SDK.

    def do_call(self, call, step):
        program = self.program()
        self.check(program.finish(program.start(call, self.filled(step.get("params", {})))), step)

    def do_start(self, call, step):
        program = self.program()
        for name in names(step["as"], step):
            self.calls[name] = program, program.start(call, self.filled(step.get("params", {})))

    def do_finish(self, name, step):
        for one in names(name, step):
            program, number = self.calls.pop(one)
            self.check(program.finish(number), step)

    def do_cancel(self, name, step):
        program, number = self.calls[name]
        self.check(program.cancel(number), {"result": {}, **step})

    def do_observe(self, call, step):
        """Repeats a call past the network until it is as expected."""
        program, until = self.program("observer"), time.monotonic() + PATIENCE
        while True:
            reply = program.finish(program.start(call, self.filled(step.get("params", {}))))
            try:
                return self.check(reply, step)
            except Failed:
                if time.monotonic() > until:
                    raise
                time.sleep(0.05)

    def do_program(self, environment, _step):
        """Starts the program anew, with another environment."""
        self.programs["subject"] = self.start_program(self.network.url, environment)

    def program(self, name="subject"):
        if name not in self.programs:
            self.programs[name] = self.start_program(self.network.url if name == "subject" else self.deployment.url, {})
        return self.programs[name]

    def start_program(self, url, changes):
        environment = {name: value for name, value in self.deployment.environment.items() if name in ENVIRONMENT}
        environment = {**environment, "NODKEY_URL": url, **changes}
        environment = {name: value for name, value in environment.items() if value is not None}
        return Program(self.command, environment, self.folder / "stderr.log")

    def check(self, reply, step):
        for outcome in ("result", "error"):
            if outcome in step and outcome not in reply:
                raise Failed(f"no {outcome}: {str(reply)[:600]}")
        wanted = step.get("error") if "error" in step else step.get("result")
        got = reply.get("error") if "error" in step else reply.get("result")
        if got is None:
            raise Failed(f"refused: {str(reply)[:600]}")
        if wanted is not None:
            differs = difference(self.filled(wanted), got)
            if differs:
                raise Failed(f"{differs} in {str(got)[:600]}")
        if "as" in step and isinstance(step["as"], str):
            self.known[step["as"]] = got

    # Phones, pages, the deployment.

    def do_bind(self, name, step):
        """A new phone that is bound to a user, and active."""
        self.do_phone("enrol", {"as": name})
        self.do_call("bindings.create", {"params": {"user": step.get("user", "{user}"), "device": f"{{{name}}}"}, "as": f"{name}_binding"})
        self.do_call("bindings.activate", {"params": {"id": f"{{{name}_binding.id}}"}, "result": {"state": "BINDING_STATE_ACTIVE"}})

    def do_phone(self, act, step):
        keys = self.folder / f"{step.get('of') or step.get('as') or 'phone'}.json"
        if act == "enrol":
            enrolled = self.deployment.phone(keys, "enrol")
            self.known[step["as"]] = enrolled["device_identifier"]
            self.known[step["as"] + "_jwt"] = enrolled["device_identifier_jwt"]
        elif act == "scan":
            self.scan(step)
        else:
            number = ["--number", self.filled(step["number"])] if "number" in step else []
            self.deployment.phone(keys, "wait", "--decide", act, "--once", "--timeout", str(PATIENCE), *number)

    def scan(self, step):
        """A phone that scans a code, and accepts all that follows."""
        described = self.folder / "dev.json"
        described.write_text(json.dumps({"http": self.deployment.url, "mobile": self.deployment.mobile}))
        environment = {**os.environ, "NODKEY_DEV_JSON": str(described)}
        if authority := self.deployment.environment.get("NODKEY_CA_CERTIFICATE"):
            environment["NODE_EXTRA_CA_CERTS"] = authority
        phone = subprocess.Popen(
            ["node", PHONE, self.filled(step["payload"])],
            env=environment, stdout=subprocess.PIPE, stderr=open(self.folder / "phone.log", "ab"), text=True,
        )  # fmt: skip
        self.phones.append(phone)
        self.known[step["as"]] = phone.stdout.readline().strip()

    def do_code(self, name, _step):
        self.known[name] = self.deployment.code()

    def do_network(self, what, step):
        self.network.act(what, step.get("count", 1))

    def do_server(self, what, _step):
        self.deployment.stop(kill=what == "kill")
        self.deployment.start()

    def do_endpoint(self, name, step):
        """A receiver of webhooks; its URL is known under the name."""
        self.receiver = self.receiver or Receiver()
        self.known[name] = self.receiver.url + step.get("path", "/")

    def do_receive(self, name, step):
        """The next request to the receiver that names this, as other scenarios cause events, too."""
        about = self.filled(step.get("about", ""))
        while about not in (request := self.receiver.received.get(timeout=PATIENCE))["body"]:
            pass
        self.known[name] = request

    def filled(self, value):
        """The value with what is known instead of {names}."""
        if isinstance(value, dict):
            return {name: self.filled(part) for name, part in value.items()}
        if isinstance(value, list):
            return [self.filled(part) for part in value]
        if not isinstance(value, str):
            return value
        if whole := re.fullmatch(r"\{([\w.-]+)\}", value):
            return self.find(whole[1])
        return re.sub(r"\{([\w.-]+)\}", lambda found: str(self.find(found[1])), value)

    def find(self, path):
        value = self.known
        for part in path.split("."):
            value = value[int(part)] if isinstance(value, list) else value[part]
        return value


ENVIRONMENT = {"NODKEY_TOKEN", "NODKEY_SECRET", "NODKEY_CA_CERTIFICATE", "NODKEY_AUDIENCE"}


def names(name, step):
    """The names of a step's calls: one, or as many as it says."""
    return [name] if "times" not in step else [f"{name}-{number}" for number in range(step["times"])]


def difference(wanted, got, at=""):
    """Where something lacks what is wanted; None where it has it. It may have more members, but no more items of a list. "*" is anything but
    empty, null is a default value or none. A list with "..." may have other items, in any order, but none that is {"not"}."""
    where = at or "the reply"
    if wanted == "*":
        return None if got not in (None, "", [], {}) else f"{where} is empty"
    if wanted is None:
        return None if not got else f"{where} is {got!r}"
    if isinstance(wanted, dict):
        if not isinstance(got, dict):
            return f"{where} is no object"
        found = (difference(value, got.get(name), f"{at}.{name}") for name, value in wanted.items())
        return next(filter(None, found), None)
    if isinstance(wanted, list) and "..." in wanted:
        for part in wanted:
            banned = part["not"] if isinstance(part, dict) and "not" in part else None
            found = part == "..." or any(not difference(banned or part, item, at) for item in got or [])
            if found == (banned is not None):
                return f"{where} has {'a' if banned else 'no'} {banned or part}"
        return None
    if isinstance(wanted, list):
        if not isinstance(got, list) or len(got) != len(wanted):
            return f"{where} has {len(got) if isinstance(got, list) else 'no'} items, not {len(wanted)}"
        return next(filter(None, (difference(*pair, f"{at}.{index}") for index, pair in enumerate(zip(wanted, got)))), None)
    same = wanted == got and isinstance(wanted, bool) == isinstance(got, bool)
    return None if same else f"{where} is {got!r}, not {wanted!r}"
