"""A conformance program that runs."""

import itertools
import json
import os
import queue
import subprocess
import threading

from deployment import PATIENCE


class Program:
    """The program of an SDK. Each command gets one reply."""

    def __init__(self, command, environment, log):
        # Nothing of the deployment but what the scenario gives.
        others = ("NODKEY_", "SSL_CERT_", "NODE_EXTRA_CA_CERTS")
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(others)}
        self.log = open(log, "ab")
        self.process = subprocess.Popen(
            command, env={**inherited, **environment}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.log, text=True
        )
        self.ids = itertools.count(1)
        self.lock = threading.Lock()
        self.replies, self.faults = {}, []
        threading.Thread(target=self._read, daemon=True).start()

    def start(self, call, params):
        """Sends a call; returns its id."""
        return self._send({"call": call, "params": params})

    def cancel(self, number):
        """Cancels a call."""
        return self.finish(self._send({"cancel": number}))

    def finish(self, number):
        """The reply to a command."""
        try:
            return self.replies[number].get(timeout=PATIENCE)
        except queue.Empty:
            raise RuntimeError(f"no reply within {PATIENCE} s") from None

    def stop(self):
        """Ends the program in order. Returns what it did wrong."""
        try:
            self.process.stdin.close()
            code = self.process.wait(PATIENCE)
            if code != 0:
                self.faults.append(f"the program ended with {code}")
        except OSError as error:
            self.faults.append(str(error))
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.faults.append("the program did not end at the end of its input")
        self.log.close()
        return self.faults

    def _send(self, command):
        with self.lock:
            number = next(self.ids)
            self.replies[number] = queue.Queue()
            self.process.stdin.write(json.dumps({"id": number, **command}) + "\n")
            self.process.stdin.flush()
        return number

    def _read(self):
        for line in self.process.stdout:
            try:
                reply = json.loads(line)
                number = reply.pop("id")
                if sorted(reply) not in (["error"], ["result"]) or number not in self.replies:
                    raise ValueError("not a reply")
                self.replies[number].put(reply)
            except (ValueError, KeyError, AttributeError, TypeError):
                self.faults.append(f"not a reply: {line.strip()[:300]}")
        for waiting in list(self.replies.values()):
            waiting.put({"error": {"reason": "THE_PROGRAM_ENDED"}})
