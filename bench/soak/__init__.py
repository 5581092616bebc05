"""Half an hour at half load: does memory, latency or the database grow? `python -m bench.soak`."""
