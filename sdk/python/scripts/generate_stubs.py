"""Makes src/nodkey/_proto from proto/: messages only, by protoc of grpcio-tools. Usage: python scripts/generate_stubs.py [FOLDER].

The client calls methods by name (src/nodkey/_methods.py), so no stubs of services are made, and the package needs no version of grpcio in
particular. protoc writes imports as `nodkey.*`, after the packages of proto/; here they live in `nodkey._proto.*`.
"""

import re
import shutil
import sys
import tempfile
from importlib.resources import files
from pathlib import Path

from grpc_tools import protoc

HERE = Path(__file__).resolve().parent.parent
PROTO = HERE.parent.parent / "proto"
#: What a backend calls; protoc adds nothing to them, so what they import is listed, too.
FILES = (
    "options/v1/options",
    "binding/v1/bindings",
    "binding/v1/users",
    "notification/v1/deliveries",
    "notification/v1/endpoints",
    "registry/v1/devices",
    "registry/v1/identity_documents",
    "registry/v1/signing_keys",
    "trusonafication/v1/trucodes",
    "trusonafication/v1/trusonafications",
)
IMPORT = re.compile(r"^((?:from|import) )nodkey\.", re.MULTILINE)


def generate(folder: Path) -> None:
    """Replaces what is in `folder`, which is the package nodkey._proto."""
    with tempfile.TemporaryDirectory() as made:
        includes = [f"-I{PROTO}", f"-I{files('grpc_tools') / '_proto'}"]
        names = [f"nodkey/{name}.proto" for name in FILES]
        if protoc.main(["protoc", *includes, f"--python_out={made}", f"--pyi_out={made}", *names]) != 0:
            raise SystemExit(1)
        shutil.rmtree(folder, ignore_errors=True)
        for path in sorted(Path(made, "nodkey").rglob("*.py*")):
            target = folder / path.relative_to(Path(made, "nodkey"))
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(IMPORT.sub(r"\1nodkey._proto.", path.read_text()))
    for package in [folder, *(path for path in folder.rglob("*") if path.is_dir())]:
        (package / "__init__.py").write_text("")


if __name__ == "__main__":
    generate(Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "src/nodkey/_proto")
