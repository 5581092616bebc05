"""Our worker beside livekit-agents' worker, on the same server: `python -m bench.workers`.

Both are started as real processes of the same small program (`programs/`), with the settings that
their documentation gives for production, and take jobs of one `callboard serve`. A figure is one
module: what it asks, how, and its numbers. `report` writes them down.
"""
