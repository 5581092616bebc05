"""What the server costs beside a bare transport that speaks the same frames on the same stack.

`python -m bench` (or `make bench`) starts both servers, drives them in turns by the same client and
writes docs/benchmarks/. See docs/benchmarks/README.md for what is measured and how to read it.
"""
