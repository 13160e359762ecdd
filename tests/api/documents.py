"""Runs the examples of documents against the `nodkey dev` of this folder, where a phone accepts every request to `ada`.

Each block of a language below runs by itself. What a block of `text` right after it says is what it prints.
"""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile

ROOT = sys.argv[1]
COMMANDS = {
    "sh": ["bash", "-euo", "pipefail", "-c"],
    "bash": ["bash", "-euo", "pipefail", "-c"],
    "python": [sys.executable, "-c"],
    "js": ["node", "--input-type=module", "-e"],
}
DOCUMENTS = {
    "docs/protocol/bearer.md": ["bash", "python", "js"],
    "docs/protocol/trusona.md": ["sh", "bash"],
    "docs/guides/mobile-app.md": ["sh"],
    "docs/guides/secure-qr.md": ["sh", "bash"],
}
# What is other each time.
VARYING = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f-]{27}|\.\.\.)")


def run(command):
    """Runs it, and ends what it left in the background. Into files: a pipe would be waited for until that has ended, too."""
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        process = subprocess.Popen(command, stdout=out, stderr=err, start_new_session=True)
        try:
            status = process.wait(timeout=120)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGTERM)
        out.seek(0)
        err.seek(0)
        return status, out.read(), err.read()


for name, languages in DOCUMENTS.items():
    with open(os.path.join(ROOT, name)) as file:
        blocks = re.findall(r"^```(\w+)\n(.*?)^```\n(?:\n^```text\n(.*?)^```\n)?", file.read(), re.M | re.S)
    blocks = [(language, code, text) for language, code, text in blocks if language in languages]
    assert blocks, name
    for language, code, text in blocks:
        status, said, failed = run([*COMMANDS[language], code])
        about = f"{name}, {code.splitlines()[0]}:\n{said}{failed}"
        assert status == 0, about
        assert not text or VARYING.sub("ID", said).strip() == VARYING.sub("ID", text).strip(), about
    print(f"{name}: {len(blocks)} examples work")
