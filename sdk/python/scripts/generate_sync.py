"""Makes the client that blocks from the asynchronous one: src/nodkey/_sync from src/nodkey/_async, all but its channel.

Usage: python scripts/generate_sync.py [--check]. With --check nothing is written, and the exit code is 1 if something is outdated.
"""

import re
import sys
from pathlib import Path

PACKAGE = Path(__file__).resolve().parent.parent / "src/nodkey"
FILES = ("client.py", "core.py", "resources.py")
NOTE = "# Made by scripts/generate_sync.py from _async/{name}: change that.\n"
WORDS = (
    (r"\basync (def|for|with)\b", r"\1"),
    (r"\bawait ", ""),
    (r"\bAsyncIterator\b", "Iterator"),
    (r"\bAsyncGenerator\[(.*), None\]", r"Generator[\1, None, None]"),
    (r"\bAsyncGenerator\b", "Generator"),
    (r"\basyncio\b", "threading"),
    (r"\b(_?)Async(?=[A-Z])", r"\1"),
    (r"\b__a(enter|exit)__\b", r"__\1__"),
    (r"\baclosing\b", "closing"),
    (r"\bnodkey\._async\b", "nodkey._sync"),
)


def blocking(name: str) -> str:
    """The text of a module that blocks."""
    text = (PACKAGE / "_async" / name).read_text()
    for word, replacement in WORDS:
        text = re.sub(word, replacement, text)
    return NOTE.format(name=name) + text


def main() -> int:
    outdated = [name for name in FILES if (PACKAGE / "_sync" / name).read_text() != blocking(name)] if "--check" in sys.argv else []
    for name in FILES if "--check" not in sys.argv else ():
        (PACKAGE / "_sync" / name).write_text(blocking(name))
    if outdated:
        print(f"outdated: {', '.join(outdated)}: run scripts/generate_sync.py", file=sys.stderr)
    return 1 if outdated else 0


if __name__ == "__main__":
    sys.exit(main())
