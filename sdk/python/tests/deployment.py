"""`nodkey dev` in a folder of its own, and phones on the terminal."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

BINARIES = Path(os.environ.get("NODKEY_BIN_DIR", Path(__file__).resolve().parents[3] / "target/debug"))


class Deployment:
    """A deployment that runs until it is stopped. `folder` is where somebody works with it. The options are those of `nodkey dev`."""

    def __init__(self, folder: Path, *options: str) -> None:
        self.folder = folder
        self._processes: list[subprocess.Popen[str]] = []
        # The binaries where the README has them.
        (folder / "target").mkdir(parents=True)
        (folder / "target/debug").symlink_to(BINARIES.resolve())
        self.start("ready", "target/debug/nodkey", "dev", "--http", "127.0.0.1:0", "--grpc", "127.0.0.1:0", *options)
        self.described: dict[str, Any] = json.loads((folder / ".nodkey/dev.json").read_text())

    def environment(self, **more: str) -> dict[str, str]:
        """Phones keep their keys in the folder, too."""
        return os.environ | {"XDG_STATE_HOME": str(self.folder / "state"), "PYTHONDONTWRITEBYTECODE": "1"} | more

    def start(self, until: str, *command: str, **environment: str) -> None:
        """Starts a process, and returns when it has printed a line with that text."""
        settings: dict[str, Any] = {"cwd": self.folder, "env": self.environment(**environment), "text": True}
        process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **settings)
        self._processes.append(process)
        assert process.stdout is not None
        printed = []
        for line in process.stdout:
            printed.append(line)
            if until in line:
                return
        raise AssertionError(f"{command} ended: {''.join(printed)}")

    def run(self, *command: str, **environment: str) -> str:
        """Runs a command that has to succeed, and returns what it printed."""
        settings: dict[str, Any] = {"cwd": self.folder, "env": self.environment(**environment), "timeout": 120}
        done = subprocess.run(command, capture_output=True, check=False, text=True, **settings)
        assert done.returncode == 0, f"{command}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return str(done.stdout)

    def nodkey(self, *arguments: str) -> Any:
        """Runs `nodkey`, and returns the JSON that it printed."""
        return json.loads(self.run("target/debug/nodkey", *arguments, "--json"))

    @property
    def client(self) -> dict[str, Any]:
        """What a client is made from."""
        server = self.described["server"]
        return {"url": self.described["http"], "token": server["token"], "secret": server["secret"]}

    def stop(self, name: str = "") -> None:
        """Ends what was started last first: all of it, or the process whose command has this in it."""
        for process in reversed(self._processes):
            if name in str(process.args):
                process.terminate()
                process.wait()
                if process.stdout is not None:
                    process.stdout.close()
