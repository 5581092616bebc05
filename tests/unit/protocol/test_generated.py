"""The generated code in the tree is what protoc makes of the proto files in the tree."""

import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[3] / "protocol"
GENERATED = tuple(
    f"{name}_pb2{end}" for name in ("wire", "api", "executor") for end in (".py", ".pyi")
)


def test_the_generated_code_is_up_to_date(tmp_path: Path) -> None:
    pytest.importorskip("grpc_tools", reason="grpcio-tools is not installed")

    subprocess.run(
        ["sh", str(PACKAGE / "generate.sh"), sys.executable, str(tmp_path)], check=True, timeout=60
    )

    for name in GENERATED:
        fresh = (tmp_path / "protocol" / name).read_text()
        assert fresh == (PACKAGE / name).read_text(), f"run `make protos`: {name} is out of date"
