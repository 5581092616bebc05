"""What crosses a wire: LiveKit's agent protocol, our own API, ids, limits, errors, tokens.

`wire_pb2`, `api_pb2` and `executor_pb2` are generated from `proto/` by `generate.sh` and never edited.
This package imports nothing of ours, reads no clock and draws no randomness: both are arguments.
"""
