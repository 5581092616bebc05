#!/bin/sh
# Writes protocol/*_pb2.py and *_pb2.pyi from protocol/proto. Usage: generate.sh [python] [out dir]
# The generated code must not be newer than the pinned protobuf runtime (it checks at import).
set -eu
here=$(cd "$(dirname "$0")" && pwd)
python=${1:-python3}
out=${2:-$(dirname "$here")}
exec "$python" -m grpc_tools.protoc -I "$here/proto" --python_out="$out" --pyi_out="$out" \
  "$here/proto/protocol/wire.proto" "$here/proto/protocol/api.proto" \
  "$here/proto/protocol/executor.proto"
